"""Carries what waits in one buffer to its receiver, a batch at a time.

An item leaves its buffer by exactly one entry in the ledger. Encoding and sending happen in a
worker thread, one at a time, so nothing here can hold up the event loop. While a receiver is away
its batch is kept and sent again, and the buffer behind it fills and drops its oldest.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeAlias, TypeVar

import anyio
from anyio import to_thread
from msgspec import Struct

from ..config import OtlpSettings
from ..occurrences import Drop, ExportFailed, Tell
from .backoff import Backoff
from .buffer import Buffer
from .post import Later, Poster, Refused, Taken, TooLarge
from .target import Target

T = TypeVar("T")
_Decided: TypeAlias = Taken | TooLarge | Refused

FIRST_DELAY = 0.5
MOST_DELAY = 30.0
"""Seconds: a receiver that returned is noticed within half a minute."""
_SHORTEST_TIMEOUT = 0.1


class Health(Struct, frozen=True):
    """How delivery of one signal goes."""

    ok: bool
    """False after a request that failed, until one is taken."""
    last_error: str | None
    """One line without credentials; kept after recovery. None: there was none."""


class Delivery(Generic[T]):
    """Delivery of one signal. `run` once, `flush` at the end.

    Args:
        buffer: where the items come from.
        encode: makes one request body; called in a worker thread, must not raise.
        target: where they go.
        settings: size and age of a batch.
        tell: hears of failures; the buffer tells the rest.
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
        backoff: Backoff | None = None,
    ) -> None:
        self._buffer = buffer
        self._encode = encode
        self._target = target
        self._settings = settings
        self._tell = tell
        self._poster = Poster(target)
        self._backoff = backoff or Backoff(first=FIRST_DELAY, most=MOST_DELAY, jitter=spread)
        self._health = Health(ok=True, last_error=None)
        self._deadline: float | None = None  # of the flush, on anyio's clock
        self._scope: anyio.CancelScope | None = None
        self._pause: anyio.CancelScope | None = None
        self._ended: anyio.Event | None = None

    @property
    def health(self) -> Health:
        """How it goes."""
        return self._health

    async def run(self) -> None:
        """Deliver until `flush` is done or the task is cancelled."""
        self._ended = anyio.Event()
        limiter = anyio.CapacityLimiter(1)
        try:
            with anyio.CancelScope() as self._scope:
                while True:
                    await self._deliver(await self._batch(), limiter)
        finally:
            self._scope = None
            self._ended.set()
            self._poster.close()

    async def flush(self, seconds: float) -> int:
        """Send what waits, for at most *seconds*; drop the rest and return how many that were.

        A request that hangs is abandoned: its thread ends with the request's own timeout.
        """
        if self._scope is not None and self._ended is not None:
            self._deadline = anyio.current_time() + seconds
            self._backoff.succeeded()
            if self._pause is not None:
                self._pause.cancel()
            with anyio.move_on_after(seconds):
                await self._buffer.until_empty()
            self._scope.cancel()
            await self._ended.wait()
        return self._buffer.close()

    async def _batch(self) -> list[T]:
        """Wait until a batch is full or its first item old enough."""
        await self._buffer.until(1)
        age = self._settings.batch_age if self._deadline is None else 0.0
        with anyio.move_on_after(age) as self._pause:
            await self._buffer.until(self._settings.batch_items)
        return self._buffer.take(self._settings.batch_items)

    async def _deliver(self, batch: list[T], limiter: anyio.CapacityLimiter) -> None:
        """Send a batch until each of its items has met its fate."""
        pieces = [batch]
        while pieces:
            piece = pieces.pop()
            match await self._decide(piece, limiter):
                case Taken(rejected=rejected):
                    self._buffer.settle(len(piece), rejected=min(rejected, len(piece)))
                case TooLarge() if len(piece) > 1:
                    half = len(piece) // 2
                    pieces += (piece[half:], piece[:half])
                case TooLarge() | Refused():
                    self._buffer.drop(len(piece), Drop.PERMANENT)

    async def _decide(self, piece: list[T], limiter: anyio.CapacityLimiter) -> _Decided:
        """Encode once, then send as often as it takes."""
        body = await to_thread.run_sync(
            self._prepare, piece, limiter=limiter, abandon_on_cancel=True
        )
        while True:
            post = partial(self._poster.post, body, timeout=self._timeout())
            outcome = await to_thread.run_sync(post, limiter=limiter, abandon_on_cancel=True)
            match outcome:
                case Taken():
                    self._backoff.succeeded()
                    self._health = Health(ok=True, last_error=self._health.last_error)
                    return outcome
                case Later(reason=reason, after=after):
                    delay = max(after, self._backoff.failed())
                    self._failed(len(piece), reason, delay)
                    with anyio.move_on_after(delay) as self._pause:
                        await anyio.sleep_forever()
                case TooLarge(reason=reason):
                    self._failed(len(piece), reason, 0.0 if len(piece) > 1 else None)
                    return outcome
                case Refused(reason=reason):
                    self._failed(len(piece), reason, None)
                    return outcome

    def _prepare(self, piece: list[T]) -> bytes:
        return self._target.compress(self._encode(piece))

    def _timeout(self) -> float:
        """Seconds for the next request: near the end, no longer than what is left."""
        if self._deadline is None:
            return self._target.timeout
        left = max(self._deadline - anyio.current_time(), _SHORTEST_TIMEOUT)
        return min(self._target.timeout, left)

    def _failed(self, items: int, reason: str, retry_in: float | None) -> None:
        self._health = Health(ok=False, last_error=reason)
        self._tell(ExportFailed(self._target.signal, items, reason, retry_in))


def spread() -> float:
    """Return a factor that keeps many clients of one receiver from coming back together."""
    return random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
