"""Every order that occurs (facts: measured against real workers) comes out right."""

import pytest

from stream.core.effects import (
    AttemptEnded,
    Odd,
    Oddity,
    Received,
    Sent,
    Started,
    TaskFinished,
    TaskForgotten,
    TaskRevised,
)
from stream.core.engine import Engine, Limits
from stream.core.states import State
from tests.builders import T0, Process, feed, of_type, producer


def record(engine):
    """The task's record once everything has been waited for."""
    effects = []
    for at in (20.0, 1_000.0, engine.graces.longest, 2 * engine.graces.longest):
        effects += engine.tick(T0 + at)
    (forgotten,) = of_type(effects, TaskForgotten)
    return forgotten.record


@pytest.fixture
def engine():
    return Engine(records=True)


def test_an_ordinary_task_is_told_step_by_step(engine):
    web, worker = producer(), Process()
    effects = feed(
        engine,
        web.sent(at=0),
        worker.received(at=1),
        worker.started(at=3),
        worker.succeeded(at=7, runtime=4.0),
    )
    kinds = [Sent, Received, Started, AttemptEnded, TaskFinished]
    assert [type(effect) for effect in effects] == kinds
    _, _, started, attempt, finished = effects
    assert (started.wait, started.prefetch) == (3.0, 2.0)
    assert (attempt.run, attempt.state, attempt.hostname) == (4.0, State.SUCCESS, "w1@host")
    assert (finished.total, finished.kind.name, finished.kind.queue) == (7.0, "app.task", "celery")


def test_a_retry_makes_two_attempts_and_one_end(engine):
    web, worker, child = producer(), Process(), producer("gen9@host", 9)
    effects = feed(
        engine,
        web.sent(at=0),
        worker.received(at=1),
        worker.started(at=2),
        child.sent(at=3, retries=1),
        worker.retried(at=3),
        worker.received(at=4, retries=1),
        worker.started(at=5),
        worker.succeeded(at=6),
    )
    states = [(each.retries, each.state) for each in of_type(effects, AttemptEnded)]
    assert states == [(0, State.RETRY), (1, State.SUCCESS)]
    (finished,) = of_type(effects, TaskFinished)
    assert (finished.state, finished.attempts, finished.total) == (State.SUCCESS, 2, 6.0)


def test_a_late_retried_does_not_turn_a_success_back(engine):
    web, first, second = producer(), Process("w1@a", 1), Process("w2@b", 2)
    effects = feed(
        engine,
        web.sent(at=0),
        first.received(at=1),
        first.started(at=2),
        second.received(at=3, retries=1),
        second.started(at=4),
        second.succeeded(at=5),
        first.retried(at=6),
    )
    assert [each.state for each in of_type(effects, TaskFinished)] == [State.SUCCESS]
    found = record(engine)
    assert (found.state, found.attempts, found.worker) == (State.SUCCESS, 2, "w2@b")


def test_a_hard_time_limit_told_twice_is_one_failure(engine):
    worker = Process()
    traceback = "Traceback (most recent call last):\nbilliard.exceptions.TimeLimitExceeded: 2\n"
    wrapped = "<ExceptionWithTraceback: TimeLimitExceeded(2)>"
    effects = feed(
        engine,
        worker.received(),
        worker.started(at=1),
        worker.failed(at=3, exception=wrapped, traceback=traceback),
        worker.failed(at=4, exception=wrapped, traceback=traceback),
    )
    (finished,) = of_type(effects, TaskFinished)
    assert (finished.state, finished.error_type) == (State.FAILURE, "TimeLimitExceeded")
    assert of_type(effects, Odd) == [Odd(Oddity.LATE)]


