"""When a reader of a queue asks how long it is. No server, no clock."""

import pytest

from stream.events import Message, Transport
from stream.sources.amqp_frames import Method, Name, Received
from stream.sources.amqp_queue import CHANNEL, Bounds, OwnQueue, Retain
from stream.sources.amqp_watch import Watch

NOTHING = Received([], [])
SOME = Received([Message(0.0, "", Transport.AMQP, b"task.sent", b"[{}, {}, {}]")], [])
FULL = Received([], [Method(CHANNEL, Name.QUEUE_DECLARE_OK, ("q", 100, 1))])


@pytest.fixture
def watch():
    """Of a queue that holds 100 messages."""
    return watch_of(Bounds(messages=100))


def watch_of(bounds):
    """Of a queue that was just asked for, at 0, and of which some messages were read."""
    queue = OwnQueue(
        "main",
        exchange="celeryev",
        prefix="celeryev",
        retain=Retain.NONE,
        bounds=bounds,
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


def test_after_a_pause_it_is_asked_before_anything_else(watch):
    """Whoever was stopped is woken by a timer, and acknowledges what he had taken before: then
    the queue moves on, and does not look full any more."""
    assert watch.questions(NOTHING, 4.0)
    assert not watch.questions(SOME, 4.0)


def test_a_full_queue_is_known_by_its_size_from_what_was_read_before():
    watch = watch_of(Bounds(messages=10_000, size_bytes=1_000))
    watch.questions(NOTHING, 4.0)
    assert watch.dropped_since(FULL, 1010.0) == 1000.0


def test_a_pause_before_the_question_was_sent_needs_no_other_one(watch):
    """Nobody took what was read for a while, and the question went out after that."""
    assert watch.questions(SOME, 6.0)
    watch.asked(16.0)
    assert not watch.questions(NOTHING, 16.1)
    assert not watch.questions(SOME, 16.2)


def test_a_queue_that_is_full_has_dropped_since_it_was_seen_not_to_be(watch):
    assert watch.dropped_since(FULL, 1010.0) == 1000.0
    assert watch.dropped_since(NOTHING, 1011.0) is None
