import io
import json

import anyio
import msgspec
import pytest

from stream.config import OtlpSettings
from stream.core.effects import (
    AttemptEnded,
    StuckBegan,
    StuckEnded,
    StuckReason,
    WorkerChanged,
)
from stream.core.kinds import Kind
from stream.core.states import Phase, State, WorkerState
from stream.export.buffer import Buffer
from stream.export.records import Severity
from stream.export.resources import Resources
from stream.occurrences import RecordsLost, Signal
from stream.sinks.identity import process_span_id, trace_id
from stream.sinks.log_records import attempt_record
from stream.sinks.logs import LogSink
from stream.sinks.spans import Observed, process_span
from stream.sinks.stdout import JsonLines

KIND = Kind("shop.pay", "payments")
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
ROOT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
RESOURCES = Resources(OtlpSettings())

ENDED = AttemptEnded(
    uuid=UUID,
    kind=KIND,
    retries=1,
    ordinal=0,
    state=State.FAILURE,
    inferred=False,
    hostname="w1@box",
    pid=7,
    root_id=ROOT,
    parent_id=None,
    parent_attempt=(0, 0),
    sent_at=None,
    received_at=None,
    started_at=1_700_000_001.0,
    ended_at=1_700_000_002.25,
    wait=None,
    run=1.25,
    error_type="ValueError",
    exception="ValueError('no funds')",
    traceback="Traceback …",
    reason=None,
    traceparent=None,
    tracestate=None,
)
STUCK = StuckBegan(
    uuid=UUID,
    kind=KIND,
    phase=Phase.RUNNING,
    reason=StuckReason.RUNS_LONG,
    since=1_700_000_000.0,
    age=601.0,
    limit=600.0,
    retries=1,
    ordinal=0,
    hostname="w1@box",
    root_id=ROOT,
    traceparent=None,
    at=1_700_000_601.0,
)
UNSTUCK = StuckEnded(
    uuid=UUID,
    kind=KIND,
    phase=Phase.RUNNING,
    lasted=700.0,
    retries=1,
    ordinal=0,
    hostname="w1@box",
    root_id=ROOT,
    traceparent=None,
    at=1_700_000_700.0,
)


def changed(state, was=None):
    return WorkerChanged(hostname="w1@box", pid=7, was=was, state=state, at=1_700_000_000.0)


def records(*effects):
    buffer = Buffer(Signal.LOGS, limit=100, tell=lambda _: None)
    LogSink(buffer, RESOURCES).accept(effects)
    return buffer.take(100)


def record(effect):
    (made,) = records(effect)
    return made


def with_state(state, **changes):
    return msgspec.structs.replace(ENDED, state=state, **changes)


def test_a_failure_has_the_fields_that_people_search_for():
    made = record(ENDED)
    found = dict(made.attributes)
    assert len(found.pop("log.record.uid")) == 32

    assert (made.event_name, made.severity) == ("messaging.process.exception", Severity.ERROR)
    assert made.time_ns == 1_700_000_002_250_000_000
    assert made.body == "Task shop.pay failed"
    assert found == {
        "task_id": UUID,
        "task_name": "shop.pay",
        "state": "FAILURE",
        "duration_ms": 1250.0,
        "retry_count": 1,
        "error": "no funds",
        "error_type": "ValueError",
        "queue": "payments",
        "worker": "w1@box",
        "exception.type": "ValueError",
        "exception.message": "no funds",
        "exception.stacktrace": "Traceback …",
    }