def test_replace_runs_the_same_uuid_under_another_name(engine):
    web, worker, child = producer(), Process(), producer("gen9@host", 9)
    effects = feed(
        engine,
        web.sent(at=0, name="app.first"),
        worker.received(at=1, name="app.first"),
        worker.started(at=2),
        child.sent(at=3, name="app.second"),
        worker.received(at=4, name="app.second"),
        worker.started(at=5),
        worker.succeeded(at=6, runtime=1.0),
    )
    ends = [(each.ordinal, each.state) for each in of_type(effects, AttemptEnded)]
    assert ends == [(0, State.REPLACED), (1, State.SUCCESS)]
    found = record(engine)
    assert (found.name, found.executions, found.state) == ("app.second", 2, State.SUCCESS)


def test_a_requeued_task_runs_again(engine):
    worker = Process()
    effects = feed(
        engine,
        producer().sent(),
        worker.received(),
        worker.rejected(at=1, requeue=True),
        worker.received(at=2),
        worker.started(at=3),
        worker.succeeded(at=4),
    )
    assert [each.redelivered for each in of_type(effects, Received)] == [False, True]
    assert [each.state for each in of_type(effects, TaskFinished)] == [State.SUCCESS]


@pytest.mark.parametrize("flag", [True, False, None])
def test_a_message_that_the_broker_calls_redelivered_is_told_as_such(engine, flag):
    worker = Process()
    effects = feed(
        engine,
        producer().sent(),
        worker.received(redelivered=flag),
        worker.started(at=1),
        worker.succeeded(at=2),
    )
    assert [each.redelivered for each in of_type(effects, Received)] == [bool(flag)]
    (ended,) = of_type(effects, AttemptEnded)
    assert (ended.redelivered, ended.ordinal) == (bool(flag), 0)


def test_a_redelivered_message_is_told_as_such_though_the_producers_event_is_late(engine):
    sent = producer().sent(at=0)
    effects = feed(engine, Process().received(at=0.001, redelivered=True), sent)
    assert [each.redelivered for each in of_type(effects, Received)] == [True]


def test_the_second_delivery_of_an_attempt_is_redelivered_whatever_the_broker_says(engine):
    first, second = Process("w1@a", 1), Process("w2@b", 2)
    effects = feed(
        engine,
        producer().sent(),
        first.received(redelivered=False),
        first.started(at=1),
        second.received(at=2, redelivered=False),
        second.started(at=3),
        first.succeeded(at=4),
        second.succeeded(at=5),
    )
    assert [each.redelivered for each in of_type(effects, AttemptEnded)] == [False, True]


def test_a_rejected_task_is_at_its_end(engine):
    worker = Process()
    effects = feed(engine, worker.received(), worker.started(at=1), worker.rejected(at=2))
    (finished,) = of_type(effects, TaskFinished)
    assert (finished.state, finished.reason) == (State.REJECTED, "drop")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({}, "revoked"), ({"expired": True}, "expired"), ({"terminated": True}, "terminated")],
)
def test_a_revoked_task_says_why(engine, fields, reason):
    worker = Process()
    effects = feed(engine, worker.received(), worker.revoked(at=1, **fields))
    (finished,) = of_type(effects, TaskFinished)
    assert (finished.state, finished.reason) == (State.REVOKED, reason)


def test_a_revocation_that_was_known_before_needs_no_received(engine):
    effects = feed(engine, producer().sent(), Process().revoked(at=1))
    assert [each.state for each in of_type(effects, TaskFinished)] == [State.REVOKED]


def test_an_unregistered_task_fails_without_having_been_received(engine):
    effects = feed(
        engine,
        producer().sent(name="app.unheard_of"),
        Process().failed(at=1, exception="NotRegistered('app.unheard_of')"),
    )
    (finished,) = of_type(effects, TaskFinished)
    assert (finished.kind.name, finished.error_type) == ("app.unheard_of", "NotRegistered")


