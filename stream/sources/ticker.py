"""Time, as frames: the core learns of it in no other way."""

import time
from collections.abc import Awaitable, Callable

import anyio

from ..events import Tick
from .base import Put


class Ticker:
    """A tick every *interval* seconds; the first at once.

    A tick that could not be handed over in time is not made up for: the next one says all.

    Args:
        name: of the task.
        source: the broker that they are for; empty: the only one.
        is_deaf: whether nothing could be heard now.
        interval: seconds between two.
        now: epoch seconds.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        *,
        name: str = "ticker",
        source: str = "",
        is_deaf: Callable[[], bool] = lambda: False,
        interval: float = 1.0,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.name = name
        self._source = source
        self._is_deaf = is_deaf
        self._interval = interval
        self._now = now
        self._sleep = sleep

    async def run(self, put: Put) -> None:
        """Hand over ticks until cancelled."""
        while True:
            await put([Tick(self._now(), self._source, self._is_deaf())])
            await self._sleep(self._interval)
