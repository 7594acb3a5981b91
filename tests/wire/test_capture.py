"""Lines of captures, real ones among them, become the frames they were."""

import base64
import json
from pathlib import Path

import pytest

from stream.events import (
    Message,
    OtherEvent,
    Reason,
    Rejected,
    TaskReceived,
    TaskSent,
    TaskStarted,
    TaskSucceeded,
    Transport,
)
from stream.wire.capture import SOURCE, read_line
from stream.wire.codec import Decoded, decode

LINES = (Path(__file__).parent / "frames.jsonl").read_bytes().splitlines()
"""From real brokers and workers, unedited: a note; Redis: task-sent, a batch of a solo pool, a
batch with fanout_patterns=False, a custom event, an empty batch (5.6.3), msgpack, pickle; AMQP."""
NOTE, SENT, BATCH, PLAIN_CHANNEL, CUSTOM, EMPTY, MSGPACK, PICKLE, AMQP = LINES

W1 = "w1@cap"
ADD = "f1c31f4c-2215-4725-bbdb-654a721785ba"
EVENT = {"type": "task-started", "hostname": "w1@h", "timestamp": 5.0, "uuid": "u"}


def line(**fields):
    return json.dumps(fields).encode()


def rejection(text):
    found = read_line(text)
    assert isinstance(found, Rejected), found
    return found.reason


# -- real lines ----------------------------------------------------------------------------------


def test_a_note_is_no_frame():
    assert read_line(NOTE) is None


def test_a_frame_keeps_when_and_where_it_arrived():
    message = read_line(SENT)
    assert (message.received_at, message.source) == (1795417569.058162, SOURCE)
    assert (message.transport, message.channel) == (Transport.REDIS, b"/1.celeryev/task.sent")


@pytest.mark.parametrize(
    ("text", "events"),
    [
        pytest.param(
            SENT,
            [
                TaskSent(
                    hostname="gen13989@vm",
                    timestamp=1795417569.05771,
                    pid=13989,
                    clock=2,
                    uuid="309db710-0b52-4c99-9bdd-442218697762",
                    name="capapp.add",
                    retries=0,
                    queue="celery",
                    root_id="309db710-0b52-4c99-9bdd-442218697762",
                )
            ],
            id="sent",
        ),
        pytest.param(
            BATCH,
            [
                TaskReceived(
                    hostname=W1,
                    timestamp=1795417974.0340273,
                    pid=18432,
                    clock=2,
                    uuid=ADD,
                    name="capapp.add",
                    retries=0,
                    root_id=ADD,
                ),
                TaskStarted(
                    hostname=W1, timestamp=1795417974.0341215, pid=18432, clock=3, uuid=ADD
                ),
                TaskSucceeded(
                    hostname=W1,
                    timestamp=1795417974.0378978,
                    pid=18432,
                    clock=4,
                    uuid=ADD,
                    runtime=0.0035239090000231954,
                ),
            ],
            id="batch",
        ),
        pytest.param(
            CUSTOM,
            [
                OtherEvent(
                    "billing-charged",
                    W1,
                    1795417974.328799,
                    18432,
                    91,
                    "2742f139-bda1-4664-bd79-3dd6a387883b",
                )
            ],
            id="custom",
        ),
        pytest.param(EMPTY, [], id="empty"),
        pytest.param(
            MSGPACK,
            [
                TaskStarted(
                    hostname=W1,
                    timestamp=1795418388.9024916,
                    pid=21332,
                    clock=9,
                    uuid="8157137d-0825-4e3c-b81e-52f879d21ce2",
                )
            ],
            id="msgpack",
        ),
        pytest.param(
            AMQP,
            [
                TaskStarted(
                    hostname=W1,
                    timestamp=1795418978.6649525,
                    pid=24435,
                    clock=6,
                    uuid="92f28b2a-bee6-4574-bc73-17aedfcbcd64",
                )
            ],
            id="amqp",
        ),
    ],
)
def test_a_real_frame_says_what_was_published(text, events):
    assert decode(read_line(text)) == Decoded(events)


def test_without_fanout_patterns_the_channel_has_no_routing_key():
    message = read_line(PLAIN_CHANNEL)
    assert message.channel == b"/35.celeryev"
    assert [type(event) for event in decode(message).events] == [TaskStarted]


def test_a_real_pickled_frame_is_rejected_for_its_content_type():
    rejected = Rejected(Reason.CONTENT_TYPE, "application/x-python-serialize")
    assert decode(read_line(PICKLE)) == Decoded([], (rejected,))