def test_overlapping_executions_end_once_and_are_counted(engine):
    web, first, second = producer(), Process("w1@a", 1), Process("w2@b", 2)
    effects = feed(
        engine,
        web.sent(at=0),
        first.received(at=1),
        first.started(at=2),
        second.received(at=3),
        second.started(at=4),
        first.succeeded(at=5),
        second.succeeded(at=6),
    )
    assert len(of_type(effects, TaskFinished)) == 1
    assert len(of_type(effects, AttemptEnded)) == 2
    assert record(engine).executions == 2


def test_an_event_that_comes_twice_is_counted_and_changes_nothing(engine):
    web, worker = producer(), Process()
    steps = [
        web.sent(at=0),
        worker.received(at=1),
        worker.started(at=2),
        worker.succeeded(at=3),
    ]
    feed(engine, *steps)
    again = feed(engine, *steps)
    assert again == [Odd(Oddity.DUPLICATE)] * 4


def test_work_of_a_killed_worker_is_lost_after_the_grace(engine):
    worker = Process()
    feed(engine, worker.online(), worker.received(at=1), worker.started(at=2))
    assert not of_type(engine.tick(T0 + 200), TaskFinished)
    (finished,) = of_type(engine.tick(T0 + 400), TaskFinished)
    assert (finished.state, finished.inferred, finished.run) == (State.LOST, True, None)


def test_a_stopped_worker_that_comes_back_corrects_what_was_given_up(engine):
    worker = Process()
    feed(engine, worker.online(), worker.received(at=1), worker.started(at=2))
    engine.tick(T0 + 400)
    effects = feed(engine, worker.heartbeat(at=401, active=1), worker.succeeded(at=402))
    (revised,) = of_type(effects, TaskRevised)
    assert (revised.was, revised.state) == (State.LOST, State.SUCCESS)


def test_what_a_worker_twice_says_not_to_run_has_ended_unseen(engine):
    worker = Process()
    feed(engine, worker.online(), worker.received(at=1), worker.started(at=2))
    feed(engine, worker.heartbeat(at=4, processed=1))
    assert not of_type(engine.tick(T0 + 5), TaskFinished)
    feed(engine, worker.heartbeat(at=6, processed=1))
    (finished,) = of_type(engine.tick(T0 + 7), TaskFinished)
    assert (finished.state, finished.reason) == (State.UNKNOWN, "idle_worker")


def test_fetched_work_of_a_lost_worker_waits_for_another(engine):
    web, first, second = producer(), Process("w1@a", 1), Process("w2@b", 2)
    feed(engine, web.sent(), first.online(), first.received(at=1))
    effects = list(engine.tick(T0 + 400))
    assert [each.state for each in of_type(effects, AttemptEnded)] == [State.REQUEUED]
    effects = feed(
        engine, second.received(at=500), second.started(at=501), second.succeeded(at=502)
    )
    assert [each.state for each in of_type(effects, TaskFinished)] == [State.SUCCESS]


def test_a_cancelled_task_that_nobody_takes_over_is_lost():
    engine = Engine(records=True)
    worker = Process()
    feed(engine, worker.received(), worker.started(at=1), worker.cancelled(at=2))
    assert not of_type(engine.tick(T0 + 100), TaskFinished)
    (finished,) = of_type(engine.tick(T0 + 4_000), TaskFinished)
    assert (finished.state, finished.reason) == (State.LOST, "not_redelivered")


def test_a_skewed_worker_does_not_bend_the_wait(engine):
    web, worker = producer(), Process(ahead=90.0)
    for at in range(3):  # what the skew is learned from
        engine.feed([worker.heartbeat(at=at)], T0 + at)
    effects = [*engine.feed([web.sent(at=5)], T0 + 5)]
    effects += engine.feed([worker.received(at=6)], T0 + 6)
    effects += engine.feed([worker.started(at=8)], T0 + 8)
    (started,) = of_type(effects, Started)
    assert started.wait == pytest.approx(3.0, abs=0.001)


