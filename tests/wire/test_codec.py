"""Bodies become typed events, and what cannot be read becomes a reason."""

import base64
import json
import pickle

import msgspec
import pytest

from stream.events import (
    KnownEvent,
    KnownEventInFull,
    Message,
    OtherEvent,
    Reason,
    TaskReceived,
    TaskReceivedInFull,
    TaskStarted,
    TaskSucceeded,
    TaskSucceededInFull,
    Transport,
    WorkerHeartbeat,
)
from stream.wire.codec import MSGPACK, Decoded, decode, decode_in_full

NAN = float("nan")
STARTED = {"type": "task-started", "hostname": "w1@h", "timestamp": 5.0, "uuid": "u"}
AS_STARTED = TaskStarted(hostname="w1@h", timestamp=5.0, uuid="u")
CUSTOM = {"type": "order-paid", "hostname": "w1@h", "timestamp": 5.0, "amount": 3}
AS_CUSTOM = OtherEvent("order-paid", "w1@h", 5.0)
WRONG = {**STARTED, "timestamp": "five"}

FORMATS = {"json": (None, lambda body: json.dumps(body).encode())}
FORMATS["msgpack"] = (MSGPACK, msgspec.msgpack.encode)
each_format = pytest.mark.parametrize("name", FORMATS)


def read(body, content_type=None):
    return decode(Message(9.0, "main", Transport.AMQP, b"task.multi", body, content_type))


def read_as(name, body):
    content_type, encode = FORMATS[name]
    return read(encode(body), content_type)


def reasons(decoded):
    return [each.reason for each in decoded.rejected]


# -- what can be read ----------------------------------------------------------------------------


@each_format
def test_a_body_is_one_event_or_a_list_of_them(name):
    assert read_as(name, STARTED) == Decoded([AS_STARTED])
    assert read_as(name, [STARTED, STARTED]) == Decoded([AS_STARTED, AS_STARTED])


@each_format
def test_an_empty_list_is_no_event_and_no_fault(name):
    """Celery up to 5.6.3 publishes them."""
    assert read_as(name, []) == Decoded([])


@pytest.mark.parametrize("kind", KnownEvent.__args__, ids=lambda kind: kind.__name__)
@each_format
def test_every_known_type_is_read_by_its_name(name, kind):
    event = {**STARTED, "type": kind.__struct_config__.tag}
    (found,) = read_as(name, event).events
    assert type(found) is kind


def test_only_the_fields_that_are_used_are_read():
    event = {
        **STARTED,
        "type": "task-succeeded",
        "pid": 3,
        "clock": 8,
        "utcoffset": -5.5,
        "result": "'done'",
        "runtime": 0.0,
    }
    (found,) = read_as("json", event).events
    assert found == TaskSucceeded(
        hostname="w1@h", timestamp=5.0, pid=3, clock=8, uuid="u", runtime=0.0
    )


def test_the_answer_to_a_broadcast_is_a_heartbeat_without_numbers():
    event = {"type": "worker-heartbeat", "hostname": "w1@h", "timestamp": 5, "freq": 5}
    assert read_as("json", event) == Decoded(
        [WorkerHeartbeat(hostname="w1@h", timestamp=5.0, freq=5.0)]
    )


def test_a_task_of_protocol_1_has_nulls_for_what_it_does_not_know():
    event = {**STARTED, "type": "task-received", "name": "t", "root_id": None, "retries": None}
    assert read_as("json", event) == Decoded(
        [TaskReceived(hostname="w1@h", timestamp=5.0, uuid="u", name="t")]
    )


@each_format
def test_an_event_of_another_type_is_read_as_other_in_its_place(name):
    assert read_as(name, [CUSTOM, STARTED]) == Decoded([AS_CUSTOM, AS_STARTED])


def test_an_other_event_needs_nothing_but_its_type():
    assert read_as("json", {"type": "x"}) == Decoded([OtherEvent("x")])


# -- arguments and results -----------------------------------------------------------------------

CALLED = {**STARTED, "type": "task-received", "args": "(1,)", "kwargs": "{}"}
RETURNED = {**STARTED, "type": "task-succeeded", "result": "'done'"}


def read_in_full(name, body):
    content_type, encode = FORMATS[name]
    return decode_in_full(Message(9.0, "main", Transport.AMQP, b"", encode(body), content_type))


@each_format
def test_arguments_and_results_are_read_where_they_are_asked_for(name):
    common = {"hostname": "w1@h", "timestamp": 5.0, "uuid": "u"}
    assert read_in_full(name, [CALLED, RETURNED, STARTED]).events == [
        TaskReceivedInFull(args="(1,)", kwargs="{}", **common),
        TaskSucceededInFull(result="'done'", **common),
        AS_STARTED,
    ]


