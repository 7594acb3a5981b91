"""Which trace is told of each task."""

import pytest

from stream.core.effects import (
    AttemptBegan,
    AttemptEnded,
    Sent,
    StuckBegan,
    StuckEnded,
    TaskRevised,
)
from stream.core.engine import Engine, Limits
from stream.core.trace import Trace, TraceSource
from stream.events import QueueDepth, QueueSample, Waiting
from tests.builders import T0, Process, feed, of_type, producer

TRACE, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "a" * 32
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
ELSE = f"00-{OTHER}-{SPAN}-01"
EVENT, PEEK = TraceSource.EVENT, TraceSource.PEEK
FROM_PARENT, FROM_ROOT = TraceSource.PARENT, TraceSource.ROOT


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def worker():
    return Process()


def peek(engine, uuid="u", traceparent=PARENT, *, at=0.0, **fields):
    """Look into a queue in which this message waits."""
    message = Waiting(uuid, traceparent=traceparent, **fields)
    depth = QueueDepth("celery", {0: 1}, uuid, waiting=(message,))
    return engine.sample(QueueSample(T0 + at, "redis", (depth,)))


def run(worker, uuid="u", at=1.0, **fields):
    """A run from received to its end."""
    return [
        worker.received(uuid, at, **fields),
        worker.started(uuid, at),
        worker.succeeded(uuid, at),
    ]


def child(uuid, parent, root="root"):
    return {"uuid": uuid, "parent_id": parent, "root_id": root}


def traces(effects, kind):
    """uuid -> what was told, as (traceparent, source); None for none."""
    return {
        each.uuid: None if each.trace is None else (each.trace.traceparent, each.trace.source)
        for each in of_type(effects, kind)
    }


# -- a message's own -----------------------------------------------------------------------------


def test_the_header_that_the_producer_tells_is_the_trace(engine, worker):
    steps = [producer().sent(traceparent=PARENT, tracestate="v=1"), *run(worker)]
    effects = feed(engine, *steps)
    expected = Trace(PARENT, "v=1", EVENT)
    assert [each.trace for each in of_type(effects, Sent)] == [expected]
    assert [each.trace for each in of_type(effects, AttemptEnded)] == [expected]


def test_the_header_that_the_worker_tells_is_the_trace(engine, worker):
    effects = feed(engine, *run(worker, traceparent=PARENT))
    assert traces(effects, AttemptEnded) == {"u": (PARENT, EVENT)}


def test_a_header_of_sentrys_is_told_as_a_traceparent(engine, worker):
    effects = feed(engine, *run(worker, sentry_trace=f"{TRACE}-{SPAN}-1"))
    assert traces(effects, AttemptEnded) == {"u": (PARENT, EVENT)}


@pytest.mark.parametrize(
    "headers",
    [{}, {"traceparent": "nonsense"}, {"traceparent": ""}, {"sentry_trace": "nonsense"}],
    ids=str,
)
def test_without_a_valid_header_there_is_no_trace(engine, worker, headers):
    effects = feed(engine, producer().sent(**headers), *run(worker, **headers))
    assert traces(effects, Sent) == traces(effects, AttemptEnded) == {"u": None}


def test_a_worker_with_the_plugin_corrects_a_producer_without(engine, worker):
    effects = feed(engine, producer().sent(), *run(worker, traceparent=PARENT))
    assert traces(effects, Sent) == {"u": None}
    assert traces(effects, AttemptEnded) == {"u": (PARENT, EVENT)}


def test_the_first_header_that_an_event_told_is_kept(engine, worker):
    effects = feed(engine, producer().sent(traceparent=PARENT), *run(worker, traceparent=ELSE))
    assert traces(effects, AttemptEnded) == {"u": (PARENT, EVENT)}


def test_a_header_that_comes_after_the_end_was_told_changes_nothing(engine, worker):
    sent = producer().sent(traceparent=PARENT)
    effects = feed(engine, *run(worker), sent)
    assert traces(effects, AttemptEnded) == traces(effects, Sent) == {"u": None}


def test_a_redelivered_message_has_the_header_that_it_had_before(engine):
    web, first, second = producer(), Process("w1@a", 1), Process("w2@b", 2)
    effects = feed(engine, web.sent(traceparent=PARENT), *run(first), *run(second, at=2))
    told = [(each.ordinal, each.trace.source) for each in of_type(effects, AttemptEnded)]
    assert told == [(0, EVENT), (1, EVENT)]


