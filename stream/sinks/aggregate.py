"""Counters and histograms: plain lists in dictionaries, read out as immutable families.

An instrument has one *cell* for each set of label values: a list that the hot path changes in
place, which costs a tenth of what the SDK's instruments do. A counter's cell is ``[value]``, a
histogram's ``[sum, count of bucket 0, …, count of the open bucket]``; with `edges` bisection
gives the index in the cell, and both indices are positive, which the interpreter specialises
(80 ns against 125 ns with the sum last). Whoever records keeps cells by whatever key it has at
hand, in `Cells`.

Each instrument has at most *limit* cells; what comes beyond goes to one more, whose labels are all
``other``, and is counted by `LABELS_OVERFLOW`. Values are cumulative since ``started_at``. One
thread records and collects; what `collect` returns may go anywhere.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar, cast

from msgspec import Struct

from ..core.kinds import OTHER
from .instruments import LABELS_OVERFLOW, Instrument

MAX_SERIES = 10_000
"""For one instrument: 2,000 kinds in 5 states. All cells of a histogram are then 4 MB."""

MAX_LABEL_CHARS = 200
"""A label is a name; what is longer is data by mistake."""

Labels: TypeAlias = tuple[str, ...]
Cell: TypeAlias = list[float]

K = TypeVar("K")
V = TypeVar("V")


class Number(Struct, frozen=True, gc=False):
    """One series of a counter or gauge."""

    labels: Labels
    """In the order of the instrument's attributes; ``""`` where the attribute is absent."""
    value: float


class Distribution(Struct, frozen=True):
    """One series of a histogram."""

    labels: Labels
    counts: tuple[int, ...]
    """Of each bucket, not cumulative; one more than the instrument has bounds."""
    sum: float
    count: int


class Family(Struct, frozen=True):
    """All series of one instrument at one moment; no two have the same labels."""

    instrument: Instrument
    points: tuple[Number, ...] | tuple[Distribution, ...]
    started_at: float | None = None
    """Since when the values add up, epoch seconds; None for gauges."""


def label(value: str | None, *, missing: str = "unknown") -> str:
    """Make a label value of any text: encodable as UTF-8, and not longer than a name is.

    Args:
        value: what an event said; None where it said nothing.
        missing: stands for None and for the empty string.
    """
    if not value:
        return missing
    value = value[:MAX_LABEL_CHARS]
    # JSON can carry lone surrogates, which neither a page nor a protobuf string can.
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def edges(instrument: Instrument) -> tuple[float, ...]:
    """Return what to bisect for the index of a value's bucket in a histogram's cell.

    ``cell[bisect_left(edges(instrument), value)] += 1; cell[0] += value`` records a finite value.
    """
    return (float("-inf"), *instrument.bounds)


class Cells(dict[K, V]):
    """Remembers what *make* returned for a key, for at most *limit* keys; then forgets them all.

    ``cells[key]`` costs one dictionary look-up when the key is known. Forgetting is harmless:
    *make* finds the same cell again.
    """

    def __init__(self, make: Callable[[K], V], limit: int = MAX_SERIES) -> None:
        super().__init__()
        self._make = make
        self._limit = limit

    def __missing__(self, key: K) -> V:
        made = self._make(key)
        if len(self) >= self._limit:
            self.clear()
        self[key] = made
        return made


