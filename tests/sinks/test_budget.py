import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.sinks.budget import NEVER, Budget, share
from tests.builders import T0
from tests.sinks.span_effects import chance

RATE = 100
"""Spans per second of the budget: one stretch is one second."""


class Traffic:
    """Spans at an even rate from one second to the next, one for each trace.

    Args:
        budget: decides.
        seed: of the randomness of the traces.
    """

    def __init__(self, budget, *, seed=0):
        self._budget = budget
        self._chance = chance(seed)
        self._seconds = itertools.count()

    def second(self, rate, *, share=1.0, forced=0):
        """Offer one second of spans, of traces of which others kept this share; count the kept."""
        start = T0 + next(self._seconds)
        for each in range(forced):
            self._budget.spend(start + each / forced / 2)
        least = NEVER - int(NEVER * share)
        return sum(
            self._budget.offer(self._chance.randrange(least, NEVER), start + each / rate)
            for each in range(rate)
        )


def test_below_the_budget_everything_fits():
    traffic = Traffic(budget := Budget(RATE))

    assert [traffic.second(RATE) for _ in range(5)] == [RATE] * 5
    assert share(budget.threshold) == 1.0


# The same examples each time: chance exceeds the last bound once in ten thousand.
@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(2, 30), st.integers())
def test_it_holds_from_the_second_stretch_after_a_step_on(factor, seed):
    traffic = Traffic(Budget(RATE), seed=seed)
    for _ in range(2):
        traffic.second(RATE // 2)
    traffic.second(factor * RATE)

    kept = [traffic.second(factor * RATE) for _ in range(3)]
    assert max(kept) <= 1.5 * RATE
    assert 0.6 * RATE <= sum(kept) / 3 <= 1.15 * RATE


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers())
def test_the_first_stretch_after_a_step_is_above_it_by_a_logarithm(factor, seed):
    traffic = Traffic(Budget(RATE), seed=seed)

    assert traffic.second(factor * RATE) <= 1.3 * RATE * (1 + math.log(factor))


@pytest.mark.parametrize("kept_before", [1.0, 0.1, 0.0001])
def test_it_holds_for_traces_that_others_sampled_already(kept_before):
    traffic = Traffic(Budget(RATE))
    traffic.second(10 * RATE, share=kept_before)

    assert 0.6 * RATE <= traffic.second(10 * RATE, share=kept_before) <= 1.25 * RATE


def test_what_is_kept_anyway_is_part_of_it():
    traffic = Traffic(Budget(RATE))
    traffic.second(10 * RATE, forced=RATE // 2)

    assert 0.3 * RATE <= traffic.second(10 * RATE, forced=RATE // 2) <= 0.65 * RATE


def test_what_is_kept_anyway_takes_the_room_of_the_traces_with_the_least_randomness():
    budget = Budget(10.0)
    for randomness in range(10):
        budget.offer(randomness, T0)
    budget.spend(T0)

    assert budget.threshold > 0


def test_what_is_kept_anyway_can_use_it_up():
    traffic = Traffic(budget := Budget(RATE))
    traffic.second(RATE, forced=3 * RATE)

    assert traffic.second(RATE, forced=3 * RATE) == 0
    assert share(budget.threshold) == 0.0


def test_it_is_lifted_when_three_stretches_have_needed_none():
    traffic = Traffic(Budget(RATE))
    traffic.second(10 * RATE)

    kept = [traffic.second(RATE) for _ in range(5)]
    assert [each == RATE for each in kept] == [False, False, False, True, True]


def test_a_quiet_time_lifts_it():
    budget = Budget(RATE)
    Traffic(budget).second(10 * RATE)

    assert budget.offer(0, T0 + 3600)


def test_its_thresholds_are_few():
    traffic = Traffic(budget := Budget(RATE))
    seen = set()
    for _ in range(100):
        traffic.second(10 * RATE)
        seen.add(budget.threshold)

    assert len(seen) < 10


def test_a_trace_with_more_spans_than_fit_is_left_out_as_a_whole():
    budget = Budget(RATE)

    kept = [budget.offer(NEVER - 2, T0 + each / 10_000) for each in range(10 * RATE)]
    assert sum(kept) == RATE


def test_a_budget_below_one_in_a_second_counts_over_a_longer_time():
    budget = Budget(0.1)  # ten in a hundred seconds

    kept = [budget.offer(each, T0 + each) for each in range(100)]
    assert 10 <= sum(kept) < 100


@pytest.mark.parametrize("wrong", [T0 + 1e7, 1e300, float("inf")])
def test_an_instant_that_was_wrong_does_not_stop_time(wrong):
    traffic = Traffic(budget := Budget(RATE))
    budget.offer(0, wrong)
    for _ in range(10):
        traffic.second(RATE)

    assert traffic.second(RATE) == RATE


def test_what_is_no_instant_does_not_stop_time():
    traffic = Traffic(budget := Budget(RATE))
    for _ in range(1_000):
        budget.offer(0, float("nan"))
    for _ in range(5):
        traffic.second(RATE)

    assert traffic.second(RATE) == RATE


@given(st.lists(st.tuples(st.integers(0, NEVER - 1), st.floats()), max_size=300))
def test_any_instant_has_an_answer_and_the_same_the_next_time(offers):
    first, second = Budget(1.0), Budget(1.0)

    assert [first.offer(*each) for each in offers] == [second.offer(*each) for each in offers]
    assert 0 <= first.threshold <= NEVER
