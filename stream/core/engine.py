"""The machine: events and time in, effects out. Pure, deterministic, one caller.

The engine never asks a clock: it is told the time with everything it is given, and what depends on
time alone (lost workers, stuck tasks, what is forgotten) happens only when a tick says so. So the
same input in the same order gives the same effects, whatever the batch boundaries.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from ..config import BeatRule, BeatSettings, Graces, StuckLimits, StuckRule
from ..events import (
    Event,
    Inspected,
    KnownEvent,
    OtherEvent,
    QueueDepth,
    QueueSample,
    Subscribed,
    TaskCancelled,
    TaskFailed,
    TaskReceived,
    TaskReceivedInFull,
    TaskRejected,
    TaskRetried,
    TaskRevoked,
    TaskSent,
    TaskSentInFull,
    TaskStarted,
    TaskSucceeded,
    TaskSucceededInFull,
    WorkerHeartbeat,
    WorkerOffline,
    WorkerOnline,
)
from .early import PATIENCE, Early
from .effects import Effect, GapMarked, TaskForgotten
from .kinds import Kind, Kinds
from .lanes import Lane
from .lifecycle import Lifecycle
from .limits import History, PhaseLimits
from .look import Looked, Overdue, TaskLook, find, look, overdue
from .periodic import Periodic
from .progress import Progress, leave_lanes
from .queues import QueueTable
from .record import WorkerRecord, record_of
from .search import Search
from .snapshot import EngineState, Numbers, seal, task_of, traces_of, unseal
from .states import State
from .straight import Straight
from .stuck import StuckWatch
from .tables import LATER, SLOT_OF, STUCK, UNSURE, TaskTable
from .traces import UNTRACED, Traces
from .view import TaskGauge, View
from .workers import Workers

_PRUNE_INTERVAL: Final = 60.0
"""Seconds between two sweeps over small tables."""


class Limits(Struct, frozen=True):
    """How much the engine may hold."""

    tasks: int = 1_000_000
    """In flight; about 700 bytes each."""
    remembered: int = 50_000
    """Ended tasks that are still recognised: two seconds of a very busy cluster, 30 MB."""
    kinds: int = 2_000
    lanes: int = 20_000
    queues: int = 1_000
    traces: int = 10_000
    """Of messages seen in the broker before any event, and of trees that were forgotten; 5 MB."""


class Engine:
    """Follows the tasks, workers and queues of a cluster.

    Args:
        limits: of the tables.
        graces: how long to wait before giving something up.
        stuck: limits of the phases.
        stuck_rules: limits of their own for some task names.
        beat: whether intervals of sending are learned.
        beat_rules: those that are declared.
        records: tell the whole record of each task and worker when it is forgotten.
        long_wait: seconds of waiting from which `WaitedLong` is told; None: never.
        beginnings: tell `AttemptBegan` of each attempt.
        in_one: tell the end of a task that went as usual in one effect, `Succeeded`.
        patience: seconds that what a worker tells of a task waits for the producer's word, which
            tells its queue; 0: not at all. As long as `PATIENCE` wherever real traffic is read.
        straight: take what is as usual the short way, which changes no effect; the tests compare.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        graces: Graces | None = None,
        *,
        stuck: StuckLimits | None = None,
        stuck_rules: tuple[StuckRule, ...] = (),
        beat: BeatSettings | None = None,
        beat_rules: tuple[BeatRule, ...] = (),
        records: bool = False,
        long_wait: float | None = None,
        beginnings: bool = False,
        in_one: bool = False,
        patience: float = 0.0,
        straight: bool = True,
    ) -> None:
        limits = limits or Limits()
        self.graces = graces or Graces()
        self._effects: list[Effect] = []
        emit = self._effects.append
        self._emit = emit
        self._records = records
        self._now = 0.0
        self._pruned_at = 0.0
        self._last_event_at: float | None = None
        self._tasks = TaskTable(
            in_flight_limit=limits.tasks, remembered_limit=limits.remembered, in_order=records
        )
        stuck = stuck or StuckLimits()
        self._queues = QueueTable(
            limits.queues, stall_after=stuck.queued or float("inf"), emit=emit
        )
        self._limits = PhaseLimits(stuck, stuck_rules)
        self._kinds = Kinds(limits.kinds)
        self._traces = Traces(self._tasks.by_uuid, limit=limits.traces)
        self._progress = Progress(
            self._tasks, self._kinds, traces=self._traces, emit=emit, ran=self._limits.learn
        )
        self._periodic = Periodic(
            beat_rules, self._kinds, learn=beat is None or beat.learn, emit=emit
        )
        self._early = Early(patience, apply=self._apply, kept=self._tasks.reserve)
        self._lifecycle = Lifecycle(
            self._tasks,
            self._kinds,
            self._progress,
            traces=self._traces,
            early=self._early,
            periodic=self._periodic,
            emit=emit,
            consumed=self._queues.consume,
            heard_queue=self._queues.hear_of,
            long_wait=float("inf") if long_wait is None else long_wait,
            beginnings=beginnings,
        )
        self._workers = Workers(
            self._tasks,
            self._progress,
            emit,
            graces=self.graces,
            limit=limits.lanes,
            records=records,
        )
        self._stuck = StuckWatch(
            self._tasks, self._queues, self._limits, traces=self._traces, emit=emit
        )
        # The handlers take the class they are filed under, which a mapping's type cannot say.
        self._handlers: dict[type[Event], Callable[[Any, Any, float], None]] = {
            TaskSent: self._lifecycle.sent,
            TaskSentInFull: self._lifecycle.sent_in_full,
            TaskReceived: self._lifecycle.received,
            TaskReceivedInFull: self._lifecycle.received_in_full,
            TaskStarted: self._lifecycle.started,
            TaskSucceeded: self._lifecycle.ended,
            TaskSucceededInFull: self._lifecycle.ended,
            TaskFailed: self._lifecycle.ended,
            TaskRetried: self._lifecycle.ended,
            TaskRejected: self._lifecycle.ended,
            TaskRevoked: self._lifecycle.ended,
            TaskCancelled: self._lifecycle.ended,
            WorkerOnline: self._beat,
            WorkerHeartbeat: self._beat,
            WorkerOffline: self._offline,
        }
        usual = Straight(
            self._tasks,
            self._kinds,
            workers=self._workers,
            queues=self._queues,
            traces=self._traces,
            early=self._early,
            periodic=self._periodic,
            general=self._lifecycle,
            others=self._take_one,
            emit=emit,
            ran=self._limits.learn,
            long_wait=float("inf") if long_wait is None else long_wait,
            beginnings=beginnings,
            in_one=in_one,
        )
        self._take = usual.take if straight else self._take_generally

    # -- input ---------------------------------------------------------------------------------

    def feed(self, events: Iterable[Event], now: float, source: str = "") -> list[Effect]:
        """Take in events that arrived at *now*.

        Returns the effects, in a list that the next call empties.
        """
        effects = self._begin(now)
        now = self._now
        last = self._take(events, now)
        self._last_event_at = now
        broker = self._queues.broker(source)
        broker.last_frame_at = now
        if last is not None:
            broker.behind = self._workers.behind(last, now)
        return effects

    def _take_generally(self, events: Iterable[Event], now: float) -> KnownEvent | None:
        last: KnownEvent | None = None
        for event in events:
            if not isinstance(event, OtherEvent):
                self._take_one(event, now)
                last = event
        return last

    def _take_one(self, event: KnownEvent, now: float) -> None:
        self._handlers[type(event)](event, self._workers.hear(event, now), now)

    def sample(self, sample: QueueSample) -> list[Effect]:
        """Take in a poll of the queue keys."""
        effects = self._begin(sample.received_at)
        now = self._now
        if sample.received_at < now:
            sample = structs.replace(sample, received_at=now)
        self._queues.sample(sample, self._sent_at)
        self._queues.judge(sample.source, now, workers=self._workers.any_online())
        for name, since in self._queues.emptied(sample.source):
            self._workers.give_up_sent(name, since, now)
        for queue in sample.queues:
            self._learn_time_limit(queue)
            for message in queue.waiting:
                self._traces.peek(message)
        return effects

    def _learn_time_limit(self, queue: QueueDepth) -> None:
        task = self._tasks.by_uuid.get(queue.oldest or "")
        if task is not None and task.kind.name is not None and queue.oldest_timelimit:
            self._limits.time_limits[task.kind.name] = queue.oldest_timelimit

    def subscribed(self, mark: Subscribed) -> list[Effect]:
        """Take note that a subscription began (again)."""
        effects = self._begin(mark.received_at)
        broker = self._queues.broker(mark.source)
        broker.epoch = mark.epoch
        if mark.silent_since is not None:
            self._workers.deaf_until = self._now
            since = broker.read_up_to(mark.silent_since)
            seconds = max(0.0, mark.received_at - since)
            broker.gap_seconds += seconds
            self._periodic.gap(self._now)
            self._emit(GapMarked(mark.source, mark.epoch, seconds, self._now))
        return effects

    def inspected(self, answer: Inspected) -> list[Effect]:
        """Take in what a worker answered."""
        effects = self._begin(answer.received_at)
        self._workers.inspected(answer)
        for queue in answer.queues or ():
            self._queues.hear_of(queue)
        return effects

    def tick(self, now: float, *, deaf: bool = False) -> list[Effect]:
        """Let time pass: judge workers and tasks, forget what is over.

        Args:
            now: our clock.
            deaf: nothing could be heard: that somebody is silent is not held against him.
        """
        effects = self._begin(now)
        now = self._now
        if deaf:
            self._workers.deaf_until = now
        for task in self._tasks.due(now):
            self._progress.come_due(task, now)
        self._workers.look(now)
        self._workers.give_up_silent(now)
        self._stuck.look(now)
        self._periodic.look(now)
        for task in self._tasks.forget(now - self.graces.remembered):
            if task.past is not None:
                leave_lanes(task)
            if self._records:
                self._emit(TaskForgotten(task.first_seen, record_of(task)))
            if task.trace is not UNTRACED:
                self._traces.forget(task)
        if now - self._pruned_at >= _PRUNE_INTERVAL:
            self._pruned_at = now
            self._tasks.prune()
            self._workers.prune(now)
        return effects

    def _begin(self, now: float) -> list[Effect]:
        self._effects.clear()
        self._now = max(self._now, now)  # a clock that is set back must not turn time back
        if self._early.due_at <= self._now:
            self._early.pass_time(self._now)
        return self._effects

    def _beat(self, event: WorkerOnline | WorkerHeartbeat, lane: Lane, now: float) -> None:
        self._release_early(lane, now)
        self._workers.beat(event, lane, now)

    def _offline(self, event: WorkerOffline, lane: Lane, now: float) -> None:
        self._release_early(lane, now)
        self._workers.offline(event, lane, now)

    def _release_early(self, lane: Lane, now: float) -> None:
        if self._early.waiting and now - lane.beat_at < PATIENCE:
            self._early.release(lane, now)

    def _apply(self, event: Event, lane: Lane, now: float) -> None:
        """Take in an event that was kept."""
        self._handlers[type(event)](event, lane, now)

    def _sent_at(self, uuid: str) -> float | None:
        task = self._tasks.by_uuid.get(uuid)
        return None if task is None else task.last.sent

    # -- snapshots -----------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Everything that is known, to go on from elsewhere with `restore`."""
        numbers = Numbers()
        for kind in self._kinds.all():
            numbers.kind(kind)
        lanes_known, newest = self._workers.state(numbers)
        tables = self._tasks.state(numbers)
        early = self._early.rows(numbers.lane)
        rows = [numbers.row(task) for task in numbers.tasks]
        return seal(
            EngineState(
                now=self._now,
                pruned_at=self._pruned_at,
                last_event_at=self._last_event_at,
                kinds=[(kind.name, kind.queue) for kind in self._kinds.all()[1:]],
                kinds_overflowed=self._kinds.overflowed,
                lanes=numbers.lanes,
                lanes_known=lanes_known,
                newest=newest,
                ghosts_looked_for_at=self._workers.ghosts_looked_for_at,
                deaf_until=self._workers.deaf_until,
                traces=numbers.traces,
                tasks=rows,
                tables=tables,
                returned=self._progress.returned,
                early=early,
                untold=sorted(self._early.untold),
                never_sent=self._lifecycle.never_sent,
                anything_sent=self._lifecycle.anything_sent,
                histories=[
                    (numbers.kind(kind), history.counts, history.total)
                    for kind, history in self._limits.histories.items()
                ],
                time_limits=self._limits.time_limits,
                queues=self._queues.queues(),
                brokers=self._queues.brokers,
                queue_names=list(self._queues.names),
                consumed=self._queues.consumed,
                queues_overflowed=self._queues.overflowed,
                peeked=self._traces.peeked,
                roots=self._traces.roots,
                rhythms=self._periodic.rows(numbers.kind),
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Become the engine that made a snapshot. Only a new engine may be restored.

        Raises:
            SnapshotError: the bytes are damaged, of another version, or no snapshot at all.
        """
        state = unseal(snapshot)
        self._now, self._pruned_at = state.now, state.pruned_at
        self._last_event_at = state.last_event_at
        kinds = self._kinds.restore(state.kinds)
        self._kinds.overflowed = state.kinds_overflowed
        lanes, traces = state.lanes, traces_of(state)
        tasks = [task_of(row, kinds, lanes=lanes, traces=traces) for row in state.tasks]
        self._workers.restore(
            lanes[: state.lanes_known], [lanes[number] for number in state.newest]
        )
        self._workers.ghosts_looked_for_at = state.ghosts_looked_for_at
        self._workers.deaf_until = state.deaf_until
        self._tasks.restore(state.tables, tasks, kinds)
        self._traces.restore(self._tasks.by_uuid, state.peeked, state.roots)
        self._progress.returned = state.returned
        lifecycle = self._lifecycle
        self._periodic.restore(state.rhythms, kinds)
        self._early.restore(state.early, state.untold, lanes)
        lifecycle.never_sent, lifecycle.anything_sent = state.never_sent, state.anything_sent
        for number, counts, total in state.histories:
            self._limits.histories[kinds[number]] = History(counts, total)
        self._limits.time_limits = state.time_limits
        self._queues.restore(state.queues, state.brokers, state.queue_names, state.consumed)
        self._queues.overflowed = state.queues_overflowed

    # -- readings ------------------------------------------------------------------------------

    @property
    def queue_names(self) -> tuple[str, ...]:
        """The queues that events named."""
        return tuple(self._queues.names)

    def workers_listening(self) -> tuple[tuple[str, int, bool], ...]:
        """Whose heartbeats come: hostname, pid, and whether it runs tasks and tells nothing."""
        return self._workers.listening()

    def worker_records(self) -> tuple[WorkerRecord, ...]:
        """The records of all processes that are or were workers and are not forgotten yet."""
        return self._workers.records()

    def task(self, uuid: str) -> TaskLook | None:
        """Look at one task; None where it is not known or not any more."""
        task = self._tasks.by_uuid.get(uuid)
        return None if task is None else look(task)

    def find(self, search: Search, *, limit: int, budget: int) -> Looked:
        """Look for tasks in flight, as `look.find` does."""
        return find(self._tasks, search, limit=limit, budget=budget)

    def overdue(self, limit: int) -> tuple[Overdue, ...]:
        """Return the tasks that are over the limit of their phase."""
        return overdue(self._tasks, self._limits, limit=limit)

    def view(self, now: float) -> View:
        """Read the gauges from the tables."""
        now = max(now, self._now)
        return View(
            now,
            self._task_gauges(now),
            self._workers.gauges(),
            self._queues.queue_gauges(now),
            self._queues.broker_gauges(now),
            self._tasks.in_flight,
            self._tasks.remembered,
            self._last_event_at,
            self._periodic.gauges(now),
            (
                ("in_flight", self._tasks.given_up),
                ("remembered", self._tasks.forgotten_early),
                ("kinds", self._kinds.overflowed),
                ("processes", self._workers.dropped),
                ("queues", self._queues.overflowed),
                ("peeked", self._traces.peeked_dropped),
                ("roots", self._traces.roots_dropped),
            ),
        )

    def prefetched(self) -> Mapping[tuple[str | None, str | None], int]:
        """How many tasks each worker holds that could begin, by its node name and their name."""
        return self._tasks.prefetched()

    def _task_gauges(self, now: float) -> tuple[TaskGauge, ...]:
        return tuple(
            gauge
            for state, slot in SLOT_OF.items()
            for kind in self._tasks.kinds_in(slot)
            for gauge in (self._task_gauge(kind, state, slot, now),)
            if gauge.count
        )

    def _task_gauge(self, kind: Kind, state: State, slot: int, now: float) -> TaskGauge:
        row = self._tasks.rows[kind]
        waiting, later = row[slot], row[slot + LATER]
        stuck, unsure = row[slot + STUCK], row[slot + UNSURE]
        fronts = [
            next(iter(members.values())).since for members in (waiting, stuck, unsure) if members
        ]
        return TaskGauge(
            kind,
            state,
            len(waiting) + len(later) + len(stuck) + len(unsure),
            max(0.0, now - min(fronts)) if fronts else 0.0,
            len(stuck),
            len(unsure),
        )