class _Series:
    """The cells of one instrument."""

    def __init__(self, instrument: Instrument, *, limit: int, empty: Cell) -> None:
        self.instrument = instrument
        self._limit = limit
        self._empty = empty
        self._cells: dict[Labels, Cell] = {}
        self._other: Cell = empty.copy()
        if not instrument.attributes:
            self.cell()  # a counter without labels exists from the start, as 0

    def cell(self, *labels: str) -> Cell:
        """The cell of a set of label values, the same each time; beyond the limit the other one.

        Args:
            labels: one for each attribute of the instrument, as `label` makes them.
        """
        cell = self._cells.get(labels)
        if cell is None:
            if len(self._cells) >= self._limit:
                return self._other
            cell = self._cells[labels] = self._empty.copy()
        return cell

    @property
    def overflow(self) -> float:
        """Records that went to the other cell."""
        raise NotImplementedError

    def _items(self) -> Iterable[tuple[Labels, Cell]]:
        if not self.overflow:
            return self._cells.items()
        cells = self._cells.copy()
        others = (OTHER,) * len(self.instrument.attributes)
        # The engine folds kinds beyond its own limit into "other" too: one series, not two.
        same = cells.get(others, self._empty)
        cells[others] = [a + b for a, b in zip(same, self._other, strict=True)]
        return cells.items()


class Counter(_Series):
    """A sum that only grows, for each set of label values."""

    def __init__(self, instrument: Instrument, *, limit: int) -> None:
        # Numbers of seconds are floats from the start: a series does not change its type.
        super().__init__(instrument, limit=limit, empty=[0.0 if instrument.unit == "s" else 0])

    def add(self, amount: float, *labels: str) -> None:
        """Add to one series; for paths that are not hot."""
        self.cell(*labels)[0] += amount

    @property
    def overflow(self) -> float:
        """What was added to the other series."""
        return self._other[0]

    def points(self) -> tuple[Number, ...]:
        """Copy all series."""
        return tuple([Number(labels, cell[0]) for labels, cell in self._items()])


class Histogram(_Series):
    """How values are distributed over buckets, for each set of label values."""

    def __init__(self, instrument: Instrument, *, limit: int) -> None:
        self._edges = edges(instrument)
        super().__init__(instrument, limit=limit, empty=[0.0, *([0] * len(self._edges))])

    def record(self, value: float, *labels: str) -> None:
        """Record in one series; for paths that are not hot."""
        cell = self.cell(*labels)
        cell[bisect_left(self._edges, value)] += 1
        cell[0] += value

    @property
    def overflow(self) -> float:
        """How many values the other series has."""
        return sum(self._other[1:])

    def points(self) -> tuple[Distribution, ...]:
        """Copy all series that have a value: an empty one is a score of zeros on the page."""
        points = []
        for labels, cell in self._items():
            counts = cast("tuple[int, ...]", tuple(cell[1:]))  # only the sum is a float
            if count := sum(counts):
                points.append(Distribution(labels, counts, cell[0], count))
        return tuple(points)


class Aggregate:
    """All counters and histograms of the process."""

    def __init__(self, *, started_at: float, limit: int = MAX_SERIES) -> None:
        """Make an empty one.

        Args:
            started_at: since when its values add up, epoch seconds.
            limit: series of one instrument before further ones are counted as ``other``.
        """
        self.started_at = started_at
        self._limit = limit
        self._counters: dict[Instrument, Counter] = {}
        self._histograms: dict[Instrument, Histogram] = {}

    def counter(self, instrument: Instrument) -> Counter:
        """The counter of *instrument*, the same each time."""
        if instrument not in self._counters:
            self._counters[instrument] = Counter(instrument, limit=self._limit)
        return self._counters[instrument]

    def histogram(self, instrument: Instrument) -> Histogram:
        """The histogram of *instrument*, the same each time."""
        if instrument not in self._histograms:
            self._histograms[instrument] = Histogram(instrument, limit=self._limit)
        return self._histograms[instrument]

    def collect(self) -> tuple[Family, ...]:
        """Copy everything; families without a series are left out."""
        every: tuple[Counter | Histogram, ...] = (
            *self._counters.values(),
            *self._histograms.values(),
        )
        families = [
            Family(series.instrument, points, self.started_at)
            for series in every
            if (points := series.points())
        ]
        overflow = tuple(
            Number((series.instrument.name,), series.overflow)
            for series in every
            if series.overflow
        )
        if overflow:
            families.append(Family(LABELS_OVERFLOW, overflow, self.started_at))
        return tuple(families)
