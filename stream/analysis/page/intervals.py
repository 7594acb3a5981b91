"""The period of a report in equal parts, as a chart draws them."""

from math import ceil
from typing import Final

_MOST: Final = 120
"""Bars that can be told apart in a chart that is as wide as half a screen."""
_DAY: Final = 86_400.0
_WIDTHS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200)
_LONG_WIDTHS: Final = (10_800, 21_600, 43_200, _DAY)


class Intervals:
    """Equal parts of a time, of a width that people can read.

    Args:
        begin_at: where the first begins, about: its beginning is a multiple of the width.
        end_at: what the last one holds.
    """

    def __init__(self, begin_at: float, end_at: float) -> None:
        least = max(0.0, end_at - begin_at) / (_MOST - 2)
        fitting = (each for each in (*_WIDTHS, *_LONG_WIDTHS) if each >= least)
        self.width = float(next(fitting, ceil(least / _DAY) * _DAY))
        self._first = int(begin_at // self.width)
        self.count = int(end_at // self.width) - self._first + 1
        self.begin_at, self.end_at = begin_at, end_at

    @property
    def starts_at(self) -> float:
        """Where the first interval begins."""
        return self._first * self.width

    def index(self, at: float) -> int:
        """Return which interval an instant lies in; those outside belong to the nearest."""
        return min(max(int(self.clamp(at) // self.width) - self._first, 0), self.count - 1)

    def clamp(self, at: float) -> float:
        """Return the nearest instant of the period."""
        return min(max(at, self.begin_at), self.end_at)

    def shares(self, begin: float, end: float) -> list[tuple[int, float]]:
        """Return how many seconds of a time lie in which intervals."""
        begin, end = self.clamp(begin), self.clamp(end)
        first, last = self.index(begin), self.index(end)
        bounds = [begin, *((self._first + n) * self.width for n in range(first + 1, last + 1)), end]
        return [
            (first + place, max(0.0, bounds[place + 1] - bounds[place]))
            for place in range(last - first + 1)
        ]
