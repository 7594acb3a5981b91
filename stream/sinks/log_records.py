"""The log records: what they are called, what they say and what they carry.

Each is a function of the effect alone and has an id of its own that is the same whoever makes it.
"""

from typing import Final, NamedTuple, TypeAlias

from ..core.effects import (
    Advice,
    Advised,
    AttemptEnded,
    QueueMoved,
    QueueStalled,
    StuckBegan,
    StuckEnded,
    WorkerChanged,
)
from ..core.states import State, WorkerState
from ..export.records import Attribute, Log, Resource, Severity, Value, nanoseconds
from ..export.resources import Resources
from .identity import attempt, origin, process_span_id, record_uid
from .spans import exception_attributes, message_of, trimmed

_Fields: TypeAlias = list[tuple[str, Value | None]]


class _Event(NamedTuple):
    """How one kind of record is called."""

    name: str
    severity: Severity
    says: str


_ENDS: Final = {
    State.FAILURE: _Event("messaging.process.exception", Severity.ERROR, "failed"),
    State.RETRY: _Event("celery.task.retried", Severity.WARN, "will be retried"),
    State.REVOKED: _Event("celery.task.revoked", Severity.WARN, "was revoked"),
    State.REJECTED: _Event("celery.task.rejected", Severity.WARN, "was rejected"),
    State.REQUEUED: _Event("celery.task.rejected", Severity.WARN, "was put back"),
    State.LOST: _Event("celery.task.lost", Severity.ERROR, "was lost with its worker"),
}
_WORKERS: Final = {
    WorkerState.ONLINE: _Event("celery.worker.online", Severity.INFO, "is online"),
    WorkerState.OFFLINE: _Event("celery.worker.offline", Severity.INFO, "went offline"),
    WorkerState.LOST: _Event("celery.worker.lost", Severity.ERROR, "was lost"),
}
_QUEUE_STALLED: Final = _Event("celery.queue.stalled", Severity.ERROR, "is not consumed")
_QUEUE_MOVED: Final = _Event("celery.queue.moved", Severity.INFO, "is consumed again")
_ADVICE: Final = {
    Advice.EVENTS_DISABLED: _Event(
        "celery.worker.events_disabled",
        Severity.WARN,
        "runs tasks and sends no task events: start it with -E, or set "
        "worker_send_task_events = True",
    ),
    Advice.SENT_DISABLED: _Event(
        "celery.producer.events_disabled",
        Severity.WARN,
        "tell nothing of what they send, so queues, waits and total times are unknown: set "
        "task_send_sent_event = True",
    ),
}
_STUCK: Final = _Event("celery.task.stuck", Severity.WARN, "is stuck")
_UNSTUCK: Final = _Event("celery.task.unstuck", Severity.INFO, "moved on")


def attempt_record(ended: AttemptEnded, resources: Resources) -> Log | None:
    """Make the record of a delivery that ended otherwise than well; None for the others."""
    event = _ENDS.get(ended.state)
    if event is None or (ended.kind.internal and ended.state is State.RETRY):
        return None  # chord_unlock asks once a second whether its chord is done
    if ended.state is State.REQUEUED and ended.inferred:
        return None  # nobody put it back: its worker died before it began
    ended = trimmed(ended)
    trace = origin(ended.traceparent, ended.root_id, ended.uuid)
    fields: _Fields = [
        ("task_id", ended.uuid),
        ("task_name", ended.kind.name),
        ("state", ended.state.value),
        ("duration_ms", None if ended.run is None else ended.run * 1000),
        ("retry_count", ended.retries),
        ("reason", ended.reason),
        ("error", message_of(ended.exception)),
        ("error_type", ended.error_type),
        ("queue", ended.kind.queue),
        ("worker", ended.hostname),
        ("inferred", ended.inferred or None),
        *exception_attributes(ended),
        ("log.record.uid", _uid(event, ended.uuid, attempt(ended.retries, ended.ordinal))),
    ]
    return Log(
        resource=resources.of(ended.hostname),
        time_ns=nanoseconds(ended.ended_at),
        event_name=event.name,
        severity=event.severity,
        body=f"Task {ended.kind.name or ended.uuid} {event.says}",
        trace_id=trace.trace_id,
        span_id=process_span_id(ended.uuid, ended.retries, ended.ordinal),
        flags=trace.flags,
        attributes=_known(fields),
    )


