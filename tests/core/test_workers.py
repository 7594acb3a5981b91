"""What heartbeats tell: who is there, and how much of their work was not seen."""

import pytest

from stream.core.effects import EventsMissed, WorkerChanged
from stream.core.engine import Engine
from stream.core.states import WorkerState
from tests.builders import T0, Process, feed, of_type


@pytest.fixture
def engine():
    return Engine()


def states(effects):
    return [each.state for each in of_type(list(effects), WorkerChanged)]


def test_a_worker_comes_falls_silent_and_is_lost(engine):
    assert states(feed(engine, Process().online())) == [WorkerState.ONLINE]
    assert states(engine.tick(T0 + 9)) == []
    assert states(engine.tick(T0 + 11)) == [WorkerState.SUSPECT]
    assert states(engine.tick(T0 + 299)) == []
    assert states(engine.tick(T0 + 301)) == [WorkerState.LOST]


def test_a_worker_that_says_goodbye_is_offline(engine):
    worker = Process()
    assert states(feed(engine, worker.online(), worker.offline(at=1))) == [
        WorkerState.ONLINE,
        WorkerState.OFFLINE,
    ]


def test_a_restarted_worker_shortens_the_patience_with_its_old_process(engine):
    old, new = Process(pid=1), Process(pid=2)
    feed(engine, old.online(), new.online(at=50))
    feed(engine, *(new.heartbeat(at=at) for at in range(52, 72, 2)))
    assert states(engine.tick(T0 + 70)) == [WorkerState.LOST]


def test_two_workers_with_one_node_name_stay_apart(engine):
    one, other = Process(pid=1), Process(pid=2)
    feed(engine, one.online(), other.online())
    for at in range(2, 200, 2):
        feed(engine, one.heartbeat(at=at), other.heartbeat(at=at))
        assert states(engine.tick(T0 + at)) == []
    assert len(engine.view(T0 + 200).workers) == 2


def test_executions_without_a_seen_start_are_counted_one_heartbeat_later(engine):
    worker = Process()
    feed(engine, worker.online(), worker.started("a", at=1))
    for _ in range(3):
        worker.started("lost", at=1)  # made, so the clock moves on, and never fed
    heartbeats = [worker.heartbeat(at=2, processed=4), worker.heartbeat(at=4, processed=4)]
    assert of_type(feed(engine, heartbeats[0]), EventsMissed) == []
    assert of_type(feed(engine, heartbeats[1]), EventsMissed) == [EventsMissed("w1@host", 100, 3)]
    (gauge,) = engine.view(T0 + 4).workers
    assert gauge.coverage == 0.25


def test_starts_that_a_heartbeat_overtook_are_not_missed(engine):
    worker = Process()
    feed(engine, worker.online())
    started = worker.started("a", at=1)
    heartbeat = worker.heartbeat(at=1, processed=1)
    later = worker.heartbeat(at=3, processed=1)
    assert of_type(feed(engine, heartbeat, started, later), EventsMissed) == []


def test_what_ran_before_we_came_is_not_missed(engine):
    worker = Process()
    steps = [worker.heartbeat(at=at, processed=1_000) for at in (0, 2, 4)]
    assert of_type(feed(engine, *steps), EventsMissed) == []


def test_the_skew_is_the_quickest_arrival(engine):
    worker = Process(ahead=90.0)
    for at, delay in ((0, 0.5), (2, 0.002), (4, 3.0)):
        engine.feed([worker.heartbeat(at=at)], T0 + at + delay)
    (gauge,) = engine.view(T0 + 8).workers
    assert gauge.skew == pytest.approx(89.998)
