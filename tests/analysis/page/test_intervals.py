"""The parts of a period that a chart draws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.analysis.page.intervals import Intervals
from tests.builders import T0

LENGTHS = st.floats(0, 1e8, allow_nan=False)
INSTANTS = st.floats(-1e12, 1e12, allow_nan=False)


@given(LENGTHS)
def test_a_chart_has_at_most_120_parts(length):
    assert 1 <= Intervals(T0, T0 + length).count <= 120


@pytest.mark.parametrize(
    ("length", "width"), [(0, 0.1), (60, 1.0), (3_600, 60.0), (86_400, 900.0), (3.15e7, 345_600.0)]
)
def test_a_part_is_as_wide_as_people_count(length, width):
    assert Intervals(T0, T0 + length).width == width


@given(LENGTHS, INSTANTS)
def test_every_instant_has_a_part(length, at):
    intervals = Intervals(T0, T0 + length)
    assert 0 <= intervals.index(at) < intervals.count


@given(LENGTHS, st.floats(0, 1), st.floats(0, 1))
def test_a_time_is_shared_out_without_a_rest(length, begin, end):
    intervals = Intervals(T0, T0 + length)
    begin, end = sorted((T0 + begin * length, T0 + end * length))
    shares = intervals.shares(begin, end)
    assert sum(seconds for _, seconds in shares) == pytest.approx(end - begin, abs=1e-3)
    assert all(seconds <= intervals.width + 1e-3 for _, seconds in shares)


def test_what_lies_outside_counts_for_nothing():
    intervals = Intervals(T0, T0 + 10)
    assert sum(seconds for _, seconds in intervals.shares(T0 - 50, T0 + 1)) == pytest.approx(1)