def test_another_task_under_the_same_uuid_has_its_own_trace(engine, worker):
    effects = feed(
        engine,
        worker.received(name="app.first", traceparent=PARENT),
        worker.started(at=1),
        worker.received(at=2, name="app.second", traceparent=ELSE),
        worker.started(at=3),
        worker.succeeded(at=4),
    )
    told = [each.trace.traceparent for each in of_type(effects, AttemptEnded)]
    assert told == [PARENT, ELSE]


# -- seen in the broker --------------------------------------------------------------------------


def test_a_message_that_was_seen_waiting_gives_the_trace(engine, worker):
    feed(engine, producer().sent())
    peek(engine)
    assert traces(feed(engine, *run(worker)), AttemptEnded) == {"u": (PARENT, PEEK)}


def test_a_message_seen_before_any_event_of_its_task_gives_the_trace(engine, worker):
    peek(engine)
    assert traces(feed(engine, *run(worker)), AttemptEnded) == {"u": (PARENT, PEEK)}


def test_sentrys_header_and_the_state_of_a_message_that_waits_are_taken_too(engine, worker):
    peek(engine, traceparent=None, sentry_trace=f"{TRACE}-{SPAN}-1", tracestate="v=1")
    (ended,) = of_type(feed(engine, *run(worker)), AttemptEnded)
    assert ended.trace == Trace(PARENT, "v=1", PEEK)


def test_an_event_says_better_than_a_look_into_the_broker(engine, worker):
    peek(engine, traceparent=ELSE)
    effects = feed(engine, *run(worker, traceparent=PARENT))
    assert traces(effects, AttemptEnded) == {"u": (PARENT, EVENT)}


def test_a_look_into_the_broker_does_not_override_an_event(engine, worker):
    feed(engine, producer().sent(traceparent=PARENT))
    peek(engine, traceparent=ELSE)
    assert traces(feed(engine, *run(worker)), AttemptEnded) == {"u": (PARENT, EVENT)}


def test_a_message_without_a_valid_header_gives_nothing(engine, worker):
    peek(engine, traceparent="nonsense")
    assert traces(feed(engine, *run(worker)), AttemptEnded) == {"u": None}


def test_a_message_that_is_seen_late_still_counts_where_nothing_was_told(engine, worker):
    feed(engine, worker.received(), worker.started(at=1))
    peek(engine, at=1)
    assert traces(feed(engine, worker.succeeded(at=2)), AttemptEnded) == {"u": (PARENT, PEEK)}


def test_a_message_that_is_seen_late_does_not_change_what_was_told(worker):
    engine = Engine(beginnings=True)
    effects = feed(engine, worker.received(), worker.started(at=1))
    peek(engine, at=1)
    effects += feed(engine, worker.succeeded(at=2))
    assert traces(effects, AttemptBegan) == traces(effects, AttemptEnded) == {"u": None}


def test_the_message_of_a_retry_that_waits_is_not_that_of_the_attempt_before(engine, worker):
    effects = feed(engine, *run(worker)[:2], worker.retried(at=2))
    peek(engine, retries=1)
    effects += feed(engine, *run(worker, at=3, retries=1))
    found = {each.retries: each.trace for each in of_type(effects, AttemptEnded)}
    assert found == {0: None, 1: Trace(PARENT, None, PEEK)}


def test_a_message_of_a_task_that_ended_is_of_no_interest(engine, worker):
    feed(engine, *run(worker))
    peek(engine)
    engine.tick(T0 + 1_000)
    assert traces(feed(engine, *run(worker, at=1_001)), AttemptEnded) == {"u": None}


def test_messages_of_unknown_tasks_are_kept_up_to_a_limit_and_what_is_dropped_is_counted(worker):
    engine = Engine(Limits(traces=2))
    for uuid in ("a", "b", "a", "c"):  # seen again, a is the newer one
        peek(engine, uuid)
    effects = feed(engine, *run(worker, "a"), *run(worker, "b"), *run(worker, "c"))
    found = traces(effects, AttemptEnded)
    assert [uuid for uuid, trace in found.items() if trace is not None] == ["a", "c"]
    assert dict(engine.view(T0).evictions)["peeked"] == 1


# -- of the kin ----------------------------------------------------------------------------------


