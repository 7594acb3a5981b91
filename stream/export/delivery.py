"""Carries what waits in one buffer to its receiver, a batch at a time.

An item leaves its buffer by exactly one entry in the ledger. Encoding, sending and the disk run in
worker threads, one request at a time, so nothing here can hold up the event loop. While a receiver
is away its batch is kept and sent again, the same bytes; what waits behind it goes to the store,
or, where there is none, fills the buffer, which drops its oldest.

With a store there are two flows. The *sender* takes batches from memory and from the disk by turns,
so that what is new need not wait behind what an outage left. The *storer* takes from memory to
the disk while the receiver is away or too slow.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from ..backoff import Backoff
from ..config import OtlpSettings
from ..occurrences import Drop, ExportFailed, Signal, Tell
from .batch import Batch
from .buffer import Buffer
from .circuit import Health
from .line import Decided, Line
from .post import Taken, TooLarge
from .store import Store
from .target import Target

T = TypeVar("T")
R = TypeVar("R")

MOST_DELAY = 30.0
"""Seconds: a receiver that returned is noticed within half a minute."""
_SHORTEST_TIMEOUT = 0.1
_DISK_PAUSE = 10.0
"""Seconds until a disk that failed is tried again."""
_LEAST_STORING = 0.5
"""Seconds for that in any case."""
_STORING_SHARE = 0.3
"""Of the time for a flush: what is then still in memory goes to the disk."""


class Delivery(Generic[T]):
    """Delivery of one signal. `run` once, `flush` at the end.

    Args:
        buffer: where the items come from.
        encode: makes one request body; called in a worker thread, must not raise.
        target: where they go.
        settings: size and age of a batch.
        tell: hears of failures; the buffer tells the rest.
        store: where batches wait on disk, opened; None keeps them in memory.
        patience: seconds without an acknowledgement after which a batch is stored.
        backoff: delays between tries.
    """

    def __init__(
        self,
        buffer: Buffer[T],
        *,
        encode: Callable[[Sequence[T]], bytes],
        target: Target,
        settings: OtlpSettings,
        tell: Tell,
        store: Store | None = None,
        patience: float = 10.0,
        backoff: Backoff | None = None,
    ) -> None:
        self._buffer = buffer
        self._encode = encode
        self._target = target
        self._batch_items = settings.batch_items
        self._batch_age = settings.batch_age
        self._tell = tell
        self._store = store
        self._patience = patience
        backoff = backoff or Backoff(most=MOST_DELAY)
        self._line = Line(target, backoff, tell)
        self._away = False  # the receiver has been failing for longer than our patience
        self._turn_of_disk = False
        self._disk_from = 0.0  # on anyio's clock, as the next
        self._disk_until = float("inf")  # then work of the disk is abandoned
        self._shelters: set[anyio.CancelScope] = set()
        self._hand: list[Batch] = []  # what has no fate yet of the batch that is being sent
        self._stored: Batch | None = None  # what that came from, where it came from the disk
        self._limiter = anyio.CapacityLimiter(1)  # of encoding
        self._deadline: float | None = None  # of the flush, on anyio's clock
        self._scope: anyio.CancelScope | None = None
        self._pause: anyio.CancelScope | None = None
        self._ended: anyio.Event | None = None

    @property
    def health(self) -> Health:
        """How it goes."""
        return self._line.health

    async def run(self) -> None:
        """Deliver until `flush` is done or the task is cancelled."""
        self._ended = anyio.Event()
        try:
            async with anyio.create_task_group() as tasks:
                self._scope = tasks.cancel_scope
                tasks.start_soon(self._send, name=f"send {self._buffer.signal}")
                if self._store is not None:
                    name = f"store {self._buffer.signal}"
                    tasks.start_soon(self._store_excess, self._store, name=name)
        finally:
            self._scope = None
            self._ended.set()
            self._line.close()

    async def flush(self, seconds: float) -> int:
        """Send what waits, for at most *seconds*; store or drop the rest.

        Returns how many items were dropped. A request that hangs is abandoned: its thread ends
        with the request's own timeout. So is a disk that hangs: what it did not take is dropped.
        """
        end = anyio.current_time() + seconds
        if self._scope is not None:
            await self._send_rest(
                seconds if self._store is None else seconds * (1 - _STORING_SHARE)
            )
        self._bound_disk(max(end, anyio.current_time() + _LEAST_STORING))
        if self._scope is not None:
            self._scope.cancel()
        if self._ended is not None:
            await self._ended.wait()
        if self._store is not None:
            with anyio.CancelScope(deadline=self._disk_until):
                await self._store_rest(self._store)
        return self._buffer.close()

    # -- sending -------------------------------------------------------------------------------

    async def _send(self) -> None:
        while True:
            if self._store is not None and self._is_turn_of_disk():
                self._turn_of_disk = False
                await self._send_stored(self._store)
            else:
                self._turn_of_disk = True
                await self._send_waiting()

    def _is_turn_of_disk(self) -> bool:
        return self._may_read() and (self._turn_of_disk or self._away or not len(self._buffer))

    def _may_read(self) -> bool:
        """Whether there is something on disk to be sent now."""
        return self._until_disk() <= 0.0

    async def _send_waiting(self) -> None:
        """Send a batch from memory."""
        await self._until_due()
        items = self._buffer.take(self._batch_items)
        if items:  # the storer may have been quicker
            with anyio.CancelScope(shield=True):  # what was taken is in hand in any case
                self._hand = [await self._encoded(items)]
            self._stored = None
            await self._deliver()

    async def _send_stored(self, store: Store) -> None:
        """Send the oldest batch on disk, where it stays until its fate is known."""
        await self._rest(self._line.pause)
        batch = None
        with self._shelter():
            batch = await store.oldest()
            self._hand = [] if batch is None else [batch]
            self._stored = batch
        if batch is not None:
            await self._deliver()
            with self._shelter():  # or the next process sends it again
                await store.done()
            self._stored = None
        elif self._buffer.spooled:
            self._disk_from = anyio.current_time() + _DISK_PAUSE

    async def _deliver(self) -> None:
        """Bring about the fate of what is in hand."""
        hand = self._hand
        while hand:
            await self._rest(self._wait_for(self._line.pause))
            if self._lost_patience():
                self._away = True
                self._buffer.notify()
            if self._away and self._stored is None and await self._put_away(hand[0]):
                del hand[0]
                continue
            outcome = await self._line.send(hand[0], timeout=self._timeout())
            if outcome is not None:
                self._away = False
                hand[:1] = await self._conclude(hand[0], outcome)
            elif hand[0] is self._stored:
                await self._leave()

    async def _leave(self) -> None:
        """Leave what came from the disk there; it is taken again when it is to be sent again."""
        if self._store is not None:
            with self._shelter():
                self._hand[:] = await self._store.leave(self._hand)
                self._stored = None

    async def _put_away(self, batch: Batch) -> bool:
        """Store a batch from memory; False where it is to be sent although nobody may take it."""
        stored = False
        if self._store is not None and anyio.current_time() >= self._disk_from:
            with self._shelter():
                stored = await self._store.put(batch)
        return stored

    async def _conclude(self, batch: Batch, outcome: Decided) -> list[Batch]:
        """Account for a batch; return its halves where they are to be sent instead."""
        if isinstance(outcome, Taken):
            self._buffer.settle(batch.items, rejected=min(outcome.rejected, batch.items))
            return []
        halves = None
        if isinstance(outcome, TooLarge):
            halves = await self._in_thread(partial(_halves, batch, self._buffer.signal))
        again = None if halves is None else 0.0
        self._tell(ExportFailed(self._buffer.signal, batch.items, outcome.reason, again))
        if halves is None:
            self._buffer.drop(batch.items, Drop.PERMANENT)
            return []
        return [*halves]

    async def _send_rest(self, seconds: float) -> None:
        """Give what is in memory *seconds* to be sent; none where only the disk would take it."""
        self._deadline = anyio.current_time() + seconds
        self._line.hurry()
        if self._pause is not None:
            self._pause.cancel()
        if not self._away:
            with anyio.move_on_after(seconds):
                await self._buffer.until_empty()

    # -- storing -------------------------------------------------------------------------------

    async def _store_excess(self, store: Store) -> None:
        """Take to the disk what cannot be sent soon, until cancelled."""
        while True:
            await self._buffer.until(self._is_excessive)
            if not self._buffer.is_high:
                with anyio.move_on_after(self._batch_age):
                    await self._buffer.until(lambda: len(self._buffer) >= self._batch_items)
            if self._is_excessive():
                stored = False
                with self._shelter():
                    stored = await self._store_one(store)
                if not stored:
                    await anyio.sleep(_DISK_PAUSE)

    def _is_excessive(self) -> bool:
        return len(self._buffer) > 0 and (self._away or self._buffer.is_high)

    async def _store_one(self, store: Store) -> bool:
        """Take a batch from memory to the disk; False where that does not take it."""
        items = self._buffer.take(self._batch_items)
        stored = await store.put(await self._encoded(items))
        if not stored:
            self._buffer.give_back(items)
        return stored

    async def _store_rest(self, store: Store) -> None:
        """Take to the disk whatever has no fate yet."""
        stored = await self._store_hand(store)
        while stored and len(self._buffer):
            stored = await self._store_one(store)

    async def _store_hand(self, store: Store) -> bool:
        """Have what is in hand on disk, once; False where that does not take it."""
        if self._hand and self._hand[0] is self._stored:
            await self._leave()
        while self._hand:
            if not await store.put(self._hand[0]):
                if self._stored is not None:  # all of it is still there
                    await self._leave()
                return False
            del self._hand[0]
        if self._stored is not None:  # its halves, or what is left of them, took its place
            await store.done()
            self._stored = None
        return True

    @contextmanager
    def _shelter(self) -> Iterator[None]:
        """Shield work of the disk from a cancel, until a flush has no more time for it.

        What is in it may then be left undone: nothing after it may rely on that.
        """
        with anyio.CancelScope(shield=True, deadline=self._disk_until) as scope:
            self._shelters.add(scope)
            try:
                yield
            finally:
                self._shelters.discard(scope)

    def _bound_disk(self, until: float) -> None:
        """Let all work of the disk end by then."""
        self._disk_until = until
        for scope in self._shelters:
            scope.deadline = until

    # -- encoding, waiting ---------------------------------------------------------------------

    async def _encoded(self, items: list[T]) -> Batch:
        return await self._in_thread(partial(self._encode_batch, items))

    def _encode_batch(self, items: list[T]) -> Batch:
        return Batch.of(len(items), self._encode(items), gzip=self._target.gzip)

    async def _in_thread(self, work: Callable[[], R]) -> R:
        return await to_thread.run_sync(work, limiter=self._limiter)

    async def _until_due(self) -> None:
        """Wait until a batch is full or its first item old enough, or for the disk's turn."""
        with anyio.move_on_after(self._until_disk()):
            await self._buffer.until(lambda: len(self._buffer) > 0 or self._may_read())
        if not len(self._buffer):
            return
        age = self._batch_age if self._deadline is None else 0.0
        with anyio.move_on_after(age) as self._pause:
            await self._buffer.until(lambda: len(self._buffer) >= self._batch_items)

    def _until_disk(self) -> float:
        """Seconds until what is on disk may be read; infinite where there is nothing to read."""
        if not self._buffer.spooled or self._deadline is not None:
            return float("inf")  # nothing there, or no time but for what is in memory
        # Where it could not be read, what is in memory goes meanwhile.
        return max(0.0, self._disk_from - anyio.current_time())

    async def _rest(self, seconds: float) -> None:
        """Wait, but not beyond the beginning of a flush."""
        if seconds > 0:
            with anyio.move_on_after(seconds) as self._pause:
                await anyio.sleep_forever()

    def _wait_for(self, pause: float) -> float:
        """Shorten a pause to what is left of our patience with a batch from memory."""
        failing = self._line.failing_for
        if failing is None or self._store is None or self._stored is not None or self._away:
            return pause
        return min(pause, max(0.0, self._patience - failing))

    def _lost_patience(self) -> bool:
        """Whether the receiver has been failing for so long that the disk is to take over."""
        failing = self._line.failing_for
        return self._store is not None and failing is not None and failing >= self._patience

    def _timeout(self) -> float:
        """Seconds for the next request: near the end, no longer than what is left."""
        if self._deadline is None:
            return self._target.timeout
        left = max(self._deadline - anyio.current_time(), _SHORTEST_TIMEOUT)
        return min(self._target.timeout, left)


def _halves(batch: Batch, signal: Signal) -> tuple[Batch, Batch] | None:
    try:
        return batch.halves(signal)
    except ValueError:  # a body that is none, from a disk that says it is whole
        return None
