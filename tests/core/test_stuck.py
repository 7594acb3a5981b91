"""Who is called stuck, when, and when no longer."""

import pytest

from stream.config import StuckLimits, StuckRule
from stream.core.effects import (
    Advice,
    Advised,
    QueueMoved,
    QueueStalled,
    StuckBegan,
    StuckEnded,
    StuckReason,
    TaskFinished,
)
from stream.core.engine import Engine
from stream.core.states import Phase, State
from stream.events import QueueDepth, QueueSample
from tests.builders import T0, Process, feed, of_type, producer

LIMITS = StuckLimits(queued=10, prefetched=20, running=30, retrying=40)


@pytest.fixture
def engine():
    return Engine(stuck=LIMITS, stuck_rules=(StuckRule("slow.*", running=100),))


def stuck_at(engine, at):
    return of_type(list(engine.tick(T0 + at)), StuckBegan)


def beats(engine, worker, *, until, begin=2, active=1):
    """Heartbeats every two seconds."""
    for at in range(begin, until + 1, 2):
        feed(engine, worker.heartbeat(at=at, active=active, processed=1))


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
    feed(engine, worker.online(), worker.received(name="slow.report"), worker.started(at=1))
    beats(engine, worker, until=90)
    assert stuck_at(engine, 90) == []
    beats(engine, worker, until=110, begin=90)
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


def verdicts(engine, at):
    """How many are called stuck, and of how many nobody can tell."""
    engine.tick(T0 + at)
    gauges = engine.view(T0 + at).tasks
    return sum(gauge.stuck for gauge in gauges), sum(gauge.unsure for gauge in gauges)


def sample(at, *, ready=0, unacknowledged=0, oldest=None, timelimit=None):
    depth = QueueDepth("celery", {0: ready, 3: 0}, oldest, timelimit)
    return QueueSample(T0 + at, "redis", (depth,), unacknowledged)


def test_a_task_whose_worker_does_less_than_we_think_is_unknown_not_stuck(engine):
    worker = Process()
    feed(engine, worker.online(), *(worker.received(uuid) for uuid in "ab"))
    feed(engine, worker.started("a", at=1), worker.started("b", at=1))
    beats(engine, worker, until=60)  # it says that it runs one: the end of the other was lost
    assert verdicts(engine, 60) == (0, 2)


def test_an_unknown_becomes_stuck_when_evidence_comes(engine):
    worker = Process()
    feed(engine, worker.online(), worker.received(), worker.started(at=1))
    assert verdicts(engine, 40) == (0, 1)
    feed(engine, worker.heartbeat(at=41, active=1, processed=1))
    assert verdicts(engine, 42) == (1, 0)


def test_a_sent_task_is_not_stuck_in_a_queue_that_is_empty(engine):
    feed(engine, producer().sent(at=0))
    engine.sample(sample(5))
    assert verdicts(engine, 20) == (0, 1)


def test_a_sent_task_that_is_nowhere_has_ended_unseen(engine):
    feed(engine, producer().sent(at=0))
    for at in (40, 45):
        effects = list(engine.sample(sample(at)))
    (finished,) = of_type(effects, TaskFinished)
    assert (finished.state, finished.reason) == (State.UNKNOWN, "gone")


@pytest.mark.parametrize("fields", [{"ready": 1}, {"unacknowledged": 1}, {"unacknowledged": None}])
def test_a_sent_task_that_may_be_somewhere_is_kept(engine, fields):
    feed(engine, producer().sent(at=0))
    for at in (40, 45):
        assert not of_type(list(engine.sample(sample(at, **fields))), TaskFinished)


def test_the_time_limit_of_its_messages_decides_before_its_history(engine):
    worker = Process()
    feed(engine, worker.online(), producer().sent())
    engine.sample(sample(1, ready=1, oldest="u", timelimit=5.0))
    feed(engine, worker.received(at=2), worker.started(at=2))
    beats(engine, worker, begin=2, until=8)
    (stuck,) = stuck_at(engine, 8)
    assert stuck.limit == pytest.approx(5.5)


def test_a_limit_is_learned_from_enough_runs():
    engine = Engine(stuck=StuckLimits(running=600))
    worker = Process()
    feed(engine, worker.online())
    for number in range(60):
        uuid = f"u{number}"
        feed(
            engine, worker.received(uuid), worker.started(uuid), worker.succeeded(uuid, runtime=20)
        )
    feed(engine, worker.received(), worker.started(at=1))
    beats(engine, worker, until=80)
    (stuck,) = stuck_at(engine, 80)
    assert 60 <= stuck.limit <= 60 * 2**0.5


def test_a_queue_that_nobody_consumes_is_a_verdict_of_its_own(engine):
    worker = Process()
    found = []
    for at in range(0, 30, 2):
        feed(engine, worker.heartbeat(at=at))
        found += list(engine.sample(sample(at, ready=3, oldest="u")))
    (stalled,) = of_type(found, QueueStalled)
    assert (stalled.queue, stalled.depth, stalled.since) == ("celery", 3, T0)
    (gauge,) = engine.view(T0 + 30).queues
    assert gauge.stalled
    (moved,) = of_type(list(engine.sample(sample(32, ready=2, oldest="v"))), QueueMoved)
    assert moved.lasted == 32.0


def test_a_backlog_that_moves_has_not_stalled(engine):
    found = []
    for at in range(0, 60, 2):
        feed(engine, Process().heartbeat(at=at))
        found += list(engine.sample(sample(at, ready=100 + at, oldest=f"u{at}")))
    assert not of_type(found, QueueStalled)


def test_a_worker_without_task_events_is_told_once(engine):
    worker = Process()
    feed(engine, worker.online())
    found = feed(engine, *(worker.heartbeat(at=at, processed=at) for at in range(2, 20, 2)))
    assert of_type(found, Advised) == [Advised(Advice.EVENTS_DISABLED, "w1@host", T0 + 6)]


def test_producers_that_tell_nothing_are_told_once(engine):
    worker = Process()
    found = []
    for number in range(100):
        found += feed(engine, worker.received(f"u{number}", at=number))
    assert [each.advice for each in of_type(found, Advised)] == [Advice.SENT_DISABLED]