def test_a_wait_begins_at_the_eta(engine):
    web, worker = producer(), Process()
    eta = "2026-11-23T11:33:30+00:00"
    sent_at = 1_795_433_600.0 - T0  # ten seconds before the ETA
    effects = feed(
        engine,
        web.sent(at=sent_at, eta=eta),
        worker.received(at=sent_at + 1, eta=eta),
        worker.started(at=sent_at + 12),
    )
    (started,) = of_type(effects, Started)
    assert (started.wait, started.prefetch, started.eta_delay) == (2.0, 2.0, 10.0)


def test_a_latency_with_an_unseen_beginning_is_unknown_not_zero(engine):
    worker = Process()
    (started,) = of_type(feed(engine, worker.started()), Started)
    assert (started.wait, started.prefetch) == (None, None)


def test_more_tasks_than_the_limit_are_given_up_and_counted():
    engine = Engine(Limits(tasks=10))
    web = producer()
    effects = feed(engine, *(web.sent(f"u{number}") for number in range(12)))
    evicted = [each for each in of_type(effects, TaskFinished) if each.reason == "evicted"]
    assert len(evicted) == 2
    view = engine.view(T0)
    assert (view.tasks_in_flight, dict(view.evictions)["in_flight"]) == (10, 2)


def test_an_ended_task_is_recognised_for_a_while_and_then_forgotten(engine):
    worker = Process()
    feed(engine, worker.received(), worker.succeeded(at=1))
    engine.tick(T0 + 100)
    assert engine.view(T0 + 100).tasks_remembered == 1
    engine.tick(T0 + 130)
    assert engine.view(T0 + 130).tasks_remembered == 0


@pytest.mark.parametrize("runtime", [float("nan"), float("inf")])
def test_a_run_time_that_is_no_number_is_taken_from_the_events(runtime):
    worker = Process()
    effects = feed(Engine(), worker.started(at=1), worker.succeeded(at=3, runtime=runtime))
    (ended,) = of_type(effects, AttemptEnded)
    assert (ended.run, ended.ended_at) == (2.0, T0 + 3)


# -- what becomes another ------------------------------------------------------------------------


def ran_as(effects):
    return [
        (each.kind.name, each.kind.queue, each.state) for each in of_type(effects, AttemptEnded)
    ]


def test_an_attempt_stays_in_its_queue_though_the_next_is_sent_to_another():
    web, worker, engine = producer(), Process(), Engine()
    feed(engine, web.sent(queue="slow"), worker.received(at=0.1), worker.started(at=0.2))
    effects = feed(engine, web.sent(at=5, queue="quick", retries=1), worker.retried(at=5.1))
    assert ran_as(effects) == [("app.task", "slow", State.RETRY)]
    feed(engine, worker.received(at=5.2, retries=1), worker.started(at=5.3))
    effects = feed(engine, worker.succeeded(at=6, runtime=0.7))
    assert ran_as(effects) == [("app.task", "quick", State.SUCCESS)]


def test_a_run_that_was_replaced_keeps_its_name():
    web, worker, engine = producer(), Process(), Engine()
    feed(engine, web.sent(name="old"), worker.received(at=0.1, name="old"), worker.started(at=0.2))
    effects = feed(engine, web.sent(at=5, name="new"), worker.received(at=5.1, name="new"))
    effects += feed(engine, worker.started(at=5.2), worker.succeeded(at=6, runtime=0.8))
    assert ran_as(effects) == [
        ("old", "celery", State.REPLACED),
        ("new", "celery", State.SUCCESS),
    ]
    restored = Engine()
    restored.restore(engine.snapshot())
    assert restored.snapshot() == engine.snapshot()


def test_what_was_not_known_of_an_attempt_is_learned():
    web, worker, engine = producer(), Process(), Engine()
    feed(engine, worker.received(at=0.1), worker.started(at=0.2), web.sent(queue="late"))
    effects = feed(engine, worker.succeeded(at=6, runtime=0.8))
    assert ran_as(effects) == [("app.task", "late", State.SUCCESS)]
