"""Durations that wait to be counted: many at once cost half of what each alone does."""

from typing import Final

from .aggregate import Cell, record_all
from .durations import MAX_SECONDS
from .instruments import Instrument

_UNITS: Final = {"s": 1.0, "ms": 1000.0}
"""In a second."""


class Noted:
    """Values for one cell of a histogram.

    Args:
        instrument: the histogram; of durations.
        cell: one of its cells.
        unknown: counts those that are no latency; None: nothing does.
        counters: count every one of them.
    """

    __slots__ = ("_bounds", "_cell", "_counters", "_units", "_unknown", "seconds")

    def __init__(
        self,
        instrument: Instrument,
        cell: Cell,
        *,
        unknown: Cell | None = None,
        counters: tuple[Cell, ...] = (),
    ) -> None:
        self._cell = cell
        self._bounds = instrument.bounds
        self._units = _UNITS[instrument.unit]
        self._unknown = unknown
        self._counters = counters
        self.seconds: list[float | None] = []
        """To be appended to, in place."""

    def settle(self) -> None:
        """Count them, in their order."""
        noted = self.seconds
        if not noted:
            return
        known = [each for each in noted if each is not None and 0.0 <= each < MAX_SECONDS]
        values = known if self._units == 1.0 else [each * self._units for each in known]
        record_all(self._cell, self._bounds, values)
        if self._unknown is not None:
            self._unknown[0] += len(noted) - len(known)
        for counter in self._counters:
            counter[0] += len(noted)
        noted.clear()
