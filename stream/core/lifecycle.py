"""What task events do to the task records.

No order of events is illegal. Each lane's events come in its own order; sent, received and the
rest race across lanes. So every event is attributed to a delivery by what it says (``retries``) and
by its lane, never by its place in the stream, and the task's state is derived from its deliveries.
"""

from collections.abc import Callable
from typing import Final

from ..events import (
    TaskFailed,
    TaskReceived,
    TaskReceivedInFull,
    TaskRetried,
    TaskSent,
    TaskSentInFull,
    TaskStarted,
    TaskSucceeded,
    TaskSucceededInFull,
)
from .attribution import ENDLESS, EndEvent, begins_before, end_of, epoch, same, to_end
from .beginnings import attempt_began, waited_long
from .early import Early
from .effects import (
    Advice,
    Advised,
    Effect,
    Odd,
    Oddity,
    Received,
    Sent,
    Started,
)
from .failure import cause_of, error_type
from .kinds import Kind, Kinds
from .lanes import Lane
from .periodic import Periodic
from .progress import Progress, again
from .states import State
from .tables import TaskTable
from .task import ENDS, FIRST_ATTEMPT, OPEN, Delivery, Task
from .texts import arguments_of, result_of
from .traces import Traces

_SILENT_PRODUCERS: Final = 20
"""Tasks received and never told to be sent, without one that was, before advice is given."""
_DUPLICATE: Final = Odd(Oddity.DUPLICATE)
_LATE: Final = Odd(Oddity.LATE)
_IMPLIED: Final = Odd(Oddity.IMPLIED)
# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_SENT: Final = State.SENT
_RECEIVED: Final = State.RECEIVED
_STARTED: Final = State.STARTED
_RETRY: Final = State.RETRY
_FAILURE: Final = State.FAILURE
_REQUEUED: Final = State.REQUEUED


