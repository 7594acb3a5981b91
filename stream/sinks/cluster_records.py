"""The log records of workers, queues and settings, which belong to no task and to no trace.

Like those of tasks (see `log_records`): functions of the effect alone, each with a stable id.
"""

from ..core.effects import (
    Advised,
    PeriodicLate,
    PeriodicMissed,
    PeriodicResumed,
    QueueMoved,
    QueueStalled,
    WorkerChanged,
)
from ..core.states import WorkerState
from ..export.records import Log, nanoseconds
from . import record_table as table
from .identity import record_uid
from .log_records import Fields, Observed, known
from .record_table import RecordKind


def worker_record(change: WorkerChanged, observed: Observed) -> Log | None:
    """Make the record of a worker that came or went; None for one that merely fell silent."""
    kind = table.WORKERS.get(change.state)
    returned = change.was is WorkerState.SUSPECT and change.state is WorkerState.ONLINE
    if kind is None or returned:
        return None  # a busy solo pool falls silent at each task
    fields: Fields = [
        ("worker", change.hostname),
        ("pid", change.pid),
        ("state", change.state.value),
        ("broker", observed.broker),
        ("log.record.uid", record_uid(kind.name, change.hostname, change.pid, change.at)),
    ]
    return _record(kind, change.hostname, fields, observed, at=change.at, hostname=change.hostname)


def stalled_record(stalled: QueueStalled, observed: Observed) -> Log:
    """Make the record of a queue that nobody consumes."""
    fields: Fields = [
        ("queue", stalled.queue),
        ("depth", stalled.depth),
        ("since", stalled.since),
        ("broker", observed.broker),
        ("log.record.uid", _queue_uid(table.STALLED, stalled)),
    ]
    return _record(table.STALLED, stalled.queue, fields, observed, at=stalled.at)


def moved_record(moved: QueueMoved, observed: Observed) -> Log:
    """Make the record of a queue that is consumed again."""
    fields: Fields = [
        ("queue", moved.queue),
        ("lasted", moved.lasted),
        ("broker", observed.broker),
        ("log.record.uid", _queue_uid(table.MOVED, moved)),
    ]
    return _record(table.MOVED, moved.queue, fields, observed, at=moved.at)


def late_record(late: PeriodicLate, observed: Observed) -> Log:
    """Make the record of a periodic task that was not sent when it was due."""
    return _periodic(table.LATE, late, [("due_at", late.due_at)], observed)


def missed_record(missed: PeriodicMissed, observed: Observed) -> Log | None:
    """Make the record of the first in a row of sendings that were missed; None for the others."""
    if missed.row > 1:
        return None
    return _periodic(table.MISSED, missed, [("due_at", missed.due_at)], observed)


def resumed_record(resumed: PeriodicResumed, observed: Observed) -> Log:
    """Make the record of a periodic task that is sent again."""
    fields: Fields = [("behind", resumed.behind), ("missed", resumed.missed)]
    return _periodic(table.RESUMED, resumed, fields, observed)


def _periodic(
    kind: RecordKind,
    effect: PeriodicLate | PeriodicMissed | PeriodicResumed,
    more: Fields,
    observed: Observed,
) -> Log:
    task = effect.kind
    uid = record_uid(kind.name, task.name or "", task.queue or "", effect.at)
    fields: Fields = [
        ("task_name", task.name),
        ("queue", task.queue),
        ("interval", effect.every),
        *more,
        ("broker", observed.broker),
        ("log.record.uid", uid),
    ]
    return _record(kind, task.name or "", fields, observed, at=effect.at)


def advice_record(advised: Advised, observed: Observed) -> Log:
    """Make the record of a setting that hides something."""
    kind, subject = table.ADVICE[advised.advice], advised.subject
    fields: Fields = [
        ("worker", subject),
        ("reason", advised.advice.value),
        ("broker", observed.broker),
        ("log.record.uid", record_uid(kind.name, subject or "", advised.at)),
    ]
    return _record(kind, subject or "", fields, observed, at=advised.at)


def _queue_uid(kind: RecordKind, change: QueueStalled | QueueMoved) -> str:
    return record_uid(kind.name, change.source, change.queue, change.at)


def _record(
    kind: RecordKind,
    who: str,
    fields: Fields,
    observed: Observed,
    *,
    at: float,
    hostname: str | None = None,
) -> Log:
    return Log(
        resource=observed.resources.of(hostname),
        time_ns=nanoseconds(at),
        event_name=kind.name,
        severity=kind.severity,
        body=kind.body.format(who),
        trace_id=None,
        span_id=None,
        flags=0,
        attributes=known(fields),
    )
