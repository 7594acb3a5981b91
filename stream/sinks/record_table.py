"""The log records in words: what each is called, how grave it is, when there is one, what it tells.

The records are made from these rows, so name, severity and body cannot differ from what is said
here; a test holds the fields against what is really told.
"""

from typing import Final, NamedTuple, TypeAlias

from ..core.effects import Advice
from ..core.states import State, WorkerState
from ..export.records import Severity

_Names: TypeAlias = tuple[str, ...]


class RecordKind(NamedTuple):
    """One kind of log record."""

    name: str
    """The record's ``event_name``."""
    severity: Severity
    body: str
    """A sentence; ``{}`` is the task, the worker or the queue."""
    when: str
    fields: _Names
    """Attributes that it may have; one that no event told is left out."""


FIELDS: Final[dict[str, str]] = {
    "task_id": "the task's uuid",
    "task_name": "the task's name",
    "state": "of the attempt: `STARTED`, or how it ended; of the worker: `online` …",
    "was": "the state in which the task was told to have ended",
    "phase": "`queued`, `prefetched`, `running` or `retrying`",
    "duration_ms": "milliseconds of execution",
    "wait_ms": "milliseconds from sent, or the ETA if later, to started",
    "retry_count": "number of the attempt, 0 for the first",
    "reason": "why, from a closed set: `expired`, `terminated`, `worker_lost`, `runs_long` …",
    "error": "what the exception says",
    "error_type": "the exception's class",
    "queue": "the queue's name",
    "worker": "the worker's node name",
    "broker": "the broker's name, where one was given or there are several",
    "pid": "process id of the worker",
    "inferred": "`true`: no event told this end",
    "redelivered": "`true`: the same attempt had been received before",
    "args": "positional arguments, with `log_records.arguments`",
    "kwargs": "named arguments, with `log_records.arguments`",
    "result": "what the task returned, with `log_records.results`",
    "exception.type": "as `error_type`, in OpenTelemetry's words",
    "exception.message": "as `error`, in OpenTelemetry's words",
    "exception.stacktrace": "the traceback; of a long one the beginning and the end",
    "age": "seconds in this phase, or since the ETA",
    "limit": "seconds after which this task is called stuck in this phase",
    "lasted": "seconds for which it was stuck, or the queue stalled",
    "depth": "messages waiting",
    "interval": "seconds between two sendings",
    "due_at": "epoch seconds at which it was due",
    "behind": "seconds after it was first due",
    "missed": "how many were missed in a row",
    "since": "epoch seconds from which on no message was taken",
    "log.record.uid": "the same for the same record, whoever makes it and however often",
}
"""Every attribute and what it means."""

_UID: Final = ("broker", "log.record.uid")
_TASK: Final = ("task_id", "task_name", "retry_count", "queue", "worker", *_UID)
_ARGUMENTS: Final = ("args", "kwargs")
_RUN: Final = (*_TASK, "state", "duration_ms", "redelivered", *_ARGUMENTS)
_END: Final = (*_RUN, "reason")
_ERROR: Final = (
    *(*_RUN, "error", "error_type"),
    *("exception.type", "exception.message", "exception.stacktrace"),
)
_WORKER: Final = ("worker", "pid", "state", *_UID)
_ADVICE: Final = ("worker", "reason", *_UID)

