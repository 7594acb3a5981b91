"""Made-up traffic: the same values give the same events, and they say what was to happen."""

from collections import Counter
from itertools import islice, pairwise

import pytest

from stream.bench.traffic import BEGAN_AT, Kind, Traffic
from stream.core.effects import TaskFinished
from stream.core.engine import Engine
from stream.core.states import State
from stream.wire.codec import decode
from tests.builders import message, of_type

TASKS = 40


def events_of(kind, tasks=TASKS, **fields):
    return list(Traffic(kind=kind, in_flight=10, **fields).events(tasks))


def finished(events):
    """What the engine makes of them."""
    engine = Engine()
    decoded = decode(message(events))
    assert not decoded.rejected
    return Counter(
        effect.state for effect in of_type(engine.feed(decoded.events, BEGAN_AT), TaskFinished)
    )


@pytest.mark.parametrize("kind", Kind)
def test_the_same_seed_gives_the_same_events_and_another_one_others(kind):
    assert events_of(kind) == events_of(kind)
    if kind is not Kind.HEARTBEATS:
        assert events_of(kind) != events_of(kind, seed=2)


def test_tasks_of_lifecycles_and_retries_succeed():
    assert finished(events_of(Kind.LIFECYCLE)) == {State.SUCCESS: TASKS}
    assert finished(events_of(Kind.RETRIES)) == {State.SUCCESS: TASKS}


def test_a_task_of_retries_is_retried_at_least_once():
    events = events_of(Kind.RETRIES)
    retried = Counter(event["uuid"] for event in events if event["type"] == "task-retried")
    assert len(retried) == TASKS
    assert set(retried.values()) <= {1, 2, 3}
    assert max(retried.values()) > 1


def test_about_half_of_failures_fail_with_a_traceback():
    states = finished(events_of(Kind.FAILURES))
    assert states.total() == TASKS
    assert TASKS / 4 < states[State.FAILURE] < TASKS * 3 / 4
    failed = [e for e in events_of(Kind.FAILURES) if e["type"] == "task-failed"]
    assert all(event["traceback"].startswith("Traceback") for event in failed)


def test_tasks_of_a_chain_share_their_root_and_know_their_parent():
    sent = [event for event in events_of(Kind.CHAINS, 1) if event["type"] == "task-sent"]
    assert len(sent) == 4
    assert {event["root_id"] for event in sent} == {sent[0]["uuid"]}
    assert [event["parent_id"] for event in sent] == [None, *(e["uuid"] for e in sent[:3])]


def test_heartbeats_are_all_there_is_of_idle_workers():
    events = events_of(Kind.HEARTBEATS, 16, workers=4)
    assert Counter(event["hostname"] for event in events) == {
        f"celery@bench-{number}": 4 for number in range(4)
    }
    assert {event["type"] for event in events} == {"worker-heartbeat"}


def test_a_heartbeat_tells_how_many_tasks_its_worker_has_started():
    seen = Counter()
    beats = 0
    for event in islice(Traffic(rate=100.0).events(), 4_000):
        if event["type"] == "task-started":
            seen[event["hostname"]] += 1
        elif event["type"] == "worker-heartbeat":
            beats += 1
            assert event["processed"] == seen[event["hostname"]]
    assert beats > 100


def test_workers_beat_every_two_seconds_of_stream_time():
    beats = [
        event["timestamp"]
        for event in islice(Traffic(rate=1_000.0).events(), 20_000)
        if event["type"] == "worker-heartbeat" and event["hostname"] == "celery@bench-3"
    ]
    steps = [later - earlier for earlier, later in pairwise(beats)]
    assert len(steps) > 5
    assert all(1.9 < step < 2.1 for step in steps)


@pytest.mark.parametrize("kind", Kind)
def test_no_name_could_be_an_application_s(kind):
    names = {
        str(event[field])
        for event in events_of(kind)
        for field in ("name", "hostname", "queue")
        if field in event
    }
    assert all("bench" in name for name in names)


def test_no_two_events_have_the_same_identity():
    events = events_of(Kind.RETRIES, 200)
    identities = {(event["hostname"], event["pid"], event["clock"]) for event in events}
    assert len(identities) == len(events)