def test_with_only_the_first_message_instrumented_all_descendants_inherit(engine, worker):
    web = producer()
    effects = feed(
        engine,
        web.sent("root", traceparent=PARENT, tracestate="v=1"),
        worker.received("root"),
        worker.started("root"),
        worker.sent(**child("a", "root")),
        worker.succeeded("root"),
        worker.received(**child("a", "root")),
        worker.started("a"),
        worker.sent(**child("b", "a")),
        *run(worker, **child("b", "a")),
    )
    told = traces(effects, Sent) | traces(effects, AttemptEnded)
    assert told == {
        "root": (PARENT, EVENT),
        "a": (PARENT, FROM_PARENT),
        "b": (PARENT, FROM_PARENT),
    }
    assert {each.trace.tracestate for each in of_type(effects, AttemptEnded)} == {"v=1"}


def test_with_nothing_instrumented_a_chain_has_no_trace_but_the_roots_id(engine, worker):
    effects = feed(
        engine,
        producer().sent("root"),
        *run(worker, "root"),
        worker.sent(**child("a", "root")),
        *run(worker, **child("a", "root")),
    )
    assert traces(effects, Sent) == {"root": None, "a": None}
    assert {each.root_id for each in of_type(effects, AttemptEnded)} == {"root"}


def test_a_task_whose_parent_is_not_known_inherits_from_the_root(engine, worker):
    feed(engine, producer().sent("root", traceparent=PARENT))
    effects = feed(engine, *run(worker, **child("b", "unseen")))
    assert traces(effects, AttemptEnded) == {"b": (PARENT, FROM_ROOT)}


def test_the_children_of_one_that_inherits_from_the_root_inherit_from_it(engine, worker):
    feed(engine, producer().sent("root", traceparent=PARENT))
    effects = feed(engine, *run(worker, **child("b", "unseen")), *run(worker, **child("c", "b")))
    assert traces(effects, AttemptEnded)["c"] == (PARENT, FROM_PARENT)


def test_the_parents_trace_comes_before_the_roots(engine, worker):
    web = producer()
    feed(engine, web.sent("root", traceparent=PARENT))
    feed(engine, web.sent(**child("a", "root"), traceparent=ELSE))
    effects = feed(engine, *run(worker, **child("b", "a")))
    assert traces(effects, AttemptEnded) == {"b": (ELSE, FROM_PARENT)}


def test_a_retry_without_a_header_stays_in_the_trace_of_the_attempt_before(engine, worker):
    effects = feed(
        engine,
        *run(worker, traceparent=PARENT)[:2],
        worker.sent(at=2, retries=1, parent_id="u"),
        worker.retried(at=2),
        *run(worker, at=3, retries=1, parent_id="u"),
    )
    told = [(each.retries, each.trace.source) for each in of_type(effects, AttemptEnded)]
    assert told == [(0, EVENT), (1, FROM_PARENT)]
    assert traces(effects, Sent) == {"u": (PARENT, FROM_PARENT)}


def test_a_retry_with_a_header_does_not_move_the_attempt_before(engine, worker):
    web = producer()
    effects = feed(
        engine,
        web.sent(),
        *run(worker)[:2],
        worker.sent(at=2, retries=1, traceparent=PARENT),
        worker.retried(at=2),
    )
    assert traces(effects, AttemptEnded) == {"u": None}


def test_what_becomes_known_of_a_parent_changes_nothing_for_a_child_that_was_told(engine, worker):
    effects = feed(
        engine,
        worker.received("root"),
        worker.started("root"),
        worker.sent(**child("a", "root")),
        producer().sent("root", traceparent=PARENT),
        *run(worker, **child("a", "root")),
    )
    assert traces(effects, Sent) == {"root": (PARENT, EVENT), "a": None}
    assert traces(effects, AttemptEnded) == {"a": None}


def test_what_becomes_known_of_a_parent_counts_where_its_child_was_not_told_yet(engine, worker):
    effects = feed(
        engine,
        worker.received("root"),
        worker.started("root"),
        worker.received(**child("a", "root")),
        producer().sent("root", traceparent=PARENT),
        worker.started("a"),
        worker.succeeded("a"),
    )
    assert traces(effects, AttemptEnded) == {"a": (PARENT, FROM_PARENT)}


def test_the_children_of_a_task_that_was_told_without_a_trace_stay_with_it(engine, worker):
    web = producer()
    feed(engine, web.sent("root"), web.sent(**child("a", "root")))
    peek(engine, "root")
    effects = feed(engine, worker.sent(**child("b", "a")))
    assert traces(effects, Sent) == {"b": None}


