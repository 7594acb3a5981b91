"""The families of several brokers as one: each series says which broker it is of.

A broker is counted apart, so that what one has too many of is folded into ``other`` for it alone;
the number of series is bounded by the limits of each times the number of brokers.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, cast

from msgspec import structs

from .aggregate import Distribution, Family, Number
from .instruments import Instrument
from .labels import Labels, label

BROKER: Final = "broker"
"""The attribute; absent from what concerns the process."""


@cache  # one for each instrument: equality is identity
def of_broker(instrument: Instrument) -> Instrument:
    """Return the instrument with the broker as its last attribute, the same each time."""
    return structs.replace(instrument, attributes=(*instrument.attributes, BROKER))


def merged(common: Iterable[Family], brokers: Mapping[str, Iterable[Family]]) -> tuple[Family, ...]:
    """Return all families, no instrument twice.

    Args:
        common: what concerns the process.
        brokers: what was counted of each broker, by its name.
    """
    found: dict[Instrument, list[Family]] = {}
    for name, families in brokers.items():
        for family in families:
            labelled = _labelled(family, of_broker(family.instrument), label(name))
            found.setdefault(family.instrument, []).append(labelled)
    kept = []
    for family in common:
        if family.instrument in found:
            found[family.instrument].append(_labelled(family, of_broker(family.instrument), ""))
        else:
            kept.append(family)
    return (*map(_joined, found.values()), *kept)


def _labelled(family: Family, instrument: Instrument, name: str) -> Family:
    last = (name,)
    renamed = [
        # By position and not as copies: there are thousands of them at each scrape.
        Number(point.labels + last, point.value, point.exemplar)
        if type(point) is Number
        else _distribution(cast("Distribution", point), last)
        for point in family.points
    ]
    return Family(instrument, cast("tuple[Number, ...]", tuple(renamed)), family.started_at)


def _distribution(point: Distribution, last: Labels) -> Distribution:
    return Distribution(
        point.labels + last, point.counts, point.sum, point.count, point.exponential, point.exemplar
    )


def _joined(families: list[Family]) -> Family:
    points = tuple([point for family in families for point in family.points])
    return structs.replace(families[0], points=points)