@each_format
def test_arguments_and_results_are_not_read_unless_they_are_asked_for(name):
    assert [type(each) for each in read_as(name, [CALLED, RETURNED]).events] == [
        TaskReceived,
        TaskSucceeded,
    ]


@pytest.mark.parametrize("kind", KnownEventInFull.__args__, ids=lambda kind: kind.__name__)
@each_format
def test_every_known_type_is_read_by_its_name_with_its_arguments_too(name, kind):
    event = {**STARTED, "type": kind.__struct_config__.tag}
    (found,) = read_in_full(name, event).events
    assert type(found) is kind


@pytest.mark.parametrize(
    "value", [None, 7, 1.5, True, [1, [2]], {"a": {}}, 10**30, NAN, "\ud800"], ids=repr
)
def test_arguments_that_are_no_text_do_not_cost_the_event(value):
    decoded = read_in_full("json", {**CALLED, "args": value, "kwargs": value})
    assert [type(each) for each in decoded.events] == [TaskReceivedInFull]
    assert decoded.rejected == ()


@pytest.mark.parametrize(
    "fault",
    [b'"\xff"', b'{"\xff": 1}', b"[" * 500 + b"]" * 500, b"1" + b"0" * 400],
    ids=["text", "key", "depth", "number"],
)
def test_arguments_that_cannot_be_read_do_not_cost_the_event(fault):
    body = json.dumps([STARTED, CALLED]).encode().replace(b'"(1,)"', fault)
    plain = read(body)
    in_full = decode_in_full(Message(9.0, "main", Transport.AMQP, b"", body))
    assert [each.uuid for each in in_full.events] == [each.uuid for each in plain.events]


def test_msgpack_arguments_with_keys_that_python_cannot_have_do_not_cost_the_event():
    event = msgspec.msgpack.encode({**CALLED, "args": "ARGS"})
    body = event.replace(b"\xa4ARGS", b"\x81\x81\x01\x02\x03")  # {{1: 2}: 3}
    decoded = decode_in_full(Message(9.0, "main", Transport.AMQP, b"", body, MSGPACK))
    assert [type(each) for each in decoded.events] == [TaskReceived]


@each_format
def test_reading_in_full_has_the_same_faults_and_other_events(name):
    body = [CUSTOM, WRONG, STARTED, 5]
    assert read_in_full(name, body) == read_as(name, body)


# -- what Python's json writes and JSON forbids --------------------------------------------------


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_costs_its_field_and_not_the_batch(number):
    ended = json.dumps({**STARTED, "type": "task-succeeded", "runtime": 1.5})
    body = f"[{json.dumps(STARTED)}, {ended.replace('1.5', number)}]".encode()
    assert read(body) == Decoded(
        [AS_STARTED, TaskSucceeded(hostname="w1@h", timestamp=5.0, uuid="u", runtime=None)]
    )


def test_a_number_too_large_for_a_float_costs_no_other_event():
    """Python's json reads it and never writes it."""
    body = f"[{json.dumps(STARTED)}, {json.dumps(CUSTOM).replace('5.0', '1e400')}]".encode()
    assert AS_STARTED in read(body).events


def test_a_field_that_nobody_reads_may_hold_any_number():
    assert read_as("json", {**STARTED, "load": [NAN]}) == Decoded([AS_STARTED])
    assert read_as("json", {**CUSTOM, "load": [NAN]}) == Decoded([AS_CUSTOM])


def test_a_lone_surrogate_is_replaced_by_a_question_mark():
    (failed,) = read_as(
        "json", {**STARTED, "type": "task-failed", "exception": "E('\ud800')"}
    ).events
    assert failed.exception == "E('?')"


def test_an_event_without_a_time_is_invalid_also_when_its_time_is_nan():
    assert reasons(read_as("json", [{**STARTED, "timestamp": NAN}, STARTED])) == [Reason.INVALID]


def test_a_nan_does_not_make_a_wrong_event_a_right_one():
    decoded = read_as("json", [{**WRONG, "load": NAN}, {"load": NAN}, NAN, {**STARTED, "x": NAN}])
    assert decoded.events == [AS_STARTED]
    assert reasons(decoded) == [Reason.INVALID] * 3


