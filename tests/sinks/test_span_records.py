import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from stream.config import OtlpSettings
from stream.core.kinds import Kind
from stream.core.states import State
from stream.core.trace import Trace, TraceSource
from stream.export.encoding import encode_spans
from stream.export.records import NOTHING, Link, SpanKind, nanoseconds
from stream.export.resources import Resources
from stream.sinks.identity import process_span_id, send_span_id, wait_span_id
from stream.sinks.span_records import process_span, send_span, wait_span
from tests.builders import T0
from tests.sinks.span_effects import (
    CREATOR,
    OBSERVED,
    PARENT,
    ROOT,
    TRACE_ID,
    UUID,
    ended,
    sent,
    trace,
    waited,
)

ROOT_TRACE = uuid.UUID(ROOT).int
WITHOUT_RUNS = structs.replace(OBSERVED, runs=False)
KNOWS_CREATOR = [TraceSource.EVENT, TraceSource.PEEK]
INHERITED = [TraceSource.PARENT, TraceSource.ROOT]
any_text = st.text(st.characters(exclude_categories=()))


def send(**changes):
    return send_span(sent(**changes), OBSERVED)


def wait(**changes):
    return wait_span(waited(**changes), OBSERVED)


def process(**changes):
    return process_span(ended(**changes), OBSERVED)


def attributes(span):
    return dict(span.all_attributes())


def test_publishing_is_an_instant_on_the_side_of_the_producer():
    made = send()

    assert (made.name, made.kind) == ("send shop.pay", SpanKind.PRODUCER)
    assert made.start_ns == made.end_ns == nanoseconds(T0 + 0.5)
    assert (made.trace_id, made.span_id) == (ROOT_TRACE, send_span_id(UUID, 0))
    assert made.parent_span_id is None
    assert dict(made.resource.attributes) == {"service.name": "celery"}


def test_publishing_is_caused_by_the_task_that_did_it():
    assert send(parent_id=PARENT).parent_span_id == process_span_id(PARENT, 0)


def test_publishing_is_caused_by_the_delivery_of_the_parent_that_did_it():
    made = send(parent_id=PARENT, parent_attempt=(2, 1))

    assert made.parent_span_id == process_span_id(PARENT, 2, 1)


def test_publishing_a_retry_is_caused_by_the_attempt_before():
    # Celery gives a retry its own uuid as parent_id.
    made = send(retries=2, parent_id=UUID)

    assert made.parent_span_id == process_span_id(UUID, 1)
    assert made.links == (Link(ROOT_TRACE, process_span_id(UUID, 1)),)


def test_publishing_again_is_caused_by_the_delivery_that_replaced_itself():
    made = send(ordinal=2, retries=1, parent_id=PARENT)

    assert made.span_id == send_span_id(UUID, 1, 2)
    assert made.parent_span_id == process_span_id(UUID, 1, 1)
    assert made.links == (Link(ROOT_TRACE, process_span_id(UUID, 1, 1)),)


@pytest.mark.parametrize("make", [wait, process])
def test_what_was_published_again_is_a_child_of_that_publishing(make):
    made = make(ordinal=2, sent_ordinal=1)

    assert made.parent_span_id == send_span_id(UUID, 0, 1)


def test_a_redelivery_is_a_child_of_the_publishing_of_the_first_delivery():
    assert process(ordinal=1).parent_span_id == send_span_id(UUID, 0)


@pytest.mark.parametrize("make", [wait, process])
def test_the_delivery_before_is_not_called_the_cause_of_what_was_not_seen_published(make):
    made = make(ordinal=1, sent_ordinal=1, sent_at=None)

    assert made.parent_span_id is None


@pytest.mark.parametrize("make", [wait, process])
def test_publishing_again_with_a_span_of_the_producers_own_needs_none_of_ours(make):
    assert make(sent_ordinal=1, trace=trace()).parent_span_id == CREATOR


def test_a_task_is_never_its_own_parent():
    made = send(parent_id=UUID)

    assert made.parent_span_id is None
    assert "celery.task.parent_id" not in attributes(made)


@pytest.mark.parametrize("source", INHERITED)
def test_publishing_joins_a_trace_that_is_inherited_under_the_task_that_did_it(source):
    made = send(trace=trace(source, state="a=b"), parent_id=PARENT)

    assert (made.trace_id, made.trace_state) == (TRACE_ID, "a=b")
    assert made.parent_span_id == process_span_id(PARENT, 0)


