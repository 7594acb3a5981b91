"""The queues: what the last poll of the broker's keys found, and how quickly they drain."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from ..events import QueueDepth, QueueSample
from .view import BrokerGauge, QueueGauge

RATE_WINDOW: Final = 60.0
"""Seconds over which the consumption of a queue is averaged."""
FORGET_AFTER: Final = 3600.0
"""Seconds after which a queue that no poll finds any more is forgotten."""

SentAt = Callable[[str], float | None]
"""When the task with this uuid was sent, on our clock; None where no event told it."""


class _Queue(Struct):
    depth: QueueDepth
    seen_at: float
    oldest_at: float | None = None
    empty_since: float | None = None
    window_began_at: float = 0.0
    consumed_before: int = 0
    rate: float | None = None


class _Broker(Struct):
    epoch: int = 0
    gap_seconds: float = 0.0
    last_frame_at: float | None = None
    unacknowledged: int | None = None
    oldest_unacknowledged_at: float | None = None
    sampled_at: float | None = None


class QueueTable:
    """Queues by broker and name; at most *limit* of them, further ones are counted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._brokers: dict[str, _Broker] = {}
        self.names: dict[str, None] = {}
        """Queue names that events told, for the poll."""
        self._consumed: dict[str, int] = {}
        self.overflowed = 0

    def broker(self, source: str) -> _Broker:
        """Return the record of one broker, made when first asked for."""
        record = self._brokers.get(source)
        if record is None:
            record = self._brokers[source] = _Broker()
        return record

    def hear_of(self, name: str) -> None:
        """An event named this queue."""
        if name not in self.names:
            if len(self.names) >= self._limit:
                self.overflowed += 1
                return
            self.names[name] = None

    def consume(self, name: str) -> None:
        """A worker took a message of this queue."""
        if name in self.names:
            self._consumed[name] = self._consumed.get(name, 0) + 1

    def sample(self, sample: QueueSample, sent_at: SentAt) -> None:
        """Take in one poll."""
        broker = self.broker(sample.source)
        broker.sampled_at = sample.received_at
        broker.unacknowledged = sample.unacknowledged
        broker.oldest_unacknowledged_at = sample.oldest_unacknowledged_at
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
            queue = _Queue(depth, at, window_began_at=at)
            queue.consumed_before = self._consumed.get(depth.name, 0)
            self._queues[source, depth.name] = queue
        queue.depth, queue.seen_at = depth, at
        queue.oldest_at = sent_at(depth.oldest) if depth.oldest is not None else None
        if any(depth.ready.values()):
            queue.empty_since = None
        elif queue.empty_since is None:
            queue.empty_since = at
        elapsed = at - queue.window_began_at
        if elapsed >= RATE_WINDOW:
            consumed = self._consumed.get(depth.name, 0)
            queue.rate = (consumed - queue.consumed_before) / elapsed
            queue.window_began_at, queue.consumed_before = at, consumed

    def queue_gauges(self, now: float) -> tuple[QueueGauge, ...]:
        """Read the queues."""
        return tuple(
            QueueGauge(
                source,
                name,
                queue.depth.ready,
                None if queue.oldest_at is None else max(0.0, now - queue.oldest_at),
                sum(queue.depth.ready.values()) / queue.rate if queue.rate else None,
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
                None
                if broker.oldest_unacknowledged_at is None
                else max(0.0, now - broker.oldest_unacknowledged_at),
                broker.sampled_at,
            )
            for source, broker in sorted(self._brokers.items())
        )
