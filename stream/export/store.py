"""The spool as the event loop sees it: disk work in a thread, and the books kept along with it."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import anyio
from anyio import to_thread
from msgspec import Struct

from ..errors import ConfigError
from ..occurrences import Drop, Signal, SpoolFailed, Tell
from .batch import Batch
from .spool import Spool

R = TypeVar("R")

_CLOSING = 1.0
"""Seconds for the last of a disk: it may hang."""


class Books(Protocol):
    """The accounts of one signal, as far as they concern the disk; a `Buffer` keeps them."""

    signal: Signal

    def recover(self, items: int, *, damaged: int) -> None:
        """Items were found on disk."""

    def spool(self, items: int) -> None:
        """Items that were on their way are on disk."""

    def unspool(self, items: int) -> None:
        """Items from the disk are on their way."""

    def lose_spooled(self, items: int, reason: Drop) -> None:
        """Items left the disk and will never be delivered."""


class SpoolStatistics(Struct, frozen=True, gc=False):
    """What a spool takes, and what could not be read of it."""

    size_bytes: int
    damaged: int
    """Places in its files: torn writes and damage."""


class Store:
    """Batches of one signal on disk. `open` first; one caller at a time for each method.

    A call that is cancelled is abandoned, because a disk may hang: whether it was done is then not
    known, and not in the books.

    Args:
        directory: the spool's own.
        max_bytes: size of its files.
        books: the accounts of the signal.
        tell: hears when the disk fails.
    """

    def __init__(self, directory: Path, *, max_bytes: int, books: Books, tell: Tell) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._books = books
        self._tell = tell
        self._spool: Spool | None = None
        self._limiter = anyio.CapacityLimiter(1)  # the spool takes one call at a time
        self._turn = threading.Lock()  # likewise: the limiter does not count an abandoned one

    async def open(self) -> None:
        """Open the spool and accept what an earlier process left in it.

        Raises:
            ConfigError: the directory cannot be used.
        """
        self._spool = await to_thread.run_sync(
            lambda: Spool(self._directory, max_bytes=self._max_bytes), limiter=self._limiter
        )
        self._books.recover(self._spool.recovered, damaged=self._spool.damaged)
        self._account(self._spool)

    async def put(self, batch: Batch) -> bool:
        """Write a batch that was taken from the buffer; False where the disk does not take it."""
        spool = self._opened()
        try:
            await self._in_thread(partial(spool.append, batch))
        except OSError as exc:
            self._failed(exc)
            return False
        self._books.spool(batch.items)
        self._account(spool)
        return True

    async def oldest(self) -> Batch | None:
        """Take the oldest batch in hand; a copy stays on disk until `done`.

        None where there is none, or where the disk cannot be read.
        """
        spool = self._opened()
        try:
            batch = await self._in_thread(spool.oldest)
        except OSError as exc:
            self._failed(exc)
            return None
        self._account(spool)
        if batch is not None:
            self._books.unspool(batch.items)
        return batch

    async def done(self) -> None:
        """The batch in hand has met its fate."""
        spool = self._opened()
        try:
            await self._in_thread(spool.done)
        except OSError as exc:  # it may be delivered once more
            self._failed(exc)

    async def leave(self, batches: list[Batch]) -> list[Batch]:
        """Leave what is in hand of the oldest batch on disk, to be taken again.

        Returns those of *batches* that are not there any more, because it was evicted.
        """
        spool = self._opened()
        if not await self._in_thread(spool.release):
            return batches
        self._books.spool(sum(batch.items for batch in batches))
        return []

    async def close(self) -> None:
        """Free the directory for another process; a disk that hangs does it later. Safe twice."""
        if self._spool is not None:
            spool, self._spool = self._spool, None
            with anyio.move_on_after(_CLOSING):
                await self._in_thread(spool.close)

    def statistics(self) -> SpoolStatistics:
        """Return how it stands."""
        if self._spool is None:
            return SpoolStatistics(0, 0)
        return SpoolStatistics(self._spool.size_bytes, self._spool.damaged)

    async def _in_thread(self, work: Callable[[], R]) -> R:
        """Wait for disk work; where that is cancelled the work goes on, and its result is lost."""

        def in_turn() -> R:
            with self._turn:
                return work()

        return await to_thread.run_sync(in_turn, limiter=self._limiter, abandon_on_cancel=True)

    def _opened(self) -> Spool:
        if self._spool is None:
            raise ConfigError(f"the spool {self._directory} is not open")
        return self._spool

    def _account(self, spool: Spool) -> None:
        losses = spool.losses()
        self._books.lose_spooled(losses.evicted, Drop.EVICTED)
        self._books.lose_spooled(losses.damaged, Drop.DAMAGED)

    def _failed(self, exc: OSError) -> None:
        self._tell(SpoolFailed(self._books.signal, exc.strerror or type(exc).__name__))
