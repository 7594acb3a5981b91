"""The metrics of celery-exporter and of flower: their names and labels, and what is right in ours.

They are told on a page of their own, because some of their names are ours too under other labels.
Dashboards, alerts and autoscalers that were made for them find what they ask for; where they told
something wrong, ours differs, and each row says how.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from .instruments import Instrument, Type


class Compat(StrEnum):
    """Whose metrics."""

    CELERY_EXPORTER = "celery-exporter"
    FLOWER = "flower"


class Row(Struct, frozen=True):
    """One of their metrics, and how ours differs from it."""

    whose: Compat
    instrument: Instrument
    difference: str
    """Empty where there is none."""


RUN_BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(30.0, 60.0, 300.0, 1800.0),
)
"""Seconds: the buckets that both have, and some for tasks that take longer than ten seconds."""

_ROWS: list[Row] = []
_PLACE: Final = ("name", "hostname", "queue_name")
_LONGER: Final = "buckets also above 10 s"


def _exporter(
    name: str,
    kind: Type,
    attributes: tuple[str, ...],
    about: str,
    *,
    difference: str = "",
    bounds: tuple[float, ...] = (),
) -> Instrument:
    # Their names have no unit.
    instrument = Instrument(f"celery.{name}", kind, "", attributes, about, bounds)
    _ROWS.append(Row(Compat.CELERY_EXPORTER, instrument, difference))
    return instrument


def _flower(
    name: str,
    kind: Type,
    attributes: tuple[str, ...],
    about: str,
    *,
    unit: str = "",
    difference: str = "",
    bounds: tuple[float, ...] = (),
) -> Instrument:
    instrument = Instrument(f"flower.{name}", kind, unit, attributes, about, bounds)
    _ROWS.append(Row(Compat.FLOWER, instrument, difference))
    return instrument


SENT = _exporter(
    "task.sent",
    Type.COUNTER,
    _PLACE,
    "Tasks published.",
    difference="`hostname` is always `generic`: producers come and go",
)
RECEIVED = _exporter("task.received", Type.COUNTER, _PLACE, "Tasks that a worker received.")
STARTED = _exporter("task.started", Type.COUNTER, _PLACE, "Attempts that began to run.")
SUCCEEDED = _exporter("task.succeeded", Type.COUNTER, _PLACE, "Tasks that succeeded.")
FAILED = _exporter(
    "task.failed",
    Type.COUNTER,
    ("name", "hostname", "exception", "queue_name"),
    "Tasks that failed.",
    difference="a task that hits its hard time limit counts once; `exception` is the class also "
    "of time limits and lost processes, at most 50 for each task and worker; where none is told "
    "`UnknownException`, as theirs",
)
REJECTED = _exporter(
    "task.rejected",
    Type.COUNTER,
    _PLACE,
    "Messages that a worker refused.",
    difference="a task that drops itself is a failure only",
)
REVOKED = _exporter("task.revoked", Type.COUNTER, _PLACE, "Tasks revoked or expired.")
RETRIED = _exporter("task.retried", Type.COUNTER, _PLACE, "Attempts that asked for another one.")
RUNTIME = _exporter(
    "task.runtime",
    Type.HISTOGRAM,
    _PLACE,
    "Seconds that tasks ran which succeeded.",
    difference=_LONGER,
    bounds=RUN_BOUNDS,
)
QUEUE_WAIT = _exporter(
    "task.queue_wait_time",
    Type.HISTOGRAM,
    _PLACE,
    "Seconds from sent, or the ETA if later, to started.",
    difference=f"clocks that differ are corrected; {_LONGER}",
    bounds=RUN_BOUNDS,
)
WORKER_UP = _exporter(
    "worker.up",
    Type.GAUGE,
    ("hostname",),
    "1 while all workers of the host are alive.",
    difference="0 if any of several workers on one host is gone; one that said goodbye is gone "
    "after 10 minutes, one that vanished stays 0 for an hour, so that `CeleryWorkerDown` fires for "
    "it and not for a rollout",
)
TASKS_ACTIVE = _exporter(
    "worker.tasks_active",
    Type.GAUGE,
    ("hostname",),
    "Tasks that the heartbeats of the host's workers say are running.",
    difference="the sum of several workers on one host",
)
QUEUE_LENGTH = _exporter(
    "queue.length",
    Type.GAUGE,
    ("queue_name",),
    "Messages waiting.",
    difference="all priorities, on Redis too",
)
ACTIVE_CONSUMERS = _exporter(
    "active_consumer_count",
    Type.GAUGE,
    ("queue_name",),
    "Workers that took tasks from the queue and are alive.",
    difference="of any broker; from events as the next one",
)
ACTIVE_WORKERS = _exporter(
    "active_worker_count",
    Type.GAUGE,
    ("queue_name",),
    "Workers that took tasks from the queue and are alive.",
    difference="seen in events: one that has taken nothing is counted only where it is asked "
    "(`inspect_interval`)",
)
ACTIVE_PROCESSES = _exporter(
    "active_process_count",
    Type.GAUGE,
    ("queue_name",),
    "The most tasks that these workers were seen to run at once.",
    difference="the size of its pool only where a worker is asked (`inspect_interval`): else at "
    "most that, and less until it was busy",
)

EVENTS = _flower(
    "events",
    Type.COUNTER,
    ("worker", "type", "task"),
    "Events of tasks.",
    difference="duplicates count once, as does a hard time limit; types of one's own are not "
    "counted; `worker` of `task-sent` is `generic`",
)
FLOWER_RUNTIME = _flower(
    "task.runtime",
    Type.HISTOGRAM,
    ("worker", "task"),
    "Time that tasks ran which succeeded.",
    unit="s",
    difference=_LONGER,
    bounds=RUN_BOUNDS,
)
PREFETCH_TIME = _flower(
    "task.prefetch_time",
    Type.GAUGE,
    ("worker", "task"),
    "Time from received to started of the task that was started last; 0 once one has ended.",
    unit="s",
    difference="also of tasks with an ETA, from that on",
)
PREFETCHED = _flower(
    "worker.prefetched_tasks",
    Type.GAUGE,
    ("worker", "task"),
    "Tasks that the worker holds and has not begun.",
    difference="counted when asked, so it never drifts or falls below 0",
)
ONLINE = _flower(
    "worker.online",
    Type.GAUGE,
    ("worker",),
    "1 while the worker is alive.",
    difference="0 also for one that vanished; gone as `celery_worker_up`",
)
EXECUTING = _flower(
    "worker.number_of_currently_executing_tasks",
    Type.GAUGE,
    ("worker",),
    "Tasks that its heartbeat says are running.",
    difference="0 once the worker is gone",
)

ROWS: Final[tuple[Row, ...]] = tuple(_ROWS)
"""All of them, in the order above."""
