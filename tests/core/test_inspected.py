"""What a worker answers when it is asked settles what its events left open."""

import pytest

from stream.config import Graces, StuckLimits
from stream.core.effects import AttemptEnded, TaskFinished, TaskRevised
from stream.core.engine import Engine
from stream.core.states import State
from stream.events import Inspected
from tests.builders import T0, Process, feed, of_type

GRACES = Graces(offline=10.0)


@pytest.fixture
def engine():
    return Engine(graces=GRACES, stuck=StuckLimits(running=30))


@pytest.fixture
def worker(engine):
    """A worker that runs a and b, and whose heartbeats say that it runs one."""
    process = Process()
    feed(engine, process.online())
    for uuid in "ab":
        feed(engine, process.received(uuid, at=1), process.started(uuid, at=2))
    return process


def answer(engine, at, *, asked=None, **said):
    asked_at = T0 + (at if asked is None else asked)
    return list(engine.inspected(Inspected(T0 + at, "redis", "w1@host", asked_at, **said)))


def beats(engine, worker, begin, until, *, active=1):
    for at in range(begin, until, 2):
        feed(engine, worker.heartbeat(at=at, active=active, processed=2))


def ends(engine, at):
    return [
        (each.uuid, each.state, each.reason)
        for each in of_type(list(engine.tick(T0 + at)), AttemptEnded)
    ]


def test_a_task_that_the_worker_does_not_name_has_ended_unseen(engine, worker):
    beats(engine, worker, 4, 20)
    answer(engine, 20, active=("a",))
    beats(engine, worker, 20, 28)
    assert ends(engine, 29) == []
    assert ends(engine, 31) == [("b", State.UNKNOWN, "not_active")]
    assert ends(engine, 40) == []


def test_an_end_that_was_on_its_way_is_the_end(engine, worker):
    beats(engine, worker, 4, 20)
    answer(engine, 20, active=("a",))
    beats(engine, worker, 20, 28)
    feed(engine, worker.succeeded("b", at=21))
    assert ends(engine, 40) == []


def test_an_end_that_comes_very_late_corrects_what_was_told(engine, worker):
    beats(engine, worker, 4, 20)
    answer(engine, 20, active=("a",))
    beats(engine, worker, 20, 28)
    engine.tick(T0 + 31)
    (revised,) = of_type(feed(engine, worker.succeeded("b", at=41)), TaskRevised)
    assert (revised.was, revised.state) == (State.UNKNOWN, State.SUCCESS)


def test_what_began_after_the_question_is_not_missing_in_the_answer(engine, worker):
    answer(engine, 4, asked=2.5, active=())
    beats(engine, worker, 4, 42, active=2)
    assert ends(engine, 40) == []


def test_a_run_that_began_anew_is_not_taken_for_the_one_that_ended(engine, worker):
    beats(engine, worker, 4, 20, active=2)
    answer(engine, 20, active=("a",))
    beats(engine, worker, 20, 28, active=2)
    feed(engine, worker.retried("b", at=21))
    feed(engine, worker.received("b", at=22, retries=1), worker.started("b", at=23))
    assert ends(engine, 40) == []


def test_what_another_process_of_the_name_answered_says_nothing_of_this_one(engine, worker):
    beats(engine, worker, 4, 20, active=2)
    answer(engine, 20, pid=7, active=())
    beats(engine, worker, 20, 28, active=2)
    assert ends(engine, 40) == []


def test_a_task_that_the_worker_names_is_stuck_though_its_heartbeats_leave_it_open(engine, worker):
    def verdicts(at):
        engine.tick(T0 + at)
        gauges = engine.view(T0 + at).tasks
        return sum(each.stuck for each in gauges), sum(each.unsure for each in gauges)

    beats(engine, worker, 4, 40)
    assert verdicts(40) == (0, 2)  # one of the two ended unseen
    answer(engine, 41, active=("a",))
    assert verdicts(42) == (1, 1)


def test_of_too_many_it_is_not_the_one_that_the_worker_named_that_is_given_up(engine):
    """Heartbeats alone would take the oldest."""
    graces = Graces(offline=600.0, excess=60.0)
    engine, worker = Engine(graces=graces), Process()
    feed(engine, worker.online())
    for at, uuid in enumerate("ab", start=1):
        feed(engine, worker.received(uuid, at=at), worker.started(uuid, at=at))
    beats(engine, worker, 4, 60)
    answer(engine, 60, active=("a",))
    beats(engine, worker, 60, 90)
    assert ends(engine, 90) == [("b", State.UNKNOWN, "idle_worker")]


def test_pool_and_queues_are_read_from_the_table(engine, worker):
    answer(engine, 5, pid=worker.pid, pool=4)
    answer(engine, 5, queues=("celery", "mail"))
    (gauge,) = engine.view(T0 + 5).workers
    assert (gauge.pool, gauge.queues) == (4, ("celery", "mail"))
    assert "mail" in engine.queue_names


def test_a_worker_that_nobody_heard_of_is_none(engine):
    assert answer(engine, 5, pool=4, active=("a",)) == []
    assert engine.view(T0 + 5).workers == ()


def test_a_snapshot_remembers_what_was_answered(engine, worker):
    beats(engine, worker, 4, 20)
    answer(engine, 20, active=("a",))
    beats(engine, worker, 20, 28)
    other = Engine(graces=GRACES, stuck=StuckLimits(running=30))
    other.restore(engine.snapshot())
    assert ends(other, 31) == [("b", State.UNKNOWN, "not_active")]


def test_who_is_there_to_be_asked(engine, worker):
    silent = Process("w2@host", 7)
    feed(engine, silent.heartbeat(at=1), silent.heartbeat(at=3, active=0, processed=0))
    for processed, at in enumerate(range(5, 15, 2), start=2):
        feed(engine, silent.heartbeat(at=at, active=0, processed=processed))
    beats(engine, worker, 4, 6)
    assert set(engine.workers_listening()) == {("w1@host", 100, False), ("w2@host", 7, True)}
    feed(engine, worker.offline(at=15))
    assert [each[0] for each in engine.workers_listening()] == ["w2@host"]


def test_a_worker_that_only_announced_itself_would_not_hear_a_question(engine):
    """It subscribes to its mailbox when its loop begins, milliseconds after `worker-online`."""
    process = Process()
    feed(engine, process.online())
    assert engine.workers_listening() == ()
    feed(engine, process.heartbeat(at=2))
    assert engine.workers_listening() == (("w1@host", 100, False),)
    feed(engine, process.online(at=9))  # it has lost its broker, and begins again
    assert engine.workers_listening() == ()


def test_a_task_is_finished_once(engine, worker):
    beats(engine, worker, 4, 20)
    answer(engine, 20, active=("a",))
    beats(engine, worker, 20, 28)
    answer(engine, 25, active=("a",))
    finished = of_type(list(engine.tick(T0 + 31)), TaskFinished)
    assert [each.uuid for each in finished] == ["b"]