def stuck_record(stuck: StuckBegan, resources: Resources) -> Log:
    """Make the record of a task that has been in one phase for too long."""
    extra: _Fields = [
        ("reason", stuck.reason.value),
        ("age", stuck.age),
        ("limit", stuck.limit),
    ]
    # `since` and not `at`: a replay may look at another moment and find the same thing.
    return _phase_record(stuck, _STUCK, extra, resources, since=stuck.since)


def unstuck_record(stuck: StuckEnded, resources: Resources) -> Log:
    """Make the record of a stuck task that moved on."""
    extra: _Fields = [("lasted", stuck.lasted)]
    return _phase_record(stuck, _UNSTUCK, extra, resources, since=stuck.at)


def worker_record(change: WorkerChanged, resources: Resources) -> Log | None:
    """Make the record of a worker that came or went; None for one that merely fell silent."""
    event = _WORKERS.get(change.state)
    returned = change.was is WorkerState.SUSPECT and change.state is WorkerState.ONLINE
    if event is None or returned:
        return None  # a busy solo pool falls silent at each task
    uid = _uid(event, change.hostname, change.pid, change.at)
    fields: _Fields = [
        ("worker", change.hostname),
        ("pid", change.pid),
        ("state", change.state.value),
        ("log.record.uid", uid),
    ]
    who, resource = f"Worker {change.hostname}", resources.of(change.hostname)
    return _plain_record(event, who, fields, at=change.at, resource=resource)


def queue_record(change: QueueStalled | QueueMoved, resources: Resources) -> Log:
    """Make the record of a queue that is not consumed, or is again."""
    stalled = isinstance(change, QueueStalled)
    event = _QUEUE_STALLED if stalled else _QUEUE_MOVED
    fields: _Fields = [
        ("queue", change.queue),
        ("depth", change.depth if isinstance(change, QueueStalled) else None),
        ("since", change.since if isinstance(change, QueueStalled) else None),
        ("lasted", change.lasted if isinstance(change, QueueMoved) else None),
        ("log.record.uid", _uid(event, change.source, change.queue, change.at)),
    ]
    return _plain_record(
        event, f"Queue {change.queue}", fields, at=change.at, resource=resources.of(None)
    )


def advice_record(advised: Advised, resources: Resources) -> Log:
    """Make the record of a setting that hides something."""
    event = _ADVICE[advised.advice]
    who = "Producers" if advised.subject is None else f"Worker {advised.subject}"
    fields: _Fields = [
        ("worker", advised.subject),
        ("reason", advised.advice.value),
        ("log.record.uid", _uid(event, advised.subject or "", advised.at)),
    ]
    return _plain_record(event, who, fields, at=advised.at, resource=resources.of(None))


def _plain_record(
    event: _Event, who: str, fields: _Fields, *, at: float, resource: Resource
) -> Log:
    """Make a record that belongs to no task."""
    return Log(
        resource=resource,
        time_ns=nanoseconds(at),
        event_name=event.name,
        severity=event.severity,
        body=f"{who} {event.says}",
        trace_id=None,
        span_id=None,
        flags=0,
        attributes=_known(fields),
    )


def _phase_record(
    stuck: StuckBegan | StuckEnded,
    event: _Event,
    extra: _Fields,
    resources: Resources,
    *,
    since: float,
) -> Log:
    trace = origin(stuck.traceparent, stuck.root_id, stuck.uuid)
    n = attempt(stuck.retries, stuck.ordinal)
    fields: _Fields = [
        ("task_id", stuck.uuid),
        ("task_name", stuck.kind.name),
        ("phase", stuck.phase.value),
        ("retry_count", stuck.retries),
        ("queue", stuck.kind.queue),
        ("worker", stuck.hostname),
        *extra,
        ("log.record.uid", _uid(event, stuck.uuid, n, stuck.phase.value, since)),
    ]
    return Log(
        resource=resources.of(stuck.hostname),
        time_ns=nanoseconds(stuck.at),
        event_name=event.name,
        severity=event.severity,
        body=f"Task {stuck.kind.name or stuck.uuid} {event.says}",
        trace_id=trace.trace_id,
        span_id=process_span_id(stuck.uuid, stuck.retries, stuck.ordinal),
        flags=trace.flags,
        attributes=_known(fields),
    )


def _uid(event: _Event, *parts: str | float) -> str:
    return record_uid(event.name, *parts)


def _known(fields: _Fields) -> list[Attribute]:
    """Leave out what no event told."""
    return [(name, value) for name, value in fields if value is not None]
