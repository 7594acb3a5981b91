"""The files of each kind of deployment, with one's own names in them."""

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib import resources
from typing import Final

from msgspec import Struct, structs

from .. import __version__
from ..errors import ConfigError
from .boards import dashboards
from .names import Names
from .panels import written as written_dashboard
from .rules import Thresholds
from .rules import written as written_rules


class Kind(StrEnum):
    """What one deploys with."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    GRAFANA = "grafana"
    PROMETHEUS = "prometheus"
    SYSTEMD = "systemd"


class File(Struct, frozen=True):
    """One file."""

    path: str
    """Relative, with slashes."""
    text: str
    example: bool = False
    """Not to be used as it is, or not by everybody."""


class Options(Struct, frozen=True):
    """What differs from place to place. Goes into the files as it is, so it is checked before."""

    image: str = f"celery-stream:{__version__}"
    broker: str = "redis://redis:6379/0"
    """Of Compose and systemd; in Kubernetes it is in the Secret."""
    endpoint: str = "http://collector:4318"
    """Where telemetry goes, a base URL."""
    namespace: str = "celery"
    monitoring: str = "monitoring"
    """The namespace from which the page may be scraped."""
    secret: str = "celery-stream"  # noqa: S105 - its name
    prometheus: str = "http://prometheus-operated.monitoring:9090"
    """The server that an autoscaler asks."""
    target: str = "127.0.0.1:9540"
    """Where Prometheus finds the page."""
    executable: str = "/opt/celery-stream/bin/celery-stream"
    names: Names = Names.PROMETHEUS
    thresholds: Thresholds = Thresholds()


_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_URL: Final = re.compile(r"[a-z+]+://[^\s\"'{}#\\$@]*(@[^\s\"'{}#\\$@]*)?")
_RULES: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "image": (re.compile(r"[\w.:/@-]+"), "the name of an image"),
    "broker": (_URL, "a URL (write a password with quotes or signs in it as %xx)"),
    "endpoint": (_URL, "a URL"),
    "namespace": (_LABEL, "the name of a namespace"),
    "monitoring": (_LABEL, "the name of a namespace"),
    "secret": (_LABEL, "the name of a Secret"),
    "prometheus": (_URL, "a URL"),
    "target": (re.compile(r"[\w.\[\]:-]+:\d+"), "HOST:PORT"),
    "executable": (re.compile(r"/[\w./+-]+"), "an absolute path"),
}
_PLACE: Final = re.compile(r"@\{(\w+)\}")


def bundle(kind: Kind, options: Options) -> tuple[File, ...]:
    """Make the files.

    Raises:
        ConfigError: an option cannot stand in a file.
    """
    for name, (pattern, phrase) in _RULES.items():
        value = getattr(options, name)
        if not pattern.fullmatch(value):
            # Not the value: a broker's URL holds a password.
            raise ConfigError(f"--{name} is not {phrase}")
    return _MAKERS[kind](options)


def _compose(options: Options) -> tuple[File, ...]:
    inside = structs.replace(options, target="celery-stream:9540")
    return (
        _file("compose/compose.yaml", options),
        _file("compose/collector.yaml", options),
        _file("prometheus/prometheus.yml", inside),
        _rules(options),
        _file("compose/grafana-datasource.yaml", options),
        _file("compose/grafana-dashboards.yaml", options),
        *_dashboards(options, "dashboards/"),
    )


def _kubernetes(options: Options) -> tuple[File, ...]:
    return (
        _file("kubernetes/celery-stream.yaml", options),
        _file("kubernetes/servicemonitor.yaml", options, example=True),
        File("prometheusrule.yaml", _prometheus_rule(options), example=True),
        _file("kubernetes/keda.yaml", options, example=True),
        _file("kubernetes/worker-liveness.yaml", options, example=True),
    )


def _prometheus_rule(options: Options) -> str:
    """Wrap the rules for the Prometheus operator."""
    rules = written_rules(options.names, options.thresholds)
    groups = "".join(
        f"  {line}\n" for line in rules.splitlines() if line and not line.startswith("#")
    )
    return (
        "# For the Prometheus operator.\n"
        "apiVersion: monitoring.coreos.com/v1\n"
        "kind: PrometheusRule\n"
        "metadata:\n"
        "  name: celery-stream\n"
        f'  namespace: "{options.namespace}"\n'
        "  labels:\n"
        "    app.kubernetes.io/name: celery-stream\n"
        "spec:\n"
        f"{groups}"
    )


def _grafana(options: Options) -> tuple[File, ...]:
    return _dashboards(options, "")


def _prometheus(options: Options) -> tuple[File, ...]:
    return (_file("prometheus/prometheus.yml", options), _rules(options))


def _systemd(options: Options) -> tuple[File, ...]:
    return (
        _file("systemd/celery-stream.service", options),
        _file("systemd/celery-stream.env", options),
    )


_MAKERS: Final[Mapping[Kind, Callable[[Options], tuple[File, ...]]]] = {
    Kind.COMPOSE: _compose,
    Kind.KUBERNETES: _kubernetes,
    Kind.GRAFANA: _grafana,
    Kind.PROMETHEUS: _prometheus,
    Kind.SYSTEMD: _systemd,
}


def _dashboards(options: Options, directory: str) -> tuple[File, ...]:
    return tuple(
        File(
            f"{directory}celery-{name}.json",
            json.dumps(written_dashboard(dashboard), indent=2) + "\n",
        )
        for name, dashboard in dashboards(options.names).items()
    )


def _rules(options: Options) -> File:
    return File("celery-stream.rules.yml", written_rules(options.names, options.thresholds))


def _file(source: str, options: Options, *, example: bool = False) -> File:
    """Read a file of the package and fill in its places."""
    text = resources.files(__package__).joinpath("files", source).read_text(encoding="utf-8")
    filled = _PLACE.sub(lambda place: str(getattr(options, place[1])), text)
    return File(source.rpartition("/")[2], filled, example)
