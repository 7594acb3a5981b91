"""Tables that stay small."""

from hypothesis import given
from hypothesis import strategies as st

from stream.analysis.bounded import POINTS, Groups, Looks, Pace, Points, Series, Top

puts = st.lists(
    st.tuples(st.integers(0, 10**6).map(float), st.integers(0, 9).map(float)), max_size=60
)


def test_beyond_the_limit_keys_share_one_entry():
    groups = Groups(2, "other", list)
    for key in "abcd":
        groups[key].append(key)
    assert dict(groups.items()) == {"a": ["a"], "b": ["b"], "other": ["c", "d"]}
    assert groups.overflowed == 2


def test_many_of_one_key_are_counted_at_once():
    groups = Groups(2, "other", list)
    for key, count in (("a", 3), ("b", 1), ("c", 5), ("a", 2), ("d", 1)):
        groups.of_many(key, count).append(key)
    assert dict(groups.items()) == {"a": ["a", "a"], "b": ["b"], "other": ["c", "d"]}
    assert groups.overflowed == 5 + 1


@given(st.lists(st.integers(0, 50), max_size=60))
def test_the_largest_are_kept_in_order(sizes):
    top = Top(5)
    for size in sizes:
        top.offer(float(size), str(size), size)
    assert top.largest() == sorted(sizes, reverse=True)[:5]


def test_what_is_not_above_the_least_need_not_be_offered():
    top = Top(2)
    top.offer(1.0, "a", "a")
    before = top.least
    top.offer(3.0, "b", "b")
    assert (before, top.least) == (-1.0, 1.0)


@given(puts)
def test_a_series_of_sums_loses_nothing(values):
    series = Series(float.__add__)
    for at, value in values:
        series.put(at, value)
    told = series.read().values
    assert sum(value or 0.0 for value in told) == sum(value for _, value in values)


@given(puts)
def test_a_series_never_has_more_points_than_fit(values):
    series = Series(max)
    for at, value in values:
        series.put(at, value)
    assert len(series.read().values) <= POINTS


def test_a_series_keeps_the_larger_of_what_shares_an_interval():
    series = Series(max)
    for at in range(POINTS * 2):
        series.put(float(at), float(at))
    points = series.read()
    assert (points.width, points.values[:3]) == (2, (1.0, 3.0, 5.0))


def test_an_interval_of_which_nothing_was_told_is_none():
    series = Series(max)
    series.put(10.0, 1.0)
    series.put(12.0, 2.0)
    assert series.read().values == (1.0, None, 2.0)


def test_columns_show_the_largest_of_what_they_share():
    points = Points(100.0, 1, (1.0, 5.0, None, 2.0))
    assert points.largest(100.0, 104.0, 2) == [5.0, 2.0]


def test_a_value_fills_all_columns_that_it_is_of():
    points = Points(100.0, 2, (1.0, 5.0))
    assert points.largest(98.0, 104.0, 6) == [None, None, 1.0, 1.0, 5.0, 5.0]


def test_the_busiest_second_is_found_however_long_it_goes_on():
    pace = Pace()
    for second in range(5_000):
        pace.seconds[second] = 7 if second == 1_234 else 1
        pace.fold(float(second))
    pace.fold(5_000.0, everything=True)
    assert (pace.most, sum(each or 0 for each in pace.series.read().values)) == (7, 5_006)


def test_few_seconds_are_held_at_a_time():
    pace = Pace()
    held = 0
    for second in range(5_000):
        pace.seconds[second] = 1
        pace.fold(float(second))
        held = max(held, len(pace.seconds))
    assert held <= 601


def test_a_second_in_the_far_future_does_not_stretch_the_series():
    pace = Pace()
    pace.seconds[100] = 1
    pace.seconds[10**9] = 1
    pace.fold(110.0, everything=True)
    assert pace.series.read().width == 1


@given(st.integers(1, 40_000))
def test_the_tables_are_looked_at_often_first_and_rarely_later(seconds):
    looks = Looks()
    done = sum(looks.due(float(at)) for at in range(seconds))
    assert min(seconds, 120) <= done <= 120 + 60 * 10
