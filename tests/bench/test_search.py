"""The search for the highest rate that is held."""

import pytest

from stream.bench.search import Search


def searched(limit, *, first=5_000.0, most=500_000.0, tries=20):
    """Search where exactly the rates up to *limit* are held."""
    search = Search(first, most=most, tries=tries)
    asked = []
    while (rate := search.following) is not None:
        asked.append(rate)
        search.tell(held=rate <= limit)
    return search, asked


@pytest.mark.parametrize("limit", [700.0, 5_000.0, 12_345.0, 79_000.0, 430_000.0])
def test_it_comes_within_a_tenth_of_the_highest_rate(limit):
    search, _ = searched(limit)
    assert limit / 1.1 <= search.held <= limit


def test_it_doubles_first_and_halves_then():
    _, asked = searched(16_000.0)
    assert asked == [5_000.0, 10_000.0, 20_000.0, 15_000.0, 17_500.0, 16_250.0]


def test_no_rate_is_above_the_most():
    search, asked = searched(1e9, most=30_000.0)
    assert max(asked) == search.held == 30_000.0
    assert search.failed is None


def test_it_ends_after_so_many_tries():
    search, asked = searched(0.0, tries=4)
    assert (len(asked), search.held) == (4, 0.0)
