"""Events in messages, as workers gather them and kombu wraps them."""

import json
from collections import defaultdict
from itertools import islice

import pytest

from stream.bench.messages import Fingerprint, RedisMessages, outgoing
from stream.bench.synthetic import READ, Synthetic
from stream.bench.traffic import BEGAN_AT, Kind, Traffic
from stream.events import Message, Tick, Transport
from stream.wire.codec import decode
from stream.wire.envelope import unwrap


def made(events=1_000, **fields):
    return list(islice(Traffic(**fields).events(), events))


def bodies(messages):
    for each in messages:
        body = json.loads(each.body)
        yield body if isinstance(body, list) else [body]


def test_workers_gather_their_own_events_in_order_and_no_more_than_asked_for():
    events = made()
    found = list(outgoing(events, batch=24))
    by_sender = defaultdict(list)
    for message, body in zip(found, bodies(found), strict=True):
        assert {event["hostname"] for event in body} == {message.hostname}
        assert len(body) == message.events <= 24
        by_sender[message.hostname] += [e for e in body if not e["type"].startswith("worker-")]
    for sender, sent in by_sender.items():
        happened = [
            e for e in events if e["hostname"] == sender and not e["type"].startswith("worker-")
        ]
        assert sent == happened
    assert sum(message.events for message in found) == len(events)
    assert max(message.events for message in found) == 24


def test_what_a_producer_sends_and_heartbeats_are_never_gathered():
    for message in outgoing(made(), batch=24):
        if message.key in ("task.sent", "worker.heartbeat"):
            assert isinstance(json.loads(message.body), dict)
        else:
            assert message.key == "task.multi"


def test_a_batch_of_one_is_an_event_under_its_own_key():
    events = made()
    found = list(outgoing(events, batch=1))
    assert [json.loads(message.body) for message in found] == events
    assert [message.key for message in found] == [e["type"].replace("-", ".") for e in events]


def test_a_body_has_the_bytes_that_json_of_python_writes():
    events = made(50)
    assert [m.body for m in outgoing(events, batch=1)] == [json.dumps(e).encode() for e in events]


def test_the_envelope_is_read_back():
    (message,) = outgoing(made(1), batch=1)
    payload = RedisMessages().wrap(message)
    body = unwrap(Message(0.0, "r", Transport.REDIS, b"", payload))
    assert body.data == message.body
    assert json.loads(payload)["properties"]["delivery_info"]["routing_key"] == message.key


def test_no_two_messages_have_the_same_delivery_tag():
    wrap = RedisMessages().wrap
    tags = [
        json.loads(wrap(message))["properties"]["delivery_tag"]
        for message in outgoing(made(200), batch=1)
    ]
    assert len(set(tags)) == 200


def test_a_workload_has_the_same_name_each_time_and_another_one_another():
    def name(**fields):
        fingerprint = Fingerprint()
        for read in Synthetic(Traffic(**fields), 500).reads():
            for frame in read:
                fingerprint.add(frame.channel, frame.payload)
        return fingerprint.name

    assert name() == name()
    assert len({name(), name(seed=2), name(kind=Kind.FAILURES)}) == 3


@pytest.mark.anyio
async def test_the_source_hands_over_all_events_and_a_tick_for_each_second():
    frames = []

    async def put(given):
        frames.extend(given)

    await Synthetic(Traffic(rate=100.0), 1_050, batch=1).run(put)
    ticks = [frame.received_at for frame in frames if isinstance(frame, Tick)]
    arrivals = [frame.received_at for frame in frames]
    assert ticks == [BEGAN_AT + second for second in range(1, 11)]
    assert arrivals == sorted(arrivals)
    messages = [frame for frame in frames if isinstance(frame, Message)]
    assert sum(len(decode(frame).events) for frame in messages) == 1_050


def test_so_many_messages_arrive_together():
    reads = list(Synthetic(Traffic(), 1_000, batch=1).reads())
    assert [len(read) for read in reads] == [READ] * (1_000 // READ)
    assert all(len({frame.received_at for frame in read}) == 1 for read in reads)
