"""What is true of the machine as a whole."""

import pytest

from stream.config import StuckLimits
from stream.core.effects import (
    GapMarked,
    Odd,
    Oddity,
    QueueStalled,
    Started,
    TaskFinished,
)
from stream.core.engine import Engine, Limits
from stream.core.states import State
from stream.events import OtherEvent, QueueDepth, QueueSample, Subscribed
from tests.builders import T0, Process, feed, of_type, producer


@pytest.fixture
def engine():
    return Engine()


def story(uuid="u"):
    """The events of one task that is retried once, in an order that really occurs."""
    web, worker, child = producer(), Process(), producer("gen9@host", 9)
    return [
        web.sent(uuid, at=0),
        worker.received(uuid, at=1),
        worker.started(uuid, at=2),
        child.sent(uuid, at=3, retries=1),
        worker.received(uuid, at=4, retries=1),
        worker.retried(uuid, at=4),
        worker.started(uuid, at=5),
        worker.succeeded(uuid, at=6, runtime=1.0),
    ]


def sample(at, *queues, source="redis", **fields):
    return QueueSample(T0 + at, source, queues, **fields)


# -- time ----------------------------------------------------------------------------------------


def test_time_passes_only_as_it_is_told(engine):
    feed(engine, producer().sent(at=0))
    assert engine.view(T0 + 5).tasks[0].oldest_age == 5.0
    assert engine.view(T0 + 2).tasks[0].oldest_age == 2.0


def test_a_clock_that_is_set_back_does_not_turn_time_back(engine):
    engine.feed([producer().sent()], T0 + 10)
    engine.tick(T0 - 1_000)
    assert engine.view(T0).at == T0 + 10
    assert engine.view(T0).tasks[0].oldest_age == 0.0


def test_nothing_happens_at_a_tick_where_nothing_is(engine):
    assert engine.tick(T0) == []
    assert engine.tick(T0 + 1_000_000) == []


def test_effects_are_in_a_list_that_the_next_call_empties(engine):
    effects = engine.feed(story(), T0)
    assert of_type(effects, TaskFinished)
    engine.tick(T0)
    assert effects == []


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_how_events_are_cut_into_batches_changes_nothing(size):
    whole, pieces = Engine(), Engine()
    events = story()
    expected = list(whole.feed(events, T0 + 6))
    found = [
        effect
        for start in range(0, len(events), size)
        for effect in pieces.feed(events[start : start + size], T0 + 6)
    ]
    assert [(type(each), str(each)) for each in found] == [
        (type(each), str(each)) for each in expected
    ]


# -- events --------------------------------------------------------------------------------------


def test_events_of_an_application_change_no_task_but_show_that_events_come(engine):
    assert engine.feed([OtherEvent("order-paid", "w1@host", T0, uuid="u")], T0 + 3) == []
    view = engine.view(T0 + 3)
    assert (view.tasks, view.workers, view.last_event_at) == ((), (), T0 + 3)


def test_before_the_first_event_there_is_no_last_one(engine):
    engine.tick(T0)
    assert engine.view(T0).last_event_at is None


def test_what_is_in_flight_is_in_exactly_one_state(engine):
    counts = []
    for event in story():
        feed(engine, event)
        view = engine.view(event.timestamp)
        counts.append((view.tasks_in_flight, sum(gauge.count for gauge in view.tasks)))
    assert counts == [(1, 1)] * 7 + [(0, 0)]


def test_gauges_are_by_kind_and_state(engine):
    web, worker = producer(), Process()
    feed(engine, web.sent("a", name="x"), web.sent("b", name="x"), web.sent("c", name="y"))
    feed(engine, worker.received("c", at=1, name="y"), worker.started("c", at=2))
    found = {(each.kind.name, each.state): each.count for each in engine.view(T0 + 2).tasks}
    assert found == {("x", State.SENT): 2, ("y", State.STARTED): 1}


