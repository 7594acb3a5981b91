"""Publishing at a pace: every message arrives once and in order, and a refusal is heard."""

import pytest
import redis

from stream.bench.messages import outgoing
from stream.bench.publisher import Pace, Packer, publish
from stream.bench.traffic import Traffic


@pytest.fixture
def packed():
    pack = Packer(db=2).pack
    return [pack(message) for message in outgoing(Traffic(in_flight=5).events(60))]


def received(subscriber, count):
    found = []
    while len(found) < count:
        message = subscriber.get_message(ignore_subscribe_messages=True, timeout=10.0)
        assert message is not None, f"only {len(found)} of {count}"
        found.append((message["channel"], message["data"]))
    return found


@pytest.mark.parametrize("rate", [None, 20_000.0])
def test_all_messages_arrive_once_and_in_order(valkey, packed, rate):
    with valkey.client() as client, client.pubsub() as subscriber:
        subscriber.psubscribe("/2.celeryev/*")
        subscriber.get_message(timeout=5.0)
        pace = publish(client, iter(packed), rate=rate)
        found = received(subscriber, len(packed))
        # Answers are asked for again: whoever has the connection next hears them.
        assert client.ping()
    sent = [each.command for each in packed]
    assert all(
        channel in command and payload in command
        for (channel, payload), command in zip(found, sent, strict=True)
    )
    assert (pace.messages, pace.events) == (len(packed), sum(each.events for each in packed))


def test_what_the_server_refuses_is_heard(valkey, packed):
    with valkey.client() as admin:
        admin.execute_command("ACL", "SETUSER", "mute", "on", ">pw", "+ping", "+client")
    with (
        valkey.client(username="mute", password="pw") as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        publish(client, packed)


def test_nothing_takes_no_time(valkey):
    with valkey.client() as client:
        assert publish(client, []) == Pace(0.0, 0, 0)


def test_a_pace_is_kept_but_for_a_twentieth():
    assert Pace(1.0, 1_000, 5_000).kept(1_000)
    assert not Pace(1.2, 1_000, 5_000).kept(1_000)
