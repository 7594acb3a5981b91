"""The two text formats that Prometheus reads, written line by line.

Ours, because the client library's writers take five to eight microseconds for a line; what they
would write reads back as the same samples, which the tests check with that library's parsers.
The formats differ in the heads, the end, and in that only OpenMetrics has exemplars.

References: the Prometheus documentation, *Exposition formats*; the OpenMetrics specification 1.0.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import Final

from prometheus_client.utils import floatToGoString

from ..sinks.aggregate import Distribution, Family, Number
from ..sinks.exemplars import Exemplar
from ..sinks.instruments import Instrument, Type
from ..sinks.labels import Labels

_UNITS: Final = {"s": "seconds", "ms": "milliseconds", "1": "ratio", "By": "bytes"}
"""UCUM to Prometheus; what is in braces counts things and has no suffix."""

_REMEMBERED: Final = 1 << 15
"""Texts of labels, 200 bytes each: those of all series of an ordinary page."""

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_SPECIAL: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}

_LABELS: Final = "\0"
"""Stands in a template for the labels before a bound; no name, bound or count contains it."""


def text(families: Iterable[Family]) -> bytes:
    """Write the plain text format, version 0.0.4."""
    parts: list[str] = []
    for family in families:
        parts.append(_text_head(family.instrument))
        parts += _samples(family)
    return _encoded(parts)


def openmetrics(families: Iterable[Family]) -> bytes:
    """Write OpenMetrics, version 1.0.0."""
    parts: list[str] = []
    for family in families:
        parts.append(_openmetrics_head(family.instrument))
        points: Sequence[Number | Distribution] = family.points
        for sample, point in zip(_samples(family), points, strict=True):
            exemplar = point.exemplar
            parts.append(
                sample if exemplar is None else _exemplified(sample, family.instrument, exemplar)
            )
    parts.append("# EOF\n")
    return _encoded(parts)


def name_of(instrument: Instrument) -> str:
    """Return the Prometheus name of an instrument, without ``_total``.

    >>> name_of(TASK_WAIT_TIME)
    'celery_task_wait_time_seconds'
    """
    name, unit = _underscored(instrument.name), _UNITS.get(instrument.unit)
    return f"{name}_{unit}" if unit and not name.endswith(f"_{unit}") else name


def _samples(family: Family) -> list[str]:
    """Write the lines of each point, as one text for each."""
    name, names = _sample_name(family.instrument), _label_names(family.instrument)
    template = _template(family.instrument)
    return [
        f"{name}{_in_braces(_labels(names, point.labels))} {_number(point.value)}\n"
        if isinstance(point, Number)
        else _distribution(name, template, _labels(names, point.labels), point)
        for point in family.points
    ]


def _distribution(name: str, template: str, labels: str, point: Distribution) -> str:
    # The labels last, and once: whatever they contain, nothing is put into them.
    buckets = template % tuple(accumulate(point.counts))
    buckets = buckets.replace(_LABELS, f"{labels}," if labels else "")
    labels = _in_braces(labels)
    return (
        f"{buckets}{name}_count{labels} {point.count}.0\n{name}_sum{labels} {_number(point.sum)}\n"
    )


def _exemplified(sample: str, instrument: Instrument, exemplar: Exemplar) -> str:
    """Put an exemplar at the end of the line of its bucket, or of a counter's only line."""
    lines = sample.split("\n")
    lines[bisect_left(instrument.bounds, exemplar.value)] += (
        f' # {{trace_id="{exemplar.trace_id:032x}",span_id="{exemplar.span_id:016x}"}}'
        f" {_number(exemplar.value)} {exemplar.at:.3f}"
    )
    return "\n".join(lines)


@cache  # like the next ones: an entry for each instrument in the table
def _template(instrument: Instrument) -> str:
    """Return the lines of a histogram's buckets, with places for their labels and counts."""
    name = name_of(instrument)
    return "".join(
        f'{name}_bucket{{{_LABELS}le="{_bound(bound)}"}} %d.0\n'
        for bound in (*instrument.bounds, float("inf"))
    )


@cache
def _text_head(instrument: Instrument) -> str:
    name = _sample_name(instrument)
    about = instrument.about.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {about}\n# TYPE {name} {instrument.type}\n"


@cache
def _openmetrics_head(instrument: Instrument) -> str:
    name, unit = name_of(instrument), _UNITS.get(instrument.unit)
    about = instrument.about.translate(_ESCAPES)
    described = f"# HELP {name} {about}\n# TYPE {name} {instrument.type}\n"
    return f"{described}# UNIT {name} {unit}\n" if unit else described


@cache
def _sample_name(instrument: Instrument) -> str:
    name = name_of(instrument)
    return f"{name}_total" if instrument.type is Type.COUNTER else name


@cache
def _label_names(instrument: Instrument) -> Labels:
    return tuple(_underscored(attribute) for attribute in instrument.attributes)


@lru_cache(_REMEMBERED)
def _labels(names: Labels, values: Labels) -> str:
    """Write labels in the order of their names; an empty value is an absent label."""
    pairs = sorted(pair for pair in zip(names, values, strict=True) if pair[1])
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs)


def _in_braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    written = repr(float(value))  # as every client does, whole numbers too
    return _SPECIAL.get(written, written)


def _bound(bound: float) -> str:
    """Write a bound as every client does: it is a label, so another text is another series."""
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]  # has no types


def _underscored(name: str) -> str:
    return name.replace(".", "_")


def _encoded(parts: list[str]) -> bytes:
    # A lone surrogate in a name that nobody made a label of must not cost the page.
    return "".join(parts).encode("utf-8", "replace")
