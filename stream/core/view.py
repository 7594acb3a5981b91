"""What the engine's tables hold at one moment: the gauges, for pages and exporters.

Immutable and detached: a reader on another thread may keep it. Ages and durations are seconds.
"""

from msgspec import Struct

from .kinds import Kind
from .states import State, WorkerState


class TaskGauge(Struct, frozen=True):
    """The tasks of one kind in one state that have not ended."""

    kind: Kind
    state: State
    count: int
    oldest_age: float
    """How long the one that came first has been in this state."""
    stuck: int
    unsure: int = 0
    """Over their limit, and whether they are still there cannot be told."""


class WorkerGauge(Struct, frozen=True):
    """One worker process."""

    hostname: str
    pid: int
    state: WorkerState
    active: int | None
    processed: int | None
    coverage: float | None
    """Share of the executions counted by its heartbeats of which a start was seen, 0…1."""
    skew: float | None
    """Seconds that its clock is ahead of ours; None before the first event."""
    last_seen_at: float
    version: str | None
    pool: int | None = None
    """Tasks that it runs at once at most; None where it was not asked."""
    queues: tuple[str, ...] | None = None
    """The queues that it consumes; None where it was not asked."""


class QueueGauge(Struct, frozen=True):
    """One queue of one broker."""

    source: str
    name: str
    ready: dict[int, int]
    """Messages waiting by priority step."""
    oldest_age: float | None
    """Of the message at the head; None where the queue is empty or its age cannot be known."""
    drain_time: float | None
    """Ready messages over the rate at which they are received; None without such a rate."""
    stalled: bool = False
    """It holds messages and nobody takes any, although workers are there."""
    unacknowledged: int | None = None
    """Messages that workers hold; None where the broker does not tell it by queue."""
    oldest_unacknowledged_age: float | None = None
    overdue: int | None = None
    """Of those, the ones held for so long that the broker will soon give them to another worker."""

    @property
    def depth(self) -> int:
        """Messages waiting, all priorities."""
        return sum(self.ready.values())


class BrokerGauge(Struct, frozen=True):
    """One broker: what concerns no single queue."""

    source: str
    epoch: int
    """Subscriptions so far; more than 1 means that there were gaps."""
    gap_seconds: float
    """Length of all gaps."""
    last_frame_at: float | None
    unacknowledged: int | None
    oldest_unacknowledged_age: float | None
    sampled_at: float | None
    """When its queue keys were last read."""
    delayed: int | None = None
    """Messages that it holds until their ETA; None where it delivers at once."""


class PeriodicGauge(Struct, frozen=True):
    """A task that is sent at fixed intervals."""

    kind: Kind
    every: float
    """Seconds between two sendings."""
    declared: bool
    """By a rule; else learned."""
    last_at: float | None
    """When it was seen to be sent last; None: it never was."""
    overdue: float
    """Seconds since it was due; 0 while it is not late."""


class View(Struct, frozen=True):
    """Everything that is read from the tables."""

    at: float
    tasks: tuple[TaskGauge, ...]
    workers: tuple[WorkerGauge, ...]
    queues: tuple[QueueGauge, ...]
    brokers: tuple[BrokerGauge, ...]
    tasks_in_flight: int
    tasks_remembered: int
    """Ended ones that are still recognised."""
    last_event_at: float | None
    periodic: tuple[PeriodicGauge, ...] = ()
    evictions: tuple[tuple[str, int], ...] = ()
    """How often each table was full, so that something left early or did not enter."""
