import uuid

import msgspec
import pytest

from stream.config import OtlpSettings
from stream.core.effects import AttemptEnded, Received, Sent
from stream.core.kinds import Kind
from stream.core.states import State
from stream.export.buffer import Buffer
from stream.export.encoding import encode_spans
from stream.export.records import Link, SpanKind
from stream.export.resources import Resources
from stream.occurrences import Signal
from stream.sinks.identity import parse_traceparent, process_span_id, send_span_id
from stream.sinks.spans import MAX_TEXT, SpanSink, message_of

KIND = Kind("shop.pay", "payments")
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
ROOT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
PARENT = "550e8400-e29b-41d4-a716-446655440000"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def sent(**changes):
    base = Sent(
        uuid=UUID,
        kind=KIND,
        retries=0,
        sent_at=1_700_000_000.5,
        root_id=ROOT,
        parent_id=None,
        parent_attempt=(0, 0),
        traceparent=None,
        tracestate=None,
    )
    return msgspec.structs.replace(base, **changes)


def ended(**changes):
    base = AttemptEnded(
        uuid=UUID,
        kind=KIND,
        retries=0,
        ordinal=0,
        state=State.SUCCESS,
        inferred=False,
        hostname="w1@box",
        pid=7,
        root_id=ROOT,
        parent_id=None,
        parent_attempt=(0, 0),
        sent_at=1_700_000_000.5,
        received_at=1_700_000_000.75,
        started_at=1_700_000_001.0,
        ended_at=1_700_000_002.25,
        wait=0.5,
        run=1.25,
        error_type=None,
        exception=None,
        traceback=None,
        reason=None,
        traceparent=None,
        tracestate=None,
    )
    return msgspec.structs.replace(base, **changes)


def drafts(*effects):
    buffer = Buffer(Signal.TRACES, limit=100, tell=lambda _: None)
    SpanSink(buffer, Resources(OtlpSettings())).accept(effects)
    return buffer.take(100)


def span(effect):
    (draft,) = drafts(effect)
    return draft()


def attributes(effect):
    return dict(span(effect).attributes)


def test_publishing_is_an_instant_on_the_side_of_the_producer():
    made = span(sent())

    assert (made.name, made.kind) == ("send shop.pay", SpanKind.PRODUCER)
    assert made.start_ns == made.end_ns == 1_700_000_000_500_000_000
    assert made.trace_id == uuid.UUID(ROOT).int
    assert made.span_id == send_span_id(UUID, 0)
    assert made.parent_span_id is None
    assert dict(made.resource.attributes) == {"service.name": "celery"}


def test_publishing_is_caused_by_the_task_that_did_it():
    assert span(sent(parent_id=PARENT)).parent_span_id == process_span_id(PARENT, 0)


def test_publishing_a_retry_is_caused_by_the_attempt_before():
    # Celery gives a retry its own uuid as parent_id.
    made = span(sent(retries=2, parent_id=UUID))

    assert made.parent_span_id == process_span_id(UUID, 1)
    assert made.links == (Link(uuid.UUID(ROOT).int, process_span_id(UUID, 1)),)


def test_a_task_is_never_its_own_parent():
    made = span(sent(parent_id=UUID))
    assert made.parent_span_id is None
    assert "celery.task.parent_id" not in dict(made.attributes)


def test_a_producer_with_a_span_of_its_own_needs_none_of_ours():
    assert drafts(sent(traceparent=TRACEPARENT)) == []


def test_a_traceparent_that_cannot_be_read_is_no_creator():
    assert span(sent(traceparent="broken")).trace_id == uuid.UUID(ROOT).int


def test_running_is_from_started_to_ended():
    made = span(ended())

    assert (made.name, made.kind) == ("process shop.pay", SpanKind.CONSUMER)
    assert made.start_ns == 1_700_000_001_000_000_000
    assert made.end_ns == 1_700_000_002_250_000_000
    assert made.span_id == process_span_id(UUID, 0)
    assert made.error is None


def test_running_is_a_child_of_publishing():
    assert span(ended(retries=1)).parent_span_id == send_span_id(UUID, 1)


def test_running_what_was_not_seen_published_has_no_parent():
    assert span(ended(sent_at=None)).parent_span_id is None


def test_running_joins_the_trace_of_the_producer():
    made = span(ended(traceparent=TRACEPARENT, tracestate="a=b"))

    trace, parent, _ = parse_traceparent(TRACEPARENT)
    assert (made.trace_id, made.parent_span_id, made.trace_state) == (trace, parent, "a=b")
    assert dict(made.attributes)["celery.trace.source"] == "event"


def test_a_later_attempt_links_to_the_one_before():
    trace = uuid.UUID(ROOT).int
    assert span(ended(retries=1)).links == (Link(trace, process_span_id(UUID, 0)),)
    assert span(ended(ordinal=2)).links == (Link(trace, process_span_id(UUID, 0, 1)),)
    assert span(ended()).links == ()


