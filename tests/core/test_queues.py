"""What the polls of the queue keys add up to."""

import pytest

from stream.core.effects import QueueMoved, QueueStalled
from stream.core.queues import FIRST_RATE_AFTER, FORGET_AFTER, RATE_WINDOW, QueueTable
from stream.events import QueueDepth, QueueSample, Waiting
from tests.builders import T0

STALL_AFTER = 30.0


class Queues(QueueTable):
    """A table that is polled in one line.

    Args:
        sent: when tasks were sent, seconds from T0, by uuid.
    """

    def __init__(self, limit=10, **sent):
        self.effects = []
        self._sent = {uuid: T0 + at for uuid, at in sent.items()}
        super().__init__(limit, stall_after=STALL_AFTER, emit=self.effects.append)

    def poll(self, at, *depths, source="redis", unacknowledged=0, held_since=None):
        sample = QueueSample(T0 + at, source, depths, unacknowledged, held_since)
        self.sample(sample, self._sent.get)
        self.judge(source, T0 + at, workers=True)

    def gauge(self, at=0.0):
        (found,) = self.queue_gauges(T0 + at)
        return found


def depth(name="celery", ready=0, oldest=None, **steps):
    by_step = {0: ready, 3: 0, **{int(step[1:]): count for step, count in steps.items()}}
    return QueueDepth(name, by_step, oldest)


# -- what waits ----------------------------------------------------------------------------------


def test_the_depth_is_the_sum_over_all_steps():
    queues = Queues()
    queues.poll(0, depth(ready=1, _3=2, _9=4))
    assert queues.gauge().depth == 7


def test_the_last_poll_counts():
    queues = Queues()
    for at, ready in enumerate((5, 3)):
        queues.poll(at, depth(ready=ready))
    assert queues.gauge().depth == 3


def test_queues_of_two_brokers_may_have_one_name():
    queues = Queues()
    for source, ready in (("one", 1), ("two", 2)):
        queues.poll(0, depth(ready=ready), source=source)
    found = [(each.source, each.depth) for each in queues.queue_gauges(T0)]
    assert found == [("one", 1), ("two", 2)]


def test_the_oldest_message_is_as_old_as_its_task_is_sent():
    queues = Queues(u=-7.0)
    queues.poll(0, depth(ready=1, oldest="u"))
    assert queues.gauge(at=3).oldest_age == 10.0


def test_a_producer_whose_clock_is_ahead_makes_no_negative_age():
    queues = Queues(u=5.0)
    queues.poll(0, depth(ready=1, oldest="u"))
    assert queues.gauge(at=3).oldest_age == 0.0


@pytest.mark.parametrize("oldest", [None, "unheard of"])
def test_an_age_that_nobody_told_is_unknown(oldest):
    queues = Queues()
    queues.poll(0, depth(ready=1, oldest=oldest))
    assert queues.gauge().oldest_age is None


def test_the_age_is_unknown_again_once_the_queue_is_empty():
    queues = Queues(u=0.0)
    queues.poll(0, depth(ready=1, oldest="u"))
    queues.poll(5, depth())
    assert queues.gauge(at=5).oldest_age is None


# -- how quickly ---------------------------------------------------------------------------------


def consumed(queues, count, name="celery"):
    for _ in range(count):
        queues.consume(name)


def test_the_drain_time_is_the_depth_over_the_rate_of_the_last_window():
    queues = Queues()
    queues.hear_of("celery")
    queues.poll(0, depth(ready=100))
    consumed(queues, 30)
    queues.poll(RATE_WINDOW, depth(ready=70))
    assert queues.gauge().drain_time == 70 / (30 / RATE_WINDOW)