def test_waiting_is_from_when_it_could_run_to_started():
    made = wait()

    assert (made.name, made.kind) == ("wait payments", SpanKind.INTERNAL)
    assert (made.start_ns, made.end_ns) == (nanoseconds(T0 + 0.75), nanoseconds(T0 + 9.0))
    assert made.span_id == wait_span_id(UUID, 0)
    assert dict(made.resource.attributes) == {"service.name": "celery"}


def test_waiting_has_the_parent_that_running_has():
    for changes in [{}, {"sent_at": None, "parent_id": PARENT}, {"trace": trace()}, {"retries": 1}]:
        assert wait(**changes).parent_span_id == process(**changes).parent_span_id


def test_waiting_that_ended_before_it_began_has_no_negative_length():
    made = wait(since=T0 + 99.0)

    assert made.start_ns == made.end_ns


def test_waiting_in_a_queue_that_is_not_known_says_only_that():
    assert wait(kind=Kind("shop.pay", None)).name == "wait"


def test_each_delivery_has_a_wait_of_its_own():
    assert wait().span_id != wait(ordinal=1).span_id


def test_running_is_from_started_to_ended():
    made = process()

    assert (made.name, made.kind) == ("process shop.pay", SpanKind.CONSUMER)
    assert (made.start_ns, made.end_ns) == (nanoseconds(T0 + 1.0), nanoseconds(T0 + 2.25))
    assert made.span_id == process_span_id(UUID, 0)
    assert made.error is None


def test_running_is_a_child_of_publishing():
    assert process(retries=1).parent_span_id == send_span_id(UUID, 1)


def test_running_what_was_not_seen_published_has_no_parent():
    assert process(sent_at=None).parent_span_id is None


@pytest.mark.parametrize("source", KNOWS_CREATOR)
def test_running_is_a_child_of_the_producers_span(source):
    made = process(trace=trace(source, state="a=b"))

    assert (made.trace_id, made.parent_span_id) == (TRACE_ID, CREATOR)
    assert made.trace_state == "a=b"
    assert attributes(made)["celery.trace.source"] == source


@pytest.mark.parametrize("source", INHERITED)
def test_running_in_a_trace_that_is_inherited_is_a_child_of_publishing(source):
    made = process(trace=trace(source))

    assert (made.trace_id, made.parent_span_id) == (TRACE_ID, send_span_id(UUID, 0))


def test_a_span_that_is_there_is_sampled():
    assert process(trace=trace(sampled=False)).flags & 1


def test_the_threshold_is_told():
    made = process_span(ended(trace=trace(state="a=b")), OBSERVED, threshold=1 << 55)

    assert made.trace_state == "ot=th:8,a=b"


def test_a_later_attempt_links_to_the_one_before():
    assert process(retries=1).links == (Link(ROOT_TRACE, process_span_id(UUID, 0)),)
    assert process(ordinal=2).links == (Link(ROOT_TRACE, process_span_id(UUID, 0, 1)),)
    assert process().links == ()


def test_a_redelivery_has_a_span_of_its_own():
    made = process(ordinal=1)

    assert made.span_id == process_span_id(UUID, 0, 1)
    assert attributes(made)["celery.task.redelivered"] is True


def test_the_broker_tells_a_redelivery_too():
    assert attributes(process(redelivered=True))["celery.task.redelivered"] is True


@pytest.mark.parametrize("change", [{"retries": 1}, {"parent_id": PARENT}])
def test_where_runs_have_no_spans_none_is_the_parent(change):
    assert send_span(sent(**change), WITHOUT_RUNS).parent_span_id is None


def test_where_runs_have_no_spans_none_is_linked_to():
    assert send_span(sent(retries=1), WITHOUT_RUNS).links == ()


def test_what_never_started_is_an_instant_at_its_end():
    made = process(started_at=None, state=State.FAILURE)

    assert made.start_ns == made.end_ns == nanoseconds(T0 + 2.25)


def test_an_end_before_the_start_has_no_negative_length():
    made = process(started_at=T0 + 9.0)

    assert made.start_ns == made.end_ns


@pytest.mark.parametrize("at", [-1.0, float("inf"), 1e300, float("nan")])
def test_an_absurd_time_is_clamped(at):
    made = process(ended_at=at)

    assert 0 <= made.start_ns <= made.end_ns < 2**63


def test_attributes_of_a_success():
    assert attributes(process()) == {
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
        "celery.trace.source": "derived",
    }


