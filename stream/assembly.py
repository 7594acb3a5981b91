"""What ``run`` and ``replay --export`` make of the same settings alike."""

from opentelemetry.sdk.resources import Resource

from .config import RecordSettings, Settings
from .core.early import PATIENCE
from .core.engine import Engine, Limits
from .export.telemetry import Telemetry
from .sinks.aggregate import Aggregate
from .sinks.logs import LogSink
from .sinks.metrics import MetricsSink
from .sinks.redaction import redaction_of
from .sinks.sampling import Sampler
from .sinks.spans import SpanSink
from .sinks.stdout import JsonLines
from .wire.codec import Decoder, in_full, plain


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
        in_one=True,
        beat=settings.beat,
        beat_rules=settings.beat_rules,
        patience=PATIENCE,
    )


def decoder_of(records: RecordSettings) -> Decoder:
    """Return what reads messages: arguments and results only where they are told."""
    return in_full if records.arguments or records.results else plain


def aggregate_of(settings: Settings, *, started_at: float) -> Aggregate:
    """Return what metrics are counted into, from an instant (epoch seconds) on."""
    exponential = settings.otlp.histograms == "base2_exponential_bucket_histogram"
    return Aggregate(started_at=started_at, exponential=exponential)


def metrics_sink(
    settings: Settings, aggregate: Aggregate, *, system: str, traced: bool
) -> MetricsSink:
    """Return what counts effects.

    Args:
        settings: all of them.
        aggregate: what it counts into.
        system: the broker, as ``messaging.system`` names it.
        traced: whether spans are sent, which an example could name.
    """
    return MetricsSink(
        aggregate,
        system=system,
        slow=settings.spans.slow,
        exemplars=_exemplars(settings, traced=traced),
    )


def span_sink(
    settings: Settings, telemetry: Telemetry, *, system: str, sampler: Sampler, broker: str | None
) -> SpanSink:
    """Return what makes spans of effects.

    Args:
        settings: all of them.
        telemetry: where they go.
        system: the broker, as ``messaging.system`` names it.
        sampler: the same for all brokers.
        broker: what it is called; None where it is the only one.
    """
    return SpanSink(
        telemetry.spans,
        telemetry.resources,
        system=system,
        settings=settings.spans,
        redaction=redaction_of(settings.log_records.redact),
        sampler=sampler,
        broker=broker,
    )


def log_sink(
    settings: Settings,
    telemetry: Telemetry,
    *,
    lines: JsonLines | None = None,
    broker: str | None,
) -> LogSink:
    """Return what makes log records of effects; *lines* None: they are not written as well."""
    return LogSink(
        telemetry.logs,
        telemetry.resources,
        lines=lines,
        settings=settings.log_records,
        broker=broker,
    )


def _exemplars(settings: Settings, *, traced: bool) -> bool:
    """Whether metrics name runs as examples: by default those that have a span to look at."""
    if settings.otlp.exemplars == "trace_based":
        return traced and settings.spans.process != "never"
    return settings.otlp.exemplars == "always_on"


def metrics_resource(settings: Settings) -> Resource:
    """Return who the metrics are about."""
    otlp = settings.otlp
    attributes = {"service.name": "celery-stream", **otlp.resource_attributes}
    if otlp.service_name is not None:
        attributes["service.name"] = otlp.service_name
    return Resource(attributes)
