"""The table of all metrics: name, kind, unit, attributes and meaning, each written once.

Names and units are OpenTelemetry's; the Prometheus page derives its own from them. No attribute
comes from an open set (uuid, arguments, exception text, pid); the aggregate bounds the rest.
Durations are seconds but for `TASK_DURATION`, whose milliseconds are what instrumented workers
commonly report under this name.
"""

from enum import StrEnum

from msgspec import Struct


class Type(StrEnum):
    """How an instrument's values add up."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Instrument(Struct, frozen=True, eq=False):
    """One metric. Equality is identity: there is one object for each name."""

    name: str
    type: Type
    unit: str
    """UCUM, as OpenTelemetry writes it; ``{task}`` counts tasks and is no unit."""
    attributes: tuple[str, ...]
    about: str
    bounds: tuple[float, ...] = ()
    """Upper, inclusive bounds of a histogram's buckets, in *unit*; the last bucket is open."""


RUN_BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0),
)
"""Seconds: from the quickest tasks to the longest that most time limits allow."""

WAIT_BOUNDS = (*RUN_BOUNDS, 4.0 * 3600, 12.0 * 3600, 24.0 * 3600)
"""Seconds: a backlog or a chain of retries lasts for hours."""

ATTEMPT_BOUNDS = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0)

POLL_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: a poll is a handful of commands in one round trip."""

LOOP_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds: an idle loop is late by less than the first, one that is late by the last is stuck."""


def _counter(name: str, unit: str, *attributes: str, about: str) -> Instrument:
    return Instrument(name, Type.COUNTER, unit, attributes, about)


def _gauge(name: str, unit: str, *attributes: str, about: str) -> Instrument:
    return Instrument(name, Type.GAUGE, unit, attributes, about)


def _histogram(
    name: str, unit: str, *attributes: str, bounds: tuple[float, ...], about: str
) -> Instrument:
    return Instrument(name, Type.HISTOGRAM, unit, attributes, about, bounds)


_MESSAGING = (
    "messaging.system",
    "messaging.destination.name",
    "messaging.operation.name",
    "celery.task.name",
)

# By the semantic conventions of messaging.
PROCESS_DURATION = _histogram(
    "messaging.process.duration",
    "s",
    *_MESSAGING,
    "error.type",
    bounds=RUN_BOUNDS,
    about="Time that an attempt ran, as its worker measured where it did.",
)
SENT_MESSAGES = _counter(
    "messaging.client.sent.messages", "{message}", *_MESSAGING, about="Tasks published."
)
CONSUMED_MESSAGES = _counter(
    "messaging.client.consumed.messages", "{message}", *_MESSAGING, about="Tasks received."
)

