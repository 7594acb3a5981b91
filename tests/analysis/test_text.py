"""Numbers and durations for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.analysis.text import duration, instant, number, one_line, share, spark


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "-"),
        (0.0, "0ms"),
        (0.0004, "0.4ms"),
        (0.00123, "1.23ms"),
        (0.0123, "12.3ms"),
        (0.09996, "100ms"),
        (0.9996, "1.00s"),
        (59.96, "60.0s"),
        (123.0, "2.05m"),
        (7_200.0, "2.00h"),
        (864_000.0, "10.0d"),
        (1e300, ">30y"),
    ],
)
def test_a_duration_has_three_digits_and_a_unit(seconds, told):
    assert duration(seconds) == told


@given(st.floats(min_value=0.0, max_value=8e6))
def test_a_duration_is_short(seconds):
    assert len(duration(seconds)) <= 6


@pytest.mark.parametrize(
    ("part", "told"), [(None, "-"), (0.0, "0%"), (1.0, "100%"), (0.99999, "99.9%"), (0.5, "50.0%")]
)
def test_only_all_is_called_a_hundred_percent(part, told):
    assert share(part) == told


@pytest.mark.parametrize(
    ("count", "told"), [(None, "-"), (0, ""), (1_234, "1,234"), (0.25, "0.25"), (12.34, "12.3")]
)
def test_a_count_has_its_thousands_apart(count, told):
    assert number(count) == told


def test_bars_are_as_high_as_their_share_of_the_largest():
    assert spark([0.0, 8.0, None, 4.0, 1.0]) == " █ ▄▁"


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=300))
def test_there_is_one_bar_for_each_value(values):
    assert len(spark(values)) == len(values)


@pytest.mark.parametrize(
    ("at", "told"),
    [(None, "-"), (1e300, "-"), (-1.0, "-"), (1_795_400_000.0, "2026-11-23 02:13:20")],
)
def test_an_instant_that_no_calendar_has_is_a_dash(at, told):
    assert instant(at) == told


def test_control_characters_do_not_reach_the_terminal():
    assert one_line("a\x1b[31mb\nc") == "a [31mb c"
