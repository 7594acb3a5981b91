"""What the deliveries of a task say together."""

import itertools
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.kinds import Kind
from stream.core.lanes import Lane
from stream.core.states import State
from stream.core.task import ENDS, Delivery, Task, better, outcome, waiting_state
from tests.builders import T0

KIND = Kind("app.task", "celery")
SENT, RECEIVED, STARTED, RETRY = State.SENT, State.RECEIVED, State.STARTED, State.RETRY
SUCCESS, FAILURE, LOST, UNKNOWN = State.SUCCESS, State.FAILURE, State.LOST, State.UNKNOWN


def delivery(retries, state, ordinal=0, **fields):
    return Delivery(retries, ordinal, state=state, **fields)


def task_of(*deliveries):
    first, *others = deliveries
    task = Task("u", KIND, None, None, first)
    for each in others:
        task.add(each)
    return task


def lane(offset=0.0):
    """A process whose timestamps need so many seconds to be on our clock."""
    made = Lane("w1@host", 1)
    made.hear(T0, T0 + offset)
    return made


# -- deliveries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations([(0, 0), (0, 1), (1, 0)])))
def test_deliveries_are_in_the_order_of_their_attempts_however_they_came(order):
    task = task_of(*(delivery(retries, RECEIVED, ordinal) for retries, ordinal in order))
    found = [(each.retries, each.ordinal) for each in task.deliveries()]
    assert [retries for retries, _ in found] == [0, 0, 1]
    assert task.last.retries == 1


def test_the_deliveries_of_an_attempt_are_found():
    task = task_of(*(delivery(*each) for each in [(0, RETRY), (1, STARTED), (1, RECEIVED, 1)]))
    assert [each.ordinal for each in task.of_attempt(1)] == [0, 1]
    assert task.of_attempt(2) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(State)), min_size=1))
def test_of_many_deliveries_those_are_found_that_a_look_at_all_finds(states):
    here, there = lane(), lane()
    deliveries = [
        delivery(retries, state, ordinal, lane=there if ordinal % 3 else here)
        for ordinal, (retries, state) in enumerate(states)
    ]
    task = task_of(*deliveries)
    everything = list(task.deliveries())
    highest = max(each.retries for each in deliveries)
    for retries in range(highest + 2):
        assert task.of_attempt(retries) == [each for each in everything if each.retries == retries]
    assert task.on_lane(here) == [each for each in everything if each.lane is here]
    ends = [each for each in task.of_attempt(highest) if each.state in ENDS]
    assert outcome(task) is (reduce(better, ends) if ends else None)


# -- outcome -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [SENT, RECEIVED, STARTED, RETRY, State.REQUEUED, State.CANCELLED])
def test_a_task_with_no_end_has_no_outcome(state):
    assert outcome(task_of(delivery(0, state))) is None
    assert outcome(task_of(delivery(0, RETRY), delivery(1, state))) is None


@pytest.mark.parametrize(
    ("deliveries", "state"),
    [
        ([(0, RETRY), (1, SUCCESS)], SUCCESS),
        ([(0, FAILURE), (1, SUCCESS)], SUCCESS),
        ([(0, SUCCESS), (1, FAILURE)], FAILURE),
        ([(0, FAILURE), (1, STARTED)], None),
        ([(0, FAILURE), (1, RETRY), (2, SENT)], None),
        ([(0, FAILURE), (0, SUCCESS, 1)], SUCCESS),
        ([(0, SUCCESS), (0, FAILURE, 1)], SUCCESS),
        ([(0, SUCCESS), (0, STARTED, 1)], SUCCESS),
    ],
    ids=str,
)
def test_the_highest_attempt_decides_and_in_it_the_best_end(deliveries, state):
    decided = outcome(task_of(*(delivery(*each) for each in deliveries)))
    assert (None if decided is None else decided.state) == state


def test_of_two_ends_the_better_one_counts_whichever_came_first():
    ranked = [SUCCESS, FAILURE, State.REVOKED, State.REJECTED, LOST, UNKNOWN]
    for above, below in itertools.combinations(ranked, 2):
        one, other = delivery(0, above), delivery(0, below, 1)
        assert better(one, other) is better(other, one) is one


def test_what_an_event_said_counts_more_than_what_was_inferred():
    told, inferred = delivery(0, State.REJECTED), delivery(0, SUCCESS, inferred=True)
    assert better(told, inferred) is better(inferred, told) is told


