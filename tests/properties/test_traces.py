"""What holds for traces whatever is instrumented and whatever comes first."""

from hypothesis import given
from hypothesis import strategies as st

from stream.core.effects import AttemptBegan, AttemptEnded, Sent, WaitedLong
from stream.core.engine import Engine
from stream.core.trace import TraceSource
from stream.events import QueueDepth, QueueSample, Waiting
from tests.builders import T0, Process, producer
from tests.properties.strategies import interleavings

NOW = T0 + 60.0
TOLD = Sent | WaitedLong | AttemptBegan | AttemptEnded


def header(number):
    return f"00-{number:032x}-{number:016x}-01"


@st.composite
def families(draw):
    """A tree of tasks: for each its uuid, its parent's, and the header of its message or None."""
    members = []
    for number in range(draw(st.integers(1, 7))):
        parent = draw(st.sampled_from(members))["uuid"] if members else None
        traced = draw(st.booleans())
        members.append(
            {
                "uuid": f"u{number}",
                "parent_id": parent,
                "traceparent": header(number + 1) if traced else None,
            }
        )
    return members


def events_of(family, *, with_sent):
    """Its events in the order of cause and effect."""
    web, worker = producer(), Process()
    for each in family:
        fields = {**each, "root_id": "u0"}
        if with_sent:
            yield (worker if each["parent_id"] else web).sent(**fields)
        yield worker.received(**fields)
        yield worker.started(each["uuid"])
    for each in family:
        yield worker.succeeded(each["uuid"], 1.0)


def tell(engine, events):
    told = []
    for event in events:
        told += [each for each in engine.feed([event], NOW) if isinstance(each, TOLD)]
    return told


@given(families(), st.booleans())
def test_each_task_is_in_the_trace_of_its_nearest_ancestor_that_has_one(family, with_sent):
    expected = {}
    for each in family:
        expected[each["uuid"]] = each["traceparent"] or expected.get(each["parent_id"])
    for effect in tell(Engine(), events_of(family, with_sent=with_sent)):
        found = None if effect.trace is None else effect.trace.traceparent
        assert found == expected[effect.uuid]


@given(families(), st.data())
def test_only_its_own_message_changes_the_trace_that_was_told_of_an_attempt(family, data):
    by_sender = {}
    for event in events_of(family, with_sent=True):
        by_sender.setdefault(event.hostname, []).append(event)
    engine = Engine(long_wait=0.0, beginnings=True)
    last = {}
    for effect in tell(engine, data.draw(interleavings(list(by_sender.values())))):
        key = (effect.uuid, effect.retries)
        if key in last and effect.trace != last[key]:
            assert effect.trace.source is TraceSource.EVENT
            assert last[key] is None or last[key].source is not TraceSource.EVENT
        last[key] = effect.trace


@given(families(), st.data())
def test_a_snapshot_taken_anywhere_changes_no_trace(family, data):
    events = list(events_of(family, with_sent=data.draw(st.booleans())))
    seen = data.draw(st.lists(st.sampled_from([each["uuid"] for each in family])))
    engine = Engine()
    waiting = tuple(Waiting(uuid, traceparent=header(99)) for uuid in seen)
    depth = QueueDepth("celery", {0: len(seen)}, waiting=waiting)
    engine.sample(QueueSample(T0, "redis", (depth,)))
    cut = data.draw(st.integers(0, len(events)))
    tell(engine, events[:cut])
    again = Engine()
    again.restore(engine.snapshot())
    found, expected = tell(again, events[cut:]), tell(engine, events[cut:])
    assert [(each.uuid, each.trace) for each in found] == [
        (each.uuid, each.trace) for each in expected
    ]
    assert again.snapshot() == engine.snapshot()
