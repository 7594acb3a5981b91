"""The queues: what the last poll of the broker's keys found, and how quickly they drain."""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct, structs

from ..events import QueueDepth, QueueSample
from .effects import Effect, QueueMoved, QueueStalled
from .view import BrokerGauge, QueueGauge

RATE_WINDOW: Final = 60.0
"""Seconds over which the consumption of a queue is averaged."""
FIRST_RATE_AFTER: Final = 10.0
"""Seconds after which a queue that is new to us has a rate, until its first window is over."""
FORGET_AFTER: Final = 3600.0
"""Seconds after which a queue that no poll finds any more is forgotten."""

SentAt = Callable[[str], float | None]
"""When the task with this uuid was sent, on our clock; None where no event told it."""


class QueueState(Struct):
    """What is known of one queue."""

    depth: QueueDepth
    seen_at: float
    moved_at: float
    """When it was last seen to be empty or to be consumed."""
    stalled: bool = False
    stalled_since: float = 0.0
    consumed: int = 0
    """At the last poll."""
    oldest_at: float | None = None
    empty_since: float | None = None
    window_began_at: float = 0.0
    consumed_before: int = 0
    rate: float | None = None
    settled: bool = False
    """Its first window is over."""


class BrokerState(Struct):
    """What is known of one broker and concerns no single queue."""

    epoch: int = 0
    gap_seconds: float = 0.0
    last_frame_at: float | None = None
    behind: float = 0.0
    """Seconds that the last event was on its way: many where we had not read for a while."""
    unacknowledged: int | None = None
    oldest_unacknowledged_at: float | None = None
    sampled_at: float | None = None
    delayed: int | None = None
    holds_nothing_since: float | None = None
    """Since when workers hold no message; None while they hold some, or it is not known."""

    def read_up_to(self, silent_since: float) -> float:
        """When the last that was read of a subscription had been sent.

        Whoever was stopped reads what had come until he was cut off, and only then notices: what
        is lost was sent since, and not since he read.
        """
        last_at = self.last_frame_at
        return silent_since - self.behind if last_at == silent_since else silent_since

    def take(self, sample: QueueSample) -> None:
        """Take in what concerns no single queue."""
        self.sampled_at = sample.received_at
        self.unacknowledged = sample.unacknowledged
        self.delayed = sample.delayed
        self.oldest_unacknowledged_at = sample.oldest_unacknowledged_at
        if sample.unacknowledged != 0:
            self.holds_nothing_since = None
        elif self.holds_nothing_since is None:
            self.holds_nothing_since = sample.received_at


