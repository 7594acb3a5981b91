"""Quantiles by interval, most of them packed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.analysis.page.durations import Durations
from stream.analysis.sketch import Sketch

PLACES = st.integers(0, 9)
SECONDS = st.floats(0, 1e12) | st.just(0.0)


@given(st.lists(st.tuples(PLACES, SECONDS)))
def test_they_are_those_of_a_sketch_for_each_interval(added):
    durations = Durations()
    sketches = {place: Sketch() for place, _ in added}
    for place, seconds in added:
        durations.add(place, seconds)
        sketches[place].add(seconds)
    read = {place: sketch.read() for place, sketch in sketches.items()}
    curves = durations.curves(10)
    for name in ("p50", "p95", "p99", "max"):
        expected = [getattr(read[n], name) if n in read else None for n in range(10)]
        assert list(getattr(curves, name)) == expected


@given(st.lists(st.tuples(PLACES, SECONDS)))
def test_the_total_is_that_of_one_sketch(added):
    durations, sketch = Durations(), Sketch()
    for place, seconds in added:
        durations.add(place, seconds)
        sketch.add(seconds)
    total, expected = durations.total(), sketch.read()
    assert (total.p50, total.p99, total.max, total.buckets) == (
        expected.p50,
        expected.p99,
        expected.max,
        expected.buckets,
    )
    assert total.mean == pytest.approx(expected.mean)
