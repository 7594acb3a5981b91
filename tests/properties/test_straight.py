"""The short way of what nearly always happens and the general one tell the same."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.config import StuckLimits
from stream.core.early import PATIENCE
from stream.core.effects import Succeeded
from stream.core.engine import Engine, Limits
from stream.events import QueueDepth, QueueSample, TaskSucceeded, Waiting
from tests.builders import T0, Process, producer

HEADER = f"00-{'c' * 32}-{'3' * 16}-01"
UUIDS = ("u1", "u2", "u3")
mostly = st.sampled_from((True, True, True, True, True, True, True, True, False))


@st.composite
def fields(draw, usual, **unusual):
    """The usual fields, but now and then one that changes what is to be done."""
    if draw(st.booleans()):
        return usual
    name = draw(st.sampled_from(sorted(unusual)))
    return {**usual, name: draw(st.sampled_from(unusual[name]))}


@st.composite
def tales(draw, processes):
    """The events of one task as they usually come, some of which are lost, doubled or odd."""
    uuid = draw(st.sampled_from(UUIDS))
    web, *workers = processes
    worker = draw(st.sampled_from(workers))
    parents = {"parent_id": (*UUIDS, None), "root_id": (*UUIDS, None)}
    message = {
        **parents,
        "name": ("other.task", None, ""),
        "retries": (1, None, 0),
        "eta": ("2026-11-23T12:00:00", "2199-01-01T00:00:00+00:00", "nonsense"),
        "traceparent": (HEADER, "nonsense"),
        "sentry_trace": ("d" * 32 + "-" + "4" * 16,),
    }
    runtimes = {"runtime": (None, -1.0, 0.0, 400.0, float("nan"), float("inf"))}
    at = draw(st.floats(0.0, 30.0))
    steps = draw(st.lists(st.sampled_from((0.0, 0.01, 0.5, -0.2)), min_size=3, max_size=3))
    received, started, ended = at + steps[0], at + sum(steps[:2]), at + sum(steps)
    queues = {"queue": (None, "", "other")}
    events = [
        web.sent(uuid, at, **draw(fields({}, **message, **queues))),
        worker.received(uuid, received, **draw(fields({}, **message, redelivered=(True,)))),
        worker.started(uuid, started),
        worker.succeeded(uuid, ended, **draw(fields({"runtime": 0.1}, **runtimes))),
    ]
    if not draw(mostly):
        other = draw(st.sampled_from(workers))
        end = draw(
            st.sampled_from(("failed", "retried", "rejected", "revoked", "started", "succeeded"))
        )
        events[draw(st.integers(2, 3))] = getattr(other, end)(uuid, ended)
    return [event for event in events if draw(mostly) for _ in range(1 if draw(mostly) else 2)]


@st.composite
def streams(draw):
    """Batches of events of a few tasks and when they arrive, with what else an engine is told."""
    processes = [producer(ahead=draw(st.sampled_from((0.0, 0.3)))), Process(), Process("w2@host")]
    stories = [list(tale) for tale in draw(st.lists(tales(processes), min_size=1, max_size=5))]
    steps, now = [], T0 + draw(st.sampled_from((0.0, 40.0)))
    while any(stories):
        story = draw(st.sampled_from([story for story in stories if story]))
        count = draw(st.integers(1, 4))
        steps.append(("feed", story[:count], now))
        del story[:count]
        if not draw(mostly):
            now += draw(st.sampled_from((0.1, 5.0, 90.0, 5_000.0)))
            steps.append(("tick", None, now))
        if not draw(mostly):
            steps.append(("sample", _sample(draw(st.sampled_from(UUIDS)), now), now))
        if not draw(mostly):
            steps.append(("restore", None, now))
    return steps


def _sample(uuid, now):
    depth = QueueDepth("celery", {0: 1}, waiting=(Waiting(uuid, traceparent=HEADER),))
    return QueueSample(now, "", (depth,))


def told(steps, **options):
    """The effects of all steps, as values, and the snapshot after them."""
    engine, effects = Engine(**options), []
    for step, given_to, now in steps:
        found = []
        match step:
            case "feed":
                found = engine.feed(given_to, now)
            case "tick":
                found = engine.tick(now)
            case "sample":
                found = engine.sample(given_to)
            case "restore":
                snapshot = engine.snapshot()
                engine = Engine(**options)
                engine.restore(snapshot)
        for effect in found:
            parts = effect.apart() if isinstance(effect, Succeeded) else (effect,)
            # msgpack, since JSON has no infinity and no NaN
            effects += [(type(each).__name__, msgspec.msgpack.encode(each)) for each in parts]
    return effects, engine.snapshot()


@settings(max_examples=500, deadline=None)
@given(
    streams(),
    st.fixed_dictionaries(
        {},
        optional={
            "records": st.booleans(),
            "long_wait": st.sampled_from((0.0, 0.3)),
            "beginnings": st.booleans(),
            "in_one": st.booleans(),
            "patience": st.just(PATIENCE),
            "limits": st.sampled_from([Limits(tasks=n, kinds=n, queues=n) for n in (1, 2)]),
            "stuck": st.just(StuckLimits(queued=3.0, prefetched=3.0, running=3.0)),
        },
    ),
)
def test_the_short_way_tells_and_keeps_what_the_general_one_does(steps, options):
    assert told(steps, **options) == told(steps, straight=False, **options)


def test_a_run_that_is_no_number_goes_the_general_way():
    web, worker = producer(), Process()
    events = [web.sent(), worker.received(), worker.started()]
    events.append(msgspec.structs.replace(worker.succeeded(), runtime=float("nan")))
    assert isinstance(events[-1], TaskSucceeded)
    steps = [("feed", events, T0 + 1.0)]
    assert told(steps) == told(steps, straight=False)
