"""What is told of an attempt that begins, where it is asked for."""

import pytest

from stream.core.effects import Arguments, AttemptBegan, AttemptEnded, Started, WaitedLong
from stream.core.engine import Engine
from tests.builders import T0, Process, feed, of_type, producer

CALLED = {"args": "(1, 2)", "kwargs": "{'user': 3}"}


def story(*, sent_at=0.0, started_at=1.0, **fields):
    web, worker = producer(), Process()
    return [
        web.sent(at=sent_at, **fields),
        worker.received(at=started_at),
        worker.started(at=started_at),
        worker.succeeded(at=started_at + 1),
    ]


# -- long waits ----------------------------------------------------------------------------------


def test_a_wait_above_the_threshold_is_told_as_it_ends():
    effects = feed(Engine(long_wait=2.0), *story(started_at=5.0, parent_id="p", root_id="r"))
    (waited,) = of_type(effects, WaitedLong)
    assert (waited.since, waited.started_at, waited.sent_at) == (T0, T0 + 5, T0)
    assert (waited.uuid, waited.root_id, waited.parent_id) == ("u", "r", "p")
    assert (waited.retries, waited.ordinal, waited.hostname) == (0, 0, "w1@host")
    assert type(effects[effects.index(waited) - 1]) is Started


@pytest.mark.parametrize("started_at", [1.0, 2.0])
def test_a_wait_of_no_more_than_the_threshold_is_not(started_at):
    effects = feed(Engine(long_wait=2.0), *story(started_at=started_at))
    assert of_type(effects, WaitedLong) == []


def test_without_a_threshold_no_wait_is_told():
    assert of_type(feed(Engine(), *story(started_at=1e6)), WaitedLong) == []


def test_a_threshold_of_zero_tells_every_wait_that_is_one():
    assert len(of_type(feed(Engine(long_wait=0.0), *story(started_at=0.1)), WaitedLong)) == 1
    assert of_type(feed(Engine(long_wait=0.0), *story(started_at=0.0)), WaitedLong) == []


def test_a_wait_is_counted_from_the_eta():
    sent_at = 1_795_433_600.0 - T0  # ten seconds before the ETA
    steps = story(sent_at=sent_at, started_at=sent_at + 15, eta="2026-11-23T11:33:30+00:00")
    (waited,) = of_type(feed(Engine(long_wait=2.0), *steps), WaitedLong)
    assert waited.since == T0 + sent_at + 10
    assert waited.sent_at == T0 + sent_at


def test_a_wait_whose_beginning_was_not_seen_is_not_told():
    worker = Process()
    effects = feed(Engine(long_wait=0.0), worker.received(), worker.started(at=9))
    assert of_type(effects, WaitedLong) == []


def test_a_wait_is_told_on_our_clock():
    engine, web, worker = Engine(long_wait=2.0), producer(), Process(ahead=90.0)
    engine.feed([worker.heartbeat()], T0)  # what the skew is learned from
    engine.feed([web.sent()], T0)
    engine.feed([worker.received(at=5)], T0 + 5)
    (waited,) = of_type(engine.feed([worker.started(at=5)], T0 + 5), WaitedLong)
    assert (waited.since, waited.started_at) == (T0, T0 + 5)


# -- beginnings ----------------------------------------------------------------------------------


def test_a_beginning_is_told_where_it_is_asked_for():
    effects = feed(Engine(beginnings=True), *story(started_at=3.0))
    (began,) = of_type(effects, AttemptBegan)
    assert (began.uuid, began.wait, began.started_at) == ("u", 3.0, T0 + 3)
    assert (began.retries, began.ordinal, began.hostname, began.root_id) == (0, 0, "w1@host", "u")
    assert type(effects[effects.index(began) - 1]) is Started


def test_a_beginning_is_not_told_unless_it_is_asked_for():
    assert of_type(feed(Engine(), *story()), AttemptBegan) == []


def test_a_beginning_of_which_nothing_else_is_known_is_told_without_it():
    (began,) = of_type(feed(Engine(beginnings=True), Process().started()), AttemptBegan)
    assert (began.wait, began.arguments, began.trace, began.root_id) == (None, None, None, None)


# -- arguments and results -----------------------------------------------------------------------


def test_arguments_and_result_are_told_where_the_events_have_them():
    worker = Process()
    effects = feed(
        Engine(beginnings=True),
        worker.received(**CALLED),
        worker.started(at=1),
        worker.succeeded(at=2, result="'done'"),
    )
    expected = Arguments("(1, 2)", "{'user': 3}")
    assert [each.arguments for each in of_type(effects, AttemptBegan)] == [expected]
    (ended,) = of_type(effects, AttemptEnded)
    assert (ended.arguments, ended.result) == (expected, "'done'")


def test_arguments_that_only_the_producer_tells_are_told():
    (ended,) = of_type(feed(Engine(), *story(**CALLED)), AttemptEnded)
    assert ended.arguments == Arguments("(1, 2)", "{'user': 3}")


def test_events_without_arguments_tell_none():
    (ended,) = of_type(feed(Engine(), *story()), AttemptEnded)
    assert (ended.arguments, ended.result) == (None, None)


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ({"args": "(1,)", "kwargs": None}, Arguments("(1,)", None)),
        ({"args": [1], "kwargs": "{}"}, Arguments(None, "{}")),
        ({"args": [1], "kwargs": {"a": 1}}, None),
    ],
)
def test_arguments_that_are_no_texts_are_not_told(called, expected):
    (ended,) = of_type(feed(Engine(), *story(**called)), AttemptEnded)
    assert ended.arguments == expected


def test_a_result_that_is_no_text_is_not_told():
    (ended,) = of_type(feed(Engine(), Process().succeeded(result={"a": 1})), AttemptEnded)
    assert ended.result is None


def test_a_redelivered_message_has_the_arguments_that_it_had_before():
    first, second = Process("w1@a", 1), Process("w2@b", 2)
    effects = feed(
        Engine(),
        first.received(**CALLED),
        first.rejected(at=1, requeue=True),
        second.received(at=2),
        second.succeeded(at=3),
    )
    assert {each.arguments for each in of_type(effects, AttemptEnded)} == {
        Arguments("(1, 2)", "{'user': 3}")
    }


def test_another_task_under_the_same_uuid_does_not_get_the_arguments_of_the_first():
    worker = Process()
    effects = feed(
        Engine(),
        worker.received(name="app.first", **CALLED),
        worker.started(at=1),
        worker.received(at=2, name="app.second"),
        worker.started(at=3),
        worker.succeeded(at=4),
    )
    told = [each.arguments for each in of_type(effects, AttemptEnded)]
    assert told == [Arguments("(1, 2)", "{'user': 3}"), None]


def test_a_snapshot_carries_arguments_and_whether_the_message_was_redelivered():
    engine, again, worker = Engine(), Engine(), Process()
    feed(engine, worker.received(redelivered=True, **CALLED), worker.started(at=1))
    again.restore(engine.snapshot())
    (ended,) = of_type(feed(again, worker.succeeded(at=2)), AttemptEnded)
    assert (ended.arguments, ended.redelivered) == (Arguments("(1, 2)", "{'user': 3}"), True)
