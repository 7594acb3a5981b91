"""Ends that are no success, grouped by what ended and why: for somebody who looks at them.

A group is a task name, a state and the class of the exception (or the reason, where there is none);
it counts, and keeps its newest member whole as an example. Bounded: of too many groups the one goes
that nothing was added to for longest.
"""

from msgspec import Struct

from ..core.effects import AttemptEnded, TaskFinished
from ..core.states import State

MOST = 500
"""Groups; as many examples, of a few kilobytes each."""

GroupKey = tuple[str | None, State, str | None]
"""The task's name, the state, and why."""


class Group(Struct):
    """What ended alike."""

    count: int
    first_at: float
    last_at: float
    uuid: str
    """Of the newest."""
    example: AttemptEnded | None
    """The newest of which a delivery ended; None where none ever began."""


class FailureGroups:
    """Groups of ends, at most *limit* of them."""

    def __init__(self, limit: int = MOST) -> None:
        self._limit = limit
        self._groups: dict[GroupKey, Group] = {}
        self.dropped = 0
        """Groups that left because there were too many."""

    def __len__(self) -> int:
        return len(self._groups)

    def items(self) -> list[tuple[GroupKey, Group]]:
        """All groups, that with the newest member first."""
        return list(reversed(self._groups.items()))

    def example(self, uuid: str) -> AttemptEnded | None:
        """Return the delivery of one task, where it is the example of a group."""
        examples = (group.example for group in self._groups.values())
        return next((each for each in examples if each is not None and each.uuid == uuid), None)

    def finished(self, finished: TaskFinished, attempt: AttemptEnded | None) -> None:
        """Add the end of a task."""
        error = None if attempt is None else attempt.error_type
        key = (finished.kind.name, finished.state, finished.error_type or error or finished.reason)
        self._add(key, finished.uuid, attempt, at=finished.finished_at)

    def retried(self, attempt: AttemptEnded) -> None:
        """Add an attempt that ended by asking for another one."""
        key = (attempt.kind.name, attempt.state, attempt.error_type)
        self._add(key, attempt.uuid, attempt, at=attempt.ended_at)

    def _add(self, key: GroupKey, uuid: str, attempt: AttemptEnded | None, *, at: float) -> None:
        group = self._groups.pop(key, None)  # to the end again
        if group is None:
            if len(self._groups) >= self._limit:
                self.dropped += 1
                del self._groups[next(iter(self._groups))]
            group = Group(0, at, at, uuid, attempt)
        self._groups[key] = group
        group.count += 1
        group.last_at = max(group.last_at, at)
        group.uuid = uuid
        group.example = attempt or group.example
