"""What happened, as the engine tells it to the sinks. Immutable, in the order it happened.

Instants are epoch seconds on this process's clock (the sender's skew is corrected), durations
float seconds. None means that no event told it; it is never replaced by 0.
"""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from .kinds import Kind
from .record import TaskRecord, WorkerRecord
from .states import Phase, State, WorkerState
from .trace import Trace


class Arguments(Struct, frozen=True, gc=False):
    """What a task was called with, as its events tell (a ``repr``, shortened by Celery)."""

    positional: str | None
    named: str | None


class Sent(Struct, frozen=True, gc=False):
    """A message with the task was published (also for each retry)."""

    uuid: str
    kind: Kind
    retries: int
    sent_at: float
    root_id: str | None
    parent_id: str | None
    parent_attempt: tuple[int, int]
    """Retries and ordinal of the parent's delivery that sent it; (0, 0) where not known."""
    trace: Trace | None
    """None: no one else's is known, it is derived from the ids."""
    ordinal: int = 0
    """0 for the first message of this attempt; a task that replaces itself sends another one."""


class Received(Struct, frozen=True, gc=False):
    """A worker took a message."""

    kind: Kind
    redelivered: bool
    """True where the same attempt had been received before."""
    hostname: str | None = None
    """The worker's node name."""


class Started(Struct, frozen=True, gc=False):
    """An attempt began to run."""

    kind: Kind
    wait: float | None
    """From sent, or its ETA if later, to started."""
    prefetch: float | None
    """From received, or its ETA if later, to started."""
    eta_delay: float | None = None
    """How long it was to wait for its ETA, from sent (else received) on; None without an ETA."""
    hostname: str | None = None
    """The worker's node name."""


class WaitedLong(Struct, frozen=True, gc=False):
    """An attempt began after a wait above the engine's threshold; told only where there is one."""

    uuid: str
    kind: Kind
    retries: int
    ordinal: int
    hostname: str | None
    root_id: str | None
    parent_id: str | None
    parent_attempt: tuple[int, int]
    """As in `Sent`."""
    sent_at: float | None
    since: float
    """From when it could have been run: sent, or its ETA if later."""
    started_at: float
    trace: Trace | None
    sent_ordinal: int = 0
    """Which `Sent` of its attempt the message is."""


class AttemptBegan(Struct, frozen=True, gc=False):
    """A delivery began to run, in full; told only where that is asked for, beside `Started`."""

    uuid: str
    kind: Kind
    retries: int
    ordinal: int
    hostname: str | None
    root_id: str | None
    trace: Trace | None
    wait: float | None
    started_at: float
    arguments: Arguments | None


class AttemptEnded(Struct, frozen=True, gc=False):
    """One delivery of one attempt ended; the stuff a ``process`` span is made of."""

    uuid: str
    kind: Kind
    retries: int
    ordinal: int
    """0 for the first delivery of this attempt, 1 for its first redelivery, …"""
    state: State
    inferred: bool
    """True where no event said so."""
    hostname: str | None
    pid: int | None
    root_id: str | None
    parent_id: str | None
    parent_attempt: tuple[int, int]
    """As in `Sent`."""
    sent_at: float | None
    received_at: float | None
    started_at: float | None
    ended_at: float
    wait: float | None
    run: float | None
    """Seconds of execution: the worker's own measurement where it gives one."""
    error_type: str | None
    exception: str | None
    """As the worker wrote it (a ``repr``)."""
    traceback: str | None
    reason: str | None
    """For REVOKED ``revoked|expired|terminated``, for REJECTED and REQUEUED ``requeue|drop``, …"""
    trace: Trace | None
    redelivered: bool = False
    """True where the same attempt was received before, or the broker said so."""
    arguments: Arguments | None = None
    """Like ``result``, only where they are asked for."""
    result: str | None = None
    sent_ordinal: int = 0
    """Which `Sent` of its attempt the message is: a redelivery's is that of the first delivery."""


class TaskFinished(Struct, frozen=True, gc=False):
    """A task reached its end. Exactly one for each task."""

    uuid: str
    kind: Kind
    state: State
    inferred: bool
    root_id: str | None
    error_type: str | None
    reason: str | None
    attempts: int
    run: float | None
    """Of the attempt that decided."""
    total: float | None
    """From first sent to the end, waits and back-off included."""
    finished_at: float


class Succeeded(AttemptEnded, frozen=True, gc=False):
    """`AttemptEnded` and `TaskFinished` in one, for the only delivery of a task: it returned.

    So nearly every task ends. Told only where that is asked for, instead of the two.
    """

    total: float | None = None
    """As in `TaskFinished`."""

    def apart(self) -> tuple[AttemptEnded, TaskFinished]:
        """Return the two that it stands for."""
        attempt = AttemptEnded(*[getattr(self, name) for name in AttemptEnded.__struct_fields__])
        return attempt, TaskFinished(
            self.uuid,
            self.kind,
            self.state,
            False,
            self.root_id,
            None,
            None,
            self.retries + 1,
            self.run,
            self.total,
            self.ended_at,
        )


