"""Frames are built here by py-amqp's own writer, so the two sides are not of one hand."""

from contextlib import suppress

import amqp
import pytest
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from stream.events import Message, Transport
from stream.sources import amqp_frames as frames
from stream.sources.amqp_frames import FrameError, Method, Name, Reader
from stream.wire.envelope import MAX_PAYLOAD_BYTES

AT = 7.0


class Wire:
    """What py-amqp needs of a connection, and the bytes that it wrote."""

    frame_max = 4096
    bytes_sent = 0

    def __init__(self):
        self._data = bytearray()
        self._write = frame_writer(self, self)

    @property
    def data(self):
        return bytes(self._data)

    def write(self, data):
        self._data += data

    def deliver(self, tag, body, *, key="task.sent", consumer="c", **properties):
        arguments = dumps("sLbss", (consumer, tag, False, "celeryev", key))
        self._write(1, 1, (60, 60), arguments, amqp.Message(body, **properties))
        return self


def deliveries(count, body=b"{}", **properties):
    wire = Wire()
    for tag in range(1, count + 1):
        wire.deliver(tag, body, **properties)
    return wire.data


def read(data, **options):
    return Reader("main", **options).feed(data, AT)


JSON = {"content_type": "application/json", "content_encoding": "utf-8"}


def test_a_message_comes_out_with_its_key_and_types():
    data = Wire().deliver(1, b"[]", key="task.multi", **JSON).data
    expected = Message(
        AT, "main", Transport.AMQP, b"task.multi", b"[]", "application/json", "utf-8"
    )
    assert read(data).messages == [expected]


@pytest.mark.parametrize(
    ("properties", "types"),
    [
        ({}, (None, None)),
        ({"content_type": "application/x-msgpack"}, ("application/x-msgpack", None)),
        ({"content_encoding": "binary"}, (None, "binary")),
        (
            {**JSON, "application_headers": {"hostname": "w@h"}, "priority": 0},
            ("application/json", "utf-8"),
        ),
    ],
)
def test_types_are_read_whatever_other_properties_there_are(properties, types):
    (message,) = read(Wire().deliver(1, b"x", **properties).data).messages
    assert (message.content_type, message.content_encoding) == types


def test_an_empty_body_has_no_body_frame():
    (message,) = read(Wire().deliver(1, b"").data).messages
    assert message.payload == b""


def test_the_last_tag_is_that_of_a_complete_message():
    data = deliveries(3)
    assert read(data).tag == 3
    assert read(data[:-1]).tag == 2


def test_a_body_of_several_frames_is_put_together():
    body = bytes(range(256)) * 100
    (message,) = read(Wire().deliver(1, body).data).messages
    assert message.payload == body


def test_a_body_that_is_too_large_is_cut_where_the_decoder_notices_it():
    body = bytes(MAX_PAYLOAD_BYTES + 100_000)
    (message,) = read(Wire().deliver(1, body).data).messages
    assert len(message.payload) == MAX_PAYLOAD_BYTES + 1


@given(
    st.lists(st.binary(max_size=9000), max_size=5),
    st.lists(st.integers(1, 4000), min_size=1, max_size=20),
)
def test_it_does_not_matter_where_reads_end(bodies, lengths):
    wire = Wire()
    for tag, body in enumerate(bodies, 1):
        wire.deliver(tag, body, **JSON)
    data, reader, found, start, turn = wire.data, Reader("main"), [], 0, 0
    while start < len(data):
        length = lengths[turn % len(lengths)]
        found += reader.feed(data[start : start + length], AT).messages
        start, turn = start + length, turn + 1
    assert [message.payload for message in found] == bodies


@given(st.binary(max_size=300))
def test_bytes_that_are_not_amqp_raise_one_error_or_none(data):
    reader = Reader("main", offsets=True)
    with suppress(FrameError):
        reader.feed(data, AT)
        reader.feed(data, AT)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_a_damaged_message_raises_one_error_or_none(at, damage):
    data = deliveries(2, b"x" * 50, **JSON)
    damaged = data[:at] + damage + data[at + len(damage) :]
    with suppress(FrameError):
        read(damaged)


