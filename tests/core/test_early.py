"""Workers that are quicker than the producer's event."""

import pytest

from stream.core.early import PATIENCE
from stream.core.effects import (
    AttemptEnded,
    EventsMissed,
    Odd,
    Received,
    Sent,
    Started,
    TaskFinished,
    TaskForgotten,
)
from stream.core.engine import Engine
from tests.builders import T0, Process, feed, of_type, producer


@pytest.fixture
def engine():
    return Engine(patience=PATIENCE)


def whole_life(worker, uuid="u", at=0.001, name="app.task"):
    return [
        worker.received(uuid, at=at, name=name),
        worker.started(uuid, at=at + 0.001),
        worker.succeeded(uuid, at=at + 0.002, runtime=0.001),
    ]


def test_a_task_that_ended_before_its_sending_was_told_has_its_queue_and_its_wait(engine):
    web, worker = producer(), Process()
    sent = web.sent(at=0)
    assert feed(engine, *whole_life(worker)) == []
    effects = engine.feed([sent], T0 + 0.01)
    kinds = [Sent, Received, Started, AttemptEnded, TaskFinished]
    assert [type(effect) for effect in effects] == kinds
    assert {effect.kind.queue for effect in effects} == {"celery"}
    (ended,) = of_type(effects, AttemptEnded)
    assert ended.wait == pytest.approx(0.002, abs=1e-6)


def test_it_is_as_if_the_events_had_come_in_order(engine):
    web, worker = producer(), Process()
    sent, *rest = web.sent(at=0), *whole_life(worker)
    early = [*feed(engine, *rest), *engine.feed([sent], T0 + 0.01)]
    in_order = list(Engine().feed([sent, *rest], T0 + 0.01))
    assert [repr(effect) for effect in early] == [repr(effect) for effect in in_order]


def test_where_nobody_tells_the_sending_it_is_counted_without_a_queue(engine):
    feed(engine, *whole_life(Process()))
    assert engine.tick(T0 + 0.9) == []
    effects = engine.tick(T0 + 2)
    assert [type(each) for each in effects] == [Received, Started, AttemptEnded, TaskFinished]
    assert {effect.kind.queue for effect in effects} == {None}


def test_the_next_tasks_of_a_name_that_is_never_told_do_not_wait(engine):
    worker = Process()
    feed(engine, *whole_life(worker))
    engine.tick(T0 + 2)
    effects = feed(engine, worker.received("second", at=3))
    assert len(of_type(effects, Received)) == 1


def test_they_wait_again_once_a_producer_tells(engine):
    web, worker = producer(), Process()
    feed(engine, *whole_life(worker))
    engine.tick(T0 + 2)
    feed(engine, web.sent("second", at=3))
    assert feed(engine, worker.received("third", at=4)) == []


def test_events_that_arrive_later_than_that_let_it_in_too(engine):
    feed(engine, worker := Process().received())
    effects = feed(engine, Process("w2@host").heartbeat(at=PATIENCE + 0.1))
    assert len(of_type(effects, Received)) == 1
    assert worker.uuid == "u"


def test_an_event_twice_is_a_duplicate_there_too(engine):
    web, received = producer(), Process().received()
    feed(engine, received, received)
    effects = feed(engine, web.sent(at=0.01))
    assert [type(effect) for effect in effects] == [Sent, Received, Odd]


def test_starts_that_waited_are_not_called_unseen(engine):
    worker = Process()
    feed(engine, worker.heartbeat(at=0, processed=0))
    feed(engine, worker.received(at=1.9), worker.started(at=1.95))
    feed(engine, worker.heartbeat(at=2, processed=1), worker.heartbeat(at=4, processed=1))
    (gauge,) = engine.view(T0 + 4).workers
    assert gauge.coverage == 1.0


def test_tasks_are_numbered_as_they_appeared():
    engine, worker = Engine(records=True, patience=PATIENCE), Process()
    feed(engine, *whole_life(worker, "first"), producer().sent("second", at=0.1))
    engine.tick(T0 + 2)
    forgotten = of_type(list(engine.tick(T0 + 1_000_000)), TaskForgotten)
    forgotten += of_type(list(engine.tick(T0 + 2_000_000)), TaskForgotten)
    assert {each.record.uuid: each.first_seen for each in forgotten} == {"first": 1, "second": 2}


def test_what_waits_is_in_the_snapshot(engine):
    web, worker = producer(), Process()
    sent = web.sent(at=0)
    feed(engine, *whole_life(worker))
    again = Engine(patience=PATIENCE)
    again.restore(engine.snapshot())
    assert repr(again.feed([sent], T0 + 0.01)) == repr(engine.feed([sent], T0 + 0.01))
    assert again.snapshot() == engine.snapshot()


def test_no_more_wait_at_once_than_the_limit(engine):
    worker = Process()
    events = [worker.received(f"u{number}", at=0) for number in range(50_001)]
    effects = engine.feed(events, T0)
    assert len(of_type(effects, Received)) == 1


def test_more_of_one_task_than_the_limit_lets_it_in(engine):
    worker = Process()
    engine.feed([worker.received(f"u{number}", at=0) for number in range(49_999)], T0)
    assert engine.feed([worker.started("u0", at=0)], T0) == []
    effects = engine.feed([worker.succeeded("u0", at=0, runtime=0.0)], T0)
    assert [type(each) for each in effects] == [Received, Started, AttemptEnded, TaskFinished]


def missed(effects):
    return sum(effect.count for effect in of_type(effects, EventsMissed))


def test_starts_that_are_kept_are_not_missed_where_heartbeats_are_read_at_once(engine):
    """After a time in which nothing could be read, or where the worker says goodbye at once."""
    worker = Process()
    feed(engine, worker.heartbeat(0))
    effects = list(engine.feed(whole_life(worker, at=1), T0 + 5))
    effects += engine.feed([worker.heartbeat(2, processed=1)], T0 + 5)
    effects += engine.feed([worker.heartbeat(4, processed=1)], T0 + 5.5)
    effects += engine.feed([worker.offline(5, processed=1)], T0 + 5.6)
    effects += engine.tick(T0 + 20)
    assert missed(effects) == 0
    assert engine.view(T0 + 20).workers[0].coverage == 1.0


def test_starts_that_were_not_seen_are_missed_all_the_same(engine):
    worker = Process()
    feed(engine, worker.heartbeat(0))
    effects = list(engine.feed(whole_life(worker, at=1), T0 + 5))
    effects += engine.feed([worker.heartbeat(2, processed=3)], T0 + 5)
    effects += engine.feed([worker.heartbeat(4, processed=3)], T0 + 5.5)
    effects += engine.tick(T0 + 20)
    assert missed(effects) == 2


def test_what_other_workers_started_waits_on(engine):
    one, other, web = Process("a@h", 1), Process("b@h", 2), producer()
    feed(engine, one.heartbeat(0))
    sent = web.sent(at=1)
    engine.feed(whole_life(other, at=1), T0 + 1)
    assert engine.feed([one.heartbeat(2), one.heartbeat(4)], T0 + 1.1) == []
    effects = engine.feed([sent], T0 + 1.2)
    assert {effect.kind.queue for effect in of_type(effects, TaskFinished)} == {"celery"}
