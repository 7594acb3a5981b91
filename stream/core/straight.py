"""What nearly always happens to a task, each event in one go: sent, received, started, succeeded.

Nearly every task has one delivery, whose events come in order and find nothing odd. Each method
here looks whether that is so *before it changes anything*; if it is, it does what `Lifecycle`,
`Progress` and the tables do for it together, without their calls and questions, which were half of
what the engine cost. If not, the event goes to `Lifecycle`, whole. A property holds the two ways
against each other: same effects, same snapshot. What is rare (an ETA, a trace that the message
names, a duration below 0) is not for here.
"""

from collections.abc import Callable
from typing import Final

from ..events import TaskReceived, TaskSent, TaskStarted, TaskSucceeded
from .beginnings import attempt_began, waited_long
from .early import Early
from .effects import Arguments, AttemptEnded, Effect, Received, Sent, Started, TaskFinished
from .kinds import Kind, Kinds
from .lanes import Lane
from .lifecycle import Lifecycle
from .periodic import Periodic, Rhythm
from .progress import stop_running
from .queues import QueueTable
from .states import State
from .tables import RECEIVED, SENT, STARTED, TaskTable
from .task import FIRST_ATTEMPT, Delivery, Task
from .traces import UNTRACED, Traces

# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_SENT: Final = State.SENT
_RECEIVED: Final = State.RECEIVED
_STARTED: Final = State.STARTED
_SUCCESS: Final = State.SUCCESS
_NEW: Final = Rhythm()
"""Stands for a kind that was not sent before."""