def test_a_name_or_queue_that_becomes_known_later_moves_the_task(engine):
    web, worker = producer(), Process()
    sent, received = web.sent(at=0), worker.received(at=1)
    feed(engine, worker.started(at=2))
    assert [each.kind.name for each in engine.view(T0 + 2).tasks] == [None]
    feed(engine, received)
    feed(engine, sent)
    (gauge,) = engine.view(T0 + 2).tasks
    assert (gauge.kind.name, gauge.kind.queue, gauge.count) == ("app.task", "celery", 1)


def test_kinds_beyond_the_limit_are_counted_as_other():
    engine = Engine(Limits(kinds=2))
    web = producer()
    feed(engine, *(web.sent(f"u{number}", name=f"t{number}") for number in range(5)))
    found = {each.kind.name: each.count for each in engine.view(T0).tasks}
    assert found == {"t0": 1, "t1": 1, "other": 3}


def test_processes_beyond_the_limit_push_out_the_quietest():
    engine = Engine(Limits(lanes=3))
    for number in range(5):
        feed(engine, Process(f"w{number}@host", number).online(at=number))
    found = {each.hostname for each in engine.view(T0 + 5).workers}
    assert found == {"w2@host", "w3@host", "w4@host"}


def test_a_task_whose_process_was_pushed_out_still_ends():
    engine = Engine(Limits(lanes=2))
    worker = Process()
    steps = [worker.received(at=0), worker.started(at=1), worker.succeeded(at=50)]
    feed(engine, *steps[:2])
    feed(engine, *(producer(pid=number).sent(f"u{number}", at=10) for number in range(5)))
    effects = feed(engine, steps[2])
    assert [each.state for each in of_type(effects, TaskFinished)] == [State.SUCCESS]


# -- queues and subscriptions --------------------------------------------------------------------


def test_queues_that_events_name_are_there_to_be_polled(engine):
    web = producer()
    feed(engine, web.sent("a", queue="mail"), web.sent("b", queue=None), web.sent("c", queue="x"))
    assert engine.queue_names == ("mail", "x")


def test_the_oldest_message_of_a_queue_is_as_old_as_its_sent_event(engine):
    feed(engine, producer().sent(at=0))
    engine.sample(sample(10, QueueDepth("celery", {0: 1}, "u")))
    (queue,) = engine.view(T0 + 12).queues
    assert (queue.depth, queue.oldest_age) == (1, 12.0)


def test_a_queue_drains_at_the_rate_at_which_workers_receive(engine):
    web, worker = producer(), Process()
    feed(engine, *(web.sent(f"u{number}") for number in range(30)))
    engine.sample(sample(0, QueueDepth("celery", {0: 90})))
    feed(engine, *(worker.received(f"u{number}", at=1) for number in range(30)))
    engine.sample(sample(60, QueueDepth("celery", {0: 60})))
    (queue,) = engine.view(T0 + 60).queues
    assert queue.drain_time == 120.0


def test_a_second_run_that_never_ends_is_forgotten_with_its_task(engine):
    web, first, second = producer(), Process(), Process("w2@host", 2)
    feed(engine, web.sent("twice"), first.received("twice", at=1), first.started("twice", at=1))
    feed(engine, second.received("twice", at=5), second.started("twice", at=5))
    feed(engine, first.succeeded("twice", at=6))
    assert b"twice" in engine.snapshot()
    engine.tick(T0 + 300)
    assert b"twice" not in engine.snapshot()


def test_the_first_subscription_is_no_gap(engine):
    assert engine.subscribed(Subscribed(T0, "redis", 1)) == []
    (broker,) = engine.view(T0).brokers
    assert (broker.epoch, broker.gap_seconds) == (1, 0.0)