class TaskForgotten(Struct, frozen=True, gc=False):
    """An ended task is no longer recognised; told only where records are asked for."""

    first_seen: int
    """Order of first appearance."""
    record: TaskRecord


class WorkerForgotten(Struct, frozen=True, gc=False):
    """A worker process that is long gone is no longer kept; told only where records are."""

    record: WorkerRecord


class TaskRevised(Struct, frozen=True, gc=False):
    """Another end than the one already told came to light.

    What names a delivery is of the one that decides now; ``at`` is when that became known.
    """

    uuid: str
    kind: Kind
    was: State
    state: State
    retries: int
    ordinal: int
    hostname: str | None
    root_id: str | None
    trace: Trace | None
    at: float


class StuckReason(StrEnum):
    """Why a task is called stuck."""

    RUNS_LONG = "runs_long"
    NOT_CONSUMED = "not_consumed"
    """Nobody took it from its queue."""
    NOT_STARTED = "not_started"
    """A worker holds it and does not begin."""
    RETRY_OVERDUE = "retry_overdue"


class StuckBegan(Struct, frozen=True, gc=False):
    """A task has been in one phase for longer than its limit."""

    uuid: str
    kind: Kind
    phase: Phase
    reason: StuckReason
    since: float
    age: float
    limit: float
    retries: int
    ordinal: int
    hostname: str | None
    root_id: str | None
    trace: Trace | None
    at: float


class StuckEnded(Struct, frozen=True, gc=False):
    """A task that was stuck moved on."""

    uuid: str
    kind: Kind
    phase: Phase
    lasted: float
    retries: int
    ordinal: int
    hostname: str | None
    root_id: str | None
    trace: Trace | None
    at: float


class QueueStalled(Struct, frozen=True, gc=False):
    """A queue holds messages and nobody takes any, although workers are there."""

    source: str
    queue: str
    depth: int
    since: float
    at: float


class QueueMoved(Struct, frozen=True, gc=False):
    """A queue that had stalled is consumed again, or empty."""

    source: str
    queue: str
    lasted: float
    at: float


class WorkerChanged(Struct, frozen=True, gc=False):
    """A worker process came, fell silent, returned or went."""

    hostname: str
    pid: int
    was: WorkerState | None
    state: WorkerState
    at: float


class EventsMissed(Struct, frozen=True, gc=False):
    """A heartbeat shows more executions than starts were seen."""

    hostname: str
    pid: int
    count: int


class Advice(StrEnum):
    """What keeps us from seeing more, and can be changed."""

    EVENTS_DISABLED = "events_disabled"
    """A worker runs tasks and sends no task events."""
    SENT_DISABLED = "sent_disabled"
    """Tasks are received that no producer told to have sent."""


class Advised(Struct, frozen=True, gc=False):
    """A setting of the application hides something; told once."""

    advice: Advice
    subject: str | None
    """The worker's node name; None where it concerns all producers."""
    at: float


class PeriodicLate(Struct, frozen=True, gc=False):
    """A task that is sent at fixed intervals was not sent when due; told once until it is."""

    kind: Kind
    every: float
    """Seconds between two sendings."""
    due_at: float
    at: float


class PeriodicMissed(Struct, frozen=True, gc=False):
    """The next sending of such a task is due, and this one has not come."""

    kind: Kind
    every: float
    due_at: float
    """When the one that was missed should have been sent."""
    row: int
    """How many were missed in a row, this one included."""
    at: float


class PeriodicResumed(Struct, frozen=True, gc=False):
    """A task that was late is sent again."""

    kind: Kind
    every: float
    behind: float
    """Seconds after the first instant at which it was due."""
    missed: int
    at: float


class GapMarked(Struct, frozen=True, gc=False):
    """A subscription was interrupted; what was published meanwhile was not seen."""

    source: str
    epoch: int
    seconds: float
    at: float


class Oddity(StrEnum):
    """What does not fit and is counted, never raised."""

    DUPLICATE = "duplicate"
    """The same event again (hostname, pid, clock, type, uuid)."""
    LATE = "late"
    """An event about something that had ended already."""
    IMPLIED = "implied"
    """An event whose predecessors were not seen."""
    SKEW_CLAMPED = "skew_clamped"
    """A latency came out negative and was set to 0."""
    EVICTED = "evicted"
    """A table was full and its oldest entry left early."""
    EXPIRED = "expired"
    """A task that nobody spoke of for very long was given up."""


class Odd(Struct, frozen=True, gc=False):
    """Something odd, counted by reason."""

    oddity: Oddity
    count: int = 1


Effect: TypeAlias = (
    Sent
    | Received
    | Started
    | WaitedLong
    | AttemptBegan
    | AttemptEnded
    | TaskFinished
    | Succeeded
    | TaskRevised
    | TaskForgotten
    | WorkerForgotten
    | StuckBegan
    | StuckEnded
    | QueueStalled
    | QueueMoved
    | Advised
    | WorkerChanged
    | EventsMissed
    | GapMarked
    | PeriodicLate
    | PeriodicMissed
    | PeriodicResumed
    | Odd
)