def test_a_redelivery_has_a_span_of_its_own():
    made = span(ended(ordinal=1))
    assert made.span_id == process_span_id(UUID, 0, 1)
    assert dict(made.attributes)["celery.task.redelivered"] is True


def test_what_never_started_is_an_instant_at_its_end():
    made = span(ended(started_at=None, state=State.FAILURE))
    assert made.start_ns == made.end_ns == 1_700_000_002_250_000_000


def test_an_end_before_the_start_has_no_negative_length():
    made = span(ended(started_at=1_700_000_009.0))
    assert made.start_ns == made.end_ns


@pytest.mark.parametrize("at", [-1.0, float("inf"), 1e300])
def test_an_absurd_time_is_clamped(at):
    assert 0 <= span(ended(ended_at=at)).end_ns < 2**63


def test_attributes_of_a_success():
    assert attributes(ended()) == {
        "messaging.system": "redis",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": UUID,
        "messaging.message.conversation_id": ROOT,
        "messaging.destination.name": "payments",
        "celery.task.name": "shop.pay",
        "celery.task.retries": 0,
        "celery.task.state": "SUCCESS",
        "celery.worker.name": "w1@box",
        "celery.task.wait_time": 0.5,
        "celery.trace.source": "root",
    }


def test_what_is_not_known_is_left_out():
    found = attributes(ended(kind=Kind(None, None), hostname=None, wait=None))
    unknown = {
        "celery.task.name",
        "messaging.destination.name",
        "celery.worker.name",
        "celery.task.wait_time",
    }
    assert not unknown & found.keys()
    assert span(ended(kind=Kind(None, None))).name == "process"


@pytest.mark.parametrize("state", [State.FAILURE, State.RETRY])
def test_a_failed_attempt_is_an_error_with_its_exception(state):
    failed = ended(
        state=state, error_type="ValueError", exception="ValueError('no funds')", traceback="tb"
    )

    assert span(failed).error == "no funds"
    found = attributes(failed)
    assert found["error.type"] == found["exception.type"] == "ValueError"
    assert found["exception.message"] == "no funds"
    assert found["exception.stacktrace"] == "tb"
    assert found["celery.task.state"] == state


def test_an_error_without_a_known_class_says_other():
    found = attributes(ended(state=State.LOST, inferred=True, reason="worker_offline"))
    assert found["error.type"] == "_OTHER"
    assert found["celery.end.inferred"] is True
    assert "exception.type" not in found


def test_the_resource_is_the_worker():
    found = dict(span(ended()).resource.attributes)
    assert found["host.name"] == "box"
    assert uuid.UUID(found["service.instance.id"]).version == 5


def test_one_worker_has_one_resource():
    first, second, other = drafts(ended(), ended(retries=1), ended(hostname="w2@box"))
    assert first().resource is second().resource
    assert first().resource is not other().resource


def test_resource_attributes_of_the_settings_are_added():
    settings = OtlpSettings(service_name="shop", resource_attributes={"team": "a"})
    assert dict(Resources(settings).of(None).attributes) == {"team": "a", "service.name": "shop"}


def test_the_same_effect_makes_the_same_bytes():
    effect = ended(state=State.FAILURE, exception="E('x')", retries=1)
    assert encode_spans(drafts(effect)) == encode_spans(drafts(effect))


def test_a_traceback_that_is_too_long_loses_its_middle():
    text = "begin" + "x" * (10 * MAX_TEXT) + "end"
    kept = attributes(ended(state=State.FAILURE, traceback=text))["exception.stacktrace"]
    assert len(kept) < MAX_TEXT + 10
    assert kept.startswith("begin")
    assert kept.endswith("end")


def test_other_effects_make_no_span():
    assert drafts(Received(KIND, redelivered=False)) == []


def test_without_a_buffer_nothing_is_kept():
    SpanSink(None, Resources(OtlpSettings())).accept([ended()])


@pytest.mark.parametrize(
    ("exception", "message"),
    [
        ("ValueError('no funds')", "no funds"),
        ('KeyError("it\'s")', "it's"),
        ("ValueError('it\\'s')", "it's"),
        ("ValueError('a\\nb')", "a\nb"),
        (r"ValueError('C:\\new')", r"C:\new"),
        ("ValueError('x',)", "x"),
        ("ValueError('a', 'b')", "'a', 'b'"),
        ("HTTPError(503, f(1))", "503, f(1)"),
        ("ValueError()", ""),
        ("<Error: no repr>", "<Error: no repr>"),
        ("(odd)", "(odd)"),
        ("Error('cut", "Error('cut"),
        ("", ""),
        (None, None),
    ],
)
def test_the_message_is_what_the_exception_was_called_with(exception, message):
    assert message_of(exception) == message