def test_a_queue_that_is_new_has_a_rate_after_some_seconds_already():
    queues = Queues()
    queues.hear_of("celery")
    queues.poll(0, depth(ready=100))
    consumed(queues, 20)
    queues.poll(FIRST_RATE_AFTER - 1, depth(ready=80))
    assert queues.gauge().drain_time is None
    queues.poll(FIRST_RATE_AFTER, depth(ready=80))
    assert queues.gauge().drain_time == 80 / (20 / FIRST_RATE_AFTER)


def test_the_rate_stands_for_a_window_once_the_first_is_over():
    queues = Queues()
    queues.hear_of("celery")
    queues.poll(0, depth(ready=100))
    consumed(queues, 30)
    queues.poll(RATE_WINDOW, depth(ready=70))
    consumed(queues, 60)
    queues.poll(RATE_WINDOW + FIRST_RATE_AFTER, depth(ready=10))
    assert queues.gauge().drain_time == 10 / (30 / RATE_WINDOW)


def test_there_is_no_drain_time_where_nothing_drains():
    queues = Queues()
    queues.poll(0, depth(ready=100))
    queues.poll(RATE_WINDOW, depth(ready=100))
    assert queues.gauge().drain_time is None


def test_what_was_consumed_before_the_first_poll_is_no_rate():
    queues = Queues()
    queues.hear_of("celery")
    consumed(queues, 1_000)
    queues.poll(0, depth(ready=1))
    queues.poll(RATE_WINDOW, depth(ready=1))
    assert queues.gauge().drain_time is None


def test_the_rate_is_of_one_window_and_not_of_all_time():
    queues = Queues()
    queues.hear_of("celery")
    queues.poll(0, depth(ready=10))
    consumed(queues, 600)
    queues.poll(RATE_WINDOW, depth(ready=10))
    consumed(queues, 60)
    queues.poll(2 * RATE_WINDOW, depth(ready=10))
    assert queues.gauge().drain_time == 10 / (60 / RATE_WINDOW)


# -- bounds --------------------------------------------------------------------------------------


def test_more_queues_than_the_limit_are_left_out_and_counted():
    queues = Queues(2)
    queues.poll(0, depth("a"), depth("b"), depth("c"))
    assert [each.name for each in queues.queue_gauges(T0)] == ["a", "b"]
    assert queues.overflowed == 1


def test_of_more_names_than_the_limit_those_heard_of_first_go_and_are_counted():
    queues = Queues(2)
    for name in "abca":
        queues.hear_of(name)
    consumed(queues, 5, "c")
    assert (list(queues.names), queues.consumed, queues.overflowed) == (["c", "a"], {"c": 5}, 2)


def test_a_queue_that_no_poll_finds_is_forgotten_after_a_while():
    queues = Queues()
    queues.poll(0, depth("gone"), depth("stays"))
    queues.poll(FORGET_AFTER, depth("stays"))
    assert [each.name for each in queues.queue_gauges(T0)] == ["gone", "stays"]
    queues.poll(FORGET_AFTER + 1, depth("stays"))
    assert [each.name for each in queues.queue_gauges(T0)] == ["stays"]


# -- the broker ----------------------------------------------------------------------------------


def test_what_workers_hold_is_of_the_broker():
    queues = Queues()
    queues.poll(0, unacknowledged=3, held_since=T0 - 40)
    (gauge,) = queues.broker_gauges(T0 + 2)
    assert (gauge.unacknowledged, gauge.oldest_unacknowledged_age) == (3, 42.0)
    assert gauge.sampled_at == T0


def test_a_broker_that_was_never_polled_says_nothing():
    queues = Queues()
    queues.broker("redis")
    (gauge,) = queues.broker_gauges(T0)
    assert (gauge.unacknowledged, gauge.oldest_unacknowledged_age, gauge.sampled_at) == (None,) * 3


