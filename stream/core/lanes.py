"""Lanes: the sending processes, one per (hostname, pid).

Events of one lane come in the order of its clock; between lanes anything happens. A lane knows how
far its clock is from ours, and, where it is a worker, what its heartbeats say and how many
executions we did not see.
"""

from typing import Final

from msgspec import Struct

from ..events import WorkerHeartbeat, WorkerOffline, WorkerOnline
from .states import WorkerState

SKEW_WINDOW: Final = 60.0
"""Seconds over which the quickest arrival is sought: some heartbeats of any pool, and short enough
to follow a clock that is being slewed."""
TRANSIT: Final = 0.05
"""Seconds that an event may be on its way: so small a delay is no sign of a clock that is behind,
and correcting it would put our spans beside those that the processes send themselves."""
IDLE_BEATS: Final = 2
"""Heartbeats without work after which what we think is running there has ended unseen: one may
overtake the buffered end, two cannot."""

_LONGEST_FREQ: Final = 3600.0
"""Seconds between two heartbeats: a worker that says more would never be missed."""

MUTE_AFTER: Final = 3
"""Executions without any start after which events must be turned off: one or two may be lost, or
be of tasks with ``send_events=False``."""

WorkerEvent = WorkerOnline | WorkerHeartbeat | WorkerOffline