@pytest.mark.parametrize(
    "traceparent", [None, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
)
def test_a_record_has_the_ids_of_its_span(traceparent):
    effect = msgspec.structs.replace(ENDED, traceparent=traceparent)
    span = process_span(effect, Observed(RESOURCES, "redis"))
    made = record(effect)

    assert (made.trace_id, made.span_id) == (span.trace_id, span.span_id)
    assert made.resource is span.resource


@pytest.mark.parametrize(
    ("state", "name", "severity"),
    [
        (State.RETRY, "celery.task.retried", Severity.WARN),
        (State.REVOKED, "celery.task.revoked", Severity.WARN),
        (State.REJECTED, "celery.task.rejected", Severity.WARN),
        (State.REQUEUED, "celery.task.rejected", Severity.WARN),
        (State.LOST, "celery.task.lost", Severity.ERROR),
    ],
)
def test_each_bad_end_has_its_event(state, name, severity):
    made = record(with_state(state, reason="why"))
    assert (made.event_name, made.severity) == (name, severity)
    assert dict(made.attributes)["reason"] == "why"


@pytest.mark.parametrize("state", [State.SUCCESS, State.REPLACED, State.CANCELLED, State.UNKNOWN])
def test_other_ends_are_not_recorded(state):
    assert records(with_state(state)) == []


def test_an_end_that_was_inferred_says_so():
    assert dict(record(with_state(State.LOST, inferred=True)).attributes)["inferred"] is True


def test_a_stuck_task_has_the_id_of_the_span_that_it_will_have():
    made = record(STUCK)

    assert (made.event_name, made.severity) == ("celery.task.stuck", Severity.WARN)
    assert made.trace_id == trace_id(ROOT)
    assert made.span_id == process_span_id(UUID, 1)
    found = dict(made.attributes)
    assert (found["reason"], found["phase"]) == ("runs_long", "running")
    assert (found["age"], found["limit"]) == (601.0, 600.0)


def test_a_task_that_moves_on_says_how_long_it_was_stuck():
    made = record(UNSTUCK)
    assert (made.event_name, made.severity) == ("celery.task.unstuck", Severity.INFO)
    assert dict(made.attributes)["lasted"] == 700.0


@pytest.mark.parametrize(
    ("state", "name"),
    [
        (WorkerState.ONLINE, "celery.worker.online"),
        (WorkerState.OFFLINE, "celery.worker.offline"),
        (WorkerState.LOST, "celery.worker.lost"),
    ],
)
def test_a_worker_that_comes_or_goes_is_recorded(state, name):
    made = record(changed(state))
    assert made.event_name == name
    assert (made.trace_id, made.span_id) == (None, None)
    assert dict(made.attributes)["worker"] == "w1@box"


def test_a_worker_that_falls_silent_and_returns_is_not():
    silent = changed(WorkerState.SUSPECT, was=WorkerState.ONLINE)
    back = changed(WorkerState.ONLINE, was=WorkerState.SUSPECT)
    assert records(silent, back) == []


def test_the_same_effect_has_the_same_uid_and_others_have_others():
    def uid(effect):
        return dict(record(effect).attributes)["log.record.uid"]

    assert uid(ENDED) == uid(ENDED)
    others = [
        ENDED,
        msgspec.structs.replace(ENDED, ordinal=1),
        with_state(State.LOST),
        STUCK,
        msgspec.structs.replace(STUCK, since=1.0),
        UNSTUCK,
        changed(WorkerState.LOST),
    ]
    assert len({uid(effect) for effect in others}) == len(others)


class Broken(io.StringIO):
    """A file whose reader has gone, or whose disk is full."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.tries = 0

    def write(self, _text):
        self.tries += 1
        raise self.error


async def written(file, *batches, limit=10_000, told=None):
    """Hand batches of effects to a sink that writes lines; wait until they are written."""
    lines = JsonLines(file, tell=(told if told is not None else []).append, limit=limit)
    sink = LogSink(None, RESOURCES, lines=lines)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lines.run)
        for effects in batches:
            sink.accept(effects)
            await lines.until_written()
        tasks.cancel_scope.cancel()
    return lines


@pytest.mark.anyio
async def test_records_are_lines_of_json():
    file = io.StringIO()
    lines = await written(file, [ENDED, changed(WorkerState.ONLINE)])

    first, second = (json.loads(line) for line in file.getvalue().splitlines())
    assert first["event"] == "messaging.process.exception"
    assert first["level"] == "error"
    assert first["timestamp"] == "2023-11-14T22:13:22.250000Z"
    assert first["trace_id"] == f"{trace_id(ROOT):032x}"
    assert first["span_id"] == f"{process_span_id(UUID, 1):016x}"
    assert first["task_id"] == UUID
    assert second["event"] == "celery.worker.online"
    assert "trace_id" not in second
    assert lines.written == 2


@pytest.mark.anyio
async def test_a_text_with_a_line_break_or_a_lone_surrogate_stays_one_line():
    file = io.StringIO()
    await written(file, [msgspec.structs.replace(ENDED, exception="E('a\nb\ud800')")])

    (line,) = file.getvalue().splitlines()
    assert json.loads(line)["error"] == "a\nb\ud800"
    line.encode("ascii")


@pytest.mark.anyio
async def test_without_records_nothing_is_written():
    file = Broken(OSError())
    await written(file, [with_state(State.SUCCESS)])
    assert file.tries == 0


@pytest.mark.anyio
async def test_a_reader_that_has_gone_is_counted_and_not_tried_again():
    file = Broken(BrokenPipeError())
    lines = await written(file, [ENDED], [ENDED, ENDED])

    assert (lines.written, lines.lost, file.tries) == (0, 3, 1)


@pytest.mark.anyio
async def test_a_full_disk_is_counted_and_tried_again():
    file = Broken(OSError(28, "No space left on device"))
    lines = await written(file, [ENDED], [ENDED])

    assert (lines.lost, file.tries) == (2, 2)


@pytest.mark.anyio
async def test_lines_that_nobody_takes_are_bounded_and_the_rest_is_counted():
    told = []
    lines = JsonLines(io.StringIO(), tell=told.append, limit=2)
    LogSink(None, RESOURCES, lines=lines).accept([ENDED] * 5)

    assert (lines.lost, told) == (3, [RecordsLost(3)])


def test_a_password_in_an_exception_does_not_leave():
    text = "ConnectionError('cannot reach redis://user:hunter2@db:6379/0')"
    record = attempt_record(msgspec.structs.replace(ENDED, exception=text), RESOURCES)
    assert "hunter2" not in f"{record}"
    assert "redis://***@db:6379/0" in f"{record}"
