"""What waits for delivery in memory: bounded, oldest out first, and every item's fate in a ledger.

``accepted = sent + rejected + dropped + waiting + spooled`` holds at every moment; the items of
the batch that is being sent are waiting. Used on the event loop only.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import anyio
from msgspec import Struct

from ..occurrences import (
    Drop,
    Exported,
    ItemsDropped,
    ItemsRecovered,
    ItemsSpooled,
    Signal,
    Tell,
)

T = TypeVar("T")

_HIGH_WATER = 0.5
"""Share of a bound above which a spool takes what waits, so that the rest has room meanwhile."""


class Ledger(Struct, frozen=True):
    """What became of the items of one signal, since the start."""

    accepted: int
    sent: int
    """The receiver took them."""
    rejected: int
    """The receiver took their batch and refused them (partial success)."""
    dropped: dict[Drop, int]
    waiting: int
    """In the buffer or on their way."""
    spooled: int = 0
    """On disk."""
    recovered: int = 0
    """Of the accepted, those that an earlier process had left on disk."""

    @property
    def balanced(self) -> bool:
        """Whether every accepted item is accounted for."""
        gone = self.sent + self.rejected + sum(self.dropped.values())
        return self.accepted == gone + self.waiting + self.spooled


class Buffer(Generic[T]):
    """Items of one signal that wait for delivery.

    Args:
        signal: what the items are.
        limit: items that wait at most, besides the one batch in flight; then the oldest go.
        limit_bytes: what they may take of the memory, as *size_of* says; likewise.
        size_of: the bytes that an item takes; the same each time.
        tell: hears of drops and deliveries.
    """

    def __init__(
        self,
        signal: Signal,
        *,
        limit: int,
        tell: Tell,
        limit_bytes: int | None = None,
        size_of: Callable[[T], int] = lambda _: 0,
    ) -> None:
        if limit < 1:
            raise ValueError(f"a buffer of {limit} items holds nothing")
        self.signal = signal
        self._limit = limit
        self._limit_bytes = limit_bytes or float("inf")
        self._size_of = size_of
        self._tell = tell
        self._items: deque[T] = deque()
        self._size_bytes = 0
        self._in_flight = 0
        self._spooled = 0
        self._accepted = 0
        self._recovered = 0
        self._sent = 0
        self._rejected = 0
        self._dropped = dict.fromkeys(Drop, 0)
        self._closed = False
        self._changed: anyio.Event | None = None

    # -- in and out ----------------------------------------------------------------------------

    def extend(self, items: Sequence[T]) -> None:
        """Take items in; never blocks, never raises. After `close` they are dropped at once."""
        self._accepted += len(items)
        if self._closed:
            self._drop(Drop.SHUTDOWN, len(items))
            return
        self._items.extend(items)
        self._size_bytes += sum(map(self._size_of, items))
        self._shorten()
        self.notify()

    def take(self, most: int) -> list[T]:
        """Remove and return up to *most* of the oldest items; they stay in the ledger as waiting.

        The caller owes `settle`, `spool`, `drop` or `give_back` for each of them.
        """
        batch = [self._items.popleft() for _ in range(min(most, len(self._items)))]
        self._size_bytes -= sum(map(self._size_of, batch))
        self._in_flight += len(batch)
        return batch

    def give_back(self, items: Sequence[T]) -> None:
        """Put items that were taken back where they were; they are the oldest again."""
        self._in_flight -= len(items)
        self._items.extendleft(reversed(items))
        self._size_bytes += sum(map(self._size_of, items))
        self._shorten()
        self.notify()

    def close(self) -> int:
        """Give up whatever waits in memory; returns how many that were. Safe twice."""
        self._closed = True
        left = len(self._items) + self._in_flight
        self._items.clear()
        self._size_bytes = self._in_flight = 0
        self._drop(Drop.SHUTDOWN, left)
        self.notify()
        return left

    # -- fates of what was taken ---------------------------------------------------------------

    def settle(self, items: int, *, rejected: int) -> None:
        """Account for *items* that were taken and delivered, *rejected* of them in vain."""
        self._in_flight -= items
        self._sent += items - rejected
        self._rejected += rejected
        self._tell(Exported(self.signal, items, rejected))
        self.notify()

    def drop(self, items: int, reason: Drop) -> None:
        """Account for *items* that were taken and will never be delivered."""
        self._in_flight -= items
        self._drop(reason, items)
        self.notify()

    def spool(self, items: int) -> None:
        """Account for *items* that were taken and are on disk now."""
        self._in_flight -= items
        self._spooled += items
        self._tell(ItemsSpooled(self.signal, items))
        self.notify()

    def unspool(self, items: int) -> None:
        """Account for *items* that left the disk and are in the caller's hands now."""
        self._spooled -= items
        self._in_flight += items

    def lose_spooled(self, items: int, reason: Drop) -> None:
        """Account for *items* that left the disk and will never be delivered."""
        self._spooled -= items
        self._drop(reason, items)

    def recover(self, items: int, *, damaged: int) -> None:
        """Accept *items* that were found on disk, beside *damaged* places in the files."""
        self._accepted += items
        self._recovered += items
        self._spooled += items
        if items or damaged:
            self._tell(ItemsRecovered(self.signal, items, damaged))

    # -- readings ------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Items that wait to be taken."""
        return len(self._items)

    @property
    def is_high(self) -> bool:
        """Whether it holds so much that a spool should take some of it."""
        return (
            len(self._items) > self._limit * _HIGH_WATER
            or self._size_bytes > self._limit_bytes * _HIGH_WATER
        )

    @property
    def spooled(self) -> int:
        """Items on disk."""
        return self._spooled

    def statistics(self) -> Ledger:
        """Return the ledger as it stands."""
        return Ledger(
            accepted=self._accepted,
            sent=self._sent,
            rejected=self._rejected,
            dropped=dict(self._dropped),
            waiting=len(self._items) + self._in_flight,
            spooled=self._spooled,
            recovered=self._recovered,
        )

    # -- waiting -------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds; it is asked after each change and each `notify`."""
        while not condition():
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()

    async def until_empty(self) -> None:
        """Wait until nothing waits in memory and nothing is on its way."""
        await self.until(lambda: not self._items and not self._in_flight)

    def notify(self) -> None:
        """Have all conditions that are waited for asked again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _shorten(self) -> None:
        """Drop the oldest that are too many."""
        excess = 0
        while len(self._items) > self._limit or self._size_bytes > self._limit_bytes:
            self._size_bytes -= self._size_of(self._items.popleft())
            excess += 1
        self._drop(Drop.OVERFLOW, excess)

    def _drop(self, reason: Drop, count: int) -> None:
        if count > 0:
            self._dropped[reason] += count
            self._tell(ItemsDropped(self.signal, reason, count))
