"""The log records of tasks: what is told of an attempt, of what became of a task, and when.

Each is a function of the effect and the settings alone, carries the ids of the attempt's
``process`` span (see `span_records`), also before that span has ended, and an id of its own that is
the same whoever makes it. `record_table` says in words what is made here.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from ..config import RecordSettings
from ..core.effects import (
    Arguments,
    AttemptBegan,
    AttemptEnded,
    StuckBegan,
    StuckEnded,
    TaskRevised,
)
from ..core.states import State
from ..export.records import Attribute, Log, Value, nanoseconds
from ..export.resources import Resources
from . import record_table as table
from .exceptions import exception_attributes, message_of, trimmed
from .identity import attempt, origin, process_span_id, record_uid
from .record_table import RecordKind
from .redaction import Redaction, redaction_of

Fields: TypeAlias = list[tuple[str, Value | None]]
"""What a record tells; None where no event told it."""

_OfTask: TypeAlias = AttemptBegan | AttemptEnded | TaskRevised | StuckBegan | StuckEnded
_ERRORS: Final = frozenset({State.FAILURE, State.RETRY})
_LOOKED_AT: Final = 4
"""Times the characters of arguments that are told: so many are read for secrets, no more."""


class Observed(Struct, frozen=True, eq=False):
    """What all records of one observed cluster have in common."""

    resources: Resources
    settings: RecordSettings
    redaction: Redaction
    ends: Mapping[State, RecordKind]
    """The ends of attempts that have a record."""
    broker: str | None = None
    """The broker's name, where it has one to be told apart by."""


def observed(resources: Resources, settings: RecordSettings, broker: str | None = None) -> Observed:
    """Decide once what is told of every task."""
    ends = {**table.ENDS, State.SUCCESS: table.COMPLETED} if settings.lifecycle else table.ENDS
    return Observed(resources, settings, redaction_of(settings.redact), ends, broker)


def began_record(began: AttemptBegan, observed: Observed) -> Log | None:
    """Make the record of a delivery that begins to run; None where the settings want none."""
    if not observed.settings.lifecycle or began.kind.internal:
        return None
    extra: Fields = [
        ("state", State.STARTED.value),
        ("wait_ms", None if began.wait is None else began.wait * 1000),
        ("redelivered", began.ordinal > 0 or None),
        *_arguments(began.arguments, observed),
    ]
    n = attempt(began.retries, began.ordinal)
    return _task_record(table.STARTED, began, extra, observed, at=began.started_at, uid=(n,))


def ended_record(ended: AttemptEnded, observed: Observed) -> Log | None:
    """Make the record of a delivery that ended; None where it is not worth one."""
    kind = observed.ends.get(ended.state)
    if kind is None or _is_noise(ended):
        return None
    extra: Fields = [
        ("state", ended.state.value),
        ("duration_ms", None if ended.run is None else ended.run * 1000),
        ("reason", ended.reason),
        ("inferred", ended.inferred or None),
        ("redelivered", ended.redelivered or ended.ordinal > 0 or None),
        *_arguments(ended.arguments, observed),
    ]
    if kind is table.COMPLETED and observed.settings.results:
        extra.append(("result", _shown(ended.result, observed)))
    if ended.state in _ERRORS:
        extra += _error(ended, observed)
    n = attempt(ended.retries, ended.ordinal)
    return _task_record(kind, ended, extra, observed, at=ended.ended_at, uid=(n,))


def revised_record(revised: TaskRevised, observed: Observed) -> Log:
    """Make the record of an end that comes to light after another one was told."""
    extra: Fields = [("was", revised.was.value), ("state", revised.state.value)]
    uid = (attempt(revised.retries, revised.ordinal), revised.was, revised.state)
    return _task_record(table.REVISED, revised, extra, observed, at=revised.at, uid=uid)


def stuck_record(stuck: StuckBegan, observed: Observed) -> Log:
    """Make the record of a task that has been in one phase for too long."""
    extra: Fields = [
        ("phase", stuck.phase.value),
        ("reason", stuck.reason.value),
        ("age", stuck.age),
        ("limit", stuck.limit),
    ]
    # `since` and not `at`: a replay may look at another moment and find the same thing.
    uid = (attempt(stuck.retries, stuck.ordinal), stuck.phase.value, stuck.since)
    return _task_record(table.STUCK, stuck, extra, observed, at=stuck.at, uid=uid)


def unstuck_record(stuck: StuckEnded, observed: Observed) -> Log:
    """Make the record of a stuck task that moved on."""
    extra: Fields = [("phase", stuck.phase.value), ("lasted", stuck.lasted)]
    uid = (attempt(stuck.retries, stuck.ordinal), stuck.phase.value, stuck.at)
    return _task_record(table.UNSTUCK, stuck, extra, observed, at=stuck.at, uid=uid)


def known(fields: Fields) -> list[Attribute]:
    """Leave out what no event told."""
    return [(name, value) for name, value in fields if value is not None]


def _is_noise(ended: AttemptEnded) -> bool:
    """Whether an end says nothing about the application, or the same for task after task."""
    match ended.state:
        case State.SUCCESS | State.RETRY:
            return ended.kind.internal  # chord_unlock asks each second whether its chord is done
        case State.REQUEUED:
            return ended.inferred  # nobody put it back: its worker died before it began
        case State.UNKNOWN:
            return ended.reason == "evicted"  # the table was full: one for each task that enters
        case _:
            return False


def _task_record(
    kind: RecordKind,
    effect: _OfTask,
    extra: Fields,
    observed: Observed,
    *,
    at: float,
    uid: tuple[str | float, ...],
) -> Log:
    """Make a record of a task, with what tells it from others of its kind as *uid*."""
    trace = origin(effect.trace, effect.root_id, effect.uuid)
    name = effect.kind.name
    fields: Fields = [
        ("task_id", effect.uuid),
        ("task_name", name),
        ("retry_count", effect.retries),
        *extra,
        ("queue", effect.kind.queue),
        ("worker", effect.hostname),
        ("broker", observed.broker),
        ("log.record.uid", record_uid(kind.name, effect.uuid, *uid)),
    ]
    return Log(
        resource=observed.resources.of(effect.hostname),
        time_ns=nanoseconds(at),
        event_name=kind.name,
        severity=kind.severity,
        body=kind.body.format(name or effect.uuid),
        trace_id=trace.trace_id,
        span_id=process_span_id(effect.uuid, effect.retries, effect.ordinal),
        flags=trace.flags,
        attributes=known(fields),
    )


def _error(ended: AttemptEnded, observed: Observed) -> Fields:
    """Tell the exception, in the words that people search for and in OpenTelemetry's."""
    ended = trimmed(ended, observed.redaction)
    return [
        ("error", message_of(ended.exception)),
        ("error_type", ended.error_type),
        *exception_attributes(ended),
    ]


def _arguments(arguments: Arguments | None, observed: Observed) -> Fields:
    if arguments is None or not observed.settings.arguments:
        return []
    positional, named = arguments.positional, arguments.named
    return [("args", _shown(positional, observed)), ("kwargs", _shown(named, observed))]


def _shown(text: str | None, observed: Observed) -> str | None:
    """Return arguments or a result as they may be told: without secrets, then shortened."""
    if text is None:
        return None
    limit = observed.settings.argument_characters
    text = observed.redaction.of_values(text[: _LOOKED_AT * limit])
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
