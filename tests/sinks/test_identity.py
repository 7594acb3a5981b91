import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.trace import Trace, TraceSource
from stream.sinks.identity import (
    RANDOM,
    SAMPLED,
    Origin,
    attempt,
    has_creator,
    origin,
    process_span_id,
    record_uid,
    run_span_ids,
    send_span_id,
    span_id,
    trace_id,
    wait_span_id,
)

UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("text", [UUID, UUID.replace("-", ""), UUID.upper()])
def test_the_trace_id_of_a_uuid_is_its_bits(text):
    assert trace_id(text) == uuid.UUID(UUID).int


@pytest.mark.parametrize("text", ["order-17", "", str(uuid.UUID(int=0)), "x" * 36, "\ud800"])
def test_anything_else_is_hashed_to_a_trace_id(text):
    assert 0 < trace_id(text) < 2**128
    assert trace_id(text) == trace_id(text)


def test_the_span_id_depends_on_uuid_attempt_and_kind():
    ids = {
        span_id(UUID, 0, "process"),
        span_id(UUID, 1, "process"),
        span_id(UUID, "0.1", "process"),
        span_id(UUID, 0, "send"),
        span_id("other", 0, "process"),
    }
    assert len(ids) == 5


def test_the_named_span_ids_are_the_general_one():
    assert send_span_id(UUID, 2) == span_id(UUID, "2", "send")
    assert send_span_id(UUID, 2, 1) == span_id(UUID, "2.1", "send")
    assert process_span_id(UUID, 2) == span_id(UUID, attempt(2), "process")
    assert wait_span_id(UUID, 2, 1) == span_id(UUID, attempt(2, 1), "wait")
    assert process_span_id(UUID, 2, 1) == span_id(UUID, attempt(2, 1), "process")


def test_span_ids_never_change():
    # Stores recognise a span that is sent twice by its id: across releases too.
    assert process_span_id(UUID, 0) == 0xF1BEB208EFDD6CB8
    assert send_span_id(UUID, 0) == 0x01E68BA68FD04A7D


numbers = st.integers(0, 3) | st.integers()
any_text = st.text(st.characters(exclude_categories=()))


@given(any_text, numbers, numbers, numbers)
def test_the_ids_of_a_run_are_those_of_its_spans(uuid, retries, ordinal, sent_ordinal):
    assert run_span_ids(uuid, retries, ordinal, sent_ordinal) == (
        process_span_id(uuid, retries, ordinal),
        send_span_id(uuid, retries, sent_ordinal),
    )


@given(st.text(), st.integers(), st.integers())
def test_every_text_has_a_span_id(text, retries, ordinal):
    assert 0 < process_span_id(text, retries, ordinal) < 2**64


def read(text):
    """Trace, span and flags of a ``traceparent``; None where it is none."""
    found = origin(Trace(text, None, TraceSource.EVENT), None, UUID)
    if found.source is TraceSource.DERIVED:
        return None
    return found.trace_id, found.parent_span_id, found.flags


def test_a_traceparent_is_read():
    assert read(TRACEPARENT) == (0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, 1)


def test_a_later_version_may_say_more():
    assert read("01" + TRACEPARENT[2:] + "-more") is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ff" + TRACEPARENT[2:],
        TRACEPARENT + "-more",
        TRACEPARENT + "\n",
        TRACEPARENT.upper(),
        TRACEPARENT[:-1],
        "01" + TRACEPARENT[2:] + "more",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    ],
)
def test_what_is_no_traceparent_is_none(text):
    assert read(text) is None


@given(st.text())
def test_reading_a_traceparent_never_raises(text):
    read(text)


@pytest.mark.parametrize("source", [TraceSource.EVENT, TraceSource.PEEK])
def test_the_trace_of_the_message_itself_tells_its_creator(source):
    found = origin(Trace(TRACEPARENT, "a=b", source), "root", UUID)

    trace_id, span_id, flags = read(TRACEPARENT)
    assert found == Origin(trace_id, span_id, flags, "a=b", source)


@pytest.mark.parametrize("source", [TraceSource.PARENT, TraceSource.ROOT])
def test_the_trace_of_another_task_tells_no_creator(source):
    found = origin(Trace(TRACEPARENT, "a=b", source), "root", UUID)

    trace_id, _, flags = read(TRACEPARENT)
    assert found == Origin(trace_id, None, flags, "a=b", source)


def test_without_a_trace_the_root_task_is_one():
    found = origin(None, UUID, "other")

    assert (found.trace_id, found.source) == (uuid.UUID(UUID).int, TraceSource.DERIVED)
    assert (found.parent_span_id, found.trace_state) == (None, "")


def test_without_a_root_the_task_is_its_own():
    assert origin(None, None, UUID).trace_id == uuid.UUID(UUID).int


def test_a_traceparent_that_cannot_be_read_is_none():
    broken = Trace("broken", "a=b", TraceSource.EVENT)

    assert origin(broken, "root", UUID) == origin(None, "root", UUID)


def test_a_root_that_is_no_uuid_is_hashed():
    assert origin(None, "order-17", UUID).trace_id == trace_id("order-17")


@pytest.mark.parametrize(
    ("root", "uniform"),
    [
        (UUID, True),
        ("order-17", True),
        (str(uuid.uuid5(uuid.NAMESPACE_DNS, "x")), True),
        ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", False),
        (f"{17:032x}", False),
    ],
    ids=["version 4", "hashed", "version 5", "version 1", "a number"],
)
def test_a_trace_id_is_called_random_where_it_is(root, *, uniform):
    assert origin(None, root, root).flags == (SAMPLED | RANDOM if uniform else SAMPLED)


@pytest.mark.parametrize("source", TraceSource)
@pytest.mark.parametrize("text", [TRACEPARENT, "broken"])
def test_a_creator_is_known_where_its_span_is(source, text):
    trace = Trace(text, None, source)

    assert has_creator(trace) is (origin(trace, None, UUID).parent_span_id is not None)


def test_without_a_trace_no_creator_is_known():
    assert not has_creator(None)


def test_a_record_id_tells_its_parts_apart():
    assert record_uid("a", 1) == record_uid("a", 1)
    assert record_uid("a", 1) != record_uid("a", 2)
    assert len(record_uid("a")) == 32
