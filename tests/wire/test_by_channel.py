"""On a channel for events of one type they are read more quickly, and no otherwise."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events import Message, Transport
from stream.wire import codec
from stream.wire.codec import Decoder, decode, in_full, plain

TYPES = ("task-sent", "task-received", "task-started", "task-succeeded", "worker-heartbeat")
EVENT = {"hostname": "w@h", "pid": 1, "clock": 2, "uuid": "u", "timestamp": 1.5}


def frame(body, channel, transport=Transport.REDIS):
    if transport is Transport.REDIS:
        properties = {"body_encoding": "base64"}
        envelope = {"body": base64.b64encode(body).decode(), "content-type": "application/json"}
        body = json.dumps({**envelope, "properties": properties}).encode()
    return Message(1.0, "", transport, channel.encode(), body, None)


bodies = st.one_of(
    st.sampled_from(TYPES).map(lambda tag: json.dumps({**EVENT, "type": tag}).encode()),
    st.sampled_from(TYPES).map(lambda tag: json.dumps({"type": tag, **EVENT}).encode()),
    st.sampled_from(
        (
            b'{"hostname": "w", "timestamp": 1, "uuid": "u"}',
            b'{"hostname": "w", "timestamp": "no", "uuid": "u", "type": "task-sent"}',
            (
                b'{"hostname": "w", "timestamp": 1, "uuid": "u", "type": "task-failed",'
                b' "type": "task-sent"}'
            ),
            b'{"hostname": "w", "timestamp": 1, "uuid": "u", "x": {"a": 1, "type": "task-sent"}}',
            b'{"hostname": "w", "timestamp": 1, "uuid": "u", "\\"type": "task-sent"}',
            b'{"hostname": "w", "timestamp": NaN, "uuid": "u", "type": "task-sent"}',
            b'[{"hostname": "w", "timestamp": 1, "uuid": "u", "type": "task-sent"}]',
            b'{"hostname": "w", "timestamp": 1, "uuid": "u", "type": "custom-type"}',
            b'{"a": 1}, "type": "task-sent"}',
            b', "type": "task-sent"}',
            b"",
        )
    ),
    st.binary(max_size=30).map(lambda text: text + b', "type": "task-sent"}'),
)
channels = st.sampled_from(("task.sent", "task.started", "worker.heartbeat", "task.multi", "", "x"))


@given(bodies, channels, st.sampled_from((Transport.REDIS, Transport.AMQP)), st.booleans())
def test_the_same_is_read_whatever_the_channel(body, key, transport, full):
    decoder = in_full if full else plain
    elsewhere = decoder.decode(frame(body, "/0.celeryev/any", transport))
    assert decoder.decode(frame(body, f"/0.celeryev/{key}", transport)) == elsewhere
    assert decoder.decode(frame(body, key, transport)) == elsewhere


@pytest.mark.parametrize("tag", TYPES)
def test_an_event_as_celery_writes_it_is_read_as_its_type_only(tag):
    def fails(_):
        raise AssertionError("not for this body")

    decoder = Decoder(codec.KnownEvent, fails)
    body = json.dumps({**EVENT, "type": tag}).encode()
    (event,) = decoder.decode(frame(body, f"/0.celeryev/{tag.replace('-', '.')}")).events
    assert type(event).__struct_config__.tag == tag


def test_the_channels_that_are_remembered_are_bounded():
    body = json.dumps({**EVENT, "type": "task-sent"}).encode()
    for number in range(2 * codec._MAX_CHANNELS + 1):
        assert decode(frame(body, f"/{number}.celeryev/task.sent")).events
        assert len(plain._by_channel) <= codec._MAX_CHANNELS
