"""What the page and others get as JSON. The OpenAPI document is made of these classes.

Instants are epoch seconds on the service's clock, durations seconds, rates per second. None means
that it is not known; it never stands for 0.
"""

from typing import Annotated

from msgspec import Meta, Struct

from ..core.effects import StuckReason
from ..core.states import Phase, State, WorkerState


class Quantiles(Struct, frozen=True):
    """Two quantiles of a duration, of the tasks that succeeded lately."""

    median: float | None = None
    p95: float | None = None


class Sample(Struct, frozen=True):
    """One second of the cluster: rates over that second, levels at its end."""

    at: float
    sent: float
    started: float
    finished: float
    failed: float
    retried: float
    in_flight: int
    depth: int
    """Messages that wait in all queues."""
    wait_p95: float | None
    run_p95: float | None


class InFlight(Struct, frozen=True):
    """Tasks that have not ended, by what they do."""

    sent: int
    received: int
    started: int
    retry: int
    stuck: int
    """Of all these: over the limit of their phase."""
    unsure: int
    """Likewise, and whether they are still there cannot be told."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.sent + self.received + self.started + self.retry


class Totals(Struct, frozen=True):
    """How much happened since the service started."""

    sent: int
    started: int
    finished: int
    failed: int
    retried: int


class WorkerCounts(Struct, frozen=True):
    """Worker processes by state."""

    online: int
    suspect: int
    lost: int
    offline: int


class Check(Struct, frozen=True):
    """One thing that should be well, and what is known of it in a sentence."""

    name: str
    ok: bool
    detail: str


class Broker(Struct, frozen=True):
    """One broker that is watched."""

    name: str
    subscriptions: int
    """So far; more than one means that there were gaps."""
    gap_seconds: float
    """Length of all gaps, in which events were not seen."""
    last_event_at: float | None
    unacknowledged: int | None
    """Messages that workers hold."""
    tasks_in_flight: int
    tasks_given_up: int
    """That left early because there were too many."""


class Overview(Struct, frozen=True):
    """The whole cluster at one moment."""

    at: float
    version: str
    started_at: float
    healthy: bool
    checks: tuple[Check, ...]
    brokers: tuple[Broker, ...]
    now: Sample
    in_flight: InFlight
    totals: Totals
    wait: Quantiles
    """From sent, or the ETA if later, to started."""
    run: Quantiles
    total: Quantiles
    """From first sent to the end, retries included."""
    workers: WorkerCounts
    coverage: float | None
    """Share of the executions that workers count of which a start was seen, 0…1."""
    queue_depth: int
    trace_link: bool
    """Whether traces have a place to look at."""
    series: tuple[Sample, ...] = ()
    """The last minutes, oldest first; not in the stream, which has one sample at a time."""


class Queue(Struct, frozen=True):
    """One queue of one broker."""

    broker: str
    name: str
    depth: int | None
    """Messages that wait, all priorities; None where nobody looked: events alone name it."""
    ready: dict[str, int]
    """By priority step."""
    oldest_since: float | None
    """When the message at the head was sent."""
    drain_time: float | None
    """Seconds until it is empty, at the rate at which messages are taken."""
    stalled: bool
    """It holds messages and nobody takes any, although workers are there."""
    unacknowledged: int | None
    oldest_unacknowledged_since: float | None
    overdue: int | None
    """Of those, the ones that the broker will soon give to another worker."""
    waiting: int
    """Tasks that were sent to it and that no worker took, by their events."""
    received: int
    running: int
    retrying: int
    trend: tuple[int, ...] = ()
    """Depths of the last minutes, oldest first."""


class Worker(Struct, frozen=True):
    """One worker process."""

    broker: str
    hostname: str
    pid: int
    state: WorkerState
    active: int | None
    """Tasks that it runs, by its own count."""
    utilisation: float | None
    """Mean of those over the last minute, as a share of ``pool``, or where that is not known of
    ``peak``."""
    pool: int | None
    """Tasks that it runs at once at most; None where it was not asked (``inspect_interval``)."""
    peak: int | None
    """The most that were seen at once."""
    processed: int | None
    coverage: float | None
    """Share of its executions of which a start was seen, 0…1."""
    skew: float | None
    """Seconds that its clock is ahead of ours."""
    last_seen_at: float
    version: str | None
    trend: tuple[int, ...] = ()
    """What it ran in the last minute, oldest first."""


class Task(Struct, frozen=True):
    """One task in a list, as its newest delivery has it."""

    broker: str
    uuid: str
    name: str | None
    queue: str | None
    state: State
    worker: str | None
    since: float
    """Since when it is in this state; of one that ended: when it did."""
    retries: int
    ended: bool
    stuck: bool
    unsure: bool
    """Over its limit, or ended by inference: no event said so."""
    eta: float | None
    sent_at: float | None
    started_at: float | None
    wait: float | None
    run: float | None
    total: float | None
    error_type: str | None
    error: str | None
    """What the exception says, without credentials; or the reason, where there is none."""


class Tasks(Struct, frozen=True):
    """What was found."""

    at: float
    tasks: tuple[Task, ...]
    """In flight, those that run first and the longest first; then ended, the newest first."""
    in_flight: int | None
    """How many were found in flight; None where there were too many to look at all."""
    ended: int
    """How many were found among those that ended and are kept."""
    complete: bool
    """Whether all tasks in flight were looked at."""
    kept: int
    """Ended tasks that are kept at all."""


class Delivery(Struct, frozen=True):
    """One message of a task that reached, or will reach, one worker."""

    retries: int
    """0 for the first attempt."""
    ordinal: int
    """0 for the first delivery of its attempt, 1 for its first redelivery."""
    state: State
    inferred: bool
    """No event said how it ended."""
    worker: str | None
    pid: int | None
    sent_at: float | None
    eta: float | None
    received_at: float | None
    started_at: float | None
    ended_at: float | None
    wait: float | None
    run: float | None
    redelivered: bool
    reason: str | None
    error_type: str | None
    error: str | None
    traceback: str | None
    span_id: str
    trace_url: str | None
    args: str | None
    """Like ``kwargs`` and ``result`` only where the settings allow it; secrets are hidden."""
    kwargs: str | None
    result: str | None


class TaskDetail(Struct, frozen=True):
    """One task's whole story."""

    at: float
    broker: str
    uuid: str
    name: str | None
    queue: str | None
    state: State
    ended: bool
    stuck: bool
    unsure: bool
    since: float
    root_id: str | None
    parent_id: str | None
    trace_id: str
    trace_source: str
    """How the trace is known: ``event``, ``peek``, ``parent``, ``root`` or ``derived``."""
    trace_url: str | None
    """Where to look at the trace, after the setting ``page.trace_url``."""
    total: float | None
    deliveries: tuple[Delivery, ...]


