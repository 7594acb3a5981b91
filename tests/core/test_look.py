"""Looking at single tasks: which are found, in which order, and how much that costs."""

import pytest

from stream.config import StuckLimits
from stream.core.effects import StuckReason
from stream.core.engine import Engine
from stream.core.search import Search
from stream.core.states import Phase, State
from tests.builders import T0, Process, feed, producer


@pytest.fixture
def engine():
    """Three tasks: one runs, one is at a worker, one waits in a queue."""
    engine, shop = Engine(), producer()
    first, second = Process("w1@host"), Process("w2@host", 200)
    feed(
        engine,
        shop.sent("aaa1", 0.0, name="mail.send", queue="mail"),
        shop.sent("aaa2", 1.0, name="mail.bounce", queue="mail"),
        shop.sent("bbb3", 2.0, name="pay.charge", queue="pay"),
        first.received("aaa1", 3.0, name="mail.send"),
        first.started("aaa1", 4.0),
        second.received("bbb3", 5.0, name="pay.charge"),
    )
    return engine


def found(engine, text="", *, limit=10, budget=1_000, **wanted):
    return engine.find(Search(text, **wanted), limit=limit, budget=budget)


def uuids(engine, text="", **wanted):
    return [task.uuid for task in found(engine, text, **wanted).tasks]


def test_what_runs_comes_first_then_what_is_nearer_to_it(engine):
    assert uuids(engine) == ["aaa1", "bbb3", "aaa2"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"text": "mail"}, ["aaa1", "aaa2"]),
        ({"text": "CHARGE"}, ["bbb3"]),
        ({"text": "aaa"}, ["aaa1", "aaa2"]),
        ({"text": "w2@"}, ["bbb3"]),
        ({"text": "aa1"}, []),
        ({"name": "mail.*"}, ["aaa1", "aaa2"]),
        ({"name": "mail"}, []),
        ({"queue": "p*"}, ["bbb3"]),
        ({"worker": "w1@*"}, ["aaa1"]),
        ({"uuid": "bbb"}, ["bbb3"]),
        ({"uuid": "bb3"}, []),
        ({"states": frozenset({State.SENT})}, ["aaa2"]),
        ({"states": frozenset({State.SUCCESS})}, []),
        ({"text": "mail", "states": frozenset({State.SENT})}, ["aaa2"]),
        ({"text": "mail", "worker": "w1@*"}, ["aaa1"]),
    ],
)
def test_a_task_is_found_by_what_it_is(engine, wanted, expected):
    assert uuids(engine, **wanted) == expected


def test_of_one_state_the_longest_comes_first():
    engine, shop = Engine(), producer()
    sent = [shop.sent(f"u{at}", at, name=f"task{at % 3}") for at in (3.0, 1.0, 2.0, 0.0)]
    feed(engine, *sorted(sent, key=lambda event: event.timestamp))
    assert uuids(engine) == ["u0.0", "u1.0", "u2.0", "u3.0"]


def test_a_task_that_ended_is_not_in_flight(engine):
    feed(engine, Process("w1@host").succeeded("aaa1", 9.0))
    assert "aaa1" not in uuids(engine)


def test_more_than_the_limit_are_counted_and_not_returned(engine):
    looked = found(engine, limit=1)
    assert ([task.uuid for task in looked.tasks], looked.total) == (["aaa1"], 3)


def test_tasks_of_a_kind_that_is_wanted_as_a_whole_are_not_looked_at_one_by_one(engine):
    assert found(engine, name="mail.*", budget=1).looked_at == 0
    assert found(engine, name="mail.*", budget=1).total == 2


def test_a_search_ends_with_its_budget_and_says_so():
    engine, shop = Engine(), producer()
    feed(engine, *(shop.sent(f"u{number:04}", number) for number in range(1_000)))
    looked = found(engine, "u09", budget=100)
    assert (looked.tasks, looked.total, looked.looked_at) == ((), None, 100)
    assert found(engine, "u09", budget=1_001).total == 100


def test_a_whole_uuid_is_found_at_once():
    engine, shop = Engine(), producer()
    whole = "40a4c7f7-1234-4cbe-9b7c-000000000999"
    sent = [shop.sent(f"40a4c7f7-1234-4cbe-9b7c-{number:012}", number) for number in range(1_000)]
    feed(engine, *sent)
    for wanted in ({"text": whole}, {"uuid": whole}):
        looked = found(engine, budget=10, **wanted)
        assert [task.uuid for task in looked.tasks] == [whole]
        assert (looked.total, looked.looked_at) == (1, 1)
    assert uuids(engine, whole, states=frozenset({State.STARTED})) == []
    assert uuids(engine, whole, queue="other") == []


def test_a_short_id_is_found_beside_those_that_begin_with_it():
    engine, shop = Engine(), producer()
    feed(engine, *(shop.sent(f"u{number}", number) for number in range(1_000, 0, -1)))
    assert found(engine, "u9", budget=1_001).total == 111
    assert uuids(engine, "u9", budget=10, limit=1) == ["u9"]


def test_a_look_at_one_task_has_all_its_deliveries(engine):
    worker = Process("w1@host")
    feed(
        engine,
        worker.retried("aaa1", 6.0),
        worker.received("aaa1", 8.0, name="mail.send", retries=1),
    )
    task = engine.task("aaa1")
    assert task is not None
    assert [(each.retries, each.state) for each in task.deliveries] == [
        (0, State.RETRY),
        (1, State.RECEIVED),
    ]
    assert task.deliveries[0].started_at == T0 + 4.0
    assert task.deliveries[0].wait == pytest.approx(4.0)


def test_an_unknown_task_is_none(engine):
    assert engine.task("nobody") is None


def test_what_is_over_its_limit_is_told_with_why():
    engine, shop, worker = Engine(stuck=StuckLimits(running=10.0)), producer(), Process()
    feed(
        engine,
        worker.online(),
        shop.sent("u"),
        worker.received("u", 0.1),
        worker.started("u", 0.2),
        worker.heartbeat(30.0, active=1, processed=1),
    )
    engine.tick(T0 + 31.0)
    (stuck,) = engine.overdue(10)
    assert (stuck.task.uuid, stuck.phase, stuck.reason) == (
        "u",
        Phase.RUNNING,
        StuckReason.RUNS_LONG,
    )
    assert (stuck.limit, stuck.task.stuck, stuck.task.unsure) == (10.0, True, False)


def test_what_may_be_gone_is_told_as_unsure_and_last():
    engine, worker = Engine(stuck=StuckLimits(running=10.0)), Process()
    silent = Process("w2@host", 200)
    feed(
        engine,
        worker.online(),
        silent.started("gone", 0.0),
        worker.started("u", 0.2),
        worker.heartbeat(30.0, active=1, processed=1),
    )
    engine.tick(T0 + 31.0)
    assert [(each.task.uuid, each.task.unsure) for each in engine.overdue(10)] == [
        ("u", False),
        ("gone", True),
    ]
    assert [each.task.uuid for each in engine.overdue(1)] == ["u"]


def test_a_look_changes_nothing(engine):
    before = engine.snapshot()
    uuids(engine, "mail")
    engine.task("aaa1")
    engine.overdue(10)
    assert engine.snapshot() == before
