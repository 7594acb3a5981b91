"""Effects become log records with stable ids, the ids of their span, and what may be told."""

import tracemalloc
import uuid

import pytest
from msgspec import structs

from stream.config import RecordSettings
from stream.core.effects import Arguments
from stream.core.states import State, WorkerState
from stream.export.buffer import Buffer
from stream.export.records import Severity
from stream.occurrences import Signal
from stream.sinks.identity import origin, process_span_id, trace_id
from stream.sinks.logs import LogSink, log_bytes
from stream.sinks.spans import Observed, process_span
from tests.builders import T0
from tests.sinks.record_effects import (
    ARGUMENTS,
    EVERYTHING,
    INTERNAL,
    KIND,
    RESOURCES,
    ROOT,
    TRACE,
    UUID,
    advised,
    began,
    changed,
    ended,
    fields,
    missed,
    moved,
    record,
    records,
    revised,
    stalled,
    stuck,
    unstuck,
)

DEFAULTS = RecordSettings()

# -- ends ------------------------------------------------------------------------------------------


def test_a_failure_has_the_fields_that_people_search_for():
    made = record(ended(), DEFAULTS)
    found = dict(made.attributes)
    assert len(found.pop("log.record.uid")) == 32

    assert (made.event_name, made.severity) == ("messaging.process.exception", Severity.ERROR)
    assert made.time_ns == int(T0 * 4 + 9) * 250_000_000
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
    ("state", "name", "severity"),
    [
        (State.RETRY, "celery.task.retried", Severity.WARN),
        (State.REVOKED, "celery.task.revoked", Severity.WARN),
        (State.REJECTED, "celery.task.rejected", Severity.WARN),
        (State.REQUEUED, "celery.task.rejected", Severity.WARN),
        (State.LOST, "celery.task.lost", Severity.ERROR),
        (State.UNKNOWN, "celery.task.unknown", Severity.WARN),
    ],
)
def test_each_bad_end_has_its_event(state, name, severity):
    made = record(ended(state, reason="why"), DEFAULTS)
    assert (made.event_name, made.severity) == (name, severity)
    assert dict(made.attributes)["reason"] == "why"


@pytest.mark.parametrize(
    "effect",
    [
        ended(State.SUCCESS),
        ended(State.REPLACED),
        ended(State.CANCELLED),
        ended(State.RETRY, kind=INTERNAL),
        ended(State.REQUEUED, inferred=True),
        ended(State.UNKNOWN, reason="evicted"),
        began(),
    ],
)
def test_what_is_as_it_should_be_or_comes_in_masses_is_not_recorded(effect):
    assert records(effect, settings=DEFAULTS) == []


def test_an_end_that_was_inferred_says_so():
    assert fields(ended(State.LOST))["inferred"] is True


@pytest.mark.parametrize("changes", [{"redelivered": True}, {"ordinal": 1}])
def test_an_attempt_that_was_delivered_before_says_so(changes):
    assert fields(ended(**changes))["redelivered"] is True


def test_another_end_than_was_told_is_recorded_with_both():
    made = record(revised(), DEFAULTS)
    found = dict(made.attributes)
    assert (made.event_name, made.severity) == ("celery.task.revised", Severity.WARN)
    assert (found["was"], found["state"]) == ("LOST", "SUCCESS")


def test_a_task_whose_name_nobody_told_is_called_by_its_id():
    made = record(ended(kind=structs.replace(KIND, name=None)))
    assert made.body == f"Task {UUID} failed"
    assert "task_name" not in dict(made.attributes)


# -- lifecycle -------------------------------------------------------------------------------------


def test_an_attempt_that_begins_is_recorded_where_that_is_asked_for():
    made = record(began(), RecordSettings(lifecycle=True))
    found = dict(made.attributes)
    assert (made.event_name, made.severity) == ("celery.task.started", Severity.INFO)
    assert made.body == "Task starting"
    assert (found["task_id"], found["task_name"], found["state"]) == (UUID, "shop.pay", "STARTED")
    assert found["wait_ms"] == 500.0


def test_an_attempt_that_succeeds_is_recorded_where_that_is_asked_for():
    made = record(ended(State.SUCCESS), RecordSettings(lifecycle=True))
    found = dict(made.attributes)
    assert (made.event_name, made.severity) == ("celery.task.completed", Severity.INFO)
    assert made.body == "Task completed"
    assert (found["state"], found["duration_ms"]) == ("SUCCESS", 1250.0)


@pytest.mark.parametrize("effect", [began(kind=INTERNAL), ended(State.SUCCESS, kind=INTERNAL)])
def test_tasks_of_celery_itself_have_no_lifecycle_records(effect):
    assert records(effect) == []


# -- arguments and results -------------------------------------------------------------------------

WITH_ARGUMENTS = [
    began(arguments=ARGUMENTS),
    *(ended(state, arguments=ARGUMENTS) for state in (State.SUCCESS, State.FAILURE, State.RETRY)),
]


@pytest.mark.parametrize("effect", WITH_ARGUMENTS)
def test_arguments_are_told_without_secrets_where_that_is_asked_for(effect):
    found = fields(effect, RecordSettings(lifecycle=True, arguments=True))
    assert (found["args"], found["kwargs"]) == ("('ord-1',)", "{'amount': 5, 'password': ***}")


@pytest.mark.parametrize("effect", WITH_ARGUMENTS)
def test_arguments_are_not_told_unasked(effect):
    found = fields(effect, RecordSettings(lifecycle=True, results=True))
    assert found.keys().isdisjoint({"args", "kwargs"})


def test_a_result_is_told_without_secrets_where_that_is_asked_for():
    effect = ended(State.SUCCESS, result="{'ok': True, 'token': 't'}")
    found = fields(effect, RecordSettings(lifecycle=True, results=True))
    assert found["result"] == "{'ok': True, 'token': ***}"


