"""What is written to a capture is read back as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events import (
    Inspected,
    Message,
    QueueDepth,
    QueueSample,
    Reason,
    Rejected,
    Subscribed,
    Tick,
    Transport,
    Waiting,
)
from stream.wire.capture import SOURCE, read_line, read_lines
from stream.wire.capture_lines import Gap, Header, frame_lines, gap_line, header_line
from tests.builders import T0, message

instants = st.floats(0, 9e9)
texts = st.text(max_size=20)
any_text = st.text(st.characters(), max_size=20)  # with lone surrogates
counts = st.integers(0, 2**53)
payloads = st.binary(max_size=50) | texts.map(str.encode)
messages = st.builds(
    Message,
    received_at=instants,
    source=texts,
    transport=st.sampled_from(Transport),
    channel=payloads,
    payload=payloads,
    content_type=st.none() | texts,
    content_encoding=st.none() | texts,
)
waiting = st.builds(
    Waiting,
    uuid=any_text,
    retries=st.none() | counts,
    traceparent=st.none() | any_text,
    tracestate=st.none() | any_text,
    sentry_trace=st.none() | any_text,
)
depths = st.builds(
    QueueDepth,
    name=any_text,
    ready=st.dictionaries(st.integers(0, 255), counts, max_size=4),
    oldest=st.none() | any_text,
    oldest_timelimit=st.none() | instants,
    waiting=st.lists(waiting, max_size=2).map(tuple),
    unacknowledged=st.none() | counts,
    oldest_unacknowledged_at=st.none() | instants,
    overdue=st.none() | counts,
)
samples = st.builds(
    QueueSample,
    received_at=instants,
    source=texts,
    queues=st.lists(depths, max_size=3).map(tuple),
    unacknowledged=st.none() | counts,
    oldest_unacknowledged_at=st.none() | instants,
    delayed=st.none() | counts,
)
marks = st.builds(
    Subscribed,
    received_at=instants,
    source=texts,
    epoch=st.integers(1, 2**31),
    silent_since=st.none() | instants,
)
answers = st.builds(
    Inspected,
    received_at=instants,
    source=texts,
    hostname=texts,  # what is no Unicode is no answer: see `control`
    asked_at=instants,
    pid=st.none() | counts,
    pool=st.none() | counts,
    queues=st.none() | st.lists(texts, max_size=3).map(tuple),
    active=st.none() | st.lists(texts, max_size=3).map(tuple),
)
frames = (
    messages
    | samples
    | marks
    | answers
    | st.builds(
        Tick,
        received_at=instants,
        source=st.just("") | texts.filter(lambda text: text != SOURCE),
        deaf=st.booleans(),
    )
)

REDIS = message({}, transport=Transport.REDIS)
AMQP = message({}, transport=Transport.AMQP)


def block_of(*each):
    return frame_lines(each).removesuffix(b"\n")


def field_names():
    """Of what a strategy above must draw, all."""
    return {kind: set(kind.__struct_fields__) for kind in (QueueDepth, QueueSample, Waiting)}


# -- round trips ---------------------------------------------------------------------------------


@given(st.lists(frames, min_size=1, max_size=8))
def test_all_frames_are_read_back_equal_line_by_line_and_at_once(given_frames):
    block = block_of(*given_frames)
    assert read_lines(block) == given_frames
    assert list(map(read_line, block.split(b"\n"))) == given_frames


@given(st.lists(messages, min_size=1, max_size=3))
def test_every_line_is_json_that_any_program_reads(given_frames):
    found = [json.loads(line) for line in frame_lines(given_frames).splitlines()]
    assert [line["t_recv"] for line in found] == [each.received_at for each in given_frames]
    assert [line["transport"] for line in found] == [each.transport for each in given_frames]


def test_the_strategies_know_all_fields_of_the_frames():
    drawn = {
        QueueDepth: "name ready oldest oldest_timelimit waiting unacknowledged "
        "oldest_unacknowledged_at overdue",
        QueueSample: "received_at source queues unacknowledged oldest_unacknowledged_at delayed",
        Waiting: "uuid retries traceparent tracestate sentry_trace",
    }
    assert field_names() == {kind: set(names.split()) for kind, names in drawn.items()}


def test_a_header_is_read_back():
    header = Header(
        1, "0.1.0", ("redis://broker:6379/0",), "ab12", 3, T0, ("shop", "mail"), "redact"
    )
    assert read_line(header_line(header)) == header


def test_a_tick_names_a_broker_only_where_there_are_several():
    one, of_shop = map(json.loads, frame_lines([Tick(T0), Tick(T0, "shop")]).splitlines())
    assert one == {"t_recv": T0, "frame": "tick"}
    assert of_shop == {"t_recv": T0, "frame": "tick", "source": "shop"}


def test_a_gap_is_read_back():
    assert read_line(gap_line(Gap(17))) == Gap(17)


def test_the_name_of_a_queue_may_be_no_unicode():
    sample = QueueSample(T0, "main", (QueueDepth("\ud800", {0: 1, 9: 2}),))
    assert read_lines(block_of(REDIS, sample)) == [REDIS, sample]


# -- how they look -------------------------------------------------------------------------------


def test_a_message_from_redis_has_the_fields_of_any_capture():
    (line,) = frame_lines(
        [Message(T0, "main", Transport.REDIS, b"/0.celeryev/x", b'{"a": 1}')]
    ).splitlines()
    assert json.loads(line) == {
        "t_recv": T0,
        "transport": "redis",
        "source": "main",
        "channel": "/0.celeryev/x",
        "data": '{"a": 1}',
    }


def test_a_message_from_amqp_has_the_fields_of_any_capture():
    frame = Message(T0, "main", Transport.AMQP, b"task.multi", b"[]", "application/json", "utf-8")
    assert json.loads(frame_lines([frame])) == {
        "t_recv": T0,
        "transport": "amqp",
        "source": "main",
        "delivery_info": {"routing_key": "task.multi"},
        "properties": {"content_type": "application/json", "content_encoding": "utf-8"},
        "body": "[]",
    }


def test_what_is_no_text_stands_in_base64():
    frame = Message(T0, "main", Transport.AMQP, b"k", b"\x80\xff")
    line = json.loads(frame_lines([frame]))
    assert (line["body_b64"], "body" in line) == ("gP8=", False)


# -- blocks of lines -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"{damaged",
        b'{"t_recv": 1.0, "control": "note"}',
        b'{"a":\n1}',
        b"{} {}",
        b"\xff",
        b"[]",
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_odd_line_costs_no_other_and_shifts_none(odd, place):
    lines = [block_of(REDIS), block_of(AMQP)]
    lines.insert(place, odd)
    block = b"\n".join(lines)
    found = read_lines(block)
    assert found == [read_line(line) for line in block.split(b"\n")]
    assert [each for each in found if isinstance(each, Message)] == [REDIS, AMQP]


@given(st.lists(st.binary(max_size=30) | st.just(block_of(REDIS)), max_size=5))
def test_reading_a_block_is_total_and_gives_one_result_for_each_line(lines):
    block = b"\n".join(lines)
    found = read_lines(block)
    assert len(found) == len(block.split(b"\n"))
    assert found == [read_line(line) for line in block.split(b"\n")]


def test_decoded_events_and_frames_may_stand_in_one_file():
    event = json.dumps({"type": "x", "timestamp": 5.0, "uuid": "u"}).encode()
    expected = Message(5.0, "capture", Transport.EVENT, b"", event)
    assert read_lines(event + b"\n" + block_of(REDIS)) == [expected, REDIS]
    assert read_lines(block_of(REDIS) + b"\n" + event) == [REDIS, expected]


# -- an application's own events -----------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [{"frame": "tick"}, {"capture": 1}, {"queues": 5}, {"source": ["a"]}, {"epoch": "now"}],
    ids=str,
)
def test_an_event_may_have_fields_that_are_called_like_ours(fields):
    line = json.dumps({"type": "parcel-moved", "timestamp": 5.0, **fields}).encode()
    assert read_line(line) == Message(5.0, "capture", Transport.EVENT, b"", line)


@pytest.mark.parametrize(
    "fields",
    [
        {"frame": "tick"},
        {"frame": "snapshot", "t_recv": 1.0},
        {"capture": "one"},
        {"frame": "queues", "t_recv": 1.0, "queues": [{"name": "q"}]},
        {"transport": "event", "t_recv": 1.0},
    ],
    ids=str,
)
def test_a_line_of_ours_that_lacks_something_is_invalid(fields):
    found = read_line(json.dumps(fields).encode())
    assert isinstance(found, Rejected)
    assert found.reason is Reason.INVALID


def test_a_gap_without_a_count_is_a_note():
    assert read_line(b'{"control": "unrecorded", "count": "many"}') is None