# Tasks: what happened.
TASK_STARTED = _counter(
    "celery.task.started", "{task}", "task", "queue", about="Attempts that began to run."
)
TASK_ATTEMPTS = _counter(
    "celery.task.attempts", "{attempt}", "task", "queue", about="Attempts, counted at each run."
)
TASK_COMPLETED = _counter(
    "celery.task.completed", "{task}", "task", "queue", about="Tasks that ended in SUCCESS."
)
TASK_FINISHED = _counter(
    "celery.task.finished", "{task}", "task", "queue", "state", about="Tasks that ended."
)
TASK_FAILED = _counter(
    "celery.task.failed", "{task}", "task", "queue", "error_type", about="Tasks that failed."
)
TASK_RETRIES = _counter(
    "celery.task.retries",
    "{retry}",
    *("task", "queue", "error_type"),
    about="Attempts that ended by asking for another one.",
)
TASK_REVOKED = _counter(
    "celery.task.revoked",
    "{task}",
    *("task", "queue", "reason"),
    about="Tasks revoked, expired or terminated.",
)
TASK_REJECTED = _counter(
    "celery.task.rejected",
    "{message}",
    *("task", "queue", "reason"),
    about="Messages that a worker refused, put back (requeue) or not.",
)
TASK_LOST = _counter(
    "celery.task.lost",
    "{task}",
    *("task", "queue", "reason"),
    about="Tasks whose worker process is gone and that nobody took over.",
)
TASK_UNKNOWN = _counter(
    "celery.task.unknown",
    "{task}",
    *("task", "queue", "reason"),
    about="Tasks that ended, or will never run, without an event that says how.",
)
TASK_REDELIVERED = _counter(
    "celery.task.redelivered",
    "{message}",
    *("task", "queue"),
    about="Messages received again for the same attempt.",
)
TASK_DURATION = _histogram(
    "celery.task.duration",
    "ms",
    *("task", "queue", "state"),
    bounds=tuple(round(bound * 1000.0, 3) for bound in RUN_BOUNDS),
    about="Time that the attempt which decided a task ran.",
)
TASK_WAIT_TIME = _histogram(
    "celery.task.wait_time",
    "s",
    *("task", "queue"),
    bounds=WAIT_BOUNDS,
    about="From sent, or the ETA if later, to started.",
)
TASK_PREFETCH_TIME = _histogram(
    "celery.task.prefetch_time",
    "s",
    *("task", "queue"),
    bounds=WAIT_BOUNDS,
    about="From received, or the ETA if later, to started.",
)
TASK_ETA_DELAY = _histogram(
    "celery.task.eta_delay",
    "s",
    *("task", "queue"),
    bounds=WAIT_BOUNDS,
    about="How long it was to wait for its ETA or countdown, retries included.",
)
TASK_TOTAL_TIME = _histogram(
    "celery.task.total_time",
    "s",
    *("task", "queue"),
    bounds=WAIT_BOUNDS,
    about="From first sent to the end, waits and retries included.",
)
ATTEMPTS_PER_TASK = _histogram(
    "celery.task.attempts_per_task",
    "{attempt}",
    *("task", "state"),
    bounds=ATTEMPT_BOUNDS,
    about="Attempts that a task had when it ended.",
)

# Read from the tables when asked.
TASK_ACTIVE = _gauge(
    "celery.task.active",
    "{task}",
    *("task", "queue", "state"),
    about="Tasks that have not ended.",
)
TASK_OLDEST_AGE = _gauge(
    "celery.task.oldest.age",
    "s",
    *("task", "queue", "state"),
    about="How long the longest has been in this state.",
)
TASK_STUCK = _gauge(
    "celery.task.stuck",
    "{task}",
    *("task", "queue", "state"),
    about="Tasks that have been in one phase for longer than its limit.",
)
TASK_STUCK_UNKNOWN = _gauge(
    "celery.task.stuck.unknown",
    "{task}",
    *("task", "queue", "state"),
    about="Tasks over their limit of which nobody can tell whether they are still there.",
)
QUEUE_DEPTH = _gauge(
    "celery.queue.depth", "{message}", "queue", about="Messages waiting, all priorities."
)
QUEUE_PRIORITY_DEPTH = _gauge(
    "celery.queue.priority.depth",
    "{message}",
    *("queue", "priority"),
    about="Messages waiting, by priority step.",
)
QUEUE_SIZE = _gauge(
    "celery.queue.size",
    "{message}",
    *("queue", "state"),
    about="Messages ready; where the broker tells, unacknowledged ones, and delayed ones, which it "
    "holds until their ETA (queue * is all).",
)
QUEUE_OLDEST_AGE = _gauge(
    "celery.queue.oldest.age", "s", "queue", about="Age of the message at the head."
)
QUEUE_STALLED = _gauge(
    "celery.queue.stalled",
    "1",
    "queue",
    about="1 while it holds messages and nobody takes any, although workers are there.",
)
QUEUE_UNACKNOWLEDGED_AGE = _gauge(
    "celery.queue.unacknowledged.age",
    "s",
    "queue",
    about="How long a worker has held the message that is held longest (queue * is all).",
)
QUEUE_OVERDUE = _gauge(
    "celery.queue.overdue",
    "{message}",
    "queue",
    about="Messages that workers hold for so long that Redis will soon give them to another one.",
)
QUEUE_WORKERS = _gauge(
    "celery.queue.workers",
    "{worker}",
    "queue",
    about="Workers alive that say that they consume it (with `inspect_interval`).",
)
QUEUE_DRAIN_TIME = _gauge(
    "celery.queue.drain_time",
    "s",
    "queue",
    about="Messages waiting over the rate at which they are received.",
)
BEAT_LATE = _counter(
    "celery.beat.late",
    "{task}",
    *("task", "queue"),
    about="Times that a periodic task was not sent when it was due.",
)
BEAT_MISSED = _counter(
    "celery.beat.missed",
    "{task}",
    *("task", "queue"),
    about="Sendings of a periodic task that had not come when the next was due.",
)
BEAT_INTERVAL = _gauge(
    "celery.beat.interval",
    "s",
    *("task", "queue"),
    about="Interval at which a periodic task is expected, declared or learned.",
)
BEAT_OVERDUE = _gauge(
    "celery.beat.overdue",
    "s",
    *("task", "queue"),
    about="Time since a periodic task was due; 0 while it is not late.",
)
WORKERS_ACTIVE = _gauge("celery.workers.active", "{worker}", about="Workers alive.")
WORKER_SUSPECT = _gauge(
    "celery.worker.suspect",
    "1",
    "worker",
    about="1 while silent for longer than its heartbeats allow, as solo pools are at work.",
)
WORKER_UP = _gauge("celery.worker.up", "{worker}", "worker", about="1 while the worker is alive.")
WORKER_ACTIVE = _gauge(
    "celery.worker.active", "{task}", "worker", about="Tasks that its heartbeat says are running."
)
WORKER_PROCESSED = _gauge(
    "celery.worker.processed", "{task}", "worker", about="Tasks accepted since it began."
)
WORKER_POOL = _gauge(
    "celery.worker.pool.size",
    "{task}",
    "worker",
    about="Tasks that it runs at once at most (with `inspect_interval`).",
)
WORKER_UTILIZATION = _gauge(
    "celery.worker.utilization",
    "1",
    "worker",
    about="Tasks that it runs over those that it can run at once (with `inspect_interval`).",
)
WORKER_COVERAGE = _gauge(
    "celery.worker.event.coverage",
    "1",
    "worker",
    about="Share of its executions of which a start was seen, 0 to 1.",
)
WORKER_SKEW = _gauge(
    "celery.worker.clock.skew", "s", "worker", about="How far its clock is ahead of ours."
)

