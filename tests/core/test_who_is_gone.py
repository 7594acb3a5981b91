"""Whose work is given up, and whose is not: processes that go, come again, or are not heard."""

import pytest

from stream.core.effects import (
    AttemptEnded,
    StuckBegan,
    TaskFinished,
    TaskRevised,
    WorkerChanged,
)
from stream.core.engine import Engine, Limits
from stream.core.states import State, WorkerState
from stream.events import QueueDepth, QueueSample, Subscribed
from tests.builders import T0, Process, feed, of_type, producer


@pytest.fixture
def engine():
    return Engine()


def beating(engine, worker, start, end, *, active=0, processed=1):
    """Let a worker beat every two seconds, and time pass; return all effects."""
    found = []
    for at in range(start, end, 2):
        found += feed(engine, worker.heartbeat(at=at, active=active, processed=processed))
        found += engine.tick(T0 + at + 0.5)
    return found


def running(engine):
    return sum(each.count for each in engine.view(T0).tasks if each.state is State.STARTED)


def worker_states(engine):
    return [each.state for each in engine.view(T0).workers]


# -- one hostname, one pid, another process: a container that restarts ------------------------


@pytest.mark.parametrize("goodbye", [False, True])
@pytest.mark.parametrize("clock", [0, 10_000])
def test_a_process_with_the_hostname_and_pid_of_another_is_another(engine, goodbye, clock):
    old = Process("w@pod", pid=1)
    feed(engine, old.online())
    beating(engine, old, 2, 100, active=1, processed=50)
    feed(engine, old.received("a", at=100), old.started("a", at=100))
    if goodbye:
        feed(engine, old.offline(at=100))
    new = Process("w@pod", pid=1)
    new.clock = clock  # it begins anew, or is told those of others when it starts
    effects = list(feed(engine, new.online(at=105, active=0, processed=0)))
    assert [(each.uuid, each.state) for each in of_type(effects, TaskFinished)] == [
        ("a", State.LOST)
    ]
    feed(engine, new.received("b", at=106), new.started("b", at=106))
    beating(engine, new, 107, 600, active=1)
    assert running(engine) == 1
    assert worker_states(engine) == [WorkerState.ONLINE]
    assert [each.state for each in of_type(effects, WorkerChanged)][-1] is WorkerState.ONLINE


def test_what_is_redelivered_to_such_a_process_is_another_delivery(engine):
    feed(engine, producer().sent("u"))
    for boot in range(3):
        worker, at = Process("w@pod", pid=1), 100.0 * boot + 1
        feed(engine, worker.online(at=at, active=0, processed=0))
        feed(engine, worker.received("u", at=at + 1), worker.started("u", at=at + 2))
        feed(engine, worker.heartbeat(at=at + 4, active=1, processed=1))
    effects = feed(engine, worker.succeeded("u", at=300, runtime=97.0))
    (ended,) = of_type(effects, AttemptEnded)
    assert (ended.ordinal, ended.state, ended.ended_at) == (2, State.SUCCESS, T0 + 300)


def test_a_heartbeat_that_comes_twice_is_of_the_same_process(engine):
    worker = Process()
    beats = [worker.heartbeat(at=at, active=0, processed=at) for at in (2, 4)]
    effects = feed(engine, *beats, *beats)
    assert [each.state for each in of_type(effects, WorkerChanged)] == [WorkerState.ONLINE]


def test_two_processes_with_one_hostname_and_pid_at_once_do_not_end_each_other(engine):
    one, other, told = Process("w@pod", pid=1), Process("w@pod", pid=1), []
    other.clock = 1_000
    feed(
        engine, one.online(), other.online(at=0.5), one.received("a", at=1), one.started("a", at=1)
    )
    for at in range(2, 60, 2):
        told += feed(engine, one.heartbeat(at=at, active=1, processed=3))
        told += feed(engine, other.heartbeat(at=at + 1, active=1, processed=90))
        told += engine.tick(T0 + at + 1.5)
    assert of_type(told, WorkerChanged) == of_type(told, TaskFinished) == []


