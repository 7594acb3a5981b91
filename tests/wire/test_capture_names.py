"""The files of a set know one another by their names."""

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.wire.capture_names import SetName, set_name
from tests.builders import T0

NIGHT = SetName("night", ".jsonl.zst")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_a_set_is_called_like_a_file_without_date_and_number(suffix):
    assert set_name(PurePath("/captures") / f"the.night{suffix}") == SetName("the.night", suffix)


@pytest.mark.parametrize("name", ["captures", "night.zst", ".jsonl.zst", "night.jsonl.zst.part"])
def test_any_other_name_is_none_of_a_set(name):
    assert set_name(PurePath(name)) is None


def test_a_part_says_when_it_begins():
    assert NIGHT.part(7, T0) == "night-20261123T021320Z-000007.jsonl.zst"


@given(st.lists(st.tuples(st.floats(0, 9e9), st.integers(1, 999_999)), min_size=2, unique=True))
def test_the_order_of_names_is_the_order_of_time(parts):
    times, numbers = sorted(at for at, _ in parts), sorted(number for _, number in parts)
    names = [NIGHT.part(number, at) for at, number in zip(times, numbers, strict=True)]
    assert names == sorted(names)
    assert [NIGHT.number_of(name) for name in names] == numbers


@pytest.mark.parametrize(
    "name",
    [
        "night.jsonl.zst",
        "night-20261123T021320Z-000007.jsonl.gz",
        "midnight-20261123T021320Z-000007.jsonl.zst",
        "night-20261123T021320Z-000007.jsonl.zst.part",
        "night-yesterday-000007.jsonl.zst",
    ],
)
def test_a_file_of_no_or_another_set_has_no_number(name):
    assert NIGHT.number_of(name) is None
