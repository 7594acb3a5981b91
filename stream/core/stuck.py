"""Which tasks have been in one phase for too long.

The front of each table is the task that waits longest, so a look costs the kinds and the findings,
not the tasks. A verdict is given only where there is evidence: a task on a worker that fell silent
is not called stuck, since nobody can tell.
"""

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from ..config import StuckLimits, StuckRule
from .effects import Effect, StuckBegan, StuckEnded, StuckReason
from .kinds import Kind
from .states import Phase, State, WorkerState
from .tables import LATER, RECEIVED, RETRY, SENT, STARTED, STUCK, TaskTable
from .task import Task

PHASE_OF: Final = {
    SENT: Phase.QUEUED,
    RECEIVED: Phase.PREFETCHED,
    STARTED: Phase.RUNNING,
    RETRY: Phase.RETRYING,
}
_REASON_OF: Final = {
    SENT: StuckReason.NOT_CONSUMED,
    RECEIVED: StuckReason.NOT_STARTED,
    STARTED: StuckReason.RUNS_LONG,
    RETRY: StuckReason.RETRY_OVERDUE,
}
_VERDICTS_PER_TICK: Final = 1_000
"""A backlog of a million that all become stuck at once is told in pieces."""


class StuckWatch:
    """Finds the tasks that are over the limit of their phase.

    Args:
        limits: for the tasks that no rule matches.
        rules: the first whose pattern matches the task's name wins; what it leaves out is taken
            from *limits*.
    """

    def __init__(self, limits: StuckLimits, rules: tuple[StuckRule, ...]) -> None:
        self._limits = limits
        self._rules = rules
        self._of_kind: dict[Kind, tuple[float, float, float, float]] = {}

    def limit(self, kind: Kind, slot: int) -> float:
        """Seconds that tasks of this kind may be in a phase; infinite where it is turned off."""
        limits = self._of_kind.get(kind)
        if limits is None:
            limits = self._of_kind[kind] = self._resolve(kind.name or "")
        return limits[slot]

    def _resolve(self, name: str) -> tuple[float, float, float, float]:
        rule = next((rule for rule in self._rules if fnmatchcase(name, rule.task)), StuckRule(name))
        limits = self._limits
        chosen = (
            limits.queued if rule.queued is None else rule.queued,
            limits.prefetched if rule.prefetched is None else rule.prefetched,
            limits.running if rule.running is None else rule.running,
            limits.retrying if rule.retrying is None else rule.retrying,
        )
        queued, prefetched, running, retrying = (limit or float("inf") for limit in chosen)
        return queued, prefetched, running, retrying

    def look(self, tasks: TaskTable, now: float, emit: Callable[[Effect], None]) -> None:
        """Judge the tasks whose time is up, and tell those that are stuck."""
        for slot in range(LATER):
            overdue = [
                (task, limit)
                for kind, members in tasks.members(slot)
                if not kind.internal
                for limit in (self.limit(kind, slot),)
                for task in _over(members.values(), now - limit)
            ]
            for task, limit in overdue[:_VERDICTS_PER_TICK]:
                if slot != STARTED or _worker_is_there(task):
                    emit(_stuck_began(task, slot, limit=limit, now=now))
                    tasks.move(task, slot + STUCK, task.kind)


def _over(tasks: Iterable[Task], since: float) -> Iterator[Task]:
    for task in tasks:
        if task.since > since:
            return
        yield task


def _worker_is_there(task: Task) -> bool:
    lanes = [each.lane for each in task.deliveries() if each.state is State.STARTED]
    return any(lane is not None and lane.state in (None, WorkerState.ONLINE) for lane in lanes)


def _stuck_began(task: Task, slot: int, *, limit: float, now: float) -> StuckBegan:
    last = task.last
    return StuckBegan(
        task.uuid,
        task.kind,
        PHASE_OF[slot],
        _REASON_OF[slot],
        task.since,
        now - task.since,
        limit,
        last.retries,
        last.ordinal,
        None if last.lane is None else last.lane.hostname,
        task.root_id,
        None if last.trace is None else last.trace[0],
        now,
    )


def stuck_ended(task: Task, now: float) -> StuckEnded:
    """What to tell when a task that was called stuck moves on."""
    last = task.last
    return StuckEnded(
        task.uuid,
        task.kind,
        PHASE_OF[task.slot - STUCK],
        now - task.since,
        last.retries,
        last.ordinal,
        None if last.lane is None else last.lane.hostname,
        task.root_id,
        None if last.trace is None else last.trace[0],
        now,
    )
