"""Quantiles of durations in fixed memory, with a known error.

Buckets grow by a factor of 1.02, so that whatever value a quantile has, what is told is at most
1 % beside it. The bounds are fixed and the counts are all there is: sketches of the same values in
any order are equal, and two are added bucket by bucket. Minimum, maximum and sum are exact. At
most 1,730 buckets, 60 kB in all; usually a few dozen.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate
from math import ceil, log
from operator import add
from random import Random
from typing import Final

from msgspec import Struct

ERROR: Final = 0.01
"""Of a quantile, relative to the value that it should be."""
LEAST: Final = 1e-6
"""Seconds: what is shorter counts as nothing; time stamps are no finer."""
MOST: Final = 1e9
"""Thirty years. What is longer, negative or no number is no duration and is not taken."""

_FACTOR: Final = (1 + ERROR) / (1 - ERROR)
_PER_E: Final = 1 / log(_FACTOR)


class Latency(Struct, frozen=True):
    """What is told of many durations: seconds, None where there are none."""

    count: int
    mean: float | None
    p50: float | None
    """Quantiles are at most 1 % beside the true ones."""
    p95: float | None
    p99: float | None
    max: float | None
    zeros: int
    """Shorter than a microsecond."""
    buckets: tuple[tuple[int, int], ...]
    """Index and count, ascending: bucket i holds (1.0202 ** (i - 1), 1.0202 ** i] seconds."""


class Sketch:
    """Counts durations."""

    __slots__ = ("buckets", "most", "seconds", "zeros")

    def __init__(self) -> None:
        self.buckets: defaultdict[int, int] = defaultdict(int)
        self.zeros = 0
        self.seconds = 0.0
        self.most = -1.0

    def add(self, seconds: float) -> None:
        """Count one duration, if it is one."""
        if LEAST < seconds < MOST:
            self.buckets[ceil(log(seconds) * _PER_E)] += 1
        elif 0.0 <= seconds <= LEAST:
            self.zeros += 1
        else:
            return
        self.seconds += seconds
        if seconds > self.most:  # noqa: PLR1730 - four times a task; a call to max costs
            self.most = seconds

    def add_all(self, durations: Sequence[float | None]) -> None:
        """Count many, in their order, in half the time; None is none."""
        known = [each for each in durations if each is not None and 0.0 <= each < MOST]
        if not known:
            return
        logs = map(log, [each for each in known if each > LEAST])
        indices = Counter(map(ceil, map(_PER_E.__mul__, logs)))
        for index, count in indices.items():
            self.buckets[index] += count
        self.zeros += len(known) - indices.total()
        # Not `sum`, which from Python 3.12 on depends on how many are added at once.
        self.seconds = reduce(add, known, self.seconds)
        largest = max(known)
        self.most = max(self.most, largest)

    def merge(self, other: "Sketch") -> None:
        """Add what another one counted."""
        for index, count in other.buckets.items():
            self.buckets[index] += count
        self.zeros += other.zeros
        self.seconds += other.seconds
        self.most = max(self.most, other.most)

    def read(self) -> Latency:
        """Tell what was counted."""
        buckets = tuple(sorted(self.buckets.items()))
        count = self.zeros + sum(self.buckets.values())
        if not count:
            return Latency(0, None, None, None, None, None, self.zeros, buckets)
        quantiles = Quantiles(buckets, zeros=self.zeros, most=self.most)
        return Latency(
            count,
            self.seconds / count,
            quantiles.at(0.5),
            quantiles.at(0.95),
            quantiles.at(0.99),
            self.most,
            self.zeros,
            buckets,
        )


class Quantiles:
    """Reads quantiles from buckets.

    Args:
        buckets: index and count, ascending; not all empty unless there are *zeros*.
        zeros: how many lie below all buckets.
        most: the exact maximum, which no quantile is above.
    """

    def __init__(
        self, buckets: Iterable[tuple[int, int]], *, zeros: int, most: float | None
    ) -> None:
        pairs = tuple(buckets)
        self._values = (0.0, *(_middle(index) for index, _ in pairs))
        self._up_to = tuple(accumulate((zeros, *(count for _, count in pairs))))
        self._most = self._values[-1] if most is None else most
        self.count = self._up_to[-1]

    def at(self, share: float) -> float:
        """Return the value that this share of all is not above (0…1)."""
        rank = max(1, ceil(share * self.count))
        return min(self._values[bisect_left(self._up_to, rank)], self._most)

    def resampled(self, share: float, draws: int, *, random: Random) -> list[float]:
        """Return the quantile of as many bootstrap samples.

        The quantile of a sample drawn with replacement is the value at the k-th of n uniform
        shares, which has a beta distribution: no sample of millions need be drawn.
        """
        rank = max(1, ceil(share * self.count))
        above = self.count - rank + 1
        return [self.at(random.betavariate(rank, above)) for _ in range(draws)]


def _middle(index: int) -> float:
    """Return the value of a bucket that is nearest to all of it."""
    return 2.0 * float(_FACTOR**index) / (_FACTOR + 1)
