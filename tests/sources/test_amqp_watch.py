"""When a reader of a queue asks how long it is. No server, no clock."""

import pytest

from stream.events import Message, Transport
from stream.sources.amqp_frames import Method, Name, Received
from stream.sources.amqp_queue import CHANNEL, Bounds, OwnQueue, Retain
from stream.sources.amqp_watch import Watch

NOTHING = Received([], [])
SOME = Received([Message(0.0, "", Transport.AMQP, b"task.sent", b"[]")], [])
FULL = Received([], [Method(CHANNEL, Name.QUEUE_DECLARE_OK, ("q", 100, 1))])


@pytest.fixture
def watch():
    """Of a queue that holds 100 messages, just asked for at 0."""
    queue = OwnQueue(
        "main",
        exchange="celeryev",
        prefix="celeryev",
        retain=Retain.NONE,
        bounds=Bounds(messages=100),
        prefetch=10,
    )
    watch = Watch(queue, 0.0, 1000.0, rebind=60.0)
    assert watch.questions(SOME, 0.0)
    return watch


def test_while_messages_come_it_is_asked_now_and_then_only(watch):
    asked = [at / 10 for at in range(1, 120) if watch.questions(SOME, at / 10)]
    assert asked == [5.0, 10.0]


def test_after_a_pause_it_is_asked_with_the_first_messages(watch):
    assert watch.questions(SOME, 0.6)


def test_a_read_without_messages_does_not_make_a_pause_forgotten(watch):
    """Whoever was stopped is woken by a timer, or by half of a message."""
    assert not watch.questions(NOTHING, 4.0)
    assert watch.questions(SOME, 4.0)
    assert not watch.questions(SOME, 4.1)


def test_a_queue_that_is_full_has_dropped_since_it_was_seen_not_to_be(watch):
    assert watch.dropped_since(FULL, 1010.0) == 1000.0
    assert watch.dropped_since(NOTHING, 1011.0) is None