def test_a_process_whose_announcement_was_missed_is_another_too(engine):
    old, new = Process("w@pod", pid=1), Process("w@pod", pid=1)
    feed(engine, old.online())
    beating(engine, old, 2, 100, active=1, processed=50)
    beating(engine, new, 108, 400)
    assert worker_states(engine) == [WorkerState.ONLINE]


# -- goodbye -----------------------------------------------------------------------------------


def test_a_warm_shutdown_goes_on_with_what_runs_and_gives_back_the_rest(engine):
    worker, told = Process(), []
    feed(engine, worker.online(), worker.received("long", at=1), worker.started("long", at=1))
    feed(engine, worker.received("next", at=2), worker.offline(at=3))
    for at in range(4, 120):
        told += engine.tick(T0 + at)
    assert [(each.uuid, each.state) for each in of_type(told, AttemptEnded)] == [
        ("next", State.REQUEUED)
    ]
    (finished,) = of_type(
        feed(engine, worker.succeeded("long", at=120, runtime=119.0)), TaskFinished
    )
    assert (finished.state, finished.inferred) == (State.SUCCESS, False)


def test_what_ran_at_a_worker_that_never_came_back_to_it_is_lost(engine):
    worker, told = Process(), []
    feed(engine, worker.online(), worker.received("long", at=1), worker.started("long", at=1))
    feed(engine, worker.offline(at=3))
    for at in range(4, 310):
        told += engine.tick(T0 + at)
    (finished,) = of_type(told, TaskFinished)
    assert finished.state is State.LOST


# -- we hear nobody ------------------------------------------------------------------------------


def test_while_we_hear_nobody_nobody_is_given_up(engine):
    worker, told = Process(), []
    feed(engine, worker.online(), worker.received("a", at=1), worker.started("a", at=1))
    for at in range(2, 1000):
        told += engine.tick(T0 + at, deaf=True)
    told += engine.subscribed(Subscribed(T0 + 1000, "test", 2, T0 + 1))
    for at in range(1000, 1009):
        told += engine.tick(T0 + at)
    assert of_type(told, WorkerChanged) == of_type(told, TaskFinished) == []
    told += feed(engine, worker.succeeded("a", at=1009, runtime=1008.0))
    (finished,) = of_type(told, TaskFinished)
    assert finished.state is State.SUCCESS
    assert of_type(told, TaskRevised) == []


def test_who_is_still_silent_when_we_hear_again_is_judged_from_then_on(engine):
    feed(engine, Process().online())
    engine.tick(T0 + 1000, deaf=True)
    assert of_type(engine.tick(T0 + 1009), WorkerChanged) == []
    (changed,) = of_type(engine.tick(T0 + 1011), WorkerChanged)
    assert changed.state is WorkerState.SUSPECT


# -- ends that were not seen ---------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 4, 8])
def test_a_run_without_an_end_is_given_up_at_a_worker_that_is_always_busy(slots):
    engine, worker = Engine(), Process()
    feed(engine, worker.online(), worker.received("ghost", at=1), worker.started("ghost", at=1))
    told, number, busy = [], 0, {}
    for at in range(2, 1200, 2):
        for slot in range(slots):
            if at % (20 + 10 * slot) == 0 and slot in busy:
                told += feed(engine, worker.succeeded(busy.pop(slot), at=at, runtime=10.0))
            if slot not in busy:
                number += 1
                busy[slot] = f"t{number}"
                told += feed(engine, worker.received(busy[slot], at=at))
                told += feed(engine, worker.started(busy[slot], at=at))
        told += feed(engine, worker.heartbeat(at=at, active=slots, processed=number + 1))
        told += [*engine.tick(T0 + at), *engine.tick(T0 + at + 1)]
    (given_up,) = [each for each in of_type(told, TaskFinished) if each.inferred]
    assert (given_up.uuid, given_up.state) == ("ghost", State.UNKNOWN)
    assert running(engine) == slots
    assert not [each for each in of_type(told, StuckBegan) if each.uuid == "ghost"]