# The service itself: intake.
FRAMES_RECEIVED = _counter(
    "stream.frames.received", "{frame}", "source", about="Messages that came off a subscription."
)
FRAMES_SHED = _counter(
    "stream.frames.shed", "{frame}", about="Messages given up because the channel was full."
)
EVENTS_DECODED = _counter("stream.events.decoded", "{event}", about="Events read from messages.")
EVENTS_REJECTED = _counter(
    "stream.events.rejected", "{event}", "reason", about="Messages or events that were unreadable."
)
EVENTS_ODD = _counter(
    "stream.events.odd",
    "{event}",
    "reason",
    about="What did not fit: duplicates, late and implied events, evictions.",
)
EVENTS_MISSED = _counter(
    "stream.events.missed",
    "{event}",
    about="Executions that heartbeats count and of which no start was seen.",
)
EVENT_AGE = _gauge("stream.event.age", "s", about="Time since the last event.")
SOURCE_OPENED = _counter(
    "stream.source.opened", "{connection}", "source", about="Connections made."
)
SOURCE_LOST = _counter(
    "stream.source.lost", "{connection}", "source", about="Connections lost or not made."
)
SOURCE_EPOCHS = _gauge(
    "stream.source.epochs", "{subscription}", "source", about="Subscriptions so far."
)
SOURCE_GAPS = _counter(
    "stream.source.gaps", "{gap}", "source", about="Interruptions of a subscription."
)
SOURCE_GAP_TIME = _counter(
    "stream.source.gap.time",
    "s",
    "source",
    about="Length of all interruptions; what was published meanwhile was not seen.",
)
SOURCE_FRAME_AGE = _gauge(
    "stream.source.frame.age", "s", "source", about="Time since the last message."
)
POLL_DURATION = _histogram(
    "stream.queues.poll.duration",
    "s",
    "source",
    bounds=POLL_BOUNDS,
    about="Time that a look at the queue keys took.",
)
POLL_PROBLEMS = _counter(
    "stream.queues.problems", "{key}", "source", about="Queue keys that could not be read."
)