def test_an_amqp_frame_brings_its_routing_key_and_properties():
    message = read_line(AMQP)
    assert (message.transport, message.channel) == (Transport.AMQP, b"task.multi")
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")


def test_a_body_that_is_no_text_stands_in_base64():
    as_text = json.loads(AMQP)
    body = base64.b64encode(as_text.pop("body").encode()).decode()
    assert read_line(line(**as_text, body_b64=body)) == read_line(AMQP)


# -- decoded events ------------------------------------------------------------------------------


def test_a_decoded_event_is_a_frame_that_holds_itself():
    text = line(**EVENT)
    assert read_line(text) == Message(5.0, SOURCE, Transport.EVENT, b"", text)
    assert decode(read_line(text)).events == [TaskStarted(hostname="w1@h", timestamp=5.0, uuid="u")]


@pytest.mark.parametrize("arrived_at", [6.5, 0.0])
def test_a_decoded_event_arrived_when_it_says_so_and_else_when_it_was_sent(arrived_at):
    assert read_line(line(**EVENT, _t_recv=arrived_at)).received_at == arrived_at


def test_what_was_left_undecoded_on_purpose_stays_so():
    found = read_line(line(_undecoded="application/x-python-serialize", _t_recv=5.0))
    assert found == Rejected(Reason.CONTENT_TYPE, "application/x-python-serialize")


# -- what Python's json writes and JSON forbids --------------------------------------------------


def test_an_event_with_a_nan_is_a_frame_all_the_same():
    ended = {**EVENT, "type": "task-succeeded", "runtime": float("nan")}
    message = read_line(line(**ended))
    assert message.received_at == 5.0
    assert decode(message).events == [TaskSucceeded(hostname="w1@h", timestamp=5.0, uuid="u")]


def test_a_frame_with_lone_surrogates_keeps_its_bytes():
    message = read_line(line(transport="redis", t_recv=1.0, channel="\ud800", data="{\udfff}"))
    assert (message.channel, message.payload) == (b"\xed\xa0\x80", b"{\xed\xbf\xbf}")


# -- fields of an application's own events -------------------------------------------------------


@pytest.mark.parametrize(
    "fields", [{"channel": 5}, {"data": {}}, {"transport": "lorry"}, {"body_b64": "no base64!"}]
)
@pytest.mark.parametrize("load", [1.0, float("nan")])
def test_an_event_may_have_fields_that_are_called_like_those_of_frames(fields, load):
    text = line(type="parcel-moved", timestamp=5.0, load=load, **fields)
    assert read_line(text) == Message(5.0, SOURCE, Transport.EVENT, b"", text)


@pytest.mark.parametrize("load", [1.0, float("nan")])
def test_an_event_may_be_transported_or_controlled(load):
    text = line(type="parcel-moved", timestamp=5.0, transport="amqp", control="on", load=load)
    assert read_line(text) == Message(5.0, SOURCE, Transport.EVENT, b"", text)


def test_a_note_among_decoded_events_is_no_frame():
    assert read_line(line(_control="subscribed", _t_recv=5.0)) is None


# -- what is no frame ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        line(),
        line(transport="redis", channel="c", data="{}"),
        line(transport="redis", channel="c", t_recv=1.0),
        line(transport="redis", t_recv="noon"),
        line(transport="carrier pigeon", t_recv=1.0),
        line(transport="amqp", t_recv=1.0),
        line(transport="amqp", t_recv=1.0, body_b64="no base64!"),
        line(transport="amqp", t_recv=1.0, body_b64="no base64!", load=float("nan")),
        line(type="task-started"),
        line(type=5, timestamp=5.0),
        line(timestamp=5.0),
    ],
    ids=str,
)
def test_a_line_that_lacks_something_or_has_it_wrong_is_invalid(text):
    assert rejection(text) is Reason.INVALID


@pytest.mark.parametrize("at", [-1.0, 9.1e9, 1e300])
def test_a_line_that_arrived_at_no_instant_is_invalid(at):
    """It would turn the clock of a replay for good."""
    assert rejection(line(transport="redis", t_recv=at, data="{}")) is Reason.INVALID
    assert rejection(line(**EVENT, _t_recv=at)) is Reason.INVALID


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff", b'{"channel": "\xff"}', b'{"x":' * 100_000],
    ids=lambda text: repr(text[:30]),
)
def test_a_line_that_is_no_json_is_malformed(text):
    assert rejection(text) is Reason.MALFORMED


def test_a_rejected_line_is_not_carried_around():
    found = read_line(line(_undecoded="x" * 10_000))
    assert len(found.detail) <= 200
