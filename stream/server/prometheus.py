"""Collected families as a Prometheus or OpenMetrics page, through ``prometheus_client``.

Names are OpenTelemetry's in the usual translation: dots become underscores, units and ``_total``
become suffixes. Pure: a page is made of families and nothing else, on any thread.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate

from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from ..sinks.aggregate import Distribution, Family, Labels, Number
from ..sinks.instruments import Instrument, Type

_UNITS = {"s": "seconds", "ms": "milliseconds", "1": "ratio"}
"""UCUM to Prometheus; what is in braces counts things and has no suffix."""


class Page(Struct, frozen=True):
    """What a scrape is answered with."""

    body: bytes
    content_type: str


def page(families: Iterable[Family], accept: str = "") -> Page:
    """Write a page in the format that the scraper asks for.

    Args:
        families: as collected; no instrument twice.
        accept: the request's ``Accept`` header. OpenMetrics only where it is asked for; what
            cannot be understood gets the plain text format.
    """
    try:
        encode, content_type = choose_encoder(accept)
    except (ValueError, TypeError):  # a version that is no version
        encode, content_type = choose_encoder("")
    return Page(encode(_Registry(families)), content_type)


def name_of(instrument: Instrument) -> str:
    """Return the Prometheus name of an instrument, without ``_total``.

    >>> name_of(TASK_WAIT_TIME)
    'celery_task_wait_time_seconds'
    """
    name, unit = _underscored(instrument.name), _UNITS.get(instrument.unit)
    return f"{name}_{unit}" if unit and not name.endswith(f"_{unit}") else name


class _Registry(CollectorRegistry):
    """Families as the encoders ask for them; nothing is registered."""

    def __init__(self, families: Iterable[Family]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            instrument = family.instrument
            metric = Metric(
                name_of(instrument),
                instrument.about,
                instrument.type,
                _UNITS.get(instrument.unit, ""),
            )
            metric.samples = list(_samples(metric.name, family))
            yield metric


def _samples(name: str, family: Family) -> Iterator[Sample]:
    names = tuple(_underscored(attribute) for attribute in family.instrument.attributes)
    if family.instrument.type is Type.COUNTER:
        name = f"{name}_total"
    for point in family.points:
        labels = _labels(names, point.labels)
        match point:
            case Number():
                yield Sample(name, labels, point.value)
            case Distribution():
                yield from _buckets(name, labels, point, family.instrument.bounds)


def _buckets(
    name: str, labels: dict[str, str], point: Distribution, bounds: tuple[float, ...]
) -> Iterator[Sample]:
    bucket = f"{name}_bucket"
    for bound, count in zip(_bounds(bounds), accumulate(point.counts), strict=True):
        yield Sample(bucket, {**labels, "le": bound}, count)
    yield Sample(f"{name}_count", labels, point.count)
    yield Sample(f"{name}_sum", labels, point.sum)


@cache  # one entry for each set of bounds in the table
def _bounds(bounds: tuple[float, ...]) -> Sequence[str]:
    every = (*bounds, float("inf"))
    return [floatToGoString(bound) for bound in every]  # type: ignore[no-untyped-call]  # has no types


def _labels(names: tuple[str, ...], values: Labels) -> dict[str, str]:
    """Pair names and values; an empty value is an absent label, as Prometheus sees it too."""
    return {name: value for name, value in zip(names, values, strict=True) if value}


def _underscored(name: str) -> str:
    return name.replace(".", "_")
