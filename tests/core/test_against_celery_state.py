"""The engine beside ``celery.events.state.State``, which most monitors are built on.

On streams of ordinary events both say the same, but for what State gets wrong (celery 5.7,
``celery/events/state.py``, ``celery/states.py``):

* `LATE_RETRIED`: RETRY overrides everything, so where the event ``retried`` of one attempt arrives
  after the end of a later one, the task is open again, and what comes then counts as its state.
* `REJECTED`: ranks below STARTED and RECEIVED, so a rejected task is said to be running for ever.
* `NO_END`: there is no lost worker and no end that nobody told: the task stays as it is.
"""

import msgspec
from celery.events.state import State as CeleryState
from hypothesis import given
from hypothesis import strategies as st

from stream.core.effects import TaskForgotten
from stream.core.engine import Engine
from stream.core.states import State
from stream.events import TaskFailed, TaskRejected, TaskRetried, TaskRevoked, TaskSucceeded
from tests.builders import T0, Process, of_type, producer
from tests.properties.strategies import interleavings, stories

NOW = T0 + 60.0
LATE_RETRIED, REJECTED, NO_END = "late retried", "rejected", "no end"
ENDS = TaskSucceeded | TaskFailed | TaskRevoked | TaskRejected
OPEN_TO_CELERY = {"PENDING", "RECEIVED", "STARTED", "RETRY", "REJECTED"}
TRUE_END = {
    TaskSucceeded: State.SUCCESS,
    TaskFailed: State.FAILURE,
    TaskRevoked: State.REVOKED,
    TaskRejected: State.REJECTED,
}


def by_us(events):
    """uuid -> the record of each task."""
    engine = Engine(records=True)
    effects = []
    for event in events:
        effects += engine.feed([event], NOW)
    at = NOW
    for step in (20, 400, 4_000, engine.graces.longest, 200):
        at += step
        effects += engine.tick(at)
    return {each.record.uuid: each.record for each in of_type(effects, TaskForgotten)}


def by_celery(events):
    """uuid -> what Celery's State has of each task."""
    state = CeleryState()
    for event in events:
        state.event({**msgspec.to_builtins(event), "local_received": NOW, "utcoffset": 0})
    return dict(state.tasks)


def divergence(events):
    """Why State will say something else of the task these events are about; None: it will not."""
    ends = [number for number, event in enumerate(events) if isinstance(event, ENDS)]
    if not ends:
        return NO_END
    if isinstance(events[ends[0]], TaskRejected):
        return REJECTED
    if any(isinstance(event, TaskRetried) for event in events[ends[0] :]):
        return LATE_RETRIED
    return None


@given(st.lists(stories(), min_size=1, max_size=4), st.data())
def test_outcomes_are_those_of_celery_but_for_what_it_gets_wrong(tasks, data):
    events = data.draw(interleavings([lane for task in tasks for lane in task]))
    ours, theirs = by_us(events), by_celery(events)
    assert set(ours) == set(theirs)
    for uuid, record in ours.items():
        own = [event for event in events if event.uuid == uuid]
        reason = divergence(own)
        if reason is None:
            assert record.state == theirs[uuid].state
        else:
            assert theirs[uuid].state in OPEN_TO_CELERY
        if reason is NO_END:
            assert record.state in {State.LOST, State.UNKNOWN}
        else:
            (end,) = (event for event in own if isinstance(event, ENDS))
            assert record.state is TRUE_END[type(end)]


@given(stories(), st.data())
def test_names_and_roots_are_those_of_celery(lanes, data):
    events = data.draw(interleavings(lanes))
    for uuid, theirs in by_celery(events).items():
        ours = by_us(events)[uuid]
        assert (ours.name, ours.root_id) == (theirs.name, theirs.root_id)


def states(*events):
    (ours,), (theirs,) = by_us(events).values(), by_celery(events).values()
    return str(ours.state), theirs.state


def test_a_late_retried_opens_the_task_again_for_celery():
    one, two = Process("w1@h", 1), Process("w2@h", 2)
    begun = [one.received(), one.started()]
    retried = one.retried(at=2.0)
    again = [two.received(at=1.0, retries=1), two.started(at=1.5), two.succeeded(at=1.8)]
    assert states(*begun, retried, *again) == ("SUCCESS", "SUCCESS")
    assert divergence([*begun, *again, retried]) is LATE_RETRIED
    assert states(*begun, *again, retried) == ("SUCCESS", "RETRY")


def test_a_rejected_task_runs_for_ever_for_celery():
    worker = Process()
    events = worker.received(), worker.started(), worker.rejected()
    assert divergence(events) is REJECTED
    assert states(*events) == ("REJECTED", "STARTED")


def test_a_task_without_an_end_stays_as_it_is_for_celery():
    worker = Process()
    events = producer().sent(), worker.received(), worker.started()
    assert divergence(events) is NO_END
    assert states(*events) == ("UNKNOWN", "STARTED")