# -- waiting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deliveries", "state"),
    [
        ([(0, SENT)], SENT),
        ([(0, RECEIVED)], RECEIVED),
        ([(0, STARTED)], STARTED),
        ([(0, RETRY)], RETRY),
        ([(0, State.REQUEUED)], SENT),
        ([(0, State.CANCELLED)], SENT),
        ([(0, State.REPLACED)], SENT),
        ([(0, RETRY), (1, SENT)], RETRY),
        ([(0, RETRY), (1, RECEIVED)], RECEIVED),
        ([(0, STARTED), (1, SENT)], STARTED),
        ([(0, STARTED), (1, RECEIVED)], STARTED),
        ([(0, RECEIVED), (1, SENT)], RECEIVED),
        ([(0, State.REQUEUED), (0, SENT, 1)], SENT),
        ([(0, RETRY), (1, RETRY)], RETRY),
        ([(0, RETRY), (1, State.REQUEUED)], SENT),
    ],
    ids=str,
)
def test_a_task_waits_in_the_furthest_state_of_its_deliveries(deliveries, state):
    assert waiting_state(task_of(*(delivery(*each) for each in deliveries))) is state


# -- times ---------------------------------------------------------------------------------------


def test_times_that_were_not_seen_are_unknown():
    unseen = Delivery(0)
    assert (unseen.sent, unseen.wait, unseen.prefetch, unseen.ended) == (None,) * 4


def test_an_instant_is_put_on_our_clock_by_the_lane_that_told_it():
    found = delivery(0, RECEIVED, sender=lane(1.0), sent_at=T0, lane=lane(-90.0), ended_at=T0 + 95)
    assert (found.sent, found.ended) == (T0 + 1, T0 + 5)


def test_a_run_that_was_measured_says_when_it_ended():
    """The end event may be late by as long as the worker took to reconnect."""
    fields = {"started_at": T0 + 2, "ended_at": T0 + 14, "run": 3.0}
    assert delivery(0, SUCCESS, lane=lane(0.5), **fields).ended == T0 + 5.5


def test_a_wait_is_from_sent_to_started_both_on_our_clock():
    found = delivery(0, STARTED, sender=lane(2.0), sent_at=T0, lane=lane(-90.0), started_at=T0 + 95)
    assert found.wait == 3.0


@pytest.mark.parametrize(("eta", "wait"), [(-10.0, 20.0), (5.0, 15.0)])
def test_a_wait_is_from_the_eta_where_that_is_later(eta, wait):
    found = delivery(
        0, STARTED, sender=lane(), sent_at=T0, lane=lane(), started_at=T0 + 20, eta=T0 + eta
    )
    assert found.wait == wait


def test_a_worker_compares_the_eta_with_its_own_clock():
    """One that is 90 s ahead begins 90 s early, by our clock, and did not wait less than zero."""
    found = delivery(
        0, STARTED, sender=lane(), sent_at=T0, lane=lane(-90.0), started_at=T0 + 101, eta=T0 + 100
    )
    assert found.wait == 1.0


def test_a_wait_without_sent_is_known_only_from_an_eta():
    assert delivery(0, STARTED, lane=lane(), started_at=T0 + 3).wait is None
    assert delivery(0, STARTED, lane=lane(), started_at=T0 + 3, eta=T0 + 1).wait == 2.0


@pytest.mark.parametrize(("eta", "prefetch"), [(None, 7.0), (T0 + 1, 7.0), (T0 + 5, 5.0)])
def test_prefetch_is_from_received_or_the_eta_to_started(eta, prefetch):
    found = delivery(0, STARTED, lane=lane(-90.0), received_at=T0 + 3, started_at=T0 + 10, eta=eta)
    assert found.prefetch == prefetch


def test_prefetch_without_one_of_its_ends_is_unknown():
    assert delivery(0, STARTED, started_at=T0).prefetch is None
    assert delivery(0, RECEIVED, received_at=T0).prefetch is None


@pytest.mark.parametrize(
    ("fields", "delay"),
    [
        ({"sent_at": T0, "received_at": T0 + 1, "eta": T0 + 30}, 30.0),
        ({"received_at": T0 + 1, "eta": T0 + 30}, 29.0),
        ({"sent_at": T0, "eta": T0 - 5}, 0.0),
        ({"sent_at": T0}, None),
        ({"eta": T0}, None),
    ],
)
def test_the_delay_that_an_eta_asks_for_is_from_when_it_was_sent(fields, delay):
    assert delivery(0, SENT, **fields).eta_delay == delay


def test_the_first_that_was_seen_to_be_sent_is_the_first_sent():
    unseen, first, second = (
        delivery(0, RETRY),
        delivery(1, RETRY, sent_at=T0),
        delivery(2, SENT, sent_at=T0 + 1),
    )
    assert task_of(unseen, first, second).first_sent is first
    assert task_of(unseen).first_sent is None
    assert task_of(second).first_sent is second
