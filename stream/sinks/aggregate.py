"""Counters and histograms: plain lists in dictionaries, read out as immutable families.

An instrument has one *cell* for each set of label values: a list that the hot path changes in
place, which costs a tenth of what the SDK's instruments do. A counter's cell is ``[value]``, a
histogram's ``[sum, count of bucket 0, …, count of the open bucket]``; with `edges` bisection
gives the index in the cell, and both indices are positive, which the interpreter specialises
(80 ns against 125 ns with the sum last). Whoever records keeps cells by whatever key it has at
hand, in `Cells`. Exponential buckets are kept only where they are asked for, beside the cells.

Each instrument has at most *limit* cells; what comes beyond goes to one more, whose labels are all
``other``, and is counted by `LABELS_OVERFLOW`. Values are cumulative since ``started_at``. One
thread records and collects; what `collect` returns may go anywhere.

Where there are many values it costs less to keep them for a while and `record_all` of them at once;
whoever does so has itself called by `before_collecting`.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TypeAlias, cast

from msgspec import Struct

from ..core.buckets import count_by_bucket
from ..core.kinds import OTHER
from .exemplars import Exemplar, Exemplars
from .exponential import Buckets, Exponential
from .instruments import LABELS_OVERFLOW, Instrument
from .labels import Labels

MAX_SERIES = 10_000
"""For one instrument: 2,000 kinds in 5 states.

All cells of a histogram are then 4 MB, its exponential buckets about 15 MB.
"""

_DURATIONS = frozenset({"s", "ms"})

Cell: TypeAlias = list[float]


class Number(Struct, frozen=True, gc=False):
    """One series of a counter or gauge."""

    labels: Labels
    value: float
    exemplar: Exemplar | None = None
    """Of a counter."""


class Distribution(Struct, frozen=True):
    """One series of a histogram."""

    labels: Labels
    counts: tuple[int, ...]
    """Of each bucket, not cumulative; one more than the instrument has bounds."""
    sum: float
    count: int
    exponential: Buckets | None = None
    """The same values once more; all series of an instrument have it, or none."""
    exemplar: Exemplar | None = None


class Family(Struct, frozen=True):
    """All series of one instrument at one moment; no two have the same labels."""

    instrument: Instrument
    points: tuple[Number, ...] | tuple[Distribution, ...]
    started_at: float | None = None
    """Since when the values add up, epoch seconds; None for gauges."""


def edges(instrument: Instrument) -> tuple[float, ...]:
    """Return what to bisect for the index of a value's bucket in a histogram's cell.

    ``cell[bisect_left(edges(instrument), value)] += 1; cell[0] += value`` records a finite value.
    """
    return (float("-inf"), *instrument.bounds)


def record_all(cell: Cell, bounds: Sequence[float], values: Sequence[float]) -> None:
    """Record values in a histogram's cell, in their order; none of them may be NaN."""
    for bucket, count in count_by_bucket(values, bounds):
        cell[1 + bucket] += count
    # Not `sum`, which from Python 3.12 on depends on how many are added at once.
    cell[0] = deque(accumulate(values, initial=cell[0]), maxlen=1).pop()


class _Series:
    """The cells of one instrument."""

    def __init__(self, instrument: Instrument, *, limit: int, empty: Cell) -> None:
        self.instrument = instrument
        self._limit = limit
        self._empty = empty
        self._cells: dict[Labels, Cell] = {}
        self._other: Cell = empty.copy()
        # The engine folds kinds beyond its own limit into "other" too: one series, not two.
        self._others: Labels = (OTHER,) * len(instrument.attributes)
        self.exemplars = Exemplars()
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

    def place(self, *labels: str) -> Labels:
        """Return the labels that a set of label values is shown under, the same each time.

        They are those, or beyond the limit the other ones: what is kept beside the cells, such as
        the ``exemplars``, is kept by them.
        """
        return self._others if self.cell(*labels) is self._other else labels

    @property
    def overflow(self) -> float:
        """Records that went to the other cell."""
        raise NotImplementedError

    def _items(self) -> Iterable[tuple[Labels, Cell]]:
        if not self.overflow:
            return self._cells.items()
        cells = self._cells.copy()
        same = cells.get(self._others, self._empty)
        cells[self._others] = [a + b for a, b in zip(same, self._other, strict=True)]
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
        exemplar = self.exemplars.read().get
        return tuple([Number(labels, cell[0], exemplar(labels)) for labels, cell in self._items()])


class Histogram(_Series):
    """How values are distributed over buckets, for each set of label values."""

    def __init__(self, instrument: Instrument, *, limit: int, exponential: bool = False) -> None:
        self._edges = edges(instrument)
        self._is_exponential = exponential
        self._exponentials: dict[Labels, Exponential] = {}
        super().__init__(instrument, limit=limit, empty=[0.0, *([0] * len(self._edges))])

    def record(self, value: float, *labels: str) -> None:
        """Record in one series, in all its buckets; for paths that are not hot."""
        cell = self.cell(*labels)
        cell[bisect_left(self._edges, value)] += 1
        cell[0] += value
        if self._is_exponential:
            self.exponential(*labels).record(value)

    def exponential(self, *labels: str) -> Exponential:
        """The exponential buckets beside a cell; what goes to the one has to go to the other."""
        return self._exponentials.setdefault(self.place(*labels), Exponential())

    @property
    def overflow(self) -> float:
        """How many values the other series has."""
        return sum(self._other[1:])

    def points(self) -> tuple[Distribution, ...]:
        """Copy all series that have a value: an empty one is a score of zeros on the page."""
        exemplar = self.exemplars.read().get
        exponential = self._exponentials.get
        points = []
        for labels, cell in self._items():
            counts = cast("tuple[int, ...]", tuple(cell[1:]))  # only the sum is a float
            if count := sum(counts):
                fine = exponential(labels)
                buckets = None if fine is None else fine.read()
                points.append(
                    Distribution(labels, counts, cell[0], count, buckets, exemplar(labels))
                )
        return tuple(points)


class Aggregate:
    """All counters and histograms of the process."""

    def __init__(
        self, *, started_at: float, limit: int = MAX_SERIES, exponential: bool = False
    ) -> None:
        """Make an empty one.

        Args:
            started_at: since when its values add up, epoch seconds.
            limit: series of one instrument before further ones are counted as ``other``.
            exponential: whether histograms of durations have exponential buckets too.
        """
        self.started_at = started_at
        self.exponential = exponential
        self._limit = limit
        self._counters: dict[Instrument, Counter] = {}
        self._histograms: dict[Instrument, Histogram] = {}
        self._before_collecting: list[Callable[[], None]] = []

    def counter(self, instrument: Instrument) -> Counter:
        """The counter of *instrument*, the same each time."""
        if instrument not in self._counters:
            self._counters[instrument] = Counter(instrument, limit=self._limit)
        return self._counters[instrument]

    def histogram(self, instrument: Instrument) -> Histogram:
        """The histogram of *instrument*, the same each time."""
        if instrument not in self._histograms:
            exponential = self.exponential and instrument.unit in _DURATIONS
            self._histograms[instrument] = Histogram(
                instrument, limit=self._limit, exponential=exponential
            )
        return self._histograms[instrument]

    def before_collecting(self, settle: Callable[[], None]) -> None:
        """Have *settle* called before each `collect`."""
        self._before_collecting.append(settle)

    def collect(self) -> tuple[Family, ...]:
        """Copy everything; families without a series are left out."""
        for settle in self._before_collecting:
            settle()
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
