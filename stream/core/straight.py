"""What nearly always happens to a task, each event in one go: sent, received, started, succeeded.

Nearly every task has one delivery, whose events come in order and find nothing odd. Each method
here looks whether that is so *before it changes anything*; if it is, it does what `Lifecycle`,
`Progress` and the tables do for it together, without their calls and questions, which were half of
what the engine cost. If not, the event goes to `Lifecycle`, whole. A property holds the two ways
against each other: same effects, same snapshot. What is rare (an ETA, a trace that the message
names, a duration below 0) is not for here.
"""

from collections.abc import Callable, Iterable
from typing import Final

from ..events import (
    Event,
    KnownEvent,
    OtherEvent,
    TaskReceived,
    TaskSent,
    TaskStarted,
    TaskSucceeded,
)
from .attribution import ENDLESS
from .beginnings import attempt_began, waited_long
from .early import Early
from .effects import Arguments, Effect, Received, Sent, Started, Succeeded
from .kinds import Kind, Kinds
from .lanes import Lane
from .lifecycle import Lifecycle
from .periodic import Periodic, Rhythm
from .queues import QueueTable
from .states import State
from .tables import RECEIVED, SENT, STARTED, TaskTable
from .task import FIRST_ATTEMPT, Delivery, Task
from .traces import UNTRACED, Traces
from .workers import Workers

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
        workers: keeps the lanes.
        queues: told of the queues that events name.
        traces: which trace each task belongs to.
        early: keeps what workers tell of a task before its producer does.
        periodic: told of each task that no other task sent.
        general: takes every event that is not as usual.
        others: takes the events of other types.
        emit: takes each effect.
        ran: told how long each run took that succeeded.
        long_wait: seconds of waiting from which `WaitedLong` is told.
        beginnings: tell `AttemptBegan`.
        in_one: tell `Succeeded`, not what it stands for.
    """

    def __init__(
        self,
        tasks: TaskTable,
        kinds: Kinds,
        *,
        workers: Workers,
        queues: QueueTable,
        traces: Traces,
        early: Early,
        periodic: Periodic,
        general: Lifecycle,
        others: Callable[[KnownEvent, float], None],
        emit: Callable[[Effect], None],
        ran: Callable[[Kind, float], None],
        long_wait: float,
        beginnings: bool,
        in_one: bool,
    ) -> None:
        self._tasks = tasks
        self._kinds = kinds
        self._lanes = workers.by_hostname
        self._hear = workers.hear
        self._others = others
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
        self._in_one = in_one

    def take(self, events: Iterable[Event], now: float) -> KnownEvent | None:
        """Take in events that arrived at *now*; return the last one that means anything."""
        last: KnownEvent | None = None
        sent, received, started, succeeded = (
            self._take_sent,
            self._take_received,
            self._take_started,
            self._take_succeeded,
        )
        # The hot loop. A call, and an attribute of an event, cost half where they are always of
        # one type, hence these questions, and a search for the lane in each method.
        for event in events:
            kind = type(event)
            if kind is TaskStarted:
                started(event, now)  # type: ignore[arg-type] # `kind` is its type
            elif kind is TaskSucceeded:
                succeeded(event, now)  # type: ignore[arg-type] # `kind` is its type
            elif kind is TaskReceived:
                received(event, now)  # type: ignore[arg-type] # `kind` is its type
            elif kind is TaskSent:
                sent(event, now)  # type: ignore[arg-type] # `kind` is its type
            elif isinstance(event, OtherEvent):
                continue
            else:
                self._others(event, now)
            last = event  # type: ignore[assignment] # likewise
        return last

    def _take_sent(self, event: TaskSent, now: float) -> None:
        """A message was published with a task that was not known."""
        lane = self._lanes.get(event.hostname)
        timestamp = event.timestamp
        if (  # else it was heard just now, and what `Workers.hear` looks for is not there
            lane is None
            or lane.pid != event.pid
            or lane.heard_at != now
            or now - timestamp < lane.low
        ):
            lane = self._hear(event, now)
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
        name, root_id, retries = event.name, event.root_id, event.retries or 0
        kind = self._kinds.known.get((name, queue)) or self._kinds.get(name, queue)
        if event.parent_id is None and root_id == uuid:  # it has no kin to look for
            trace, parent_id, parent_attempt = None, None, FIRST_ATTEMPT
            delivery = Delivery(
                retries,
                0,
                _SENT,
                False,
                lane,
                timestamp,
                None,
                None,
                None,
                -1,
                None,
                -1,
                None,
                -1,
                None,
                UNTRACED,
            )
            task = Task(
                uuid,
                kind,
                uuid,
                None,
                delivery,
                None,
                UNTRACED,
                None,
                None,
                now,
                SENT,
                0,
                None,
                0,
                True,
            )
            root_id = uuid
        else:
            delivery = Delivery(retries, 0, _SENT, False, lane, timestamp)
            task = self._general.task_of(event, kind, delivery)
            trace = self._traces.of(task, delivery)
            task.since = now
            root_id, parent_id = task.root_id, task.parent_id
            task.straight = root_id is not None
            parent_attempt = task.parent_attempt or FIRST_ATTEMPT
        self._general.anything_sent = True
        tasks.enter(task, SENT)
        emit = self._emit
        emit(
            Sent(
                uuid,
                kind,
                retries,
                timestamp + lane.offset,
                root_id,
                parent_id,
                parent_attempt,
                trace,
            )
        )
        if event.parent_id is None and self._rhythms.get(kind, _NEW) is not None:
            self._periodic.sent(kind, min(timestamp + lane.offset, now))
        early = self._early
        if early.waiting or early.untold:
            early.told(uuid, name, now)

    def _take_received(self, event: TaskReceived, now: float) -> None:
        """A worker took the message of a task that was sent, and knows nothing new of it."""
        lane = self._lanes.get(event.hostname)
        timestamp = event.timestamp
        if (
            lane is None
            or lane.pid != event.pid
            or lane.heard_at != now
            or now - timestamp < lane.low
        ):
            lane = self._hear(event, now)
        if (
            event.eta is not None
            or event.traceparent is not None
            or event.sentry_trace is not None
            or event.redelivered
        ):
            self._general.received(event, lane, now)
            return
        tasks, uuid = self._tasks, event.uuid
        task = tasks.by_uuid.get(uuid)
        if task is None:
            self._received_first(event, lane, now)
            return
        kind, delivery = task.kind, task.last
        if (
            task.slot != SENT
            or not task.straight
            or event.name != kind.name
            or event.parent_id != task.parent_id
            or delivery.retries != (event.retries or 0)
        ):
            self._general.received(event, lane, now)
            return
        delivery.state = _RECEIVED
        delivery.lane = lane
        delivery.received_at = timestamp
        delivery.received_clock = event.clock
        if not lane.holds_work:
            lane.holds_work = True
        queue, consumed = kind.queue, self._queues.consumed
        if queue in consumed:
            consumed[queue] += 1
        elif queue is not None:
            self._queues.consume(queue)
        self._emit(Received(kind, False, lane.hostname))
        row, uuid = tasks.rows[kind], task.uuid  # the same object is found without comparing
        del row[SENT][uuid]
        row[RECEIVED][uuid] = task
        task.slot = RECEIVED
        task.since = now

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
        task.since = now
        task.straight = task.root_id is not None
        lane.holds_work = True
        tasks.enter(task, RECEIVED)
        self._emit(Received(kind, False, lane.hostname))
        self._general.note_unsent(event, kind, now)

    def _take_started(self, event: TaskStarted, now: float) -> None:
        """A pool process of the worker that took the message began to run it."""
        lane = self._lanes.get(event.hostname)
        started_at = event.timestamp
        if (
            lane is None
            or lane.pid != event.pid
            or lane.heard_at != now
            or now - started_at < lane.low
        ):
            lane = self._hear(event, now)
        tasks = self._tasks
        task = tasks.by_uuid.get(event.uuid)
        if task is None or task.slot != RECEIVED or not task.straight:
            self._general.started(event, lane, now)
            return
        delivery = task.last
        received_at, sent_at, sender = delivery.received_at, delivery.sent_at, delivery.sender
        if delivery.lane is not lane or received_at is None:
            self._general.started(event, lane, now)
            return
        prefetch, wait = started_at - received_at, None
        if sent_at is not None and sender is not None:
            wait = started_at + lane.offset - (sent_at + sender.offset)
        if prefetch < 0.0 or (wait is not None and wait < 0.0):
            self._general.started(event, lane, now)
            return
        kind, clock = task.kind, event.clock
        delivery.state = _STARTED
        delivery.started_at = started_at
        delivery.started_clock = clock
        if not lane.holds_work:
            lane.holds_work = True
        if clock > lane.pending_clock:
            lane.starts_after_pending += 1
        else:
            lane.count_start(clock)
        uuid = task.uuid  # the same object is found without comparing
        lane.running[uuid] = 1  # for the first time
        emit = self._emit
        emit(Started(kind, wait, prefetch, None, lane.hostname))
        if wait is not None and wait > self._long_wait:
            emit(waited_long(task, delivery, wait, trace=self._traces.of(task, delivery)))
        if self._beginnings:
            emit(attempt_began(task, delivery, wait, trace=self._traces.of(task, delivery)))
        row = tasks.rows[kind]
        del row[RECEIVED][uuid]
        row[STARTED][uuid] = task
        task.slot = STARTED
        task.since = now

    def _take_succeeded(self, event: TaskSucceeded, now: float) -> None:
        """The only run of a task returned, on the worker where it began."""
        lane = self._lanes.get(event.hostname)
        timestamp = event.timestamp
        if (
            lane is None
            or lane.pid != event.pid
            or lane.heard_at != now
            or now - timestamp < lane.low
        ):
            lane = self._hear(event, now)
        tasks = self._tasks
        task = tasks.by_uuid.get(event.uuid)
        if task is None or task.slot != STARTED or not task.straight:
            self._general.ended(event, lane, now)
            return
        delivery, run = task.last, event.runtime
        started_at, sent_at, sender = delivery.started_at, delivery.sent_at, delivery.sender
        if (
            run is None
            or not 0.0 <= run < ENDLESS  # msgpack carries NaN and infinity
            or delivery.lane is not lane
            or started_at is None
        ):
            self._general.ended(event, lane, now)
            return
        began = started_at + lane.offset
        ended = began + run
        sent = wait = total = None
        if sent_at is not None and sender is not None:
            sent = sent_at + sender.offset
            if ended < sent:
                self._general.ended(event, lane, now)
                return
            wait = began - sent
            wait = wait if wait > 0.0 else 0.0  # noqa: FURB136 - a call costs more
        uuid = task.uuid
        lane.running.pop(uuid, None)
        delivery.state = task.end = _SUCCESS
        delivery.ended_at = timestamp
        delivery.ended_clock = event.clock
        delivery.run = run
        kind, root_id, retries, trace = task.kind, task.root_id, delivery.retries, delivery.trace
        ran, emit, ordinal = self._ran, self._emit, delivery.ordinal
        received_at, arguments = delivery.received_at, delivery.arguments
        if sent is not None and not retries:
            total = ended - sent
        ran(kind, run)
        succeeded = Succeeded(  # in order: keywords for so many cost 0.2 us
            uuid,
            kind,
            retries,
            ordinal,
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
            wait,
            run,
            None,
            None,
            None,
            None,
            None if trace is UNTRACED else trace or self._traces.of(task, delivery),
            ordinal > 0 or delivery.redelivered,
            None if arguments is None else Arguments(*arguments),
            None,
            ordinal,
            total,
        )
        if self._in_one:
            emit(succeeded)
        else:
            for each in succeeded.apart():
                emit(each)
        tasks.finish(task, now)