class Lane(Struct, eq=False, gc=False):
    """One process that sends events: a worker's main process, a pool child, a producer."""

    hostname: str
    pid: int
    heard_at: float = 0.0
    """Arrival of its last event, our clock."""

    holds_work: bool = False
    """Took messages, and has not been judged gone since."""

    # Clock skew: the smallest (arrival - timestamp) of this window and of the one before.
    low: float = float("inf")
    low_before: float = float("inf")
    window_ends_at: float = 0.0
    offset: float = float("inf")
    """Seconds to add to its timestamps to have them on our clock: the smaller of the two lows, or
    nothing where that may be the time that its events take to come."""

    # Only of workers:
    state: WorkerState | None = None
    """None until it sends a worker event."""
    beat_at: float = 0.0
    """Arrival of the last worker event."""
    beat_timestamp: float = 0.0
    """When that was, by the worker's clock."""
    beat_clock: int = -1
    beat_clock_before: int = -1
    freq: float = 2.0
    active: int | None = None
    processed: int | None = None
    version: str | None = None
    listens: bool = False
    """Its loop runs: it beat after it announced itself, and hears what it is asked."""
    idle_beats: int = 0
    excess_since: float | None = None
    """Since when it reports less work than we think it does."""
    least_excess: int = 0
    """How much less at least, in all heartbeats since."""
    gave_back: bool = False
    """It said goodbye, and what it had only fetched went back to its queue."""
    pool: int | None = None
    """Tasks that it runs at once at most, as it said when asked; like what follows."""
    queues: tuple[str, ...] | None = None
    """The queues that it consumes."""
    inspected_at: float = 0.0
    """When it was asked what it runs, the last time that it answered."""
    listed: dict[str, None] = {}
    """Of `running`, those that it named then."""
    absent: dict[str, float] = {}
    """Of `running`, those that it did not name though they had begun -> when it answered."""
    running: dict[str, int] = {}
    """uuid -> deliveries that started here and did not end."""

    # Executions seen against executions counted (see `measure`):
    base_processed: int | None = None
    base_clock: int = -1
    starts: int = 0
    """After the first heartbeat, up to the pending one."""
    starts_after_pending: int = 0
    pending_processed: int = 0
    pending_clock: int = -1
    unseen: int = 0
    measured: int = 0
    """Executions up to the heartbeat that was compared last."""
    starts_before: int = 0
    """Up to the pending heartbeat, also those before the first one."""
    duplicates: int = 0
    advised: bool = False
    """Its missing task events were told."""

    @property
    def skew(self) -> float | None:
        """Seconds that its clock is ahead of ours; None before its first event."""
        return None if self.heard_at == 0.0 else -self.offset

    @property
    def starts_seen(self) -> int:
        """All starts, also those before the first heartbeat."""
        return self.starts_before + self.starts_after_pending

    @property
    def coverage(self) -> float | None:
        """Share of the counted executions whose start was seen; None before there are any."""
        if self.measured <= 0:
            return None
        return max(0.0, 1.0 - self.unseen / self.measured)

    @property
    def is_mute(self) -> bool:
        """Whether it runs tasks and sends no task events (no ``-E``)."""
        return self.starts_seen == 0 and self.measured >= MUTE_AFTER

    def hear(self, timestamp: float, now: float) -> None:
        """Take note of an event's times."""
        self.heard_at = now
        delay = now - timestamp
        if now >= self.window_ends_at:
            self.low_before, self.low = self.low, delay
            self.window_ends_at = now + SKEW_WINDOW
            self._correct()
        elif delay < self.low:
            self.low = delay
            self._correct()

    def _correct(self) -> None:
        quickest = min(self.low, self.low_before)
        self.offset = 0.0 if 0.0 <= quickest <= TRANSIT else quickest

    def count_start(self, clock: int) -> None:
        """Take note of a ``task-started``."""
        if clock > self.pending_clock:
            self.starts_after_pending += 1
            return
        self.starts_before += 1
        if clock > self.base_clock:
            self.starts += 1

    def is_succeeded_by(self, event: WorkerEvent, now: float) -> bool:
        """Whether a worker event is of another process, which has our hostname and pid.

        As in a container that restarts. The clock of a process only grows, and so does the number
        of the tasks that it has run; an event that comes twice is as old as it was. Where two run
        at once under one name, as they must not, the heartbeats of both come: no end of either.
        """
        if self.state is None or event.timestamp <= self.beat_timestamp:
            return False
        if not isinstance(event, WorkerOnline) and now - self.beat_at <= 3 * self.freq:
            return False
        if 0 < event.clock <= self.beat_clock:
            return True
        before, processed = self.processed, event.processed
        return before is not None and processed is not None and processed < before

    def beat(self, event: WorkerEvent, now: float) -> int:
        """Take in a worker event that is newer than the last; return newly unseen executions."""
        self.beat_at, self.beat_timestamp = now, event.timestamp
        self.gave_back = False
        # Its control mailbox is subscribed to only when its loop begins, after the announcement.
        self.listens = isinstance(event, WorkerHeartbeat)
        self.beat_clock_before, self.beat_clock = self.beat_clock, event.clock
        self.version = event.sw_ver or self.version
        if event.freq and event.freq > 0.0:
            self.freq = min(event.freq, _LONGEST_FREQ)
        if event.active is None or event.processed is None:
            return 0  # the answer to a broadcast has no numbers
        self.active, self.processed = event.active, event.processed
        self._note_excess(event.active, now)
        if self.base_processed is None:
            self._begin(event)
            return 0
        missed = self.measure()
        self._settle_starts()
        self.pending_processed, self.pending_clock = event.processed, event.clock
        return missed

    def measure(self) -> int:
        """Compare the executions of the *previous* heartbeat with the starts seen before it.

        Its task events may trail a heartbeat by one flush, so it is compared one heartbeat later.
        Returns how many more are missing than were known.
        """
        if self.base_processed is None or self.pending_clock <= self.base_clock:
            return 0
        self.measured = self.pending_processed - self.base_processed
        unseen = max(0, self.measured - self.starts)
        missed, self.unseen = unseen - self.unseen, unseen
        return max(0, missed)

    def _begin(self, event: WorkerEvent) -> None:
        self._settle_starts()
        self.base_processed = event.processed
        self.base_clock = self.pending_clock = event.clock
        self.starts = 0

    def _settle_starts(self) -> None:
        """What was after the pending heartbeat is before the next one."""
        self.starts += self.starts_after_pending
        self.starts_before += self.starts_after_pending
        self.starts_after_pending = 0

    def _note_excess(self, active: int, now: float) -> None:
        self.idle_beats = 0 if active else self.idle_beats + 1
        excess = len(self.running) - active
        if excess <= 0:
            self.excess_since = None
        elif self.excess_since is None:
            self.excess_since, self.least_excess = now, excess
        else:
            self.least_excess = min(self.least_excess, excess)