class Straight:
    """Applies the events of tasks that nothing happens to.

    Args:
        tasks: the tables.
        kinds: the interned (name, queue) pairs.
        queues: told of the queues that events name.
        traces: which trace each task belongs to.
        early: keeps what workers tell of a task before its producer does.
        periodic: told of each task that no other task sent.
        general: takes every event that is not as usual.
        emit: takes each effect.
        ran: told how long each run took that succeeded.
        long_wait: seconds of waiting from which `WaitedLong` is told.
        beginnings: tell `AttemptBegan`.
    """

    def __init__(
        self,
        tasks: TaskTable,
        kinds: Kinds,
        *,
        queues: QueueTable,
        traces: Traces,
        early: Early,
        periodic: Periodic,
        general: Lifecycle,
        emit: Callable[[Effect], None],
        ran: Callable[[Kind, float], None],
        long_wait: float,
        beginnings: bool,
    ) -> None:
        self._tasks = tasks
        self._kinds = kinds
        self._queues = queues
        self._traces = traces
        self._early = early
        self._periodic = periodic
        self._rhythms = periodic.rhythms
        self._general = general
        self._emit = emit
        self._ran = ran
        self._long_wait = long_wait
        self._beginnings = beginnings

    def sent(self, event: TaskSent, lane: Lane, now: float) -> None:
        """A message was published with a task that was not known."""
        tasks, uuid, queue = self._tasks, event.uuid, event.queue
        if (
            uuid in tasks.by_uuid
            or event.eta is not None
            or event.traceparent is not None
            or event.sentry_trace is not None
            or self._traces.peeked
            or tasks.in_flight >= tasks.in_flight_limit
        ):
            self._general.sent(event, lane, now)
            return
        if queue and queue not in self._queues.names:
            self._queues.hear_of(queue)
        kind = self._kinds.get(event.name, queue)
        retries, sent_at, trace = event.retries or 0, event.timestamp, None
        delivery = Delivery(retries, 0, _SENT, False, lane, sent_at)
        if event.parent_id is None and event.root_id == uuid:  # it has no kin to look for
            task = Task(uuid, kind, uuid, None, delivery, None, UNTRACED)
            delivery.trace = UNTRACED
        else:
            task = self._general.task_of(event, kind, delivery)
            trace = self._traces.of(task, delivery)
        task.since = now
        self._general.anything_sent = True
        tasks.enter(task, SENT)
        self._emit(
            Sent(
                uuid,
                kind,
                retries,
                sent_at + lane.offset,
                task.root_id,
                task.parent_id,
                task.parent_attempt or FIRST_ATTEMPT,
                trace,
            )
        )
        if event.parent_id is None and self._rhythms.get(kind, _NEW) is not None:
            self._periodic.sent(kind, min(sent_at + lane.offset, now))
        early = self._early
        if early.waiting or early.untold:
            early.told(uuid, event.name, now)

    def received(self, event: TaskReceived, lane: Lane, now: float) -> None:
        """A worker took the message of a task that was sent, and knows nothing new of it."""
        tasks = self._tasks
        task = tasks.by_uuid.get(event.uuid)
        if (
            event.eta is not None
            or event.traceparent is not None
            or event.sentry_trace is not None
            or event.redelivered
        ):
            self._general.received(event, lane, now)
            return
        if task is None:
            self._received_first(event, lane, now)
            return
        if (
            task.slot != SENT
            or task.past is not None
            or event.name != task.kind.name
            or task.root_id is None
            or event.parent_id != task.parent_id
        ):
            self._general.received(event, lane, now)
            return
        delivery, kind = task.last, task.kind
        if (
            delivery.lane is not None
            or delivery.state is not _SENT
            or delivery.eta is not None
            or delivery.retries != (event.retries or 0)
        ):
            self._general.received(event, lane, now)
            return
        delivery.state = task.state = _RECEIVED
        delivery.lane = lane
        delivery.received_at = event.timestamp
        delivery.received_clock = event.clock
        lane.holds_work = True
        if kind.queue is not None:
            self._queues.consume(kind.queue)
        self._emit(Received(kind, False, lane.hostname))
        slots, uuid = tasks.slots, task.uuid
        del slots[SENT][kind][uuid]
        slots[RECEIVED][kind][uuid] = task
        task.slot, task.since = RECEIVED, now

    def _received_first(self, event: TaskReceived, lane: Lane, now: float) -> None:
        """A worker took a message that no producer told of: few are set up to tell."""
        tasks, uuid = self._tasks, event.uuid
        if self._early.keep(event, lane, now):
            return
        if self._traces.peeked or tasks.in_flight >= tasks.in_flight_limit:
            self._general.received_unsent(event, lane, now)
            return
        kind = self._kinds.get(event.name, None)
        delivery = Delivery(event.retries or 0, 0, _RECEIVED, lane=lane)
        delivery.received_at, delivery.received_clock = event.timestamp, event.clock
        if event.parent_id is None and event.root_id == uuid:
            task = Task(uuid, kind, uuid, None, delivery)
        else:
            task = self._general.task_of(event, kind, delivery)
            self._traces.foresee(task)
        task.state, task.since = _RECEIVED, now
        lane.holds_work = True
        tasks.enter(task, RECEIVED)
        self._emit(Received(kind, False, lane.hostname))
        self._general.note_unsent(event, kind, now)

    def started(self, event: TaskStarted, lane: Lane, now: float) -> None:
        """A pool process of the worker that took the message began to run it."""
        tasks = self._tasks
        task = tasks.by_uuid.get(event.uuid)
        if task is None or task.slot != RECEIVED or task.past is not None:
            self._general.started(event, lane, now)
            return
        delivery, started_at = task.last, event.timestamp
        received_at, sent_at, sender = delivery.received_at, delivery.sent_at, delivery.sender
        if (
            delivery.lane is not lane
            or delivery.state is not _RECEIVED
            or delivery.eta is not None
            or received_at is None
        ):
            self._general.started(event, lane, now)
            return
        prefetch, wait = started_at - received_at, None
        if sent_at is not None and sender is not None:
            wait = started_at + lane.offset - (sent_at + sender.offset)
        if prefetch < 0.0 or (wait is not None and wait < 0.0):
            self._general.started(event, lane, now)
            return
        kind, uuid = task.kind, task.uuid
        delivery.state = task.state = _STARTED
        delivery.started_at = started_at
        delivery.started_clock = clock = event.clock
        task.starts += 1
        lane.holds_work = True
        lane.count_start(clock)
        lane.running[uuid] = lane.running.get(uuid, 0) + 1
        self._emit(Started(kind, wait, prefetch, None, lane.hostname))
        if wait is not None and wait > self._long_wait:
            self._emit(waited_long(task, delivery, wait, trace=self._traces.of(task, delivery)))
        if self._beginnings:
            self._emit(attempt_began(task, delivery, wait, trace=self._traces.of(task, delivery)))
        slots = tasks.slots
        del slots[RECEIVED][kind][uuid]
        slots[STARTED][kind][uuid] = task
        task.slot, task.since = STARTED, now

    def succeeded(self, event: TaskSucceeded, lane: Lane, now: float) -> None:
        """The only run of a task returned, on the worker where it began."""
        task = self._tasks.by_uuid.get(event.uuid)
        if task is None or task.slot != STARTED or task.past is not None:
            self._general.ended(event, lane, now)
            return
        delivery, run = task.last, event.runtime
        started_at, sent = delivery.started_at, None
        if (
            run is None
            or not run >= 0.0  # msgpack carries NaN
            or delivery.lane is not lane
            or delivery.state is not _STARTED
            or delivery.eta is not None
            or started_at is None
        ):
            self._general.ended(event, lane, now)
            return
        began = started_at + lane.offset
        ended = began + run
        if delivery.sent_at is not None and delivery.sender is not None:
            sent = delivery.sent_at + delivery.sender.offset
            if ended < sent:
                self._general.ended(event, lane, now)
                return
        stop_running(lane, task.uuid)
        delivery.state = task.state = _SUCCESS
        delivery.ended_at, delivery.ended_clock, delivery.run = event.timestamp, event.clock, run
        self._ran(task.kind, run)
        self._tell_success(task, lane, (sent, began, ended), run=run, now=now)

    def _tell_success(
        self,
        task: Task,
        lane: Lane,
        times: tuple[float | None, float, float],
        *,
        run: float,
        now: float,
    ) -> None:
        """Tell the end of a task and of its only delivery; when it was sent, began and ended."""
        (sent, began, ended), delivery = times, task.last
        received_at, trace, arguments = delivery.received_at, delivery.trace, delivery.arguments
        uuid, kind, root_id, retries = task.uuid, task.kind, task.root_id, delivery.retries
        wait = None if sent is None else began - sent
        self._emit(
            AttemptEnded(
                uuid,
                kind,
                retries,
                delivery.ordinal,
                _SUCCESS,
                False,
                lane.hostname,
                lane.pid,
                root_id,
                task.parent_id,
                task.parent_attempt or FIRST_ATTEMPT,
                sent,
                None if received_at is None else received_at + lane.offset,
                began,
                ended,
                wait if wait is None or wait > 0.0 else 0.0,
                run,
                None,
                None,
                None,
                None,
                None if trace is UNTRACED else trace or self._traces.of(task, delivery),
                delivery.ordinal > 0 or delivery.redelivered,
                None if arguments is None else Arguments(*arguments),
                None,
                delivery.ordinal,
            )
        )
        self._tasks.finish(task, now)
        total = None if sent is None or retries else ended - sent
        self._emit(
            TaskFinished(
                uuid, kind, _SUCCESS, False, root_id, None, None, retries + 1, run, total, ended
            )
        )