def test_a_gap_lasts_from_when_the_old_subscription_was_last_known_to_work(engine):
    engine.subscribed(Subscribed(T0, "redis", 1))
    effects = engine.subscribed(Subscribed(T0 + 30, "redis", 2, T0 + 10))
    assert effects == [GapMarked("redis", 2, 20.0, T0 + 30)]
    engine.subscribed(Subscribed(T0 + 60, "redis", 3, T0 + 55))
    (broker,) = engine.view(T0 + 60).brokers
    assert (broker.epoch, broker.gap_seconds) == (3, 25.0)


def test_what_was_read_late_shows_since_when_a_gap_lasts(engine):
    """Whoever was stopped reads what had come until he was cut off, and only then notices."""
    worker = Process()
    engine.subscribed(Subscribed(T0, "redis", 1))
    engine.feed([worker.heartbeat(0)], T0, "redis")
    engine.feed([worker.heartbeat(2)], T0 + 20, "redis")
    (gap,) = engine.subscribed(Subscribed(T0 + 21, "redis", 2, T0 + 20))
    assert gap.seconds == 19.0


def test_a_gap_after_a_silence_lasts_from_its_end(engine):
    """Events may be late for other reasons; an answer to a PING since says that all was read."""
    worker = Process()
    engine.feed([worker.heartbeat(0)], T0, "redis")
    engine.feed([worker.heartbeat(2)], T0 + 8, "redis")
    (gap,) = engine.subscribed(Subscribed(T0 + 40, "redis", 2, T0 + 30))
    assert gap.seconds == 10.0


def test_how_late_events_are_is_told_by_the_clock_of_their_process(engine):
    worker = Process(ahead=-50.0)
    engine.feed([worker.heartbeat(0)], T0, "redis")
    engine.feed([worker.heartbeat(2)], T0 + 2, "redis")
    (gap,) = engine.subscribed(Subscribed(T0 + 5, "redis", 2, T0 + 2))
    assert gap.seconds == 3.0


def test_a_gap_in_which_the_clock_was_set_back_is_no_negative_one(engine):
    (gap,) = engine.subscribed(Subscribed(T0, "redis", 2, T0 + 10))
    assert gap.seconds == 0.0


def test_each_broker_has_its_own_last_frame(engine):
    for at, source in ((1, "one"), (4, "two")):
        engine.feed([OtherEvent("x")], T0 + at, source)
    found = {each.source: each.last_frame_at for each in engine.view(T0 + 5).brokers}
    assert found == {"one": T0 + 1, "two": T0 + 4}


def test_a_stalled_queue_does_not_move_because_the_clock_was_set_back():
    engine = Engine(stuck=StuckLimits(queued=10))
    waiting = QueueDepth("celery", {0: 3}, "u")
    worker = Process()
    found = []
    for at in (0, 5, 11, -100):
        feed(engine, worker.heartbeat(at=at))
        found += list(engine.sample(sample(at, waiting)))
    assert [type(each) for each in found] == [QueueStalled]


# -- skew ----------------------------------------------------------------------------------------


def test_a_start_that_seems_to_come_before_it_was_sent_waits_for_zero_and_is_counted(engine):
    web, worker = producer(), Process()
    engine.feed([worker.heartbeat()], T0)
    engine.feed([web.sent(at=1)], T0 + 5)  # late, so the producer's clock seems to be behind
    effects = list(engine.feed([worker.received(at=2), worker.started(at=3)], T0 + 6))
    (started,) = of_type(effects, Started)
    assert started.wait == 0.0
    assert of_type(effects, Odd) == [Odd(Oddity.SKEW_CLAMPED)]


def test_a_gap_is_as_long_however_events_come_together():
    def gap(*batches):
        engine, told = Engine(), []
        for batch in batches:
            engine.feed(batch, T0 + 600)
        told += engine.subscribed(Subscribed(T0 + 601, "", 2, T0 + 600))
        return [each.seconds for each in of_type(told, GapMarked)]

    first, late, custom = Process().heartbeat(at=600), Process().heartbeat(at=300), OtherEvent("x")
    assert gap([first], [late], [custom]) == gap([first], [late, custom]) == gap([first, late])
