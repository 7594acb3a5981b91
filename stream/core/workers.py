"""The workers: which are there, and what becomes of the work of those that are not.

A worker process is *suspect* when it is silent for longer than its heartbeats allow: a solo pool
that works looks like that, and so does one that was stopped and will go on. It is *lost* only after
a long grace. What it was running then ended unseen; what it had only fetched goes back to the queue
when the broker notices.
"""

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Final

from ..config import Graces
from ..events import Inspected, KnownEvent, WorkerHeartbeat, WorkerOffline, WorkerOnline
from .effects import Advice, Advised, Effect, EventsMissed, WorkerChanged, WorkerForgotten
from .lanes import IDLE_BEATS, Lane
from .progress import Progress
from .record import WorkerRecord, worker_record_of
from .snapshot import Numbers
from .states import State, WorkerState
from .tables import LATER, RECEIVED, SENT, SLOTS, STUCK, UNSURE, TaskTable
from .task import Delivery, Task
from .view import WorkerGauge

ALIVE: Final = frozenset({WorkerState.ONLINE, WorkerState.SUSPECT})
_HELD: Final = frozenset({State.RECEIVED, State.STARTED})
_FETCHED: Final = frozenset({State.RECEIVED})
_IN_ORDER: Final = (*range(LATER), *range(STUCK, SLOTS))
"""The tables whose front is the task that waits longest."""
_FORGET_PRODUCER: Final = 600.0
"""Seconds: each web process is one, and they come and go."""
_FORGET_WORKER: Final = 3600.0
"""Seconds for which a worker that went is still shown."""
_MARGIN: Final = 1.0
"""Seconds by which the clock of a worker may be wrong here although it was corrected."""
_GHOST_LOOK: Final = 10.0
"""Seconds between two searches for fetched work that ran unseen: each reads all fetched tasks."""


