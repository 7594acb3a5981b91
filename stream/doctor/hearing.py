"""What can be told of a cluster by listening to its events for some seconds. Pure.

Losses and clocks are measured by the lanes of the engine, so the doctor and the service agree.
"""

from collections import Counter
from typing import Final

from msgspec import Struct

from ..core.lanes import TRANSIT, Lane
from ..events import (
    Event,
    Frame,
    Message,
    OtherEvent,
    QueueSample,
    Reason,
    Subscribed,
    TaskReceived,
    TaskSent,
    TaskStarted,
    WorkerHeartbeat,
    WorkerOffline,
    WorkerOnline,
)
from ..wire.codec import decode

_MOST_TASKS: Final = 200_000
"""Task ids that are remembered: some seconds of the busiest cluster."""
_SETTLED: Final = 2.0
"""Seconds after which a task that is received was not sent before we listened, unless it waited:
a worker keeps what it tells of a task for a second at most, to send many at once."""


class HeardWorker(Struct, frozen=True):
    """One worker process."""

    hostname: str
    pid: int
    beats: int
    task_events: int
    executed: int
    """Tasks that it says to have run, up to the last heartbeat but one."""
    unseen: int
    """Of those, how many were not heard of."""


class Heard(Struct, frozen=True):
    """What was heard on one broker."""

    events: int = 0
    rejected: dict[Reason, int] = {}
    """Messages, or events in them, that could not be read."""
    workers: tuple[HeardWorker, ...] = ()
    skews: dict[str, float] = {}
    """By host, how many seconds its clock is ahead of ours."""
    sent: int = 0
    received: int = 0
    """First attempts, received when nothing could be under way from before any more."""
    unsent: int = 0
    """Of those, how many no producer told to have sent."""
    waiting_before: int | None = None
    """Messages in the queues at the beginning; None: not known."""


class Hearing:
    """Takes frames in; says what they tell.

    Args:
        limit: of processes that are told apart; each web process that sends is one.
    """

    def __init__(self, *, limit: int = 5_000) -> None:
        self._limit = limit
        self._events = 0
        self._rejected: Counter[Reason] = Counter()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._beats: Counter[tuple[str, int]] = Counter()
        self._task_events: Counter[tuple[str, int]] = Counter()
        self._sent: set[str] = set()
        self._received: set[str] = set()
        self._queues: set[str] = set()
        self._settled_at = float("inf")
        self._waiting_before: int | None = None
        self.sample: QueueSample | None = None
        """The last look at the queues."""
        self.subscribed = False

    @property
    def queues(self) -> tuple[str, ...]:
        """Queues that events named."""
        return tuple(self._queues)

    def take(self, frames: list[Frame]) -> None:
        """Take in what arrived."""
        for frame in frames:
            match frame:
                case Message():
                    self._hear(frame)
                case QueueSample():
                    self._look(frame)
                case Subscribed(received_at=at):
                    self.subscribed = True
                    self._settled_at = at + _SETTLED
                case _:
                    pass

    def _look(self, sample: QueueSample) -> None:
        self.sample = sample
        if self._waiting_before is None:
            self._waiting_before = sum(sum(queue.ready.values()) for queue in sample.queues)

    def _hear(self, message: Message) -> None:
        decoded = decode(message)
        self._rejected.update(each.reason for each in decoded.rejected)
        self._events += len(decoded.events)
        for event in decoded.events:
            lane = self._lane(event)
            if lane is not None:
                lane.hear(event.timestamp, message.received_at)
                self._note(event, lane, message.received_at)

    def _lane(self, event: Event) -> Lane | None:
        key = event.hostname, event.pid
        lane = self._lanes.get(key)
        if lane is None and event.timestamp and len(self._lanes) < self._limit:
            lane = self._lanes[key] = Lane(*key)
        return lane

    def _note(self, event: Event, lane: Lane, at: float) -> None:
        match event:
            case WorkerOnline() | WorkerHeartbeat() | WorkerOffline():
                self._beat(event, lane, at)
                return
            case OtherEvent():  # custom events flow without -E
                return
            case TaskSent():
                self._note_sent(event)
                return
            case TaskStarted():
                lane.count_start(event.clock)
            case TaskReceived() if at >= self._settled_at and not event.retries:
                if len(self._received) < _MOST_TASKS:
                    self._received.add(event.uuid)
            case _:
                pass
        self._task_events[lane.hostname, lane.pid] += 1

    def _note_sent(self, event: TaskSent) -> None:
        if len(self._sent) < _MOST_TASKS:
            self._sent.add(event.uuid)
        if event.queue:
            self._queues.add(event.queue)

    def _beat(
        self, event: WorkerOnline | WorkerHeartbeat | WorkerOffline, lane: Lane, at: float
    ) -> None:
        if not lane.beat_clock >= event.clock > 0:
            lane.beat(event, at)
            self._beats[lane.hostname, lane.pid] += 1

    def heard(self) -> Heard:
        """Say what was heard so far."""
        return Heard(
            events=self._events,
            rejected=dict(self._rejected),
            workers=tuple(self._worker(key) for key in sorted({*self._beats, *self._task_events})),
            skews=self._skews(),
            sent=len(self._sent),
            received=len(self._received),
            unsent=len(self._received - self._sent),
            waiting_before=self._waiting_before,
        )

    def _worker(self, key: tuple[str, int]) -> HeardWorker:
        lane = self._lanes[key]
        beats, events = self._beats[key], self._task_events[key]
        return HeardWorker(*key, beats, events, lane.measured, lane.unseen)

    def _skews(self) -> dict[str, float]:
        """The quickest arrival from each host decides, whichever process it came from."""
        quickest: dict[str, float] = {}
        for lane in self._lanes.values():
            host = lane.hostname.rpartition("@")[2]
            quickest[host] = min(lane.low, lane.low_before, quickest.get(host, float("inf")))
        return {
            host: 0.0 if 0.0 <= delay <= TRANSIT else -delay
            for host, delay in sorted(quickest.items())
        }
