"""Who is called stuck, when, and when no longer."""

import pytest

from stream.config import StuckLimits, StuckRule
from stream.core.effects import StuckBegan, StuckEnded, StuckReason
from stream.core.engine import Engine
from stream.core.states import Phase, State
from tests.builders import T0, Process, feed, of_type, producer

LIMITS = StuckLimits(queued=10, prefetched=20, running=30, retrying=40)


@pytest.fixture
def engine():
    return Engine(stuck=LIMITS, stuck_rules=(StuckRule("slow.*", running=100),))


def stuck_at(engine, at):
    return of_type(list(engine.tick(T0 + at)), StuckBegan)


def test_a_task_that_nobody_takes_is_stuck_after_the_limit_and_once(engine):
    feed(engine, producer().sent())
    assert stuck_at(engine, 9) == []
    (stuck,) = stuck_at(engine, 11)
    assert (stuck.phase, stuck.reason, stuck.limit) == (Phase.QUEUED, StuckReason.NOT_CONSUMED, 10)
    assert stuck_at(engine, 12) == []


def test_a_stuck_task_that_moves_on_says_how_long_it_was(engine):
    feed(engine, producer().sent())
    stuck_at(engine, 11)
    (ended,) = of_type(feed(engine, Process().received(at=15)), StuckEnded)
    assert (ended.phase, ended.lasted) == (Phase.QUEUED, 15.0)


def test_a_running_task_is_stuck_only_while_its_worker_is_heard(engine):
    worker = Process()
    feed(engine, worker.online(), worker.received(at=1), worker.started(at=2))
    assert stuck_at(engine, 40) == []  # silent for longer than it may be: nobody can tell
    feed(engine, worker.heartbeat(at=41, active=1, processed=1))
    (stuck,) = stuck_at(engine, 42)
    assert (stuck.phase, stuck.reason) == (Phase.RUNNING, StuckReason.RUNS_LONG)


def test_a_rule_gives_a_task_limits_of_its_own(engine):
    worker = Process()
    feed(engine, worker.received(name="slow.report"), worker.started(at=1))
    assert stuck_at(engine, 90) == []
    assert len(stuck_at(engine, 110)) == 1


def test_an_eta_in_the_future_is_no_reason_to_be_stuck(engine):
    eta = "2026-11-23T11:33:30+00:00"
    sent_at = 1_795_433_610.0 - T0 - 1_000
    feed(engine, producer().sent(at=sent_at, eta=eta))
    assert stuck_at(engine, sent_at + 500) == []
    assert stuck_at(engine, sent_at + 1_001) == []
    assert len(stuck_at(engine, sent_at + 1_020)) == 1


def test_gauges_are_read_from_the_tables(engine):
    web, worker = producer(), Process()
    feed(engine, web.sent("a"), web.sent("b", at=5), web.sent("c"), worker.received("c", at=6))
    stuck_at(engine, 12)
    gauges = {each.state: each for each in engine.view(T0 + 12).tasks}
    assert (gauges[State.SENT].count, gauges[State.SENT].stuck) == (2, 1)
    assert gauges[State.SENT].oldest_age == 12.0
    assert (gauges[State.RECEIVED].count, gauges[State.RECEIVED].oldest_age) == (1, 6.0)