def test_attributes_of_a_wait():
    # Waiting is no operation type of the conventions.
    assert attributes(wait()) == {
        "messaging.system": "redis",
        "messaging.operation.name": "wait",
        "messaging.message.id": UUID,
        "messaging.message.conversation_id": ROOT,
        "messaging.destination.name": "payments",
        "celery.task.name": "shop.pay",
        "celery.task.retries": 0,
        "celery.worker.name": "w1@box",
        "celery.trace.source": "derived",
    }


def test_what_is_not_known_is_left_out():
    made = process(kind=Kind(None, None), hostname=None, wait=None)

    unknown = {
        "celery.task.name",
        "messaging.destination.name",
        "celery.worker.name",
        "celery.task.wait_time",
    }
    assert not unknown & attributes(made).keys()
    assert made.name == "process"


@pytest.mark.parametrize("state", [State.FAILURE, State.RETRY])
def test_a_failed_attempt_is_an_error_with_its_exception(state):
    made = process(
        state=state, error_type="ValueError", exception="ValueError('no funds')", traceback="tb"
    )

    assert made.error == "no funds"
    found = attributes(made)
    assert found["error.type"] == found["exception.type"] == "ValueError"
    assert found["exception.message"] == "no funds"
    assert found["exception.stacktrace"] == "tb"
    assert found["celery.task.state"] == state


def test_an_error_without_a_known_class_says_other():
    found = attributes(process(state=State.LOST, inferred=True, reason="worker_offline"))

    assert found["error.type"] == "_OTHER"
    assert found["celery.end.inferred"] is True
    assert "exception.type" not in found


def test_the_resource_is_the_worker():
    found = dict(process().resource.attributes)

    assert found["host.name"] == "box"
    assert uuid.UUID(found["service.instance.id"]).version == 5


def test_one_worker_has_one_resource():
    first, second, other = process(), process(retries=1), process(hostname="w2@box")

    assert first.resource is second.resource
    assert first.resource is not other.resource


def test_the_worker_wins_over_the_attributes_of_the_settings():
    attributes = {"host.name": "mine", "team": "a", "service.instance.id": "mine"}
    found = Resources(OtlpSettings(resource_attributes=attributes)).of("w1@box").attributes

    assert len(found) == len(dict(found)), "OTLP forbids a key twice"
    assert dict(found)["host.name"] == "box"
    assert dict(found)["service.instance.id"] != "mine"
    assert dict(found)["team"] == "a"


def test_resource_attributes_of_the_settings_are_added():
    settings = OtlpSettings(service_name="shop", resource_attributes={"team": "a"})

    assert dict(Resources(settings).of(None).attributes) == {"team": "a", "service.name": "shop"}


@pytest.mark.parametrize("make", [send, wait, process])
def test_spans_that_are_alike_share_what_they_have_in_common(make):
    assert make().common is make(uuid=PARENT, root_id=None).common


@pytest.mark.parametrize(
    "change", [{"kind": Kind("a", "b")}, {"retries": 1}, {"trace": trace()}], ids=str
)
@pytest.mark.parametrize("make", [send, wait, process])
def test_spans_that_differ_do_not(make, change):
    assert make().common is not make(**change).common


def test_a_run_of_another_system_or_end_is_not_alike():
    other = process_span(ended(), structs.replace(OBSERVED, system="rabbitmq"))

    assert attributes(other)["messaging.system"] == "rabbitmq"
    assert attributes(process(state=State.REVOKED))["celery.task.state"] == "REVOKED"


@given(
    uuid=any_text,
    root_id=st.none() | any_text,
    parent_id=st.none() | any_text,
    kind=st.builds(Kind, st.none() | any_text, st.none() | any_text),
    retries=st.integers(0, 2),
    trace=st.none()
    | st.builds(Trace, any_text, st.none() | any_text, st.sampled_from(TraceSource)),
)
def test_every_effect_is_encoded_with_or_without_what_is_common(**effect):
    made = [make(**effect) for make in (send, wait, process)]
    alone = [
        structs.replace(each, common=NOTHING, texts=(), attributes=each.all_attributes())
        for each in made
    ]

    first, second = (encode_spans([lambda s=s: s for s in spans]) for spans in (made, alone))
    assert first == second


def test_the_same_effect_makes_the_same_bytes():
    effect = ended(state=State.FAILURE, exception="E('x')", retries=1)

    first, second = (
        encode_spans([lambda: process_span(effect, OBSERVED, threshold=1)]) for _ in range(2)
    )
    assert first == second
