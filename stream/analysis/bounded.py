"""Tables that stay small, however long a capture is: groups, the largest, and values over time.

All are deterministic: what they keep depends on what they are given and not on hashes.
"""

from collections.abc import Callable, Iterator
from heapq import heappush, heappushpop
from math import ceil
from typing import Final, Generic, TypeVar

from msgspec import Struct

K = TypeVar("K")
V = TypeVar("V")

_LOOKS: Final = 120
"""How often the tables are looked at before that is done half as often."""
POINTS: Final = 120
"""Of a series: more than a terminal or a screen shows side by side."""


class Groups(Generic[K, V]):
    """What is counted by key, for at most *limit* keys; further ones share one entry.

    Args:
        limit: of keys.
        other: the key that stands for the further ones.
        make: makes the entry of a key.
    """

    def __init__(self, limit: int, other: K, make: Callable[[], V]) -> None:
        self._limit = limit
        self._other = other
        self._make = make
        self._entries: dict[K, V] = {}
        self.overflowed = 0
        """How often a key did not fit."""

    def __getitem__(self, key: K) -> V:
        """Return the entry of a key, made when first asked for."""
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= self._limit:
                self.overflowed += 1
                key = self._other
                entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = self._make()
        return entry

    def of_many(self, key: K, count: int) -> V:
        """Return the entry of a key under which so many are counted at once."""
        before = self.overflowed
        entry = self[key]
        if self.overflowed > before:
            self.overflowed = before + count
        return entry

    def get(self, key: K) -> V | None:
        """Return the entry of a key, None where it has none of its own."""
        return self._entries.get(key)

    def items(self) -> Iterator[tuple[K, V]]:
        """All keys and entries, in the order in which they came."""
        yield from self._entries.items()

    def values(self) -> Iterator[V]:
        """All entries, in the order in which they came."""
        yield from self._entries.values()


class Top(Generic[V]):
    """The *limit* largest of all that are offered; of equals those with the greater name."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[float, str, int, V]] = []
        self._offers = 0
        self.least = -1.0
        """What is not above this is not kept; check it first where making the value costs."""

    def offer(self, size: float, name: str, value: V) -> None:
        """Keep a value if it is large enough."""
        self._offers += 1  # no two are equal in all three, and values need no order
        entry = (size, name, self._offers, value)
        if len(self._heap) < self._limit:
            heappush(self._heap, entry)
        else:
            heappushpop(self._heap, entry)
        if len(self._heap) == self._limit:
            self.least = self._heap[0][0]

    def largest(self) -> list[V]:
        """Those kept, largest first."""
        return [entry[-1] for entry in sorted(self._heap, key=lambda each: each[:3], reverse=True)]


class Points(Struct, frozen=True):
    """Values over time."""

    began_at: float
    """Epoch seconds."""
    width: int
    """Seconds that each value is of."""
    values: tuple[float | None, ...]
    """None where nothing was told."""

    def largest(self, begin: float, end: float, columns: int) -> list[float | None]:
        """Return the largest value in each of as many equal parts of a time."""
        found: list[float | None] = [None] * columns
        wide = max(1e-9, (end - begin) / columns)
        for number, value in enumerate(self.values):
            if value is not None:
                at = self.began_at + number * self.width - begin
                first, after = int(at / wide), ceil((at + self.width) / wide)
                for column in range(max(0, first), min(columns, max(after, first + 1))):
                    found[column] = max(found[column] or 0.0, value)
        return found


class Series:
    """Values over time, in at most `POINTS` intervals that grow with the time.

    Args:
        combine: of two values of one interval, what is kept: their sum, or the larger.
    """

    def __init__(self, combine: Callable[[float, float], float]) -> None:
        self._combine = combine
        self._began_at = 0
        self._width = 1
        self._values: list[float | None] = []

    def put(self, at: float, value: float) -> None:
        """Take in a value; what is earlier than the first goes to its interval."""
        if not self._values:
            self._began_at = int(at)
        place = max(0, int(at) - self._began_at) // self._width
        while place >= POINTS:
            self._double()
            place //= 2
        self._values += [None] * (place + 1 - len(self._values))
        self._values[place] = self._joined(self._values[place], value)

    def read(self) -> Points:
        """Copy the values."""
        return Points(float(self._began_at), self._width, tuple(self._values))

    def _double(self) -> None:
        values = [*self._values, None] if len(self._values) % 2 else self._values
        self._values = [
            one if two is None else self._joined(one, two)
            for one, two in zip(values[::2], values[1::2], strict=True)
        ]
        self._width *= 2

    def _joined(self, one: float | None, two: float) -> float:
        return two if one is None else self._combine(one, two)


class Pace:
    """How many there were in each second, and the most in any; late ones count as they come."""

    _KEPT: Final = 600
    """Seconds that are still counted into; events trail by some seconds at most."""

    def __init__(self) -> None:
        self.seconds: dict[int, int] = {}
        """Second → count so far; the caller adds, which is quicker than a call."""
        self.series = Series(float.__add__)
        self.most = 0
        """In one second."""

    def fold(self, now: float, *, everything: bool = False) -> None:
        """Move the seconds that are over into the series; to be called now and then."""
        if len(self.seconds) <= self._KEPT and not everything:
            return
        over = sorted(self.seconds)
        for second in over if everything else over[: -self._KEPT // 2]:
            count = self.seconds.pop(second)
            self.most = max(self.most, count)
            self.series.put(min(float(second), now), float(count))


class Looks:
    """When to look at the tables: each second first, less often the longer the capture is."""

    def __init__(self) -> None:
        self._every = 1.0
        self._done = 0
        self._next_at = 0.0

    def due(self, now: float) -> bool:
        """Whether it is time; then the next one is put off."""
        if now < self._next_at:
            return False
        self._done += 1
        if self._done > _LOOKS:
            self._done, self._every = _LOOKS // 2, self._every * 2
        self._next_at = now + self._every
        return True
