"""The record of a task that went as usual is read the short way, and is the same."""

from hypothesis import given
from hypothesis import strategies as st

from stream.core.kinds import Kind
from stream.core.lanes import Lane
from stream.core.record import record_of, record_of_any, record_of_usual
from stream.core.states import State
from stream.core.task import ENDED, Delivery, Task

instants = st.none() | st.floats(min_value=1.7e9, max_value=1.8e9)


@st.composite
def lanes(draw):
    lane = Lane(draw(st.sampled_from(["w1@host", "gen7@host"])), 1)
    lane.offset = draw(st.floats(min_value=-100, max_value=100))
    return lane


deliveries = st.builds(
    Delivery,
    retries=st.integers(min_value=0, max_value=2),
    state=st.sampled_from([State.SUCCESS, State.SUCCESS, State.FAILURE, State.LOST]),
    inferred=st.booleans(),
    sender=st.none() | lanes(),
    sent_at=instants,
    eta=st.none() | st.none() | instants,
    lane=st.none() | lanes(),
    received_at=instants,
    started_at=instants,
    ended_at=instants,
    run=st.none() | st.floats(min_value=0, max_value=1e6),
)


@st.composite
def tasks(draw):
    first, *others = draw(st.lists(deliveries, min_size=1, max_size=2))
    kind = Kind(draw(st.sampled_from(["shop.pay", "celery.backend_cleanup", None])), "celery")
    task = Task("u", kind, "root", draw(st.sampled_from([None, "parent"])), first)
    for each in others:
        task.add(each)
    task.end, task.slot = task.last.state, ENDED
    task.starts_dropped = draw(st.sampled_from([0, 0, 0, 2]))
    return task


@given(tasks())
def test_the_short_way_to_a_record_gives_the_same(task):
    assert record_of(task) == record_of_any(task)


def test_the_short_way_is_taken():
    lane = Lane("w1@host", 1)
    lane.offset = 0.5
    last = Delivery(0, 0, State.SUCCESS, lane=lane, received_at=1.0, started_at=2.0, run=3.0)
    task = Task("u", Kind("shop.pay", "celery"), "u", None, last, end=State.SUCCESS, slot=ENDED)
    record = record_of_usual(task, last)
    assert record == record_of_any(task)
    assert (record.started_at, record.ended_at, record.run_time) == (2.5, 5.5, 3.0)
