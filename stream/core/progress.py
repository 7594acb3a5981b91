"""The state of each task, derived from its deliveries, and what is told when it changes.

A delivery ends once and is told once; a task is told to be finished once. What comes to light later
is told as a revision.
"""

from collections.abc import Callable, Iterator
from typing import Final

from ..events import TaskReceived, TaskSent
from .effects import Arguments, AttemptEnded, Effect, Odd, Oddity, TaskFinished, TaskRevised
from .kinds import Kind, Kinds
from .lanes import Lane
from .states import State
from .stuck import stuck_ended
from .tables import LATER, SLOT_OF, STARTED, STUCK, UNSURE, TaskTable
from .task import ENDED, FIRST_ATTEMPT, GIVEN_UP, OPEN, Delivery, Task, outcome, waiting_state
from .traces import UNTRACED, Traces

MAX_DELIVERIES: Final = 64
"""Of one task; beyond it the oldest ended one is dropped (``chord_unlock`` retries for hours)."""
_RETURNED: Final = frozenset({State.REQUEUED, State.CANCELLED})
"""Ends of a delivery after which the broker gives the message to somebody else."""
_CLAMPED: Final = Odd(Oddity.SKEW_CLAMPED)
# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_STARTED: Final = State.STARTED
_SUCCESS: Final = State.SUCCESS
_RETRY: Final = State.RETRY
_FAILURE: Final = State.FAILURE

Failure = tuple[str | None, str | None, str | None]
"""Class, exception and traceback."""
NO_FAILURE: Final[Failure] = (None, None, None)


