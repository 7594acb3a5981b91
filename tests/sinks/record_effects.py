"""The effects that log records are made of: what a test does not say has a default."""

from msgspec import structs

from stream.config import OtlpSettings, RecordSettings
from stream.core.effects import (
    Advice,
    Advised,
    Arguments,
    AttemptBegan,
    AttemptEnded,
    PeriodicLate,
    PeriodicMissed,
    PeriodicResumed,
    QueueMoved,
    QueueStalled,
    StuckBegan,
    StuckEnded,
    StuckReason,
    TaskRevised,
    WorkerChanged,
)
from stream.core.kinds import Kind
from stream.core.states import Phase, State, WorkerState
from stream.core.trace import Trace, TraceSource
from stream.export.buffer import Buffer
from stream.export.resources import Resources
from stream.occurrences import Signal
from stream.sinks.logs import LogSink
from tests.builders import T0

KIND = Kind("shop.pay", "payments")
INTERNAL = Kind("celery.chord_unlock", "celery", internal=True)
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
ROOT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
RESOURCES = Resources(OtlpSettings())
EVERYTHING = RecordSettings(lifecycle=True, arguments=True, results=True)
ARGUMENTS = Arguments("('ord-1',)", "{'amount': 5, 'password': 'p'}")
TRACE = Trace(
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=x", TraceSource.EVENT
)

_DELIVERY = {
    "uuid": UUID,
    "kind": KIND,
    "retries": 1,
    "ordinal": 0,
    "hostname": "w1@box",
    "root_id": ROOT,
    "trace": None,
}
_FAILED = {
    "error_type": "ValueError",
    "exception": "ValueError('no funds')",
    "traceback": "Traceback …",
}
_ERRORS = frozenset({State.FAILURE, State.RETRY})


def began(**changes):
    base = AttemptBegan(**_DELIVERY, wait=0.5, started_at=T0 + 1, arguments=None)
    return structs.replace(base, **changes)


def ended(state=State.FAILURE, **changes):
    """An end as the engine tells one that came to this state."""
    base = AttemptEnded(
        **_DELIVERY,
        state=state,
        inferred=state in {State.LOST, State.UNKNOWN},
        pid=7,
        parent_id=None,
        parent_attempt=(0, 0),
        sent_at=None,
        received_at=None,
        started_at=T0 + 1,
        ended_at=T0 + 2.25,
        wait=None,
        run=1.25,
        **(_FAILED if state in _ERRORS else dict.fromkeys(_FAILED)),
        reason=None if state in {State.SUCCESS, *_ERRORS} else "why",
    )
    return structs.replace(base, **changes)


def revised(**changes):
    base = TaskRevised(**_DELIVERY, was=State.LOST, state=State.SUCCESS, at=T0 + 9)
    return structs.replace(base, **changes)


def stuck(**changes):
    base = StuckBegan(
        **_DELIVERY,
        phase=Phase.RUNNING,
        reason=StuckReason.RUNS_LONG,
        since=T0,
        age=601.0,
        limit=600.0,
        at=T0 + 601,
    )
    return structs.replace(base, **changes)


def unstuck(**changes):
    base = StuckEnded(**_DELIVERY, phase=Phase.RUNNING, lasted=700.0, at=T0 + 700)
    return structs.replace(base, **changes)


def changed(state=WorkerState.ONLINE, was=None, **changes):
    base = WorkerChanged(hostname="w1@box", pid=7, was=was, state=state, at=T0)
    return structs.replace(base, **changes)


def stalled(**changes):
    return structs.replace(QueueStalled("redis", "payments", 3, T0, T0 + 60), **changes)


def moved(**changes):
    return structs.replace(QueueMoved("redis", "payments", 30.0, T0 + 90), **changes)


def late(**changes):
    return structs.replace(PeriodicLate(KIND, 60.0, T0 + 60, T0 + 66), **changes)


def missed(**changes):
    return structs.replace(PeriodicMissed(KIND, 60.0, T0 + 60, 1, T0 + 126), **changes)


def resumed(**changes):
    return structs.replace(PeriodicResumed(KIND, 60.0, 70.0, 1, T0 + 130), **changes)


def advised(advice=Advice.EVENTS_DISABLED, subject="w1@box"):
    return Advised(advice, subject, T0)


def records(*effects, settings=EVERYTHING, broker=None):
    """The records that are made of these effects."""
    buffer = Buffer(Signal.LOGS, limit=100, tell=lambda _: None)
    LogSink(buffer, RESOURCES, settings=settings, broker=broker).accept(effects)
    return buffer.take(100)


def record(effect, settings=EVERYTHING, broker=None):
    """The one record that is made of this effect."""
    (made,) = records(effect, settings=settings, broker=broker)
    return made


def fields(effect, settings=EVERYTHING):
    """The attributes of the one record that is made of this effect."""
    return dict(record(effect, settings).attributes)
