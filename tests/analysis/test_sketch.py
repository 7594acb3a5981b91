"""Quantiles of durations: how far off, and from what."""

from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.analysis.sketch import ERROR, Quantiles, Sketch

durations = st.lists(
    st.one_of(st.just(0.0), st.floats(min_value=1e-5, max_value=1e8)), min_size=1, max_size=200
)
shares = st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0])


def sketch_of(values):
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


def quantiles_of(latency):
    return Quantiles(latency.buckets, zeros=latency.zeros, most=latency.max)


@given(durations, shares)
def test_a_quantile_is_at_most_one_percent_off(values, share):
    exact = sorted(values)[max(1, ceil(share * len(values))) - 1]
    found = quantiles_of(sketch_of(values).read()).at(share)
    assert found == pytest.approx(exact, rel=ERROR + 1e-9)


@given(durations, durations)
def test_two_merged_are_as_one_of_all(one, two):
    merged = sketch_of(one)
    merged.merge(sketch_of(two))
    both = sketch_of(one + two)
    assert (merged.buckets, merged.zeros, merged.most) == (both.buckets, both.zeros, both.most)


@given(durations)
def test_the_order_does_not_matter(values):
    assert sketch_of(values).read().buckets == sketch_of(reversed(values)).read().buckets


@given(
    st.lists(st.one_of(st.none(), st.just(0.0), st.floats(min_value=-1, max_value=1e10))),
    st.lists(st.floats(min_value=1e-5, max_value=1e8)),
)
def test_many_at_once_are_as_one_after_the_other(values, before):
    one_by_one, at_once = sketch_of(before), sketch_of(before)
    for value in values:
        if value is not None:
            one_by_one.add(value)
    at_once.add_all(values)
    assert at_once.read() == one_by_one.read()


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e10])
def test_what_is_no_duration_is_not_counted(value):
    assert sketch_of([value]).read().count == 0


def test_the_maximum_and_the_mean_are_exact():
    latency = sketch_of([0.1, 0.25, 7.3]).read()
    assert (latency.max, latency.mean) == (7.3, pytest.approx(7.65 / 3))


def test_nothing_has_no_quantiles():
    latency = Sketch().read()
    assert (latency.count, latency.p50, latency.p99, latency.max) == (0, None, None, None)


def test_there_are_no_more_buckets_than_stated():
    exponents = range(-60, 91)
    sketch = sketch_of(
        10 ** (exponent / 10) * (1 + step / 40) for exponent in exponents for step in range(40)
    )
    assert len(sketch.buckets) <= 1_730


@given(durations)
def test_bootstrap_samples_lie_among_the_values(values):
    quantiles = quantiles_of(sketch_of(values).read())
    drawn = quantiles.resampled(0.5, 20, random=Random(1))  # noqa: S311 - repeatable
    assert quantiles.at(0.0) <= min(drawn)
    assert max(drawn) <= quantiles.at(1.0)


def test_the_bootstrap_spreads_as_resampling_does():
    random = Random(7)  # noqa: S311 - repeatable
    values = sorted(random.expovariate(1.0) for _ in range(400))
    medians = sorted(sorted(random.choices(values, k=400))[199] for _ in range(1_000))
    drawn = sorted(quantiles_of(sketch_of(values).read()).resampled(0.5, 1_000, random=random))
    assert drawn[25] == pytest.approx(medians[25], rel=0.08)
    assert drawn[974] == pytest.approx(medians[974], rel=0.08)
