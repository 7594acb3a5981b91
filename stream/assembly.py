"""What ``run`` and ``replay --export`` make of the same settings alike."""

from collections.abc import Callable
from typing import NamedTuple

from opentelemetry.sdk.resources import Resource

from .config import RecordSettings, Settings
from .core.engine import Engine, Limits
from .events import Message
from .export.telemetry import Telemetry
from .sinks.aggregate import Aggregate
from .sinks.logs import LogSink
from .sinks.metrics import MetricsSink
from .sinks.redaction import Redaction
from .sinks.spans import SpanSink
from .sinks.stdout import JsonLines
from .wire.codec import Decoded, decode, decode_in_full


def engine_of(settings: Settings, *, records: bool = False) -> Engine:
    """Return the machine; *records*: it tells the whole record of what it forgets."""
    return Engine(
        Limits(tasks=settings.max_tasks, kinds=settings.max_kinds),
        settings.graces,
        stuck=settings.stuck,
        stuck_rules=settings.stuck_rules,
        records=records,
        long_wait=settings.spans.wait or None,
        beginnings=settings.log_records.lifecycle,
    )


def decoder_of(records: RecordSettings) -> Callable[[Message], Decoded]:
    """Return what reads messages: arguments and results only where they are told."""
    return decode_in_full if records.arguments or records.results else decode


class Sinks(NamedTuple):
    """What makes telemetry of effects, in the order in which they are told."""

    metrics: MetricsSink
    spans: SpanSink
    logs: LogSink


def sinks_of(
    settings: Settings,
    aggregate: Aggregate,
    *,
    telemetry: Telemetry,
    system: str,
    lines: JsonLines | None = None,
) -> Sinks:
    """Return what makes telemetry of effects.

    Args:
        settings: all of them.
        aggregate: what is counted goes there.
        telemetry: spans and log records go there.
        system: the broker, as ``messaging.system`` names it.
        lines: where log records are written as well; None: nowhere.
    """
    metrics = MetricsSink(
        aggregate,
        system=system,
        slow=settings.spans.slow,
        exemplars=_exemplars(settings, traced=telemetry.spans is not None),
    )
    spans = SpanSink(
        telemetry.spans,
        telemetry.resources,
        system=system,
        settings=settings.spans,
        redaction=Redaction(settings.log_records.redact),
    )
    logs = LogSink(telemetry.logs, telemetry.resources, lines=lines, settings=settings.log_records)
    return Sinks(metrics, spans, logs)


def _exemplars(settings: Settings, *, traced: bool) -> bool:
    """Whether metrics name runs as examples: by default those that have a span to look at."""
    if settings.otlp.exemplars == "trace_based":
        return traced and settings.spans.process != "never"
    return settings.otlp.exemplars == "always_on"


def are_exponential(settings: Settings) -> bool:
    """Whether histograms of durations are sent with exponential buckets."""
    return settings.otlp.histograms == "base2_exponential_bucket_histogram"


def metrics_resource(settings: Settings) -> Resource:
    """Return who the metrics are about."""
    otlp = settings.otlp
    attributes = {"service.name": "celery-stream", **otlp.resource_attributes}
    if otlp.service_name is not None:
        attributes["service.name"] = otlp.service_name
    return Resource(attributes)
