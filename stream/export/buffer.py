"""What waits for delivery: bounded, oldest out first, and every item's fate in a ledger.

``accepted = sent + rejected + dropped + waiting`` holds at every moment; the items of the batch
that is being sent are waiting. Used on the event loop only.
"""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import anyio
from msgspec import Struct

from ..occurrences import Drop, Exported, ItemsDropped, Signal, Tell

T = TypeVar("T")


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

    @property
    def balanced(self) -> bool:
        """Whether every accepted item is accounted for."""
        fates = self.sent + self.rejected + sum(self.dropped.values()) + self.waiting
        return self.accepted == fates


class Buffer(Generic[T]):
    """Items of one signal that wait for delivery.

    Args:
        signal: what the items are.
        limit: items that wait at most, besides the one batch in flight; then the oldest go.
        tell: hears of drops and deliveries.
    """

    def __init__(self, signal: Signal, *, limit: int, tell: Tell) -> None:
        if limit < 1:
            raise ValueError(f"a buffer of {limit} items holds nothing")
        self.signal = signal
        self._limit = limit
        self._tell = tell
        self._items: deque[T] = deque()
        self._in_flight = 0
        self._accepted = 0
        self._sent = 0
        self._rejected = 0
        self._dropped = dict.fromkeys(Drop, 0)
        self._closed = False
        self._changed: anyio.Event | None = None

    def extend(self, items: Sequence[T]) -> None:
        """Take items in; never blocks, never raises. After `close` they are dropped at once."""
        self._accepted += len(items)
        if self._closed:
            self._drop(Drop.SHUTDOWN, len(items))
            return
        self._items.extend(items)
        excess = len(self._items) - self._limit
        for _ in range(excess):
            self._items.popleft()
        self._drop(Drop.OVERFLOW, excess)
        self._notify()

    def take(self, most: int) -> list[T]:
        """Remove and return up to *most* of the oldest items; they stay in the ledger as waiting.

        The caller owes `settle` or `drop` for each of them.
        """
        batch = [self._items.popleft() for _ in range(min(most, len(self._items)))]
        self._in_flight += len(batch)
        return batch

    def settle(self, items: int, *, rejected: int) -> None:
        """Account for *items* that were taken and delivered, *rejected* of them in vain."""
        self._in_flight -= items
        self._sent += items - rejected
        self._rejected += rejected
        self._tell(Exported(self.signal, items, rejected))
        self._notify()

    def drop(self, items: int, reason: Drop) -> None:
        """Account for *items* that were taken and will never be delivered."""
        self._in_flight -= items
        self._drop(reason, items)
        self._notify()

    def close(self) -> int:
        """Give up whatever waits; returns how many that were. Safe twice."""
        self._closed = True
        left = len(self._items) + self._in_flight
        self._items.clear()
        self._in_flight = 0
        self._drop(Drop.SHUTDOWN, left)
        self._notify()
        return left

    async def until(self, least: int) -> None:
        """Wait until at least *least* items wait to be taken."""
        while len(self._items) < least:
            await self._change()

    async def until_empty(self) -> None:
        """Wait until nothing waits and nothing is on its way."""
        while self._items or self._in_flight:
            await self._change()

    def statistics(self) -> Ledger:
        """Return the ledger as it stands."""
        return Ledger(
            accepted=self._accepted,
            sent=self._sent,
            rejected=self._rejected,
            dropped=dict(self._dropped),
            waiting=len(self._items) + self._in_flight,
        )

    def _drop(self, reason: Drop, count: int) -> None:
        if count > 0:
            self._dropped[reason] += count
            self._tell(ItemsDropped(self.signal, reason, count))

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
