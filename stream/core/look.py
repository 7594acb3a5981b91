"""Single tasks as they stand now, for somebody who looks at them.

A look changes nothing, and costs what it was allowed to: it goes over a given number of tasks at
the most and says when that was not all. What it returns is detached from the tables.
"""

from collections.abc import Collection, Iterable
from heapq import merge
from itertools import islice
from typing import Final

from msgspec import Struct

from .effects import StuckReason
from .kinds import Kind
from .limits import PhaseLimits
from .search import Search
from .states import Phase, State
from .stuck import PHASE_OF, REASON_OF
from .tables import (
    LATER,
    RECEIVED,
    RETRY,
    SENT,
    STARTED,
    STUCK,
    UNSURE,
    TaskTable,
)
from .task import STATE_OF, Delivery, Task
from .trace import Trace
from .traces import UNTRACED

_PHASES: Final = (STARTED, RETRY, RECEIVED, SENT)
"""What runs comes first: that is what people look for."""
_WHOLE: Final = 36
"""Characters of a UUID: what is as long is the beginning of no other one."""
_BANDS: Final = (STUCK, UNSURE, 0, LATER)


class DeliveryLook(Struct, frozen=True, gc=False):
    """One delivery of a task; instants are on our clock."""

    retries: int
    ordinal: int
    state: State
    inferred: bool
    hostname: str | None
    pid: int | None
    sent_at: float | None
    eta: float | None
    """As its sender wrote it: the worker compares it with its own clock."""
    received_at: float | None
    started_at: float | None
    ended_at: float | None
    wait: float | None
    run: float | None
    trace: Trace | None
    redelivered: bool
    arguments: tuple[str | None, str | None] | None
    """Positional and named, only where they are asked for."""


class TaskLook(Struct, frozen=True):
    """One task."""

    uuid: str
    kind: Kind
    state: State
    since: float
    """Since when it is in this state; its ETA where that is later; when its end became known."""
    finished: bool
    stuck: bool
    unsure: bool
    """Over its limit, and whether it is still there cannot be told."""
    root_id: str | None
    parent_id: str | None
    deliveries: tuple[DeliveryLook, ...]
    """Newest last; in lists only that."""

    @property
    def last(self) -> DeliveryLook:
        """The newest delivery."""
        return self.deliveries[-1]


class Looked(Struct, frozen=True):
    """What was found in flight."""

    tasks: tuple[TaskLook, ...]
    """Those that run first, then by how long they have been in their state."""
    total: int | None
    """How many there are; None where not all could be looked at."""
    looked_at: int
    """Tasks that had to be looked at one by one."""


class Overdue(Struct, frozen=True):
    """A task that has been in one phase for longer than its limit."""

    task: TaskLook
    phase: Phase
    reason: StuckReason
    limit: float


def look(task: Task) -> TaskLook:
    """Look at all of one task."""
    return _look(task, tuple(_delivery(task, each) for each in task.deliveries()))


def glance(task: Task) -> TaskLook:
    """Look at one task of many."""
    return _look(task, (_delivery(task, task.last),))


def find(tables: TaskTable, search: Search, *, limit: int, budget: int) -> Looked:
    """Look for tasks in flight.

    Args:
        tables: not changed meanwhile.
        search: which are wanted.
        limit: of what is returned.
        budget: of tasks that are looked at one by one; those of a kind that is wanted as a whole
            cost nothing.
    """
    exactly = tables.by_uuid.get(search.exactly)
    if exactly is not None and not _is_wanted(exactly, search):
        exactly = None
    if exactly is not None and len(exactly.uuid) >= _WHOLE:
        return Looked((glance(exactly),), 1, 1)
    found: list[Task] = []
    total, left = 0, budget
    for slot in (
        phase + band for phase in _PHASES if search.state(STATE_OF[phase]) for band in _BANDS
    ):
        wanted: list[Collection[Task]] = []
        for kind, members in tables.members(slot):
            if not search.kind(kind):
                continue
            if search.all_of(kind):
                wanted.append(members.values())
            else:
                wanted.append(_chosen(kind, islice(members.values(), left), search))
                left -= min(left, len(members))
        total += sum(map(len, wanted))
        found += islice(merge(*wanted, key=_since), limit - len(found))
    if exactly is not None and limit and exactly not in found:
        found = [exactly, *found[: limit - 1]]
    tasks = tuple(glance(task) for task in found)
    return Looked(tasks, total if left else None, budget - left)


def overdue(tables: TaskTable, limits: PhaseLimits, *, limit: int) -> tuple[Overdue, ...]:
    """Return tasks that are over the limit of their phase: the stuck, then the unsure."""
    fronts = [
        merge(
            *(members.values() for phase in _PHASES for _, members in tables.members(phase + band)),
            key=_since,
        )
        for band in (STUCK, UNSURE)
    ]
    return tuple(
        _overdue(task, limits)
        for task in islice((task for front in fronts for task in front), limit)
    )


def _chosen(kind: Kind, tasks: Iterable[Task], search: Search) -> list[Task]:
    wanted = search.of(kind)
    return [
        task
        for task in tasks
        for lane in (task.last.lane,)
        if wanted(task.uuid, None if lane is None else lane.hostname)
    ]


def _is_wanted(task: Task, search: Search) -> bool:
    lane = task.last.lane
    return (
        not task.finished
        and search.state(task.state)
        and search.task(task.kind, task.uuid, None if lane is None else lane.hostname)
    )


def _since(task: Task) -> float:
    return task.since


def _overdue(task: Task, limits: PhaseLimits) -> Overdue:
    phase = task.slot % LATER
    return Overdue(glance(task), PHASE_OF[phase], REASON_OF[phase], limits.of(task.kind, phase))


def _look(task: Task, deliveries: tuple[DeliveryLook, ...]) -> TaskLook:
    return TaskLook(
        task.uuid,
        task.kind,
        task.state,
        task.since,
        task.finished,
        STUCK <= task.slot < UNSURE,
        task.slot >= UNSURE,
        task.root_id,
        task.parent_id,
        deliveries,
    )


def _delivery(task: Task, delivery: Delivery) -> DeliveryLook:
    lane, wait = delivery.lane, delivery.wait
    trace = delivery.trace or task.trace
    ended = delivery.ended_at is not None
    return DeliveryLook(
        delivery.retries,
        delivery.ordinal,
        delivery.state,
        delivery.inferred,
        None if lane is None else lane.hostname,
        None if lane is None else lane.pid,
        delivery.sent,
        delivery.eta,
        delivery.on_our_clock(delivery.received_at),
        delivery.on_our_clock(delivery.started_at),
        delivery.ended if ended else None,
        None if wait is None else max(0.0, wait),
        delivery.run,
        None if trace is UNTRACED else trace,
        delivery.ordinal > 0 or delivery.redelivered,
        delivery.arguments,
    )