# -- what is rejected ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        WRONG,
        {**STARTED, "uuid": ""},
        {**STARTED, "uuid": 5},
        {**STARTED, "uuid": None},
        {**STARTED, "timestamp": -1.0},
        {**STARTED, "timestamp": 9.1e9},
        {**STARTED, "pid": "7"},
        {**STARTED, "clock": 1.5},
        {name: value for name, value in STARTED.items() if name != "hostname"},
        {"hostname": "w1@h", "timestamp": 5.0},
        {"type": None},
        {"type": 7},
        {},
        "task-started",
        None,
        5,
    ],
    ids=str,
)
@each_format
def test_one_bad_element_does_not_cost_the_rest(name, wrong):
    decoded = read_as(name, [STARTED, wrong, STARTED])
    assert decoded.events == [AS_STARTED, AS_STARTED]
    assert reasons(decoded) == [Reason.INVALID]


@each_format
def test_a_body_that_is_one_bad_event_is_invalid(name):
    assert reasons(read_as(name, WRONG)) == [Reason.INVALID]


def test_a_list_in_a_list_is_no_batch():
    assert reasons(read_as("json", [[STARTED]])) == [Reason.INVALID]


def test_msgpack_with_keys_that_are_no_text_is_invalid():
    decoded = read(msgspec.msgpack.encode([{1: 2}, STARTED]), MSGPACK)
    assert decoded.events == [AS_STARTED]
    assert reasons(decoded) == [Reason.INVALID]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", None),
        (b"{", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000, None),
        (b'{"type": "x", "load": NaN, "size": ' + b"9" * 5_000 + b"}", None),
        (json.dumps([STARTED]).encode() + b",", None),
        (b'{"type": "task-started", "uuid": "\xff"}', None),
        (b"", MSGPACK),
        (b"\xc1", MSGPACK),
        (b"\x92\x01", MSGPACK),
        (b"\x91" * 100_000, MSGPACK),
        (msgspec.msgpack.encode(STARTED) + b"\x00", MSGPACK),
    ],
    ids=lambda value: repr(value[:12]) if value else "-",
)
def test_a_body_that_is_not_what_it_says_is_malformed(body, content_type):
    decoded = read(body, content_type)
    assert decoded.events == []
    assert reasons(decoded) == [Reason.MALFORMED]


def test_text_that_is_no_utf_8_costs_its_element_only():
    body = json.dumps([STARTED, STARTED]).encode().replace(b'"u"', b'"\xff"', 1)
    decoded = read(body)
    assert decoded.events == [AS_STARTED]
    assert reasons(decoded) == [Reason.MALFORMED]


@pytest.mark.parametrize(
    "content_type",
    ["application/x-python-serialize", "application/x-yaml", "application/data", "", "json"],
)
def test_other_serialisers_are_rejected_by_name(content_type):
    decoded = read(json.dumps(STARTED).encode(), content_type or "text/plain")
    assert decoded.events == []
    assert reasons(decoded) == [Reason.CONTENT_TYPE]


class _Bomb:
    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", None, MSGPACK])
def test_pickle_is_never_loaded_whatever_it_is_called(content_type):
    decoded = read(pickle.dumps(_Bomb()), content_type)
    assert decoded.events == []
    assert len(decoded.rejected) == 1


def test_what_the_envelope_hides_is_told_as_the_envelopes_fault():
    message = Message(9.0, "main", Transport.REDIS, b"", b"{}")
    assert reasons(decode(message)) == [Reason.ENVELOPE]


def test_a_rejection_does_not_carry_the_body_around():
    envelope = {
        "body": base64.b64encode(b"x").decode(),
        "content-type": "x" * 10_000,
        "properties": {"body_encoding": "base64"},
    }
    messages = [
        Message(9.0, "main", Transport.REDIS, b"", json.dumps(envelope).encode()),
        Message(9.0, "main", Transport.AMQP, b"", b'{"type": ' + b"x" * 10_000),
        Message(9.0, "main", Transport.AMQP, b"", json.dumps({"type": ["x" * 10_000]}).encode()),
    ]
    assert all(len(each.detail) <= 200 for m in messages for each in decode(m).rejected)


@pytest.mark.parametrize("number", [2**63, 2**64, 10**400, -(2**63) - 1], ids=lambda n: str(n)[:9])
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("task-started", "pid"),
        ("task-started", "clock"),
        ("task-received", "retries"),
        ("worker-heartbeat", "active"),
        ("worker-heartbeat", "processed"),
    ],
)
def test_a_whole_number_that_no_counter_can_hold_is_invalid(kind, field, number):
    assert reasons(read_as("json", {**STARTED, "type": kind, field: number})) == [Reason.INVALID]
