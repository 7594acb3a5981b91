"""Which workers to ask, and when: each at most once a minute, whatever happens.

Pure: it is told who is there and what time it is. How requests are sent is in `redis_control` and
`amqp_control`.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias

from ..wire.control import MAX_NAMES

AGAIN: Final = 60.0
"""Seconds: no worker is asked, or told, the same more often."""
ANSWER: Final = 5.0
"""Seconds within which workers usually answer."""
LOOK: Final = 1.0
"""Seconds between two looks for workers that are new."""


class Asked(NamedTuple):
    """A worker process whose heartbeats come."""

    hostname: str
    pid: int
    mute: bool
    """It runs tasks and sends no events of them."""


Workers: TypeAlias = Callable[[], Iterable[Asked]]


class Due(NamedTuple):
    """Who is to be asked now, by node name."""

    enable: list[str]
    """Told to send task events."""
    inspect: list[str]


class Rounds:
    """Remembers who was asked when.

    Args:
        enable: whether workers are told to send task events: each process once, and again as long
            as it runs tasks and sends none.
        inspect: seconds between two inspections of a worker; 0: none is made.
    """

    def __init__(self, *, enable: bool, inspect: float) -> None:
        self._enables = enable
        self._inspect = inspect
        self._enabled: dict[str, tuple[int, float]] = {}
        self._inspected: dict[str, tuple[int, float]] = {}

    def due(self, workers: Iterable[Asked], now: float) -> Due:
        """Say who is to be asked at *now*, any clock's seconds; that they are is taken for granted.

        Those who are too many for one request are left for the next call.
        """
        there = {worker.hostname: worker for worker in workers}
        enable = [each for each in there.values() if self._is_to_enable(each, now)][:MAX_NAMES]
        inspect = [each for each in there.values() if self._is_to_inspect(each, now)][:MAX_NAMES]
        for asked, due in ((self._enabled, enable), (self._inspected, inspect)):
            asked |= {each.hostname: (each.pid, now) for each in due}
            for hostname in asked.keys() - there.keys():
                if now - asked[hostname][1] >= AGAIN:
                    del asked[hostname]
        return Due([each.hostname for each in enable], [each.hostname for each in inspect])

    def _is_to_enable(self, worker: Asked, now: float) -> bool:
        if not self._enables:
            return False
        pid, at = self._enabled.get(worker.hostname, (-1, -AGAIN))
        return now - at >= AGAIN and (pid != worker.pid or worker.mute)

    def _is_to_inspect(self, worker: Asked, now: float) -> bool:
        if not self._inspect:
            return False
        pid, at = self._inspected.get(worker.hostname, (-1, -AGAIN))
        patience = self._inspect if pid == worker.pid else AGAIN
        return now - at >= max(AGAIN, patience)
