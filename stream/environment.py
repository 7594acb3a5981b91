"""Variables that are not ours: what OpenTelemetry, Celery and OneUptime call our settings.

A table from their name to our key, and how to read the text where it differs from our own way.
"""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

from msgspec import Struct


class Borrowed(Struct, frozen=True):
    """A setting under another's name."""

    key: str
    read: Callable[[str], object] | None = None
    """Turns the text into the setting's value, raises ValueError where it cannot."""
    phrase: str | None = None
    """What a good text is, where that differs from the setting's own."""


def read_list(text: str) -> tuple[str, ...]:
    """Read names separated by commas."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def read_pairs(text: str) -> dict[str, str]:
    """Read ``key=value,key=value`` with percent-encoded keys and values, as OpenTelemetry has it.

    Raises:
        ValueError: a part has no ``=`` or an empty key.
    """
    pairs = {}
    for part in read_list(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError
        pairs[unquote(key.strip())] = unquote(value.strip())
    return pairs


def _read_headers(text: str) -> dict[str, str]:
    """Read pairs without white space around them, encoded or not, as the end of a secret's file."""
    return {name.strip(): value.strip() for name, value in read_pairs(text).items()}


def _read_milliseconds(text: str) -> float:
    return float(text) / 1000


def _read_exporters(text: str) -> bool:
    """Whether a list of exporters, as in ``OTEL_TRACES_EXPORTER``, sends OTLP."""
    names = read_list(text.lower())
    if names == ("none",):
        return False
    if "otlp" in names:
        return True
    raise ValueError


_OTLP: Final = "OTEL_EXPORTER_OTLP"
_EXPORTERS: Final = "otlp or none"
_MILLISECONDS: Final = "a number of milliseconds above 0"

# In order: of two variables for one setting the later wins.
BORROWED: Final[Mapping[str, Borrowed]] = {
    "ONEUPTIME_ENDPOINT": Borrowed("otlp.endpoint"),
    "CELERY_BROKER_URL": Borrowed("broker"),
    f"{_OTLP}_ENDPOINT": Borrowed("otlp.endpoint"),
    f"{_OTLP}_TRACES_ENDPOINT": Borrowed("otlp.traces_endpoint"),
    f"{_OTLP}_METRICS_ENDPOINT": Borrowed("otlp.metrics_endpoint"),
    f"{_OTLP}_LOGS_ENDPOINT": Borrowed("otlp.logs_endpoint"),
    f"{_OTLP}_HEADERS": Borrowed("otlp.headers", _read_headers),
    f"{_OTLP}_TRACES_HEADERS": Borrowed("otlp.traces_headers", _read_headers),
    f"{_OTLP}_METRICS_HEADERS": Borrowed("otlp.metrics_headers", _read_headers),
    f"{_OTLP}_LOGS_HEADERS": Borrowed("otlp.logs_headers", _read_headers),
    f"{_OTLP}_PROTOCOL": Borrowed("otlp.protocol"),
    # Seconds, as the Python SDK reads it; the specification says milliseconds.
    f"{_OTLP}_TIMEOUT": Borrowed("otlp.timeout"),
    f"{_OTLP}_COMPRESSION": Borrowed("otlp.compression"),
    f"{_OTLP}_CERTIFICATE": Borrowed("otlp.certificate"),
    f"{_OTLP}_CLIENT_CERTIFICATE": Borrowed("otlp.client_certificate"),
    f"{_OTLP}_CLIENT_KEY": Borrowed("otlp.client_key"),
    **{
        f"{_OTLP}_{signal}_{name}": Borrowed(f"otlp.{signal}_{name}".lower())
        for signal in ("TRACES", "METRICS", "LOGS")
        for name in ("TIMEOUT", "COMPRESSION", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    },
    "OTEL_TRACES_EXPORTER": Borrowed("otlp.traces", _read_exporters, _EXPORTERS),
    "OTEL_METRICS_EXPORTER": Borrowed("otlp.metrics", _read_exporters, _EXPORTERS),
    "OTEL_LOGS_EXPORTER": Borrowed("otlp.logs", _read_exporters, _EXPORTERS),
    "OTEL_SDK_DISABLED": Borrowed("otlp.disabled"),
    "OTEL_METRIC_EXPORT_INTERVAL": Borrowed(
        "otlp.metric_interval", _read_milliseconds, _MILLISECONDS
    ),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": Borrowed("otlp.batch_items"),
    "OTEL_BSP_SCHEDULE_DELAY": Borrowed("otlp.batch_age", _read_milliseconds, _MILLISECONDS),
    "OTEL_BSP_MAX_QUEUE_SIZE": Borrowed("otlp.buffer_items"),
    "OTEL_TRACES_SAMPLER": Borrowed("spans.sampler"),
    "OTEL_TRACES_SAMPLER_ARG": Borrowed("spans.ratio"),
    f"{_OTLP}_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": Borrowed("otlp.histograms"),
    "OTEL_METRICS_EXEMPLAR_FILTER": Borrowed("otlp.exemplars"),
    "OTEL_SERVICE_NAME": Borrowed("otlp.service_name"),
    "OTEL_RESOURCE_ATTRIBUTES": Borrowed("otlp.resource_attributes"),
}
