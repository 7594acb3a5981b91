"""Which tasks have been in one phase for too long, and whether that can be told at all.

The front of each table is the task that waits longest, so a look costs the kinds and the findings,
not the tasks. A task that is over its limit gets one of two verdicts: *stuck* where there is
evidence (its worker says that it works, its queue holds messages), *unknown* where its end may
just not have been seen. The latter are looked at again, since evidence may come.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from .effects import Effect, StuckBegan, StuckEnded, StuckReason
from .lanes import Lane
from .limits import PhaseLimits
from .queues import QueueTable
from .states import Phase, State, WorkerState
from .tables import LATER, RECEIVED, RETRY, SENT, STARTED, STUCK, UNSURE, TaskTable
from .task import Task
from .trace import Trace
from .traces import Traces

PHASE_OF: Final = {
    SENT: Phase.QUEUED,
    RECEIVED: Phase.PREFETCHED,
    STARTED: Phase.RUNNING,
    RETRY: Phase.RETRYING,
}
REASON_OF: Final = {
    SENT: StuckReason.NOT_CONSUMED,
    RECEIVED: StuckReason.NOT_STARTED,
    STARTED: StuckReason.RUNS_LONG,
    RETRY: StuckReason.RETRY_OVERDUE,
}
_SETTLED: Final = 10.0
"""Seconds: the end of what began later than this before a heartbeat may still be on its way."""
_BELIEVED: Final = 180.0
"""Seconds: what a worker said that it runs is taken to run for three of the shortest rounds."""
_VERDICTS_PER_TICK: Final = 1_000
"""Of each phase: a backlog of a million that is over its limit at once is judged in pieces."""


class StuckWatch:
    """Finds the tasks that are over the limit of their phase.

    Args:
        tasks: the tables.
        queues: what is known of the queues.
        limits: how long each kind may be in each phase.
        traces: which trace each task belongs to.
        emit: takes what is found.
    """

    def __init__(
        self,
        tasks: TaskTable,
        queues: QueueTable,
        limits: PhaseLimits,
        *,
        traces: Traces,
        emit: Callable[[Effect], None],
    ) -> None:
        self._tasks = tasks
        self._queues = queues
        self._limits = limits
        self._traces = traces
        self._emit = emit

    def look(self, now: float) -> None:
        """Judge the tasks whose time is up, and tell those that are stuck."""
        for phase in range(LATER):
            unsure = [(task, limit) for task, limit in self._overdue(phase + UNSURE, now)]
            for task, limit in [*self._overdue(phase, now), *unsure]:
                if self._is_certain(task, phase, now):
                    trace = self._traces.of(task, task.last)
                    self._emit(_stuck_began(task, phase, trace=trace, limit=limit, now=now))
                    self._tasks.move(task, phase + STUCK, task.kind)
                elif task.slot < UNSURE:
                    self._tasks.move(task, phase + UNSURE, task.kind)

    def _overdue(self, slot: int, now: float) -> list[tuple[Task, float]]:
        found = (
            (task, limit)
            for kind, members in self._tasks.members(slot)
            if not kind.internal
            for limit in (self._limits.of(kind, slot % LATER),)
            for task in _waiting_since(members.values(), now - limit)
        )
        return list(islice(found, _VERDICTS_PER_TICK))

    def _is_certain(self, task: Task, phase: int, now: float) -> bool:
        """Whether there is evidence that the task is still there."""
        if phase == STARTED:
            return any(
                each.lane is not None and self._works(each.lane, task, now)
                for each in task.deliveries()
                if each.state is State.STARTED
            )
        if phase == RECEIVED:
            lane = task.last.lane
            return lane is None or (lane.state is WorkerState.ONLINE and not lane.unseen)
        return self._queues.may_hold(task.kind.queue)

    def _works(self, lane: Lane, task: Task, now: float) -> bool:
        """Whether a worker named the task when it was asked, or accounts for all that it runs.

        The latter by its heartbeats, for what has been running there for a while.
        """
        if task.uuid in lane.listed and now - lane.inspected_at <= _BELIEVED:
            return True
        if lane.state is not WorkerState.ONLINE or not lane.active or lane.excess_since is not None:
            return False
        before = lane.beat_at - _SETTLED
        running = (self._tasks.by_uuid.get(uuid) for uuid in lane.running)
        return lane.active >= sum(task is not None and task.since <= before for task in running)


def _waiting_since(tasks: Iterable[Task], since: float) -> Iterator[Task]:
    for task in tasks:
        if task.since > since:
            return
        yield task


def _stuck_began(
    task: Task, phase: int, *, trace: Trace | None, limit: float, now: float
) -> StuckBegan:
    last = task.last
    return StuckBegan(
        task.uuid,
        task.kind,
        PHASE_OF[phase],
        REASON_OF[phase],
        task.since,
        now - task.since,
        limit,
        last.retries,
        last.ordinal,
        None if last.lane is None else last.lane.hostname,
        task.root_id,
        trace,
        now,
    )


def stuck_ended(task: Task, trace: Trace | None, now: float) -> StuckEnded:
    """What to tell when a task that was called stuck moves on."""
    last = task.last
    return StuckEnded(
        task.uuid,
        task.kind,
        PHASE_OF[task.slot % LATER],
        now - task.since,
        last.retries,
        last.ordinal,
        None if last.lane is None else last.lane.hostname,
        task.root_id,
        trace,
        now,
    )
