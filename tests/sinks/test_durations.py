"""Every duration is in the exponential buckets too, where those are asked for."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.effects import Started
from stream.core.kinds import Kind
from stream.core.states import State
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate
from stream.sinks.instruments import TABLE, Type
from stream.sinks.metrics import MetricsSink
from tests.sinks.counted import PAY, Counted, attempt, finished

DURATIONS = (
    table.PROCESS_DURATION,
    table.TASK_DURATION,
    table.TASK_WAIT_TIME,
    table.TASK_PREFETCH_TIME,
    table.TASK_ETA_DELAY,
    table.TASK_TOTAL_TIME,
)

kinds = st.builds(Kind, st.sampled_from("abcde"), st.none() | st.sampled_from("qr"))
states = st.sampled_from(State)
durations = st.none() | st.floats(-1.0, 1e10) | st.sampled_from([math.nan, math.inf, 0.0])
errors = st.none() | st.sampled_from(["KeyError", "other"])
effects = st.one_of(
    st.builds(Started, kinds, durations, durations, st.none() | st.floats(0, 1e9)),
    st.builds(attempt, kinds, states, run=durations, error_type=errors),
    st.builds(finished, kinds, states, run=durations, total=durations, error_type=errors),
)


def histograms(aggregate):
    """All series of all histograms, with their instrument."""
    return [
        (family.instrument, point)
        for family in aggregate.collect()
        if family.instrument.type is Type.HISTOGRAM
        for point in family.points
    ]


@settings(deadline=None)  # a machine may be busy
@given(st.lists(st.lists(effects, max_size=10), max_size=5), st.integers(1, 20))
def test_no_series_has_a_value_in_one_histogram_and_not_in_the_other(batches, limit):
    aggregate = Aggregate(started_at=0.0, limit=limit, exponential=True)
    sink = MetricsSink(aggregate)
    for batch in batches:
        sink.accept(batch)
    for instrument, point in histograms(aggregate):
        if instrument.unit in {"s", "ms"}:
            in_buckets = point.exponential.zeros + sum(point.exponential.counts)
            assert (instrument.name, in_buckets) == (instrument.name, point.count)


def test_each_duration_is_in_a_bucket_that_holds_it():
    counted = Counted(
        Started(PAY, 0.5, 3.0, 20.0),
        attempt(run=0.07),
        finished(run=0.07, total=9.0),
        exponential=True,
    )
    expected = dict(zip(DURATIONS, (0.07, 70.0, 0.5, 3.0, 20.0, 9.0), strict=True))
    for instrument, value in expected.items():
        (point,) = counted.points(instrument).values()
        base = 2.0**2.0**-point.exponential.scale
        assert base**point.exponential.offset < value * (1 + 1e-9)
        assert value * (1 - 1e-9) <= base ** (point.exponential.offset + 1)


def test_a_number_of_attempts_is_no_duration():
    (point,) = Counted(finished(), exponential=True).points(table.ATTEMPTS_PER_TASK).values()
    assert point.exponential is None


def test_without_the_option_there_are_none():
    counted = Counted(Started(PAY, 0.5, 3.0, 20.0), attempt(), finished())
    points = [p for each in DURATIONS for p in counted.points(each).values()]
    assert len(points) == len(DURATIONS)
    assert all(point.exponential is None for point in points)


def test_every_histogram_of_time_has_them():
    aggregate = Aggregate(started_at=0.0, exponential=True)
    for instrument in TABLE:
        if instrument.type is Type.HISTOGRAM:
            labels = [f"l{n}" for n in range(len(instrument.attributes))]
            aggregate.histogram(instrument).record(1.0, *labels)
    with_buckets = {i for i, point in histograms(aggregate) if point.exponential is not None}
    assert with_buckets == {*DURATIONS, table.POLL_DURATION, table.LOOP_DELAY}


def test_series_beyond_the_limit_share_one():
    aggregate = Aggregate(started_at=0.0, limit=2, exponential=True)
    sink = MetricsSink(aggregate)
    sink.accept([attempt(Kind(name, "q"), run=1.5) for name in "abcd"])
    points = [p for i, p in histograms(aggregate) if i is table.PROCESS_DURATION]
    assert [(set(p.labels) == {"other"}, p.exponential.counts) for p in points] == [
        (False, (1,)),
        (False, (1,)),
        (True, (2,)),
    ]