@pytest.mark.parametrize(
    ("parent", "root"), [("u", "u"), ("x", "x"), ("u", "x"), ("x", "u"), (None, None)]
)
def test_a_task_that_is_its_own_kin_or_has_none_that_is_known_has_no_trace(
    engine, worker, parent, root
):
    effects = feed(
        engine,
        producer().sent("x", root_id="u", parent_id="u"),
        *run(worker, parent_id=parent, root_id=root),
    )
    assert traces(effects, AttemptEnded) == {"u": None}


def test_a_trace_outlives_the_tasks_that_had_it(engine, worker):
    feed(engine, *run(worker, "root", traceparent=PARENT))
    engine.tick(T0 + 1_000)
    assert engine.view(T0 + 1_000).tasks_remembered == 0
    effects = feed(engine, *run(worker, at=1_001, **child("a", "root")))
    assert traces(effects, AttemptEnded) == {"a": (PARENT, FROM_ROOT)}


def test_the_trace_of_a_parent_that_is_forgotten_meanwhile_was_taken_over_before(worker):
    engine = Engine(Limits(traces=0))
    feed(engine, *run(worker, "root", traceparent=PARENT), worker.received(**child("a", "root")))
    engine.tick(T0 + 1_000)
    effects = feed(engine, worker.started("a", 1_001), worker.succeeded("a", 1_002))
    assert traces(effects, AttemptEnded) == {"a": (PARENT, FROM_PARENT)}


def test_traces_of_forgotten_trees_are_kept_up_to_a_limit_and_what_is_dropped_is_counted(worker):
    engine = Engine(Limits(traces=1))
    for uuid in ("a", "b"):
        feed(engine, *run(worker, uuid, traceparent=PARENT))
    engine.tick(T0 + 1_000)
    effects = feed(
        engine,
        *run(worker, at=1_001, **child("x", "a", "a")),
        *run(worker, at=1_001, **child("y", "b", "b")),
    )
    assert traces(effects, AttemptEnded) == {"x": None, "y": (PARENT, FROM_ROOT)}
    assert dict(engine.view(T0).evictions)["roots"] == 1


# -- in all that is told -------------------------------------------------------------------------


def test_what_is_told_of_stuck_tasks_has_their_trace(engine, worker):
    feed(engine, worker.online(active=1), *run(worker, traceparent=PARENT)[:2])
    beats = [worker.heartbeat(at, active=1) for at in range(5, 40_000, 100)]
    effects = []
    for beat in beats:
        feed(engine, beat)
        effects += engine.tick(beat.timestamp)
    assert traces(effects, StuckBegan) == {"u": (PARENT, EVENT)}
    effects = feed(engine, worker.succeeded(at=40_000))
    assert traces(effects, StuckEnded) == {"u": (PARENT, EVENT)}


def test_a_revision_tells_the_delivery_that_decides_now(engine):
    web, first, second = producer(), Process("w1@a", 1), Process("w2@b", 2)
    feed(engine, web.sent(traceparent=PARENT))
    feed(engine, first.received(), first.started(), first.failed(at=1))
    effects = feed(engine, second.received(at=2), second.started(at=3), second.succeeded(at=4))
    (revised,) = of_type(effects, TaskRevised)
    assert (revised.ordinal, revised.hostname, revised.at) == (1, "w2@b", T0 + 4)
    assert (revised.root_id, revised.trace) == ("u", Trace(PARENT, None, EVENT))


# -- snapshots -----------------------------------------------------------------------------------


def test_a_snapshot_carries_traces_and_what_was_seen_in_the_broker(engine, worker):
    feed(engine, producer().sent("told"), *run(worker, "gone", traceparent=ELSE))
    engine.tick(T0 + 1_000)
    feed(engine, producer().sent("known", 1_000, traceparent=PARENT))
    peek(engine, "seen")
    again = Engine()
    again.restore(engine.snapshot())
    assert again.snapshot() == engine.snapshot()
    effects = feed(
        again,
        *(run(worker, "known", 1_001)),
        *(run(worker, "seen", 1_001)),
        *(run(worker, "told", 1_001)),
        *(run(worker, at=1_001, **child("late", "gone", "gone"))),
    )
    assert traces(effects, AttemptEnded) == {
        "known": (PARENT, EVENT),
        "seen": (PARENT, PEEK),
        "told": None,
        "late": (ELSE, FROM_ROOT),
    }