class Progress:
    """Moves tasks through the tables and says what ended.

    Args:
        tasks: the tables.
        kinds: the interned (name, queue) pairs.
        traces: which trace each task belongs to.
        emit: takes each effect.
        ran: told how long each run took that succeeded.
    """

    def __init__(
        self,
        tasks: TaskTable,
        kinds: Kinds,
        *,
        traces: Traces,
        emit: Callable[[Effect], None],
        ran: Callable[[Kind, float], None],
    ) -> None:
        self._tasks = tasks
        self._ran = ran
        self._kinds = kinds
        self._traces = traces
        self._emit = emit
        self.returned: dict[str, float] = {}
        """Tasks whose message went back to the broker, and when: in that order."""

    def end(
        self,
        task: Task,
        delivery: Delivery,
        state: State,
        *,
        inferred: bool = False,
        reason: str | None = None,
        failure: Failure = NO_FAILURE,
        result: str | None = None,
    ) -> None:
        """Close a delivery and tell it, once: a real end after an inferred one is only noted."""
        lane = delivery.lane
        told = delivery.inferred
        if delivery.state is _STARTED and lane is not None:
            stop_running(lane, task.uuid)
        delivery.state, delivery.inferred = state, inferred
        if delivery.run is not None:
            delivery.run = self._clamp(delivery.run)
        elif (
            state not in GIVEN_UP
            and delivery.started_at is not None
            and delivery.ended_at is not None
        ):
            delivery.run = self._clamp(delivery.ended_at - delivery.started_at)
        if told:
            return
        if state in _RETURNED:
            self.returned.pop(task.uuid, None)
            self.returned[task.uuid] = delivery.on_our_clock(delivery.ended_at) or 0.0
        kind = delivery.kind or task.kind
        if state is _SUCCESS and delivery.run is not None:
            self._ran(kind, delivery.run)
        wait, trace, arguments = delivery.wait, delivery.trace, delivery.arguments
        self._emit(
            AttemptEnded(
                task.uuid,
                kind,
                delivery.retries,
                delivery.ordinal,
                state,
                inferred,
                None if lane is None else lane.hostname,
                None if lane is None else lane.pid,
                task.root_id,
                task.parent_id,
                task.parent_attempt or FIRST_ATTEMPT,
                delivery.sent,
                delivery.on_our_clock(delivery.received_at),
                delivery.on_our_clock(delivery.started_at),
                delivery.ended or 0.0,
                wait if wait is None or wait > 0.0 else 0.0,  # counted when it started
                delivery.run,
                *failure,
                reason,
                None if trace is UNTRACED else trace or self._traces.of(task, delivery),
                delivery.ordinal > 0 or delivery.redelivered,
                None if arguments is None else Arguments(*arguments),
                result,
                task.sent_ordinal(delivery),
            )
        )

    # -- given up ------------------------------------------------------------------------------

    def give_up(
        self, task: Task, delivery: Delivery, state: State, *, at: float, reason: str
    ) -> None:
        """Nobody will tell how this ended.

        Args:
            task: the task.
            delivery: the one of its deliveries that is given up.
            state: LOST or UNKNOWN.
            at: now, our clock.
            reason: why, for the effect; from a closed set.
        """
        if delivery.state not in OPEN:
            delivery = self._next(task, delivery)
        offset = 0.0 if delivery.lane is None else delivery.lane.offset
        delivery.ended_at = at - offset
        self.end(task, delivery, state, inferred=True, reason=reason)
        self.update(task, at, reason=reason)

    def _next(self, task: Task, ended: Delivery) -> Delivery:
        """The delivery that should have followed one that ended, and of which nothing was seen."""
        if ended.state is _RETRY:
            delivery = Delivery(ended.retries + 1)
        else:
            delivery = again(task, ended.retries)
        self.add(task, delivery)
        return delivery

    def not_redelivered(self, before: float) -> Iterator[Task]:
        """Take out the tasks that went back to the broker and that no worker took since."""
        while self.returned:
            uuid, at = next(iter(self.returned.items()))
            if at > before:
                return
            del self.returned[uuid]
            task = self._tasks.by_uuid.get(uuid)
            if task is not None and not task.finished and task.last.state in _RETURNED:
                yield task

    def requeue(self, task: Task, delivery: Delivery, *, at: float) -> None:
        """The worker that held the message died before it began: the broker gives it again."""
        offset = 0.0 if delivery.lane is None else delivery.lane.offset
        delivery.ended_at = at - offset
        self.end(task, delivery, State.REQUEUED, inferred=True, reason="worker_lost")
        self.update(task, at)

    # -- state ---------------------------------------------------------------------------------

    def enter(self, task: Task, delivery: Delivery, now: float) -> None:
        """Take in a task that was not known, with its first delivery."""
        task.straight = False
        slot = SLOT_OF[delivery.state]
        task.since = now
        if delivery.eta is not None and delivery.eta > now:
            slot += LATER
            task.since = delivery.eta
        if self._traces.peeked:
            self._traces.claim(task, delivery)
        self._tasks.enter(task, slot)
        if slot >= LATER:
            self._tasks.wait_until(task, task.since)
        for surplus in self._tasks.surplus():
            self.give_up(surplus, surplus.last, State.UNKNOWN, at=now, reason="evicted")
            self._emit(Odd(Oddity.EVICTED))

    def add(self, task: Task, delivery: Delivery) -> None:
        """Give a task another delivery."""
        if self._traces.peeked:
            self._traces.claim(task, delivery)
        task.add(delivery)
        past = task.past
        if past is not None and len(past) > MAX_DELIVERIES:
            spare = [each for each in past if each is not task.first_sent]
            dropped = next((each for each in spare if each.state not in OPEN), spare[0])
            task.starts_dropped += dropped.started_at is not None
            if dropped.state is _STARTED and dropped.lane is not None:
                stop_running(dropped.lane, task.uuid)
            past.remove(dropped)

    def learn(
        self,
        task: Task,
        delivery: Delivery,
        event: TaskSent | TaskReceived,
        *,
        queue: str | None,
    ) -> None:
        """Take over what was not known of a task, or what is newer.

        What it was before its other deliveries stay: a retry may go to another queue, and
        ``self.replace`` makes it another task.
        """
        if task.root_id is None:
            task.root_id = event.root_id
        if task.parent_id is None and event.parent_id != task.uuid:
            task.parent_id = event.parent_id
        kind = task.kind
        name = event.name or kind.name
        if (queue is None or queue == kind.queue) and name == kind.name:
            return
        learned = self._kinds.get(name, queue or kind.queue)
        renamed = kind.name is not None and name != kind.name
        if renamed or (kind.queue is not None and queue is not None and queue != kind.queue):
            for each in task.deliveries():
                if each is not delivery and each.lane is not None:
                    each.kind = each.kind or kind
        if task.finished:
            task.kind = learned
        elif learned is not kind:
            self._tasks.move(task, task.slot, learned)

    def update(self, task: Task, now: float, *, reason: str | None = None) -> None:
        """Bring the task's state in line with its deliveries."""
        task.straight = False
        last = task.last
        state = last.state
        if task.past is not None or state not in OPEN:  # rarely, but at the end
            decided = outcome(task)
            if decided is not None:
                self._finish(task, decided, now, reason=reason)
                return
            state = waiting_state(task)
        if task.slot == ENDED:
            return  # it ran again: what that yields is told as a revision
        slot = SLOT_OF[state]
        since = now
        if slot != STARTED and last.eta is not None and last.eta > now:
            slot += LATER
            since = last.eta
        band = task.slot - task.slot % LATER
        if slot % LATER == task.slot % LATER:
            if slot < LATER and band != LATER:
                return  # waits as before, perhaps judged
            if slot >= LATER and band == LATER and since == task.since:
                return
        if band == STUCK:
            self._emit(stuck_ended(task, self._traces.of(task, last), now))
        task.since = since
        self._tasks.move(task, slot, task.kind)
        if slot >= LATER:
            self._tasks.wait_until(task, since)

    def come_due(self, task: Task, now: float) -> None:
        """A task's ETA has come: from now on it waits in earnest."""
        self._tasks.move(task, task.slot - LATER, task.kind)
        task.since = now

    def _finish(self, task: Task, decided: Delivery, now: float, *, reason: str | None) -> None:
        state, was = decided.state, task.state
        if task.finished:
            if state is not was:
                task.end = state
                self._emit(self._revised(task, decided, was=was, now=now))
            return
        if STUCK <= task.slot < UNSURE:
            self._emit(stuck_ended(task, self._traces.of(task, task.last), now))
        task.end = state
        self._tasks.finish(task, now)
        ended = decided.ended
        self._emit(
            TaskFinished(
                task.uuid,
                task.kind,
                state,
                decided.inferred,
                task.root_id,
                task.error_type if state is _FAILURE else None,
                reason,
                decided.retries + (decided.lane is not None or decided.sent_at is not None),
                decided.run,
                None if state in GIVEN_UP else self._total(task, ended),
                now if ended is None else ended,
            )
        )

    def _revised(self, task: Task, decided: Delivery, *, was: State, now: float) -> TaskRevised:
        return TaskRevised(
            task.uuid,
            task.kind,
            was,
            decided.state,
            decided.retries,
            decided.ordinal,
            None if decided.lane is None else decided.lane.hostname,
            task.root_id,
            self._traces.of(task, decided),
            now,
        )

    # -- latencies -----------------------------------------------------------------------------

    def _total(self, task: Task, ended: float | None) -> float | None:
        first = task.first_sent
        if first is None or ended is None or first.retries or first.sent is None:
            return None
        return self._clamp(ended - first.sent)

    def clamped(self, seconds: float | None) -> float | None:
        """Set a negative duration to 0 and count it: the skew is not known better."""
        return None if seconds is None else self._clamp(seconds)

    def _clamp(self, seconds: float) -> float:
        if seconds >= 0.0:
            return seconds
        self._emit(_CLAMPED)
        return 0.0


def again(task: Task, retries: int, lane: Lane | None = None) -> Delivery:
    """Make a further delivery of the message of an attempt that had one."""
    attempt = task.of_attempt(retries)
    first = attempt[0]
    return Delivery(retries, len(attempt), lane=lane, trace=first.trace, arguments=first.arguments)


def leave_lanes(task: Task) -> None:
    """A task is forgotten: runs of it that never ended, beside one that did, are over."""
    for delivery in task.deliveries():
        if delivery.state is _STARTED and delivery.lane is not None:
            stop_running(delivery.lane, task.uuid)


def stop_running(lane: Lane, uuid: str) -> None:
    """One delivery of a task does not run on its worker any more."""
    running = lane.running
    if (left := running.pop(uuid, 1) - 1) > 0:
        running[uuid] = left
