"""How many spans there may be: a threshold for their traces that follows the rate.

The threshold is such that, of the spans that were offered in one stretch of time, those of the
traces with the most randomness would just have fit. So it follows any rate and any distribution,
also of traces that somebody else sampled already, and spans of one trace share their fate for as
long as it stays the same. Time is that of the spans themselves; the same spans in the same order
get the same answers.

It rises as soon as a stretch has more than fits, and falls when three stretches in a row needed
less: what is kept is above the budget for one stretch after a step of the rate (by a factor of
1 + ln(new rate / budget) at most), and below it by some percent otherwise.
"""

from collections import deque
from heapq import heappop, heappush, heappushpop
from typing import Final

from .tracestate import BITS

NEVER: Final = 1 << BITS
"""A threshold above all randomness."""

_LEAST_SPANS: Final = 10
"""A stretch is long enough for so many: of fewer, the share says little."""
_LEAST_SECONDS: Final = 1.0
_STRETCHES: Final = 3
"""That have to agree before the threshold falls: it would follow their noise otherwise."""
_PRECISION_BITS: Final = 4
"""Of the share that is kept. Coarse, so that the threshold mostly stays the same, and short."""
_STALE: Final = 60.0
"""Seconds after which a span is late rather than out of order."""
_STALE_SPANS: Final = 256
"""So many late ones in a row, and it was the newest instant that was wrong. Fewer than a lot: that
one holds the stretch open and the threshold high. More than a worker's events in one message."""
_LATEST: Final = 1e11
"""Epoch seconds beyond which nothing is an instant."""


class Budget:
    """Finds the threshold for a rate.

    Args:
        per_second: spans per second that may be kept, above 0.
    """

    def __init__(self, per_second: float) -> None:
        self._seconds = max(_LEAST_SECONDS, _LEAST_SPANS / per_second)
        self._capacity = max(1, int(per_second * self._seconds))
        self._room = self._capacity
        # The largest randomness offered in this stretch, as many as there is room for: a heap.
        # It grows with what is offered, not with the budget.
        self._fitting: list[int] = []
        self._needed = 0
        self._before: deque[int] = deque(maxlen=_STRETCHES)
        self._newest = 0.0
        self._late = 0
        self._stretch = 0
        self.threshold = 0
        """Traces with less randomness are left out; `NEVER` leaves out all."""

    def offer(self, randomness: int, at: float) -> bool:
        """Whether there is room for a span of a trace with this randomness, at *at*."""
        self._advance(at)
        if len(self._fitting) < self._room:
            heappush(self._fitting, randomness)
        else:
            self._need(heappushpop(self._fitting, randomness) + 1)
        return randomness >= self.threshold

    def spend(self, at: float) -> None:
        """Count a span that is kept in any case, at *at*."""
        self._advance(at)
        if self._room == 0:
            return
        self._room -= 1
        if self._room == 0:
            self._need(NEVER)
        elif len(self._fitting) > self._room:
            self._need(heappop(self._fitting) + 1)

    def _need(self, threshold: int) -> None:
        if threshold > self._needed:
            self._needed = threshold
            if threshold > self.threshold:
                self.threshold = _coarse(threshold)

    def _advance(self, at: float) -> None:
        """Follow the newest instant; what lies before it belongs to its stretch."""
        if at > self._newest:
            self._late = 0
            self._newest = min(at, _LATEST)
        elif self._newest - at <= _STALE:
            self._late = 0
            return
        else:
            self._late += 1
            if self._late < _STALE_SPANS:
                return
            self._late = 0
            self._newest = max(0.0, at)  # in this order 0.0 for NaN
        stretch = int(self._newest // self._seconds)
        if stretch != self._stretch:
            self._turn(stretch - self._stretch)
            self._stretch = stretch

    def _turn(self, stretches: int) -> None:
        """Begin a stretch, the first or a later one after the last."""
        self._before.append(self._needed)
        self._before.extend([0] * min(max(stretches - 1, 0), _STRETCHES))
        self._needed = 0
        self._room = self._capacity
        self._fitting.clear()
        self.threshold = _coarse(max(self._before))


def share(threshold: int) -> float:
    """Return the share of traces, 0 to 1, that a threshold keeps."""
    return (NEVER - threshold) / NEVER


def _coarse(threshold: int) -> int:
    """Round up to what keeps a share of few significant bits."""
    kept = NEVER - threshold
    rest = max(kept.bit_length() - _PRECISION_BITS, 0)
    return NEVER - (kept >> rest << rest)
