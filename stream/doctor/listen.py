"""Listen to a broker for some seconds with the sources of the service."""

import anyio

from ..errors import ForbiddenError, StreamError
from ..events import Frame
from ..occurrences import Occurrence, QueuesPolled
from ..sources.base import Source
from .hearing import Hearing
from .judge_events import Listened

POLL_INTERVAL = 1.0
"""Seconds between two looks at the queues: the scan for them goes on at each."""


class Listening:
    """One time of listening: gives frames to a `Hearing`, and notes how the sources ended.

    Args:
        seconds: for how long, from when the subscription works.
    """

    def __init__(self, seconds: float) -> None:
        self.hearing = Hearing()
        self._seconds = seconds
        self._unreadable = 0
        self._problems: dict[str, str] = {}
        self._scope = anyio.CancelScope()

    def tell(self, occurrence: Occurrence) -> None:
        """Hear what the sources tell of themselves."""
        match occurrence:
            case QueuesPolled(problems=problems):
                self._unreadable = problems
            case _:
                pass

    async def run(self, *, events: Source, queues: Source) -> None:
        """Run both until the time is over."""
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + self._seconds)
        with self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._run, "events", events, name="events")
                tasks.start_soon(self._run, "queues", queues, name="queues")

    async def _run(self, role: str, source: Source) -> None:
        try:
            await source.run(self._put)
        except ForbiddenError:
            self._problems[role] = "a permission is missing"
        except StreamError as error:
            self._problems[role] = str(error)

    async def _put(self, frames: list[Frame]) -> None:
        subscribed = self.hearing.subscribed
        self.hearing.take(frames)
        if self.hearing.subscribed and not subscribed:
            self._scope.deadline = anyio.current_time() + self._seconds

    def result(
        self, *, configured: tuple[str, ...] = (), elsewhere: tuple[str, ...] = ()
    ) -> Listened:
        """Say how it went."""
        return Listened(
            seconds=self._seconds,
            heard=self.hearing.heard(),
            events_problem=self._problems.get("events"),
            elsewhere=elsewhere,
            sample=self.hearing.sample,
            queues_problem=self._problems.get("queues"),
            unreadable=self._unreadable,
            configured=configured,
        )
