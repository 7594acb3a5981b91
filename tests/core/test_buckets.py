from bisect import bisect_left
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stream.core.buckets import count_by_bucket

numbers = st.floats(-10.0, 10.0) | st.integers(-10, 10).map(float)


@given(st.lists(numbers), st.lists(numbers, unique=True).map(sorted))
def test_all_at_once_are_counted_as_one_by_one(values, bounds):
    assert dict(count_by_bucket(values, bounds)) == Counter(
        bisect_left(bounds, value) for value in values
    )