@pytest.mark.parametrize(
    ("polls", "may_hold"),
    [
        ([], True),
        ([(0, 0)], False),
        ([(1, 0)], True),
        ([(0, 1)], True),
        ([(0, None)], True),
        ([(1, 1), (0, 0)], False),
    ],
)
def test_a_task_may_be_somewhere_unless_queue_and_workers_are_empty(polls, may_hold):
    queues = Queues()
    for at, (ready, unacknowledged) in enumerate(polls):
        queues.poll(at, depth(ready=ready), unacknowledged=unacknowledged)
    assert queues.may_hold("celery") is may_hold
    assert queues.may_hold(None) is True


def test_a_queue_is_emptied_when_two_polls_agree():
    queues = Queues()
    queues.poll(0, depth())
    assert list(queues.emptied("redis")) == []
    queues.poll(5, depth())
    assert list(queues.emptied("redis")) == [("celery", T0)]


@pytest.mark.parametrize("at_workers", [1, None])
def test_no_queue_is_emptied_while_workers_may_hold_its_messages(at_workers):
    queues = Queues()
    for at in (0, 5, 10):
        queues.poll(at, depth(), unacknowledged=at_workers)
    assert list(queues.emptied("redis")) == []


def test_a_queue_is_empty_since_neither_it_nor_the_workers_hold_anything():
    queues = Queues()
    queues.poll(0, depth(), unacknowledged=1)
    queues.poll(5, depth(), unacknowledged=0)
    queues.poll(10, depth(), unacknowledged=0)
    assert list(queues.emptied("redis")) == [("celery", T0 + 5)]


# -- stalls --------------------------------------------------------------------------------------


def polled(queues, until, *depths):
    for at in range(0, until + 1, 5):
        queues.poll(at, *depths)
    return [type(effect) for effect in queues.effects]


def test_a_queue_has_stalled_when_nothing_moves_for_too_long():
    queues = Queues()
    assert polled(queues, 30, depth(ready=2, oldest="u")) == []
    assert polled(queues, 60, depth(ready=2, oldest="u")) == [QueueStalled]
    assert queues.gauge().stalled


@pytest.mark.parametrize(
    "moved",
    [
        depth(ready=1, oldest="u"),
        depth(ready=2, oldest="v"),
        depth(),
    ],
    ids=["fewer", "another head", "empty"],
)
def test_a_stalled_queue_moves_when_something_was_taken(moved):
    queues = Queues()
    polled(queues, 60, depth(ready=2, oldest="u"))
    queues.poll(65, moved)
    assert queues.effects[1:] == [QueueMoved("redis", "celery", 65.0, T0 + 65)]
    assert not queues.gauge().stalled


def test_a_queue_that_fills_as_quickly_as_it_drains_has_not_stalled():
    queues = Queues()
    queues.hear_of("celery")
    for at in range(0, 100, 5):
        queues.consume("celery")
        queues.poll(at, depth(ready=2))
    assert queues.effects == []


def test_an_empty_queue_never_stalls():
    assert polled(Queues(), 200, depth()) == []


def test_without_workers_nothing_is_expected_to_move():
    queues = Queues()
    for at in range(0, 100, 5):
        sample = QueueSample(T0 + at, "redis", (depth(ready=2, oldest="u"),), 0)
        queues.sample(sample, lambda _: None)
        queues.judge("redis", T0 + at, workers=False)
    assert queues.effects == []


def test_only_queues_of_the_broker_that_was_polled_are_judged():
    queues = Queues()
    queues.poll(0, depth(ready=2, oldest="u"), source="other")
    assert polled(queues, 60) == []


def test_a_queue_that_is_gone_does_not_stall():
    """Its binding was removed: no poll finds it again, and nothing is known of it since."""
    queues = Queues()
    queues.poll(0, depth("gone"), depth("stays"))
    assert polled(queues, 60, depth("stays")) == []


def test_the_messages_that_were_seen_are_not_kept():
    queues = Queues()
    queues.poll(0, QueueDepth("celery", {0: 1}, "u", waiting=(Waiting("u", 0, "00-…"),)))
    ((_, _, state),) = queues.queues()
    assert state.depth == QueueDepth("celery", {0: 1}, "u")