def test_a_result_is_not_told_unasked():
    effect = ended(State.SUCCESS, result="{'ok': True}")
    assert "result" not in fields(effect, RecordSettings(lifecycle=True, arguments=True))


def test_arguments_are_shortened_after_their_secrets_are_hidden():
    text = "{'password': 'ppppppppppp', 'a': 'b', 'c': 'd'}"
    settings = RecordSettings(lifecycle=True, arguments=True, argument_characters=20)
    found = fields(began(arguments=Arguments(None, text)), settings)
    assert found["kwargs"] == "{'password': ***, 'a': 'b', 'c': 'd'}"[:19] + "…"
    assert "args" not in found


def test_the_keys_that_are_secret_can_be_set():
    settings = RecordSettings(lifecycle=True, arguments=True, redact=("amount",))
    found = fields(began(arguments=ARGUMENTS), settings)
    assert found["kwargs"] == "{'amount': ***, 'password': 'p'}"


# -- exceptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["exception", "traceback"])
@pytest.mark.parametrize("secret", ["cannot reach redis://user:hunter2@db", "password=hunter2"])
def test_a_secret_in_an_exception_does_not_leave(field, secret):
    made = record(ended(**{field: f"ConnectionError('{secret} at')"}), DEFAULTS)
    assert "hunter2" not in f"{made}"
    assert "*** at" in f"{made}" or "***@db at" in f"{made}"


def test_what_is_cut_out_of_a_long_text_separates_no_secret_from_its_key():
    made = record(ended(traceback="x" * 9000 + "password='" + "hunter2 " * 3000), DEFAULTS)
    assert "hunter2" not in f"{made}"


# -- identity --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace", [None, TRACE])
def test_a_record_has_the_ids_of_its_span(trace):
    effect = ended(trace=trace)
    span = process_span(effect, Observed(RESOURCES, "redis"))
    made = record(effect)

    assert (made.trace_id, made.span_id) == (span.trace_id, span.span_id)
    assert made.resource is span.resource


@pytest.mark.parametrize("make", [began, revised, stuck, unstuck])
@pytest.mark.parametrize("trace", [None, TRACE])
def test_a_record_has_the_ids_that_the_span_of_its_attempt_will_have(make, trace):
    made = record(make(trace=trace, ordinal=2))
    assert made.trace_id == origin(trace, ROOT, UUID).trace_id
    assert made.span_id == process_span_id(UUID, 1, 2)


def test_a_record_of_a_task_that_nothing_is_known_of_has_a_trace_of_its_own():
    assert record(stuck(root_id=None)).trace_id == trace_id(UUID)


def test_the_same_effect_has_the_same_uid_and_others_have_others():
    def uid(effect):
        return fields(effect)["log.record.uid"]

    assert uid(ended()) == uid(ended())
    others = [
        began(),
        began(ordinal=1),
        ended(),
        ended(ordinal=1),
        ended(State.LOST),
        ended(State.SUCCESS),
        revised(),
        revised(state=State.FAILURE),
        stuck(),
        stuck(since=1.0),
        unstuck(),
        changed(WorkerState.LOST),
        stalled(),
        stalled(at=1.0),
        moved(),
        advised(),
    ]
    assert len({uid(effect) for effect in others}) == len(others)


# -- stuck, workers, queues ------------------------------------------------------------------------


def test_a_stuck_task_says_since_when_and_beyond_what():
    made = record(stuck())
    assert (made.event_name, made.severity) == ("celery.task.stuck", Severity.WARN)
    found = dict(made.attributes)
    assert (found["reason"], found["phase"]) == ("runs_long", "running")
    assert (found["age"], found["limit"]) == (601.0, 600.0)


def test_a_task_that_moves_on_says_how_long_it_was_stuck():
    made = record(unstuck())
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


def test_a_queue_that_stalls_says_what_waits_in_it():
    found = fields(stalled())
    assert (found["queue"], found["depth"], found["since"]) == ("payments", 3, T0)


def test_a_queue_that_moves_says_how_long_it_had_stalled():
    assert fields(moved())["lasted"] == 30.0


# -- the sink --------------------------------------------------------------------------------------


def test_without_anywhere_to_go_nothing_is_made():
    LogSink(None, RESOURCES).accept([ended(), object()])


@pytest.mark.parametrize(
    "make",
    [
        lambda uuid: ended(State.LOST, uuid=uuid),
        lambda uuid: ended(State.SUCCESS, uuid=uuid),
        lambda uuid: began(uuid=uuid, arguments=Arguments(f"('{uuid}',)", f"{{'a': '{uuid}'}}")),
        lambda uuid: ended(uuid=uuid, exception=f"ValueError('{uuid}')", traceback=uuid * 50),
        lambda uuid: stuck(uuid=uuid),
    ],
)
def test_the_memory_that_waiting_records_take_is_known_about(make):
    count = 4_000  # Python keeps some freed tuples, which are not seen when used again
    buffer = Buffer(Signal.LOGS, limit=count, tell=lambda _: None)
    sink = LogSink(buffer, RESOURCES, settings=EVERYTHING)
    sink.accept([make("warm up")])
    buffer.take(1)
    tracemalloc.start()
    for _ in range(count):
        sink.accept([make(str(uuid.uuid4()))])
    taken = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()

    estimated = sum(map(log_bytes, buffer.take(count))) / count
    assert taken == pytest.approx(estimated, rel=0.2)


def test_only_the_first_of_a_row_of_misses_is_told():
    assert [log.event_name for log in records(missed(), missed(row=2))] == ["celery.beat.missed"]
