"""What holds for the engine whatever happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.early import PATIENCE
from stream.core.effects import Odd, Oddity, TaskFinished, TaskForgotten
from stream.core.engine import Engine, Limits
from stream.core.snapshot import SnapshotError
from stream.core.states import State
from stream.events import QueueDepth, QueueSample, Waiting
from tests.builders import T0, Process, of_type
from tests.properties.strategies import interleavings, stories

TRACEPARENT = f"00-{'c' * 32}-{'3' * 16}-01"
NOW = T0 + 60.0
"""All is fed at one instant, so that the order of arrival does not change what skew looks like."""


patiences = st.sampled_from((0.0, PATIENCE))


def feed_all(engine, events):
    return [effect for event in events for effect in list(engine.feed([event], NOW))]


def finish(engine):
    """Wait for everything; return all effects on the way."""
    effects, at = [], NOW
    for step in (20, 400, 4_000, engine.graces.longest, 200):
        at += step
        effects += list(engine.tick(at))
    assert engine.view(at).tasks_in_flight == 0
    return effects


def outcome_of(events, patience=0.0):
    engine = Engine(records=True, patience=patience)
    feed_all(engine, events)
    (forgotten,) = of_type(finish(engine), TaskForgotten)
    record = forgotten.record
    return record.state, record.attempts, record.executions, record.retries, record.error_type


@given(st.data())
def test_the_order_between_processes_does_not_change_the_outcome(data):
    lanes = data.draw(stories())
    straight = outcome_of([event for lane in lanes for event in lane])
    patience = data.draw(patiences)
    assert outcome_of(data.draw(interleavings(lanes)), patience) == straight


@given(st.data())
def test_any_event_twice_changes_nothing_but_the_count_of_duplicates(data):
    events = data.draw(interleavings(data.draw(stories())))
    engine = Engine()
    for number, event in enumerate(events):
        list(engine.feed([event], NOW))
        again = data.draw(st.sampled_from(events[: number + 1]))
        assert engine.feed([again], NOW) == [Odd(Oddity.DUPLICATE)]


@given(st.data())
def test_lost_events_never_make_a_wrong_end_only_an_unknown_one(data):
    events = data.draw(interleavings(data.draw(stories())))
    truth = outcome_of(events)[0]
    kept = [event for event in events if data.draw(st.booleans())]
    if kept:
        assert outcome_of(kept, data.draw(patiences))[0] in {truth, State.UNKNOWN, State.LOST}


@given(st.lists(stories(), min_size=1, max_size=4), st.data())
def test_every_task_that_enters_leaves_by_exactly_one_effect(tasks, data):
    lanes = [lane for task in tasks for lane in task]
    events = data.draw(interleavings(lanes))
    engine = Engine(patience=data.draw(patiences))
    effects = feed_all(engine, events) + finish(engine)
    ended = [each.uuid for each in of_type(effects, TaskFinished)]
    assert sorted(ended) == sorted({event.uuid for event in events})


@given(st.lists(stories(), min_size=1, max_size=3), st.data())
def test_batch_boundaries_change_nothing(tasks, data):
    events = data.draw(interleavings([lane for task in tasks for lane in task]))
    patience = data.draw(patiences)
    one_by_one, in_batches = Engine(patience=patience), Engine(patience=patience)
    expected = feed_all(one_by_one, events)
    found, rest = [], events
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += list(in_batches.feed(rest[:size], NOW))
        rest = rest[size:]
    assert [repr(each) for each in found] == [repr(each) for each in expected]


@given(st.lists(stories(), min_size=1, max_size=6), st.data())
def test_tables_never_exceed_their_limits_and_gauges_agree_with_them(tasks, data):
    events = data.draw(interleavings([lane for task in tasks for lane in task]))
    engine = Engine(Limits(tasks=3, remembered=2, kinds=2, lanes=4, queues=1))
    for event in events:
        list(engine.feed([event], NOW))
        list(engine.tick(NOW))
        view = engine.view(NOW)
        assert view.tasks_in_flight <= 3
        assert view.tasks_remembered <= 2
        assert sum(gauge.count for gauge in view.tasks) == view.tasks_in_flight


def steps_of(data, tasks):
    """Events, heartbeats, polls and ticks, in one order."""
    events = data.draw(interleavings([lane for task in tasks for lane in task]))
    worker = Process("w0@beat", 99)
    steps, at = [], NOW
    for event in events:
        steps.append(("feed", event, at))
        extra = data.draw(st.sampled_from(["", "", "beat", "sample", "tick", "later"]))
        at += {"tick": 1.0, "later": 400.0}.get(extra, 0.0)
        if extra == "beat":
            beat = worker.heartbeat(at - T0, processed=data.draw(st.integers(0, 9)))
            steps.append(("feed", beat, at))
        elif extra == "sample":
            seen = data.draw(st.sampled_from([event.uuid, "unheard-of"]))
            message = Waiting(seen, data.draw(st.sampled_from([None, 0, 1])), TRACEPARENT)
            ready = {0: data.draw(st.integers(0, 2))}
            depth = QueueDepth("celery", ready, event.uuid, 5.0, (message,))
            sample = QueueSample(at, "redis", (depth,), data.draw(st.integers(0, 1)))
            steps.append(("sample", sample, at))
        elif extra:
            steps.append(("tick", None, at))
    return [*steps, *(("tick", None, at + step) for step in (20, 400, 5_000, 200_000, 400_000))]


def play(engine, steps):
    told = []
    for kind, what, at in steps:
        match kind:
            case "feed":
                effects = engine.feed([what], at)
            case "sample":
                effects = engine.sample(what)
            case _:
                effects = engine.tick(at)
        told += [repr(effect) for effect in effects]
    return told


@given(st.lists(stories(), min_size=1, max_size=4), st.data())
def test_a_snapshot_taken_anywhere_and_fed_the_rest_gives_the_same_end(tasks, data):
    steps = steps_of(data, tasks)
    options = {"records": True, "patience": data.draw(patiences)}
    uninterrupted = Engine(**options)
    expected = play(uninterrupted, steps)
    cut = data.draw(st.integers(0, len(steps)))
    before, after = Engine(**options), Engine(**options)
    found = play(before, steps[:cut])
    after.restore(before.snapshot())
    assert found + play(after, steps[cut:]) == expected
    assert after.snapshot() == uninterrupted.snapshot()


@given(stories(), st.data())
def test_a_damaged_snapshot_is_refused_whatever_is_wrong_with_it(lanes, data):
    engine = Engine()
    feed_all(engine, [event for lane in lanes for event in lane])
    snapshot = engine.snapshot()
    at = data.draw(st.integers(0, len(snapshot) - 1))
    damaged = data.draw(
        st.sampled_from(
            [snapshot[:at], snapshot[:at] + bytes([snapshot[at] ^ 1]) + snapshot[at + 1 :]]
        )
    )
    with pytest.raises(SnapshotError):
        Engine().restore(damaged)