def test_a_worker_that_was_given_up_is_given_up_again(engine):
    worker = Process()
    feed(engine, worker.online())
    engine.tick(T0 + 310)
    feed(engine, worker.received("a", at=320), worker.started("a", at=320))
    assert of_type(engine.tick(T0 + 600), TaskFinished) == []
    (finished,) = of_type(engine.tick(T0 + 630), TaskFinished)
    assert finished.state is State.LOST


def test_what_a_lost_worker_had_fetched_runs_there_when_it_starts_it_after_all(engine):
    worker = Process()
    feed(engine, worker.online(), producer().sent("u", at=1), worker.received("u", at=1.1))
    engine.tick(T0 + 310)
    feed(engine, worker.heartbeat(at=331, active=0, processed=0), worker.started("u", at=332))
    assert running(engine) == 1
    told = beating(engine, worker, 334, 4200, active=1)
    told += feed(engine, worker.succeeded("u", at=4201, runtime=3869.0))
    (finished,) = of_type(told, TaskFinished)
    assert finished.state is State.SUCCESS


def test_two_messages_with_one_id_both_run(engine):
    one, other, web = Process("a@host"), Process("b@host", pid=2), producer()
    feed(engine, web.sent("u", at=0), web.sent("u", at=0.1))
    feed(engine, one.received("u", at=0.2), one.started("u", at=0.3))
    told = feed(engine, other.received("u", at=0.4), other.started("u", at=0.5))
    told += feed(engine, one.succeeded("u", at=4.2, runtime=3.9))
    assert [(each.state, each.run) for each in of_type(told, AttemptEnded)] == [
        (State.SUCCESS, 3.9)
    ]


def test_runs_that_are_too_many_to_be_kept_do_not_run_for_ever(engine):
    worker, web = Process(), producer()
    feed(engine, worker.online())
    for retries in range(100):  # of none is it told that it asked for the next
        at = retries + 1.0
        feed(engine, web.sent("u", at=at, retries=retries))
        feed(engine, worker.received("u", at=at, retries=retries), worker.started("u", at=at))
    feed(engine, worker.succeeded("u", at=200, runtime=0.1))
    feed(engine, worker.received("long", at=201), worker.started("long", at=201))
    told = beating(engine, worker, 202, 900, active=1, processed=101)
    assert [each.uuid for each in of_type(told, StuckBegan)] == ["long"], "it is all that runs"


# -- what is kept of them ------------------------------------------------------------------------


def test_workers_that_never_beat_are_forgotten():
    engine = Engine(Limits(lanes=100))
    for number in range(60):
        worker = Process(f"w@pod-{number}", pid=1)
        feed(engine, worker.received(f"t{number}", at=number), worker.started(f"t{number}"))
    for day in range(1, 4):
        engine.tick(T0 + 86_400 * day)
    assert engine.worker_records() == ()
    assert running(engine) == 0


def test_tasks_of_a_worker_that_had_to_be_forgotten_are_given_up_in_time():
    engine, worker = Engine(Limits(lanes=20)), Process()
    feed(engine, worker.online(), worker.received("a", at=0.1), worker.started("a", at=0.2))
    feed(
        engine,
        *(producer(f"gen@{number}", pid=number).sent(f"x{number}", at=1) for number in range(50)),
    )
    for day in range(1, 4):
        engine.tick(T0 + 86_400 * day)
    assert running(engine) == 0


def test_a_queue_that_was_forgotten_and_is_heard_of_again_has_no_negative_rate():
    engine, worker, web = Engine(Limits(queues=3)), Process(), producer()
    at = 0.0
    for queue, runs in (("q", 100), ("a", 1), ("b", 1), ("c", 1), ("q", 3)):
        for _ in range(runs):
            uuid, at = f"{queue}{at}", at + 0.1
            feed(engine, web.sent(uuid, at=at, queue=queue), worker.received(uuid, at=at))
        engine.sample(QueueSample(T0 + at, "test", (QueueDepth("q", {0: 5}),), 0, None))
    for _ in range(20):
        at += 5
        engine.sample(QueueSample(T0 + at, "test", (QueueDepth("q", {0: 5}),), 0, None))
        for gauge in engine.view(T0 + at).queues:
            assert gauge.drain_time is None or gauge.drain_time >= 0