class Workers:
    """All lanes, and the judgement over those that are workers.

    Args:
        limit: of lanes; those not heard of for longest go first.
        records: tell a worker's whole record when it is forgotten.
    """

    def __init__(
        self,
        tasks: TaskTable,
        progress: Progress,
        emit: Callable[[Effect], None],
        *,
        graces: Graces,
        limit: int,
        records: bool,
    ) -> None:
        self._records = records
        self._tasks = tasks
        self._progress = progress
        self._emit = emit
        self._graces = graces
        self._limit = limit
        self.lanes: dict[tuple[str, int], Lane] = {}
        """By hostname and pid."""
        self.by_hostname: dict[str, Lane] = {}
        """The one of each hostname that was heard last: nearly always it is the only one."""
        self._newest: dict[str, Lane] = {}
        self.ghosts_looked_for_at = 0.0
        self.deaf_until = 0.0
        """Until when we ourselves did not hear anybody, so that silence says nothing."""
        self.dropped = 0
        """Lanes that left because there were too many."""

    def hear(self, event: KnownEvent, now: float) -> Lane:
        """Return the lane of an event, and take note of its times."""
        key, timestamp = (event.hostname, event.pid), event.timestamp
        lane = self.lanes.get(key) or self._new_lane(key)
        lane.heard_at = now
        # What `Lane.hear` looks for: nearly always there is nothing.
        if now - timestamp < lane.low or now >= lane.window_ends_at:
            lane.hear(timestamp, now)
        self.by_hostname[lane.hostname] = lane
        return lane

    def behind(self, event: KnownEvent, now: float) -> float:
        """Seconds that an event which was just heard was on its way."""
        lane = self.lanes.get((event.hostname, event.pid))
        return 0.0 if lane is None else max(0.0, now - event.timestamp - lane.offset)

    def _new_lane(self, key: tuple[str, int]) -> Lane:
        """Make the lane of a process, (hostname, pid), that was not heard of."""
        if len(self.lanes) >= self._limit:
            self._drop_quiet_lanes()
        lane = self.lanes[key] = Lane(*key)
        return lane

    def __len__(self) -> int:
        return len(self.lanes)

    # -- events --------------------------------------------------------------------------------

    def beat(self, event: WorkerOnline | WorkerHeartbeat, lane: Lane, now: float) -> None:
        """A worker says that it is there."""
        if lane.is_succeeded_by(event, now):
            lane = self._succeed(lane, event, now)
        if not self._fresh(event.clock, lane):
            return
        if lane.state is None:
            self._newest[lane.hostname] = lane
        self._missed(lane, lane.beat(event, now))
        self._change(lane, WorkerState.ONLINE, now)
        if lane.is_mute and not lane.advised:
            lane.advised = True
            self._emit(Advised(Advice.EVENTS_DISABLED, lane.hostname, now))

    def offline(self, event: WorkerOffline, lane: Lane, now: float) -> None:
        """A worker says goodbye."""
        if self._fresh(event.clock, lane):
            self._missed(lane, lane.beat(event, now))
            self._change(lane, WorkerState.OFFLINE, now)

    def _succeed(self, lane: Lane, event: KnownEvent, now: float) -> Lane:
        """Give the place of a process to the one that came after it; its work is given up."""
        if lane.state in ALIVE:
            self._change(lane, WorkerState.LOST, now)
        if lane.holds_work:
            self._take_back({id(lane)}, _HELD, now)
        self._forget(lane)
        return self.hear(event, now)

    def _fresh(self, clock: int, lane: Lane) -> bool:
        if lane.beat_clock >= clock > 0:
            lane.duplicates += 1
            return False
        return True

    def _missed(self, lane: Lane, count: int) -> None:
        if count:
            self._emit(EventsMissed(lane.hostname, lane.pid, count))

    def _change(self, lane: Lane, state: WorkerState, now: float) -> None:
        was, lane.state = lane.state, state
        if was is not state:
            self._emit(WorkerChanged(lane.hostname, lane.pid, was, state, now))

    def inspected(self, answer: Inspected) -> None:
        """A worker answered what it is, or what it runs."""
        lane = self._newest.get(answer.hostname)
        if answer.pid is not None:
            lane = self.lanes.get((answer.hostname, answer.pid))
        if lane is None:
            return
        lane.pool = lane.pool if answer.pool is None else answer.pool
        lane.queues = lane.queues if answer.queues is None else answer.queues
        if answer.active is not None and answer.asked_at > lane.inspected_at:
            lane.inspected_at = answer.asked_at
            self._compare(lane, set(answer.active), answer)

    def _compare(self, lane: Lane, active: set[str], answer: Inspected) -> None:
        """Note which of the tasks that we think are running there are, and which are not.

        What is not ended before it was asked, but for what began while the question was on its
        way; the end of it may be on its way now.
        """
        lane.listed = {uuid: None for uuid in lane.running if uuid in active}
        lane.absent = {
            task.uuid: lane.absent.get(task.uuid, answer.received_at)
            for task, delivery in self._running(lane)
            if task.uuid not in active and _began_before(delivery, answer.asked_at)
        }

    # -- time ----------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Judge all workers, and give up what those had that are gone."""
        workers = [lane for lane in self.lanes.values() if lane.state is not None]
        gone = {id(lane) for lane in workers if self._judge(lane, now)}
        left = {id(lane) for lane in workers if self._gives_back(lane, now)} - gone
        online = [lane for lane in workers if lane.state is WorkerState.ONLINE]
        for lane in online:
            if lane.absent:
                self._give_up_absent(lane, now)
            self._give_up_ghosts(lane, now)
        if gone:
            self._take_back(gone, _HELD, now)
        if left:
            self._take_back(left, _FETCHED, now)
        idle = {id(lane) for lane in online if lane.unseen and lane.idle_beats >= IDLE_BEATS}
        if idle and now - self.ghosts_looked_for_at >= _GHOST_LOOK:
            self.ghosts_looked_for_at = now
            self._give_up_fetched(idle, now)

    def _judge(self, lane: Lane, now: float) -> bool:
        """Move a worker from state to state; True when its work is to be given up.

        One that said goodbye goes on with what it runs: a warm shutdown waits for it, and sends
        no heartbeats meanwhile. One that was given up and got work since has to be again.
        """
        silent = self._silence(lane.beat_at, now)
        graces = self._graces
        if silent > 2 * lane.freq:
            self._missed(lane, lane.measure())
        if lane.state is WorkerState.OFFLINE:
            return lane.holds_work and silent > self._patience(lane)
        if lane.state is WorkerState.LOST:
            return lane.holds_work and self._silence(lane.heard_at, now) > self._patience(lane)
        if silent > self._patience(lane):
            self._change(lane, WorkerState.LOST, now)
            return True
        if silent > max(graces.suspect, 3 * lane.freq):
            self._change(lane, WorkerState.SUSPECT, now)
        return False

    def _gives_back(self, lane: Lane, now: float) -> bool:
        """Whether what a worker had only fetched when it said goodbye is to be expected anew.

        True once: the broker has it again.
        """
        silent = self._silence(lane.beat_at, now)
        left = lane.state is WorkerState.OFFLINE and silent > self._graces.offline
        if not (left and lane.holds_work) or lane.gave_back:
            return False
        lane.gave_back = True
        return True

    def _silence(self, since: float, now: float) -> float:
        """Seconds since then, without those in which nobody could be heard."""
        return now - max(since, self.deaf_until)

    def _patience(self, lane: Lane) -> float:
        newest = self._newest.get(lane.hostname)
        if newest is not None and newest is not lane and newest.beat_at > lane.beat_at:
            return max(self._graces.replaced, 3 * lane.freq)
        return max(self._graces.lost, 3 * lane.freq)

    def _give_up_ghosts(self, lane: Lane, now: float) -> None:
        """End what ran here according to us and not according to the worker.

        A worker that twice reports no work has none. One that for long reports less than we count
        has ended some unseen; which ones cannot be known, so the oldest are taken: the end that
        is told is UNKNOWN, and a real one that still arrives corrects it.
        """
        if not lane.running:
            return
        if lane.idle_beats >= IDLE_BEATS:
            for task, delivery in list(self._running(lane)):
                if delivery.started_clock < lane.beat_clock_before:
                    self._unknown(task, delivery, now, "idle_worker")
            return
        since = lane.excess_since
        if since is None or now - since < self._graces.excess or lane.active is None:
            return
        old = [
            (task, delivery)
            for task, delivery in self._running(lane)
            if (delivery.on_our_clock(delivery.started_at) or now) <= since
        ]
        if lane.inspected_at >= since:  # not those that it named since
            old = [(task, delivery) for task, delivery in old if task.uuid not in lane.listed]
        for task, delivery in old[: lane.least_excess]:
            self._unknown(task, delivery, now, "idle_worker")
        lane.excess_since = None  # the next heartbeats say whether that was all

    def _give_up_absent(self, lane: Lane, now: float) -> None:
        """End what a worker did not name when it was asked what it runs, and of which no end came.

        Unless it began anew since.
        """
        for task, delivery in list(self._running(lane)):
            noted_at = lane.absent.get(task.uuid)
            if noted_at is None or now - noted_at <= self._graces.offline:
                continue
            if _began_before(delivery, noted_at):
                self._unknown(task, delivery, now, "not_active")
        lane.absent = {
            uuid: noted_at
            for uuid, noted_at in lane.absent.items()
            if now - noted_at <= self._graces.offline
        }

    def _running(self, lane: Lane) -> Iterator[tuple[Task, Delivery]]:
        for uuid in lane.running:
            task = self._tasks.by_uuid.get(uuid)
            if task is not None:
                for delivery in task.deliveries():
                    if delivery.lane is lane and delivery.state is State.STARTED:
                        yield task, delivery

    def _take_back(self, gone: set[int], states: frozenset[State], now: float) -> None:
        """End what lost workers were running, and expect anew what they had only fetched."""
        for task, delivery in self._open_on(gone, states):
            if delivery.state is State.STARTED:
                self._progress.give_up(task, delivery, State.LOST, at=now, reason="worker_lost")
            else:
                self._progress.requeue(task, delivery, at=now)
        for lane in self.lanes.values():
            if id(lane) in gone:
                if State.STARTED in states:
                    lane.running.clear()
                lane.holds_work = bool(lane.running)

    def _open_on(self, lanes: set[int], states: frozenset[State]) -> list[tuple[Task, Delivery]]:
        return [
            (task, delivery)
            for task in self._tasks.by_uuid.values()
            if not task.finished
            for delivery in (task.last, *(task.past or ()))
            if delivery.state in states and id(delivery.lane) in lanes
        ]

    def _give_up_fetched(self, idle: set[int], now: float) -> None:
        """End what idle workers fetched long ago, where executions are known to be unseen."""
        before = now - self._graces.excess
        found = [
            (task, task.last)
            for slot in (RECEIVED, RECEIVED + STUCK, RECEIVED + UNSURE)
            for _, members in self._tasks.members(slot)
            for task in members.values()
            if id(task.last.lane) in idle and task.since < before
        ]
        for task, delivery in found:
            self._unknown(task, delivery, now, "unseen")

    def give_up_sent(self, queue: str, since: float, now: float) -> None:
        """End what was sent to a queue that has been empty since, while workers held nothing.

        It was consumed unseen (events off, lost, or ``send_events=False``), purged or expired.
        """
        before = since - self._graces.sent
        gone = [
            task
            for slot in (SENT, SENT + STUCK, SENT + UNSURE)
            for kind, members in self._tasks.members(slot)
            if kind.queue == queue
            for task in takewhile(lambda task: task.since < before, members.values())
        ]
        for task in gone:
            self._unknown(task, task.last, now, "gone")

    def give_up_silent(self, now: float) -> None:
        """End the tasks that were not given to another worker, or that nothing is heard of."""
        for task in self._progress.not_redelivered(now - self._graces.redelivery):
            lane = task.last.lane
            if lane is not None and lane.unseen:  # it may well have run there, unseen
                self._unknown(task, task.last, now, "unseen")
            else:
                self._progress.give_up(
                    task, task.last, State.LOST, at=now, reason="not_redelivered"
                )
        before = now - self._graces.silent
        silent = [
            task
            for slot in _IN_ORDER
            for _, members in self._tasks.members(slot)
            for task in takewhile(lambda task: task.since < before, members.values())
            if not _confirmed(task)
        ]
        for task in silent:
            self._unknown(task, task.last, now, "silent")

    def _unknown(self, task: Task, delivery: Delivery, now: float, reason: str) -> None:
        self._progress.give_up(task, delivery, State.UNKNOWN, at=now, reason=reason)

    # -- bounds and readings -------------------------------------------------------------------

    def prune(self, now: float) -> None:
        """Forget the processes that have long been gone."""
        for lane in list(self.lanes.values()):
            silent = now - lane.heard_at
            if lane.state is None:  # a worker without heartbeats is nobody that is judged
                patience = self._graces.silent if lane.holds_work else _FORGET_PRODUCER
                forgotten = silent > patience
            else:
                kept = lane.holds_work or lane.state in ALIVE
                forgotten = silent > _FORGET_WORKER and not kept
            if forgotten:
                self._forget(lane)

    def _drop_quiet_lanes(self) -> None:
        self.dropped += max(1, self._limit // 10)
        quiet = sorted(self.lanes.values(), key=lambda lane: lane.heard_at)
        for lane in quiet[: max(1, self._limit // 10)]:
            self._forget(lane)

    def _forget(self, lane: Lane) -> None:
        del self.lanes[lane.hostname, lane.pid]
        if self.by_hostname.get(lane.hostname) is lane:
            del self.by_hostname[lane.hostname]
        if self._newest.get(lane.hostname) is lane:
            del self._newest[lane.hostname]
        if lane.state in ALIVE:  # nobody judges it any more: its tasks cannot rely on it
            lane.state = WorkerState.LOST
        if self._records and _is_worker(lane):
            self._emit(WorkerForgotten(worker_record_of(lane)))

    def state(self, numbers: Numbers) -> tuple[int, list[int]]:
        """How many lanes are in the table, and the newest of each node name, for a snapshot."""
        for lane in self.lanes.values():
            numbers.lane(lane)
        return len(self.lanes), [numbers.lane(lane) for lane in self._newest.values()]

    def restore(self, known: list[Lane], newest: list[Lane]) -> None:
        """Take over what a snapshot knows."""
        self.lanes = {(lane.hostname, lane.pid): lane for lane in known}
        self._newest = {lane.hostname: lane for lane in newest}

    def listening(self) -> tuple[tuple[str, int, bool], ...]:
        """Hostname, pid and whether it is mute, of those who hear what they are asked."""
        return tuple(
            (lane.hostname, lane.pid, lane.is_mute)
            for lane in self.lanes.values()
            if lane.state is WorkerState.ONLINE and lane.listens
        )

    def any_online(self) -> bool:
        """Whether any worker's heartbeats are fresh."""
        return any(lane.state is WorkerState.ONLINE for lane in self.lanes.values())

    def records(self) -> tuple[WorkerRecord, ...]:
        """The records of all processes that are or were workers."""
        return tuple(worker_record_of(lane) for lane in self.lanes.values() if _is_worker(lane))

    def gauges(self) -> tuple[WorkerGauge, ...]:
        """Read the workers."""
        return tuple(
            WorkerGauge(
                lane.hostname,
                lane.pid,
                lane.state,
                lane.active,
                lane.processed,
                lane.coverage,
                lane.skew,
                lane.beat_at,
                lane.version,
                lane.pool,
                lane.queues,
            )
            for lane in self.lanes.values()
            if lane.state is not None
        )


def _began_before(delivery: Delivery, asked_at: float) -> bool:
    """Whether a run had begun, by a margin, when its worker was asked."""
    began_at = delivery.on_our_clock(delivery.started_at)
    return began_at is not None and began_at <= asked_at - _MARGIN


def _is_worker(lane: Lane) -> bool:
    return lane.state is not None or lane.starts_seen > 0


def _confirmed(task: Task) -> bool:
    """Whether a worker's heartbeats still speak for a task that runs for days."""
    lane = task.last.lane
    return task.state is State.STARTED and lane is not None and lane.state is WorkerState.ONLINE