STARTED: Final = RecordKind(
    "celery.task.started",
    Severity.INFO,
    "Task starting",
    "an attempt begins to run; only with `log_records.lifecycle`",
    (*_TASK, "state", "wait_ms", "redelivered", *_ARGUMENTS),
)
COMPLETED: Final = RecordKind(
    "celery.task.completed",
    Severity.INFO,
    "Task completed",
    "an attempt succeeds; only with `log_records.lifecycle`",
    (*_RUN, "result"),
)
ENDS: Final = {
    State.FAILURE: RecordKind(
        "messaging.process.exception", Severity.ERROR, "Task {} failed", "a task fails", _ERROR
    ),
    State.RETRY: RecordKind(
        "celery.task.retried",
        Severity.WARN,
        "Task {} will be retried",
        "an attempt ends by asking for another one (not of `celery.chord_unlock`)",
        _ERROR,
    ),
    State.REVOKED: RecordKind(
        "celery.task.revoked",
        Severity.WARN,
        "Task {} was revoked",
        "a task is revoked, has expired or is terminated",
        _END,
    ),
    State.REJECTED: RecordKind(
        "celery.task.rejected",
        Severity.WARN,
        "Task {} was rejected",
        "a worker refuses a message for good",
        _END,
    ),
    State.REQUEUED: RecordKind(
        "celery.task.rejected",
        Severity.WARN,
        "Task {} was put back",
        "a worker refuses a message and gives it back to the broker",
        _END,
    ),
    State.LOST: RecordKind(
        "celery.task.lost",
        Severity.ERROR,
        "Task {} was lost with its worker",
        "the worker is gone and nobody took the task over",
        (*_END, "inferred"),
    ),
    State.UNKNOWN: RecordKind(
        "celery.task.unknown",
        Severity.WARN,
        "Task {} ended unseen, or will never run",
        "no event told how a task ended (not for those that did not fit in, which are counted)",
        (*_END, "inferred"),
    ),
}
"""By the state in which an attempt ended."""
REVISED: Final = RecordKind(
    "celery.task.revised",
    Severity.WARN,
    "Task {} ended otherwise than told",
    "the real end of a task comes to light after another one was told",
    (*_TASK, "was", "state"),
)
STUCK: Final = RecordKind(
    "celery.task.stuck",
    Severity.WARN,
    "Task {} is stuck",
    "a task has been in one phase for longer than its limit",
    (*_TASK, "phase", "reason", "age", "limit"),
)
UNSTUCK: Final = RecordKind(
    "celery.task.unstuck",
    Severity.INFO,
    "Task {} moved on",
    "a task that was stuck moves on",
    (*_TASK, "phase", "lasted"),
)
WORKERS: Final = {
    WorkerState.ONLINE: RecordKind(
        "celery.worker.online",
        Severity.INFO,
        "Worker {} is online",
        "a worker process comes up, or is seen for the first time",
        _WORKER,
    ),
    WorkerState.OFFLINE: RecordKind(
        "celery.worker.offline",
        Severity.INFO,
        "Worker {} went offline",
        "a worker process says goodbye",
        _WORKER,
    ),
    WorkerState.LOST: RecordKind(
        "celery.worker.lost",
        Severity.ERROR,
        "Worker {} was lost",
        "a worker process has been silent for so long that its work is given up",
        _WORKER,
    ),
}
"""By the state that a worker came to."""
STALLED: Final = RecordKind(
    "celery.queue.stalled",
    Severity.ERROR,
    "Queue {} is not consumed",
    "a queue holds messages and nobody takes any, although workers are there",
    ("queue", "depth", "since", *_UID),
)
MOVED: Final = RecordKind(
    "celery.queue.moved",
    Severity.INFO,
    "Queue {} is consumed again",
    "a queue that had stalled is consumed again, or empty",
    ("queue", "lasted", *_UID),
)
_PERIODIC: Final = ("task_name", "queue", "interval", *_UID)
LATE: Final = RecordKind(
    "celery.beat.late",
    Severity.WARN,
    "Periodic task {} was not sent when it was due",
    "a task that is sent at fixed intervals, declared or learned, has not come when it was due",
    (*_PERIODIC, "due_at"),
)
MISSED: Final = RecordKind(
    "celery.beat.missed",
    Severity.ERROR,
    "Periodic task {} was missed",
    "it has not come when the next one was due; once in a row of misses",
    (*_PERIODIC, "due_at"),
)
RESUMED: Final = RecordKind(
    "celery.beat.resumed",
    Severity.INFO,
    "Periodic task {} is sent again",
    "it comes after it was late",
    (*_PERIODIC, "behind", "missed"),
)
ADVICE: Final = {
    Advice.EVENTS_DISABLED: RecordKind(
        "celery.worker.events_disabled",
        Severity.WARN,
        "Worker {} runs tasks and sends no task events: start it with -E, or set "
        "worker_send_task_events = True",
        "heartbeats tell of work, and no task event comes; once for each worker",
        _ADVICE,
    ),
    Advice.SENT_DISABLED: RecordKind(
        "celery.producer.events_disabled",
        Severity.WARN,
        "Producers tell nothing of what they send, so queues, waits and total times are unknown: "
        "set task_send_sent_event = True",
        "tasks are received that no producer told to have sent; once",
        ("reason", *_UID),
    ),
}
"""By what hides something."""

RECORDS: Final[tuple[RecordKind, ...]] = (
    *(STARTED, COMPLETED, *ENDS.values(), REVISED, STUCK, UNSTUCK),
    *(*WORKERS.values(), STALLED, MOVED, LATE, MISSED, RESUMED, *ADVICE.values()),
)
"""All of them."""