def test_a_frame_beyond_the_agreed_size_is_not_waited_for():
    with pytest.raises(FrameError, match="bytes"):
        read(b"HTTP/1.1 400 Bad Request")


def test_a_method_comes_out_with_its_arguments():
    data = frames.method(3, Name.QUEUE_DECLARE_OK, "q", 5, 2)
    assert read(data).methods == [Method(3, Name.QUEUE_DECLARE_OK, ("q", 5, 2))]


@pytest.mark.parametrize("name", [Name.CHANNEL_CLOSE, Name.CONNECTION_CLOSE])
def test_the_text_of_a_close_may_be_cut_inside_a_character(name):
    text = "é".encode()[:1]
    arguments = (404).to_bytes(2, "big") + b"\x02x" + text + bytes(4)
    signature = b"".join(part.to_bytes(2, "big") for part in name.signature)
    assert read(frame(1, signature + arguments)).methods == [Method(1, name, (404, "x\ufffd"))]


def test_a_method_of_no_use_is_named_none():
    data = bytes((1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE))
    assert read(data).methods == [Method(0, None)]


def test_methods_and_heartbeats_may_come_between_messages():
    data = deliveries(1) + frames.heartbeat() + frames.method(0, Name.CONNECTION_CLOSE_OK)
    found = read(data + deliveries(1))
    assert (len(found.messages), len(found.methods)) == (2, 1)


def test_an_acknowledgement_is_what_py_amqp_would_write():
    wire = Wire()
    wire._write(1, 1, (60, 80), dumps("Lb", (2**40, True)), None)
    assert frames.acknowledge(1, 2**40) == wire.data


def test_a_heartbeat_is_what_py_amqp_would_write():
    wire = Wire()
    wire._write(8, 0, None, None, None)
    assert frames.heartbeat() == wire.data


def stream_of(*offsets):
    wire = Wire()
    for offset in offsets:
        # RabbitMQ writes a signed 64-bit number, which py-amqp's writer does only for large ones.
        headers = b"\x0fx-stream-offsetl" + offset.to_bytes(8, "big")
        flags = (0x2000).to_bytes(2, "big")
        properties = flags + len(headers).to_bytes(4, "big") + headers
        payload = (60).to_bytes(2, "big") + bytes(2) + (1).to_bytes(8, "big") + properties
        wire.write(deliver_frame(offset) + frame(2, payload) + frame(3, b"x"))
    return wire.data


def test_offsets_of_a_stream_are_those_of_its_first_and_last_message():
    found = read(stream_of(10, 11, 2**40), offsets=True)
    assert (found.first_offset, found.offset) == (10, 2**40)


def test_the_first_offset_is_that_of_a_message_that_is_complete_wherever_reads_end():
    first, rest = stream_of(10), stream_of(11)
    for end in range(1, len(first)):
        reader = Reader("main", offsets=True)
        half, whole = reader.feed(first[:end], AT), reader.feed(first[end:] + rest, AT)
        assert (half.first_offset, half.offset) == (None, None)
        assert (whole.first_offset, whole.offset) == (10, 11)


def deliver_frame(tag):
    arguments = dumps("sLbss", ("c", tag, False, "celeryev", "task.sent"))
    return frame(1, b"\x00\x3c\x00\x3c" + arguments)


def frame(kind, payload):
    return bytes((kind, 0, 1)) + len(payload).to_bytes(4, "big") + payload + b"\xce"


def test_the_mean_size_is_that_of_the_bodies():
    data = Wire().deliver(1, b"12").deliver(2, b"1234").data
    assert read(data).mean_bytes == 3.0
    assert read(b"").mean_bytes == 0.0


@pytest.mark.parametrize("body", [b"{}", b"x" * 100_000])
def test_what_is_published_is_what_py_amqp_reads(body):
    """Its writer, with the same message: the frames are the same, byte for byte."""
    wire = Wire()
    wire.frame_max = frames.FRAME_MAX
    arguments = dumps("Bssbb", (0, "celery.pidbox", "", False, False))
    wire._write(1, 1, (60, 40), arguments, amqp.Message(body, **JSON))
    assert frames.publish(1, "celery.pidbox", body) == wire.data