class QueueTable:
    """Queues by broker and name.

    Args:
        limit: of queues; further ones are counted.
        stall_after: seconds without consumption after which a queue has stalled.
        emit: takes what happened.
    """

    def __init__(self, limit: int, *, stall_after: float, emit: Callable[[Effect], None]) -> None:
        self._limit = limit
        self._stall_after = stall_after
        self._emit = emit
        self._queues: dict[tuple[str, str], QueueState] = {}
        self.brokers: dict[str, BrokerState] = {}
        self.names: dict[str, None] = {}
        """Queue names that events told, for the poll."""
        self.consumed: dict[str, int] = {}
        self.overflowed = 0

    def broker(self, source: str) -> BrokerState:
        """Return the record of one broker, made when first asked for."""
        record = self.brokers.get(source)
        if record is None:
            record = self.brokers[source] = BrokerState()
        return record

    def hear_of(self, name: str) -> None:
        """An event named this queue."""
        if name not in self.names:
            if len(self.names) >= self._limit:  # one that is still used is heard of again
                self.overflowed += 1
                oldest = next(iter(self.names))
                del self.names[oldest]
                self.consumed.pop(oldest, None)
            self.names[name] = None

    def consume(self, name: str) -> None:
        """A worker took a message of this queue."""
        if name in self.names:
            self.consumed[name] = self.consumed.get(name, 0) + 1

    def sample(self, sample: QueueSample, sent_at: SentAt) -> None:
        """Take in one poll."""
        self.broker(sample.source).take(sample)
        for depth in sample.queues:
            self._measure(sample.source, depth, at=sample.received_at, sent_at=sent_at)
        stale = sample.received_at - FORGET_AFTER
        for key in [key for key, queue in self._queues.items() if queue.seen_at < stale]:
            del self._queues[key]

    def _measure(self, source: str, depth: QueueDepth, *, at: float, sent_at: SentAt) -> None:
        queue = self._queues.get((source, depth.name))
        if queue is None:
            if len(self._queues) >= self._limit:
                self.overflowed += 1
                return
            queue = QueueState(_without_messages(depth), at, at, window_began_at=at)
            queue.consumed = queue.consumed_before = self.consumed.get(depth.name, 0)
            self._queues[source, depth.name] = queue
        if self._has_moved(queue, depth):
            queue.moved_at = at
        consumed = self.consumed.get(depth.name, 0)
        if consumed < queue.consumed:  # it was forgotten meanwhile, and is counted anew
            queue.consumed_before = consumed
        queue.consumed = consumed
        queue.depth, queue.seen_at = _without_messages(depth), at
        queue.oldest_at = sent_at(depth.oldest) if depth.oldest is not None else None
        if any(depth.ready.values()):
            queue.empty_since = None
        elif queue.empty_since is None:
            queue.empty_since = at
        self._rate(queue, at)

    def _rate(self, queue: QueueState, at: float) -> None:
        elapsed = at - queue.window_began_at
        if elapsed < (RATE_WINDOW if queue.settled else FIRST_RATE_AFTER):
            return
        queue.rate = (queue.consumed - queue.consumed_before) / elapsed
        if elapsed >= RATE_WINDOW:
            queue.settled = True
            queue.window_began_at, queue.consumed_before = at, queue.consumed

    def _has_moved(self, queue: QueueState, depth: QueueDepth) -> bool:
        """Whether a message was taken since the last poll, or there is none to take."""
        before, waiting = sum(queue.depth.ready.values()), sum(depth.ready.values())
        return (
            not waiting
            or waiting < before
            or depth.oldest != queue.depth.oldest
            or self.consumed.get(depth.name, 0) > queue.consumed
        )

    def judge(self, source: str, now: float, *, workers: bool) -> None:
        """Tell which queues of a broker have stalled, and which move again.

        Args:
            source: the broker that was just polled.
            now: the time of the poll.
            workers: whether any worker is there; without them nothing can move.
        """
        for (of, name), queue in self._queues.items():
            if of != source or queue.seen_at < now:
                continue  # of a queue that this poll did not find nothing is known
            idle = now - queue.moved_at
            if queue.stalled and idle <= 0.0:
                queue.stalled = False
                self._emit(QueueMoved(source, name, now - queue.stalled_since, now))
            elif not queue.stalled and workers and idle > self._stall_after:
                queue.stalled, queue.stalled_since = True, queue.moved_at
                depth = sum(queue.depth.ready.values())
                self._emit(QueueStalled(source, name, depth, queue.moved_at, now))

    def may_hold(self, name: str | None) -> bool:
        """Whether a message may still be in a queue or at a worker; True where nobody looked."""
        found = [
            (queue, self.brokers[source])
            for (source, each), queue in self._queues.items()
            if each == name
        ]
        return not found or any(
            queue.empty_since is None or broker.holds_nothing_since is None
            for queue, broker in found
        )

    def emptied(self, source: str) -> Iterator[tuple[str, float]]:
        """The queues of a broker that hold nothing, and neither do its workers, and since when.

        Two polls must agree: a message may be on its way back while one looks.
        """
        broker = self.broker(source)
        if broker.holds_nothing_since is None:
            return
        for (of, name), queue in self._queues.items():
            if of == source and queue.empty_since is not None:
                since = max(queue.empty_since, broker.holds_nothing_since)
                if since < queue.seen_at:
                    yield name, since

    def queues(self) -> list[tuple[str, str, QueueState]]:
        """Everything known of the queues, for a snapshot."""
        return [(source, name, queue) for (source, name), queue in self._queues.items()]

    def restore(
        self,
        queues: list[tuple[str, str, QueueState]],
        brokers: dict[str, BrokerState],
        names: list[str],
        consumed: dict[str, int],
    ) -> None:
        """Take over what a snapshot knows."""
        self._queues = {(source, name): queue for source, name, queue in queues}
        self.brokers = brokers
        self.names = dict.fromkeys(names)
        self.consumed = consumed

    def queue_gauges(self, now: float) -> tuple[QueueGauge, ...]:
        """Read the queues."""
        return tuple(
            QueueGauge(
                source,
                name,
                queue.depth.ready,
                _age(queue.oldest_at, now),
                sum(queue.depth.ready.values()) / queue.rate if queue.rate else None,
                queue.stalled,
                queue.depth.unacknowledged,
                _age(queue.depth.oldest_unacknowledged_at, now),
                queue.depth.overdue,
            )
            for (source, name), queue in sorted(self._queues.items(), key=lambda item: item[0])
        )

    def broker_gauges(self, now: float) -> tuple[BrokerGauge, ...]:
        """Read the brokers."""
        return tuple(
            BrokerGauge(
                source,
                broker.epoch,
                broker.gap_seconds,
                broker.last_frame_at,
                broker.unacknowledged,
                _age(broker.oldest_unacknowledged_at, now),
                broker.sampled_at,
                broker.delayed,
            )
            for source, broker in sorted(self.brokers.items())
        )


def _without_messages(depth: QueueDepth) -> QueueDepth:
    """Return what is kept until the next poll, and in snapshots."""
    return structs.replace(depth, waiting=()) if depth.waiting else depth


def _age(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at)
