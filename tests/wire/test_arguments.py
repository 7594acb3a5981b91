"""Messages without arguments say all else as before."""

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events import Message, Reason, Transport
from stream.sinks.redaction import Redaction
from stream.wire.arguments import Arguments, Editor
from stream.wire.codec import decode
from tests.builders import T0

EVENT = {
    "type": "task-received",
    "hostname": "w",
    "timestamp": T0,
    "uuid": "u",
    "args": "('x',)",
    "kwargs": "{'password': 'hunter2', 'size': 3}",
}
FAILED = {
    "type": "task-failed",
    "hostname": "w",
    "timestamp": T0,
    "uuid": "u",
    "exception": "Refused('password=hunter2')",
    "traceback": "Refused: password=hunter2",
}
JSON = "application/json"
MSGPACK = "application/x-msgpack"


def editor(arguments=Arguments.REDACT):
    return Editor(arguments, Redaction(("*password*",)))


def enveloped(body, /, *, content_type=JSON, encoding="base64", **fields):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    text = base64.b64encode(data).decode() if encoding == "base64" else data.decode()
    properties = {"body_encoding": encoding} if encoding else {}
    envelope = {"body": text, "content-type": content_type, "properties": properties, **fields}
    return Message(T0, "main", Transport.REDIS, b"c", json.dumps(envelope).encode())


def bare(body, content_type=JSON):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(T0, "main", Transport.AMQP, b"c", data, content_type, "utf-8")


def body_of(message):
    """The events in a message as they stand there."""
    envelope = json.loads(message.payload)
    body = envelope["body"]
    if envelope["properties"].get("body_encoding") == "base64":
        body = base64.b64decode(body)
    return json.loads(body)


def reasons(message):
    return [each.reason for each in decode(message).rejected]


every_wrapping = pytest.mark.parametrize(
    "wrap", [enveloped, lambda body: enveloped(body, encoding=None)], ids=["base64", "text"]
)


@every_wrapping
def test_redacting_hides_the_values_of_secret_keys_only(wrap):
    edited = body_of(editor().edit(wrap(EVENT)))
    assert edited == EVENT | {"kwargs": "{'password': ***, 'size': 3}"}


@every_wrapping
def test_dropping_leaves_arguments_and_results_out(wrap):
    edited = body_of(editor(Arguments.DROP).edit(wrap([EVENT, EVENT | {"result": "'r'"}])))
    assert edited == [{k: v for k, v in EVENT.items() if k not in {"args", "kwargs"}}] * 2


@pytest.mark.parametrize("arguments", [Arguments.REDACT, Arguments.DROP])
def test_why_a_task_failed_is_redacted_and_stays(arguments):
    edited = body_of(editor(arguments).edit(enveloped(FAILED)))
    assert edited["exception"].startswith("Refused(")
    assert "hunter2" not in edited["exception"] + edited["traceback"]


def test_keeping_changes_nothing():
    message = enveloped(EVENT)
    assert editor(Arguments.KEEP).edit(message) is message


def test_the_envelope_stays_as_it_was():
    message = enveloped(EVENT, headers={"hostname": "w"})
    edited = json.loads(editor().edit(message).payload)
    assert {**edited, "body": None} == {**json.loads(message.payload), "body": None}


def test_a_bare_body_is_edited_and_its_properties_stay():
    edited = editor(Arguments.DROP).edit(bare(EVENT))
    assert "args" not in json.loads(edited.payload)
    assert msgspec.structs.replace(edited, payload=b"") == msgspec.structs.replace(
        bare(EVENT), payload=b""
    )


def test_a_body_in_msgpack_is_edited():
    edited = editor(Arguments.DROP).edit(bare(msgspec.msgpack.encode([EVENT]), MSGPACK))
    (event,) = msgspec.msgpack.decode(edited.payload)
    assert event == {k: v for k, v in EVENT.items() if k not in {"args", "kwargs"}}


def test_arguments_that_are_no_text_become_one():
    edited = body_of(
        editor().edit(enveloped(EVENT | {"kwargs": {"password": "hunter2"}, "args": 7}))
    )
    assert "hunter2" not in edited["kwargs"]
    assert edited["args"] == 7


def test_what_python_writes_and_json_forbids_is_edited_too():
    body = json.dumps(EVENT | {"runtime": float("nan"), "name": "\ud800"}).encode()
    edited = editor().edit(bare(body)).payload
    assert b"hunter2" not in edited
    assert decode(bare(edited)) == decode(bare(body))


# -- what cannot be edited -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        enveloped(b"\x80pickled", content_type="application/x-python-serialize"),
        enveloped(b"{damaged"),
        enveloped(EVENT, properties={"body_encoding": "base64"}, body="no base64!"),
        enveloped(EVENT, body=5),
        Message(T0, "main", Transport.REDIS, b"c", b"no envelope"),
        Message(T0, "main", Transport.REDIS, b"c", b"[]"),
        bare(b"password: hunter2", "application/x-yaml"),
        bare(b"[" * 100_000),
        Message(T0, "main", Transport.EVENT, b"", b"{damaged"),
    ],
    ids=lambda message: repr(message.payload[:60]),
)
def test_a_body_that_cannot_be_read_is_dropped_and_counted_and_its_fault_stays_known(message):
    edit = editor()
    edited = edit.edit(message)
    assert edit.emptied == 1
    assert b"hunter2" not in edited.payload
    assert reasons(edited) == reasons(message)


def test_what_is_no_event_is_dropped():
    edit = editor()
    edited = edit.edit(bare(["password=hunter2", EVENT]))
    assert json.loads(edited.payload)[0] is None
    assert reasons(edited) == [Reason.INVALID]


# -- properties ----------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=6,
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(["task-received", "task-failed", "own"]), "uuid": st.just("u")},
    optional=dict.fromkeys(
        ("hostname", "timestamp", "clock", "args", "result", "x", "name"), values
    ),
)


@given(events | st.lists(events), st.sampled_from([enveloped, bare]))
def test_without_arguments_the_events_are_the_same(body, wrap):
    message = wrap(body)
    dropped = editor(Arguments.DROP).edit(message)
    assert decode(dropped).events == decode(message).events
    assert reasons(dropped) == reasons(message)


@given(st.sampled_from(Transport), st.binary(), st.none() | st.sampled_from([JSON, MSGPACK]))
def test_editing_is_total(transport, payload, content_type):
    edited = editor().edit(Message(T0, "main", transport, b"c", payload, content_type))
    assert isinstance(edited.payload, bytes)
