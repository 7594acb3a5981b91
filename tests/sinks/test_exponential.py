"""Exponential buckets: as the data model defines them, and as the SDK has them."""

import math
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from stream.sinks.exponential import LEAST, MAX_BUCKETS, Buckets, Exponential

# What clocks tell: whole microseconds, up to years.
seconds = st.integers(0, 10**14).map(lambda microseconds: microseconds / 1e6)
sensible = st.integers(1, 10**10).map(lambda microseconds: microseconds / 1e6)
positive = st.floats(LEAST, 1e250)


def recorded(values):
    buckets = Exponential()
    for value in values:
        buckets.record(value)
    return buckets.read()


def recorded_by_sdk(values):
    """The data point that the SDK's own aggregation makes of the same values."""
    reader = InMemoryMetricReader(
        preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()}
    )
    provider = MeterProvider([reader], shutdown_on_exit=False)
    histogram = provider.get_meter("test").create_histogram("test")
    for value in values:
        histogram.record(value)
    (resource,) = reader.get_metrics_data().resource_metrics
    (point,) = resource.scope_metrics[0].metrics[0].data.data_points
    provider.shutdown()
    return point


def without_trailing_zeros(counts):
    counts = list(counts)
    while counts and counts[-1] == 0:
        counts.pop()
    return tuple(counts)


@settings(deadline=None)  # a machine may be busy
@given(st.lists(seconds, min_size=1, max_size=40) | st.lists(sensible, min_size=1, max_size=300))
def test_the_buckets_are_those_of_the_sdk(values):
    expected = recorded_by_sdk(values)
    counts = without_trailing_zeros(expected.positive.bucket_counts)
    offset = expected.positive.offset
    assert recorded(values) == Buckets(expected.scale, expected.zero_count, offset, counts)


def test_values_over_seven_decades_are_those_of_the_sdk():
    values = [1.07**n / 1e4 for n in range(250)]
    expected = recorded_by_sdk(values)
    found = recorded(values)
    assert (found.scale, found.offset) == (expected.scale, expected.positive.offset)
    assert found.counts == without_trailing_zeros(expected.positive.bucket_counts)


@given(positive, st.integers(0, 6))
def test_a_value_is_above_its_bucket_s_lower_bound_and_not_above_its_upper(value, scale):
    # Another value, so far away that the scale is at most this one.
    buckets = Exponential()
    buckets.record(value)
    buckets.record(value * 2.0 ** (MAX_BUCKETS >> scale))
    read = buckets.read()
    assert read.scale <= scale
    power = Fraction(value) ** (2 ** max(read.scale, 0))
    base = 2 ** (2 ** max(-read.scale, 0))
    assert Fraction(base) ** read.offset < power <= Fraction(base) ** (read.offset + 1)


@pytest.mark.parametrize("exponent", [-19, -1, 0, 1, 10, 29])
def test_a_power_of_two_ends_a_bucket_and_its_neighbours_are_on_their_sides(exponent):
    bound = 2.0**exponent
    below, above = math.nextafter(bound, 0.0), math.nextafter(bound, math.inf)
    at = {value: recorded([value]).offset for value in (below, bound, above)}
    assert at == {
        below: (exponent << 20) - 1,
        bound: (exponent << 20) - 1,
        above: exponent << 20,
    }


@given(st.lists(positive, min_size=1, max_size=100))
def test_there_are_never_too_many_buckets_and_no_value_is_lost(values):
    read = recorded(values)
    assert len(read.counts) <= MAX_BUCKETS
    assert sum(read.counts) == len(values)
    assert read.counts[0] > 0
    assert read.counts[-1] > 0


@settings(deadline=None)  # a machine may be busy
@given(st.lists(positive, min_size=1, max_size=4))
def test_the_order_of_the_values_changes_nothing(values):
    assert len({recorded(order) for order in permutations(values)}) == 1


@given(st.lists(positive, min_size=1, max_size=20))
def test_the_scale_is_the_finest_that_fits(values):
    read = recorded(values)
    least, most = recorded([min(values)]).offset, recorded([max(values)]).offset
    finer = 20 - read.scale - 1
    assert finer < 0 or (most >> finer) - (least >> finer) >= MAX_BUCKETS


def test_one_bucket_too_many_lowers_the_scale():
    # Five octaves: at scale 5, 32 to the octave, they would be 161 buckets.
    assert recorded([1.0, 32.0]).scale == 4
    assert recorded([math.nextafter(1.0, 2.0), 32.0]).scale == 5


def test_what_is_smaller_than_a_clock_s_step_is_zero():
    assert recorded([0.0, 1e-300, LEAST / 2]) == Buckets(0, 3, 0, ())


def test_a_zero_changes_no_scale():
    assert recorded([0.0, 1.5]).scale == recorded([1.5]).scale


def test_what_was_read_does_not_change():
    buckets = Exponential()
    buckets.record(1.0)
    before = buckets.read()
    buckets.record(1.0)
    assert before.counts == (1,)
