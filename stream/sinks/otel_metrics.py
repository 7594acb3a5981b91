"""Collected families as the SDK's `MetricsData`, which an OTLP exporter takes as it is.

Built by hand, so that our own aggregator (a tenth of the cost) feeds the SDK's exporter. There is
exactly one resource and one scope: the exporter silently overwrites equal ones. Everything is
cumulative; so an exemplar is sent until there is a newer one, and its own time says how old it is.
"""

from collections.abc import Iterable
from typing import cast

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Buckets as SdkBuckets
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from .. import __version__
from ..export.encoding import SCHEMA_URL
from .aggregate import Distribution, Family, Number
from .exemplars import Exemplar
from .exponential import Buckets
from .instruments import Instrument, Type

SCOPE = InstrumentationScope("stream", __version__, SCHEMA_URL)

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_NO_BUCKETS = SdkBuckets(offset=0, bucket_counts=())

# Cumulative extremes say nothing about the last interval and cost the hot path; the protocol
# has them optional, and the encoder leaves a None out.
_ABSENT = cast("float", None)


def metrics_data(families: Iterable[Family], resource: Resource, at: float) -> MetricsData:
    """Wrap families for ``OTLPMetricExporter.export``: cumulative, one resource, one scope.

    Args:
        families: as collected; no instrument twice.
        resource: who the metrics are about.
        at: when they were collected, epoch seconds.
    """
    metrics = [
        Metric(
            family.instrument.name,
            family.instrument.about,
            family.instrument.unit,
            _points(family, at),
        )
        for family in families
    ]
    scope_metrics = ScopeMetrics(SCOPE, metrics, SCHEMA_URL)
    return MetricsData([ResourceMetrics(resource, [scope_metrics], resource.schema_url)])


def _points(family: Family, at: float) -> Sum | Gauge | Histogram | ExponentialHistogram:
    instrument, now = family.instrument, _nanoseconds(at)
    start = 0 if family.started_at is None else _nanoseconds(family.started_at)
    match instrument.type:
        case Type.COUNTER:
            return Sum(_numbers(family, start, now), _CUMULATIVE, is_monotonic=True)
        case Type.GAUGE:
            return Gauge(_numbers(family, start, now))
        case Type.HISTOGRAM:
            return _histogram(family, start, now)


def _numbers(family: Family, start: int, now: int) -> list[NumberDataPoint]:
    return [
        NumberDataPoint(
            _attributes(family.instrument, point.labels),
            start,
            now,
            point.value,
            _exemplars(point.exemplar),
        )
        for point in family.points
        if isinstance(point, Number)
    ]


def _histogram(family: Family, start: int, now: int) -> Histogram | ExponentialHistogram:
    points = [point for point in family.points if isinstance(point, Distribution)]
    exponential = [
        _exponential(family.instrument, point, point.exponential, start, now)
        for point in points
        if point.exponential is not None
    ]
    if exponential:
        return ExponentialHistogram(exponential, _CUMULATIVE)
    return Histogram([_explicit(family.instrument, p, start, now) for p in points], _CUMULATIVE)


def _explicit(
    instrument: Instrument, point: Distribution, start: int, now: int
) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=_attributes(instrument, point.labels),
        start_time_unix_nano=start,
        time_unix_nano=now,
        count=point.count,
        sum=point.sum,
        bucket_counts=point.counts,
        explicit_bounds=instrument.bounds,
        min=_ABSENT,
        max=_ABSENT,
        exemplars=_exemplars(point.exemplar),
    )


def _exponential(
    instrument: Instrument, point: Distribution, buckets: Buckets, start: int, now: int
) -> ExponentialHistogramDataPoint:
    return ExponentialHistogramDataPoint(
        attributes=_attributes(instrument, point.labels),
        start_time_unix_nano=start,
        time_unix_nano=now,
        count=point.count,
        sum=point.sum,
        scale=buckets.scale,
        zero_count=buckets.zeros,
        positive=SdkBuckets(buckets.offset, buckets.counts),
        negative=_NO_BUCKETS,
        flags=0,
        min=_ABSENT,
        max=_ABSENT,
        exemplars=_exemplars(point.exemplar),
    )


def _exemplars(exemplar: Exemplar | None) -> list[SdkExemplar]:
    if exemplar is None:
        return []
    at = _nanoseconds(exemplar.at)
    return [SdkExemplar({}, exemplar.value, at, exemplar.span_id, exemplar.trace_id)]


def _attributes(instrument: Instrument, labels: tuple[str, ...]) -> dict[str, str]:
    """Pair names and values; an empty value is an absent attribute (``error.type``)."""
    pairs = zip(instrument.attributes, labels, strict=True)
    return {name: value for name, value in pairs if value}


def _nanoseconds(at: float) -> int:
    # A float's whole microseconds are exact, its nanoseconds noise.
    return round(at * 1e6) * 1000
