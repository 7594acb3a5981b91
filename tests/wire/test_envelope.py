"""The envelope comes off whatever it looks like, or the message is rejected."""

import base64
import json

import pytest

from stream.events import Message, Reason, Rejected, Transport
from stream.wire.codec import decode
from stream.wire.envelope import JSON, MAX_PAYLOAD_BYTES, Body, unwrap

BODY = b'{"type": "custom"}'


def redis(payload):
    return Message(1.0, "main", Transport.REDIS, b"/0.celeryev/task.sent", payload)


def envelope(**changes):
    fields = {
        "body": base64.b64encode(BODY).decode(),
        "content-encoding": "utf-8",
        "content-type": JSON,
        "headers": {"hostname": "w1@host"},
        "properties": {"body_encoding": "base64", "delivery_tag": "t"},
    }
    kept = {name: value for name, value in (fields | changes).items() if value is not ...}
    return json.dumps(kept).encode()


def test_the_body_is_what_base64_hides():
    assert unwrap(redis(envelope())) == Body(JSON, BODY)


def test_the_content_type_is_that_of_the_envelope():
    body = unwrap(redis(envelope(**{"content-type": "application/x-msgpack"})))
    assert body == Body("application/x-msgpack", BODY)


@pytest.mark.parametrize("content_type", [..., None, 7, ["x"]], ids=repr)
def test_a_content_type_that_says_nothing_means_json(content_type):
    assert unwrap(redis(envelope(**{"content-type": content_type}))) == Body(JSON, BODY)


@pytest.mark.parametrize(
    "properties", [..., {}, {"body_encoding": None}, {"body_encoding": "utf-8"}], ids=repr
)
def test_a_body_without_base64_is_taken_as_it_is(properties):
    """The transport option ``body_encoding`` turns base64 off."""
    assert unwrap(redis(envelope(body=BODY.decode(), properties=properties))) == Body(JSON, BODY)


def test_a_plain_body_that_looks_like_base64_is_not_decoded():
    assert unwrap(redis(envelope(body="e30=", properties={}))) == Body(JSON, b"e30=")


def test_a_lone_surrogate_in_a_plain_body_is_left_to_the_codec():
    body = unwrap(redis(envelope(body="\ud800", properties={})))
    assert body == Body(JSON, b"\xed\xa0\x80")


def test_a_nan_elsewhere_in_the_envelope_costs_nothing():
    assert unwrap(redis(envelope(headers={"rate": float("nan")}))) == Body(JSON, BODY)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"\x80\x04\x95pickle",
        b"[" * 100_000,
        b'{"body": "e30="',
        envelope(body=...),
        envelope(body=None),
        envelope(body={"type": "custom"}),
        envelope(body="no base64!"),
        envelope(body="\ud800"),
        envelope(properties=[]),
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_what_is_no_envelope_is_rejected(payload):
    rejected = unwrap(redis(payload))
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.ENVELOPE


def test_a_payload_at_the_limit_is_read_and_one_byte_more_is_not():
    padding = b" " * (MAX_PAYLOAD_BYTES - len(BODY))
    message = Message(1.0, "main", Transport.AMQP, b"", BODY + padding)
    assert isinstance(unwrap(message), Body)
    message = Message(1.0, "main", Transport.AMQP, b"", BODY + padding + b" ")
    rejected = unwrap(message)
    assert rejected == Rejected(Reason.TOO_LARGE, f"{MAX_PAYLOAD_BYTES + 1} bytes")


def test_amqp_has_no_envelope_and_says_the_content_type_in_its_properties():
    message = Message(1.0, "main", Transport.AMQP, b"", b"\x80", "application/x-msgpack")
    assert unwrap(message) == Body("application/x-msgpack", b"\x80")


def test_amqp_without_a_content_type_is_json():
    assert unwrap(Message(1.0, "main", Transport.AMQP, b"", BODY)) == Body(JSON, BODY)


def test_a_decoded_event_is_json_whatever_it_says():
    message = Message(1.0, "main", Transport.EVENT, b"", BODY, "application/x-msgpack")
    assert unwrap(message) == Body(JSON, BODY)


# -- long payloads, whose body is cut out of the text ----------------------------------------------

LONG = json.dumps([{"type": "custom", "hostname": "w1@host", "timestamp": 1.0}] * 100).encode()
HIDDEN = base64.b64encode(LONG)
REST = b'"content-type": "application/json", "properties": {"body_encoding": "base64"}}'


@pytest.mark.parametrize(
    "payload",
    [
        envelope(body=HIDDEN.decode()),
        b'{"body": "' + HIDDEN + b'", ' + REST,
        b'{"body":"' + HIDDEN + b'",' + REST,
        b"{" + REST[:-1] + b', "body": "' + HIDDEN + b'"}',
        b'{"body": "' + HIDDEN.replace(b"=", b"\\u003d").replace(b"/", b"\\/") + b'", ' + REST,
    ],
    ids=["kombu's", "usual", "without blanks", "body last", "escaped"],
)
def test_a_long_body_is_read_whatever_its_envelope_looks_like(payload):
    decoded = decode(redis(payload))
    assert (len(decoded.events), decoded.rejected) == (100, ())


@pytest.mark.parametrize(
    "payload",
    [
        b'{"body": "' + HIDDEN + b'" ' + REST,
        b'{"body": "' + HIDDEN + b'", ' + REST + b"}",
        b'{"body": "' + HIDDEN + b'", ' + REST[:-1],
        b'{"body": "' + HIDDEN[:-8] + b'*=====", ' + REST,
        b'{"body": "' + HIDDEN[:-5] + b'", ' + REST,
        b'{"body": "' + HIDDEN + b'", "body": "", ' + REST,
        b'{"body": "' + HIDDEN + b'", "body": 7, ' + REST,
        b'{"body": "' + HIDDEN,
    ],
    ids=["comma", "brace", "open", "alphabet", "length", "second body", "second int", "torn"],
)
def test_what_is_wrong_around_or_in_a_long_body_is_found_as_in_a_short_one(payload):
    decoded = decode(redis(payload))
    assert decoded.events == []
    assert len(decoded.rejected) == 1