class Failure(Struct, frozen=True):
    """Ends that are no success, of one task name and for one reason."""

    broker: str
    name: str | None
    state: State
    why: str | None
    """Class of the exception, or the reason where there is none."""
    count: int
    first_at: float
    last_at: float
    uuid: str
    """Of the newest."""
    error: str | None
    """What the newest one's exception says."""


class Stuck(Struct, frozen=True):
    """A task that has been in one phase for longer than its limit."""

    broker: str
    uuid: str
    name: str | None
    queue: str | None
    worker: str | None
    state: State
    phase: Phase
    reason: StuckReason
    certain: bool
    """Whether there is evidence that it is still there."""
    since: float
    limit: float
    retries: int
    why: str
    """In a sentence."""


class Queues(Struct, frozen=True):
    """The queues, the deepest first."""

    queues: tuple[Queue, ...]
    total: int


class Workers(Struct, frozen=True):
    """The worker processes, those that are not well first."""

    workers: tuple[Worker, ...]
    total: int


class PeriodicTask(Struct, frozen=True):
    """A task that is sent at fixed intervals, as by Celery Beat."""

    broker: str
    name: str | None
    queue: str | None
    every: float
    """Seconds between two sendings."""
    declared: bool
    """By a rule; else learned from its sendings."""
    last_at: float | None
    """When it was seen to be sent last; None: it never was."""
    overdue_since: float | None
    """When it was to be sent and was not; None while it is not late."""


class Failures(Struct, frozen=True):
    """The groups of failures, that with the newest first."""

    failures: tuple[Failure, ...]
    total: int


class StuckTasks(Struct, frozen=True):
    """The tasks over their limit: those that are stuck for certain first, the longest first."""

    stuck: tuple[Stuck, ...]
    total: int


class PeriodicTasks(Struct, frozen=True):
    """The tasks that are sent at fixed intervals: those that are late first, the longest first."""

    periodic: tuple[PeriodicTask, ...]
    total: int
    late: int
    """Of all these: not sent when they were to be."""


class Problem(Struct, frozen=True):
    """Why there is no other answer."""

    error: Annotated[str, Meta(description="In a sentence.")]