# The service itself: tables and labels.
TASKS_IN_FLIGHT = _gauge("stream.tasks.in_flight", "{task}", about="Tasks followed now.")
TASKS_REMEMBERED = _gauge(
    "stream.tasks.remembered", "{task}", about="Ended tasks that are still recognised."
)
TASKS_REVISED = _counter(
    "stream.tasks.revised",
    "{task}",
    *("was", "state"),
    about="Tasks whose end turned out to be another one than was told.",
)
TASKS_STUCK = _counter(
    "stream.tasks.stuck", "{task}", "reason", about="Times that a task was called stuck."
)
TASKS_UNSTUCK = _counter(
    "stream.tasks.unstuck", "{task}", about="Times that a stuck task moved on."
)
TABLE_EVICTED = _gauge(
    "stream.table.evicted",
    "{entry}",
    "table",
    about="Entries that left a full table early, or did not enter it, since the start.",
)
RECORDS_LOST = _counter(
    "stream.records.lost", "{record}", about="Lines for stdout that nobody took in time."
)
CAPTURE_UNRECORDED = _counter(
    "stream.capture.unrecorded",
    "{frame}",
    "reason",
    about="Messages that are not in the capture (full, disk), or without their body (body).",
)
LOOP_DELAY = _histogram(
    "stream.loop.delay",
    "s",
    bounds=LOOP_BOUNDS,
    about="How late the event loop did what it was asked for, looked at 20 times a second.",
)
QUEUES_STALLED = _counter(
    "stream.queues.stalled", "{queue}", about="Times that a queue was found not to be consumed."
)
WORKERS_CHANGED = _counter(
    "stream.workers.changed", "{worker}", "state", about="Worker processes that came to a state."
)
LATENCY_UNKNOWN = _counter(
    "stream.latency.unknown",
    "{latency}",
    "reason",
    about="Latencies that no event told, or that are no number of seconds.",
)
COMPAT_OVERFLOW = _counter(
    "stream.compat.overflow",
    "{record}",
    about="Records that the compatibility page has under the worker other: too many of them.",
)
LABELS_OVERFLOW = _counter(
    "stream.labels.overflow",
    "{record}",
    "instrument",
    about="Records counted as other because the instrument has too many series.",
)

# The service itself: what became of every item that was to be exported.
EXPORT_ACCEPTED = _counter(
    "stream.export.accepted", "{item}", "signal", about="Items taken in for export."
)
EXPORT_SENT = _counter("stream.export.sent", "{item}", "signal", about="Items that arrived.")
EXPORT_REJECTED = _counter(
    "stream.export.rejected", "{item}", "signal", about="Items that the receiver refused singly."
)
EXPORT_DROPPED = _counter(
    "stream.export.dropped", "{item}", "signal", "reason", about="Items that will never arrive."
)
EXPORT_FAILURES = _counter(
    "stream.export.failures", "{batch}", "signal", about="Attempts to send that failed."
)
EXPORT_WAITING = _gauge(
    "stream.export.waiting", "{item}", "signal", about="Items waiting in memory to be sent."
)
EXPORT_SPOOLED = _gauge(
    "stream.export.spooled", "{item}", "signal", about="Items waiting on disk to be sent."
)
EXPORT_RECOVERED = _counter(
    "stream.export.recovered",
    "{item}",
    "signal",
    about="Of the accepted, items that were on disk at the start.",
)
EXPORT_CIRCUIT = _gauge(
    "stream.export.circuit",
    "{circuit}",
    "signal",
    about="1 while nothing is sent because the receiver failed.",
)
SPOOL_BYTES = _gauge(
    "stream.spool.bytes", "By", "signal", about="Size of the files that items wait in."
)
SPOOL_DAMAGED = _counter(
    "stream.spool.damaged",
    "{place}",
    "signal",
    about="Places in those files that could not be read.",
)
SPOOL_FAILURES = _counter(
    "stream.spool.failures", "{attempt}", "signal", about="Times that the disk refused."
)

# The service itself: which spans are made.
SPANS_UNSAMPLED = _counter(
    "stream.spans.unsampled",
    "{span}",
    "reason",
    about="Spans left out by the sampler (sampled_out) or by the choice of spans (policy).",
)
SPANS_RATIO = _gauge(
    "stream.spans.ratio", "1", about="Share of new traces that is kept now, 0 to 1."
)

TABLE: tuple[Instrument, ...] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, Instrument)
)
"""All of them, in the order above."""
