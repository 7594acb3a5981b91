"""Exponential histograms, base 2, as OpenTelemetry's data model defines them (metrics/data-model).

Bucket *i* at scale *s* holds the values in (base ** i, base ** (i + 1)], base = 2 ** (2 ** -s).
Buckets of the next coarser scale are pairs of these, so an index is halved by a shift. There are
at most `MAX_BUCKETS`: when the values' range grows, the scale is lowered as far as is needed and
never raised again. What it ends at depends on the smallest and the largest value only, not on
their order.
"""

from math import ceil, frexp, log2

from msgspec import Struct

MAX_BUCKETS = 160
"""The specification's default: from a millisecond to an hour, buckets are 19 % wide."""

MAX_SCALE = 20
"""The specification's default; a bucket is then a millionth wide."""

LEAST = 1e-6
"""What is smaller counts as zero, which the data model allows.

Differences of time stamps are no finer, and one of 1e-300 would cost all others their scale.
"""

_BUCKETS_PER_OCTAVE = 2.0**MAX_SCALE


class Buckets(Struct, frozen=True, gc=False):
    """An exponential histogram at one moment."""

    scale: int
    zeros: int
    """Values below `LEAST`."""
    offset: int
    """Index of the first bucket."""
    counts: tuple[int, ...]
    """Of each bucket from the first; neither the first nor the last is 0."""


class Exponential:
    """The buckets of one series. The sum and the count are kept elsewhere."""

    __slots__ = ("_counts", "_offset", "_shift", "_zeros")

    def __init__(self) -> None:
        self._zeros = 0
        self._shift = 0
        """How far the scale is below `MAX_SCALE`."""
        self._offset = 0
        self._counts: list[int] = []

    def record(self, value: float) -> None:
        """Count a value that is finite and not negative."""
        if value < LEAST:
            self._zeros += 1
            return
        # The logarithm is taken of the mantissa in [1/2, 1) only: there it is exact at 1/2 and
        # precise just below 1, so powers of two and their neighbours fall on their own sides.
        mantissa, exponent = frexp(value)
        finest = (exponent << MAX_SCALE) + ceil(log2(mantissa) * _BUCKETS_PER_OCTAVE) - 1
        index = finest >> self._shift
        place = index - self._offset
        if not 0 <= place < len(self._counts):
            place = self._widen(index)
        self._counts[place] += 1

    def read(self) -> Buckets:
        """Copy what was counted."""
        # Without buckets any scale is true; 0 is what the SDK says then.
        scale = MAX_SCALE - self._shift if self._counts else 0
        return Buckets(scale, self._zeros, self._offset, tuple(self._counts))

    def _widen(self, index: int) -> int:
        """Make a bucket for *index*, at a lower scale if need be; returns its place."""
        counts, offset = self._counts, self._offset
        least = min(index, offset) if counts else index
        most = max(index, offset + len(counts) - 1) if counts else index
        change = 0
        while (most >> change) - (least >> change) >= MAX_BUCKETS:
            change += 1
        self._shift += change
        self._offset = least >> change
        self._counts = [0] * ((most >> change) - self._offset + 1)
        for old, count in enumerate(counts, offset):
            self._counts[(old >> change) - self._offset] += count
        return (index >> change) - self._offset