class Lifecycle:
    """Applies task events to the tables and says what happened.

    Args:
        tasks: the tables.
        kinds: the interned (name, queue) pairs.
        progress: keeps the tasks' states in line.
        traces: which trace each task belongs to.
        emit: takes each effect.
        early: keeps what workers tell of a task before its producer does.
        periodic: told of each task that no other task sent.
        consumed: told the queue of each message that a worker took, where it is known.
        heard_queue: told each queue name.
        long_wait: seconds of waiting from which `WaitedLong` is told.
        beginnings: tell `AttemptBegan`.
    """

    def __init__(
        self,
        tasks: TaskTable,
        kinds: Kinds,
        progress: Progress,
        *,
        traces: Traces,
        early: Early,
        periodic: Periodic,
        emit: Callable[[Effect], None],
        consumed: Callable[[str], None],
        heard_queue: Callable[[str], None],
        long_wait: float,
        beginnings: bool,
    ) -> None:
        self._tasks = tasks
        self._kinds = kinds
        self._progress = progress
        self._traces = traces
        self._early = early
        self._periodic = periodic
        self._emit = emit
        self._long_wait = long_wait
        self._beginnings = beginnings
        self._consumed = consumed
        self._heard_queue = heard_queue
        self.never_sent = 0
        self.anything_sent = False

    # -- sent ----------------------------------------------------------------------------------

    def sent(self, event: TaskSent, lane: Lane, now: float) -> None:
        """A message with the task was published."""
        if event.queue:
            self._heard_queue(event.queue)
        task = self._tasks.by_uuid.get(event.uuid)
        if task is None:
            delivery = Delivery(event.retries or 0)
            kind = self._kinds.get(event.name, event.queue)
            task = self.task_of(event, kind, delivery)
            self._fill_sent(task, delivery, event, lane)
            self.anything_sent = True
            self._progress.enter(task, delivery, now)
            if event.parent_id is None:
                self._periodic.sent(kind, min(event.timestamp + lane.offset, now))
        else:
            added = self._add_sent(task, event, lane, now)
            if added is None:
                return
            delivery = added
        self._emit(
            Sent(
                event.uuid,
                task.kind,
                event.retries or 0,
                event.timestamp + lane.offset,
                task.root_id,
                task.parent_id,
                task.parent_attempt or FIRST_ATTEMPT,
                self._traces.of(task, delivery),
                delivery.ordinal,
            )
        )
        self._early.told(event.uuid, event.name, now)

    def task_of(self, event: TaskSent | TaskReceived, kind: Kind, delivery: Delivery) -> Task:
        """Make a task that was not known, a child of the attempt of its parent that runs now."""
        uuid, root_id, parent_id = event.uuid, event.root_id, event.parent_id
        task = Task(uuid, kind, uuid if root_id == uuid else root_id, parent_id, delivery)
        if parent_id is not None and parent_id != uuid:
            parent = self._tasks.by_uuid.get(parent_id)
            if parent is not None and (parent.last.retries or parent.last.ordinal):
                task.parent_attempt = (parent.last.retries, parent.last.ordinal)
        return task

    def _add_sent(self, task: Task, event: TaskSent, lane: Lane, now: float) -> Delivery | None:
        """Note that a known task was sent, perhaps again; None for a duplicate."""
        retries = event.retries or 0
        attempt = task.of_attempt(retries)
        for each in attempt:
            # By its time: children that share their parent's dispatcher repeat its clocks.
            if each.sender is lane and each.sent_at == event.timestamp:
                self._duplicate(lane)
                return None
        delivery = next((each for each in attempt if each.sent_at is None), None)
        if delivery is None:
            delivery = Delivery(retries, len(attempt))
            self._progress.add(task, delivery)
        self._fill_sent(task, delivery, event, lane)
        self._progress.learn(task, delivery, event, queue=event.queue)
        self._progress.update(task, now)
        return delivery

    def _fill_sent(self, task: Task, delivery: Delivery, event: TaskSent, lane: Lane) -> None:
        delivery.sender = lane
        delivery.sent_at = event.timestamp
        if event.eta is not None:
            delivery.eta = epoch(event.eta)
        if event.traceparent is not None or event.sentry_trace is not None:
            self._traces.hear(task, delivery, event)

    # -- received ------------------------------------------------------------------------------

    def received(self, event: TaskReceived, lane: Lane, now: float) -> None:
        """A worker took a message."""
        task = self._tasks.by_uuid.get(event.uuid)
        retries = event.retries or 0
        if task is None:
            if not self._early.keep(event, lane, now):
                self.received_unsent(event, lane, now)
            return
        last = task.last
        if task.past is None and last.lane is None and last.retries == retries:
            delivery = last  # nearly always: it was sent, and nothing else
        else:
            found = self._delivery_to_receive(task, event, lane, retries)
            if found is None:
                return
            delivery = found
        if delivery.state is _SENT:
            delivery.state = _RECEIVED
        self._fill_received(task, delivery, event, lane)
        self._progress.learn(task, delivery, event, queue=None)
        self._tell_received(task, delivery)
        self._progress.update(task, now)

    def received_unsent(self, event: TaskReceived, lane: Lane, now: float) -> None:
        """A worker took a message of which no producer told."""
        delivery = Delivery(event.retries or 0, state=_RECEIVED)
        kind = self._kinds.get(event.name, None)
        task = self.task_of(event, kind, delivery)
        self._traces.foresee(task)
        self._fill_received(task, delivery, event, lane)
        self._progress.enter(task, delivery, now)
        self._tell_received(task, delivery)
        self.note_unsent(event, kind, now)

    def note_unsent(self, event: TaskReceived, kind: Kind, now: float) -> None:
        """Count tasks whose sending nobody told, and advise where it is that of all."""
        if event.parent_id is None and not event.retries:
            self._periodic.sent(kind, now)
        self.never_sent += 1
        if self.never_sent == _SILENT_PRODUCERS and not self.anything_sent:
            self._emit(Advised(Advice.SENT_DISABLED, None, now))

    def _tell_received(self, task: Task, delivery: Delivery) -> None:
        if task.kind.queue is not None:
            self._consumed(task.kind.queue)
        hostname = None if delivery.lane is None else delivery.lane.hostname
        self._emit(Received(task.kind, delivery.ordinal > 0 or delivery.redelivered, hostname))

    def _delivery_to_receive(
        self, task: Task, event: TaskReceived, lane: Lane, retries: int
    ) -> Delivery | None:
        """Find or make the delivery that a worker took; None for a duplicate."""
        attempt = task.of_attempt(retries)
        for each in attempt:
            if each.lane is lane and same(
                each.received_clock, event.clock, each.received_at, event.timestamp
            ):
                self._duplicate(lane)
                return None
        for each in attempt:
            if each.lane is lane and each.received_at is None and begins_before(event, each):
                return each  # its start or end was seen first
        for each in attempt:
            if each.lane is None:
                self._replace(task, each, event)
                return each
        if not attempt:
            delivery = Delivery(retries)
        else:  # the broker gave the same message again: it was sent once
            first, delivery = attempt[0], again(task, retries)
            delivery.sender, delivery.sent_at = first.sender, first.sent_at
            delivery.eta = first.eta
            if event.name is not None and event.name != task.kind.name:
                delivery.trace = delivery.arguments = None  # no, it is another one
                self._replace(task, delivery, event)
        self._progress.add(task, delivery)
        return delivery

    def _fill_received(
        self, task: Task, delivery: Delivery, event: TaskReceived, lane: Lane
    ) -> None:
        delivery.lane = lane
        lane.holds_work = True
        delivery.received_at = event.timestamp
        delivery.received_clock = event.clock
        if event.eta is not None:
            delivery.eta = epoch(event.eta)
        if event.traceparent is not None or event.sentry_trace is not None:
            self._traces.hear(task, delivery, event)
        if event.redelivered:
            delivery.redelivered = True

    def _replace(self, task: Task, by: Delivery, event: TaskReceived) -> None:
        """``self.replace``: the same uuid was sent anew while it ran; that run has no end event."""
        for each in task.of_attempt(by.retries):
            if each is not by and each.state is _STARTED and each.ordinal < by.ordinal:
                began = each.on_our_clock(each.started_at)
                if by.sent is not None and began is not None and by.sent < began:
                    continue  # one id for two messages: both run
                ended_at = each.started_at or event.timestamp
                if by.sent_at is not None and by.sender is not None and each.lane is not None:
                    ended_at = max(ended_at, by.sent_at + by.sender.offset - each.lane.offset)
                each.ended_at = ended_at
                self._progress.end(task, each, State.REPLACED, inferred=True)

    # -- in full -------------------------------------------------------------------------------

    def sent_in_full(self, event: TaskSentInFull, lane: Lane, now: float) -> None:
        """A message with the task was published, and these are its arguments."""
        self.sent(event, lane, now)
        self._keep_arguments(event, lane)

    def received_in_full(self, event: TaskReceivedInFull, lane: Lane, now: float) -> None:
        """A worker took a message, and these are its arguments."""
        self.received(event, lane, now)
        self._keep_arguments(event, lane)

    def _keep_arguments(self, event: TaskSentInFull | TaskReceivedInFull, lane: Lane) -> None:
        # Found again, so that events without arguments, the usual ones, cost nothing more.
        task = self._tasks.by_uuid.get(event.uuid)
        for each in task.of_attempt(event.retries or 0) if task is not None else ():
            if (each.sender is lane and each.sent_at == event.timestamp) or (
                each.lane is lane and each.received_at == event.timestamp
            ):
                each.arguments = arguments_of(event) or each.arguments

    # -- started -------------------------------------------------------------------------------

    def started(self, event: TaskStarted, lane: Lane, now: float) -> None:
        """A pool process began to run the task."""
        task = self._tasks.by_uuid.get(event.uuid)
        if task is None:
            if self._early.join(event, event.uuid, lane=lane, now=now):
                return
            task = self._unheard_of(event.uuid, lane, now)
            delivery = task.last
        else:
            delivery = task.last
            if (
                task.past is not None
                or delivery.lane is not lane
                or delivery.state is not _RECEIVED
            ):
                found = self._delivery_to_start(task, event, lane)
                if found is None:
                    return
                delivery = found
        lane.holds_work = True
        lane.count_start(event.clock)
        delivery.started_at = event.timestamp
        delivery.started_clock = event.clock
        if delivery.state in OPEN:
            delivery.state = _STARTED
            lane.running[task.uuid] = lane.running.get(task.uuid, 0) + 1
        wait = self._progress.clamped(delivery.wait)
        prefetch = self._progress.clamped(delivery.prefetch)
        self._emit(Started(task.kind, wait, prefetch, delivery.eta_delay, lane.hostname))
        if wait is not None and wait > self._long_wait:
            self._emit(waited_long(task, delivery, wait, trace=self._traces.of(task, delivery)))
        if self._beginnings:
            self._emit(attempt_began(task, delivery, wait, trace=self._traces.of(task, delivery)))
        self._progress.update(task, now)

    def _delivery_to_start(self, task: Task, event: TaskStarted, lane: Lane) -> Delivery | None:
        """Find or make the delivery that began; None for a duplicate."""
        here = task.on_lane(lane)
        for each in here:
            if same(each.started_clock, event.clock, each.started_at, event.timestamp):
                self._duplicate(lane)
                return None
        for each in here:
            if each.state is _RECEIVED:
                return each
        for each in here:  # its end was seen first, unless it was only taken to be over
            is_over = each.ended_at is not None and not (each.inferred and each.state is _REQUEUED)
            if each.started_at is None and is_over:
                self._emit(_LATE)
                return each
        return self._implied(task, lane)

    def _unheard_of(self, uuid: str, lane: Lane, now: float) -> Task:
        """A task of which nothing was seen before it started or ended."""
        delivery = Delivery(0, lane=lane)
        task = Task(uuid, self._kinds.get(None, None), None, None, delivery)
        self._progress.enter(task, delivery, now)
        self._emit(_IMPLIED)
        return task

    def _implied(self, task: Task, lane: Lane) -> Delivery:
        """A delivery that must have been, of which nothing was seen so far."""
        self._emit(_IMPLIED)
        last = task.last
        if last.lane is None:
            last.lane = lane
            return last
        delivery = again(task, last.retries, lane)
        self._progress.add(task, delivery)
        return delivery

    # -- ends ----------------------------------------------------------------------------------

    def ended(self, event: EndEvent, lane: Lane, now: float) -> None:
        """A delivery ended on its worker."""
        task = self._tasks.by_uuid.get(event.uuid)
        if task is None:
            if self._early.join(event, event.uuid, lane=lane, now=now):
                return
            task = self._unheard_of(event.uuid, lane, now)
            delivery = task.last
        else:
            delivery = task.last
            if task.past is not None or delivery.lane is not lane or delivery.state is not _STARTED:
                found = self._delivery_to_end(task, event, lane)
                if found is None:
                    return
                delivery = found
        delivery.ended_at = event.timestamp
        delivery.ended_clock = event.clock
        state, reason = end_of(event)
        if isinstance(event, TaskSucceeded):
            result = result_of(event) if type(event) is TaskSucceededInFull else None
            runtime = event.runtime
            delivery.run = runtime if runtime is not None and runtime < ENDLESS else None
            self._progress.end(task, delivery, state, result=result)
        else:
            self._end_oddly(task, delivery, event, state=state, reason=reason)
        self._progress.update(task, now, reason=reason)

    def _end_oddly(
        self, task: Task, delivery: Delivery, event: EndEvent, *, state: State, reason: str | None
    ) -> None:
        exception = traceback = error = None
        if isinstance(event, TaskFailed | TaskRetried):
            exception, traceback = event.exception, event.traceback
            if isinstance(event, TaskRetried):
                exception = cause_of(exception)
            error = error_type(exception, traceback)
            if state is _FAILURE:
                task.error_type = error
        self._progress.end(
            task,
            delivery,
            state,
            reason=reason,
            failure=(error, exception, traceback),
        )

    def _delivery_to_end(self, task: Task, event: EndEvent, lane: Lane) -> Delivery | None:
        """Find or make the delivery that ended; None for a duplicate or a second end."""
        here = task.on_lane(lane)
        for each in here:
            if each.ended_clock != -1 and same(
                each.ended_clock, event.clock, each.ended_at, event.timestamp
            ):
                self._duplicate(lane)
                return None
        if chosen := to_end(event, here):
            return chosen
        for each in here:
            if each.inferred:  # given up too early: this is how it really ended
                return each
        if any(each.state in ENDS for each in here) or (
            isinstance(event, TaskRetried) and any(each.state is _RETRY for each in here)
        ):
            self._emit(_LATE)  # Celery 5.7 tells some failures twice
            return None
        return self._implied(task, lane)

    def _duplicate(self, lane: Lane) -> None:
        lane.duplicates += 1
        self._emit(_DUPLICATE)
