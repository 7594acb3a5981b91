"""Filters: which times, names and ids they let through."""

import pytest

from stream.analysis.scope import Filters, Scope, instant
from stream.core.kinds import Kind
from stream.errors import RefusedError

TWO_O_CLOCK = 1_795_399_200.0
"""2026-11-23 02:00 UTC."""
HOUR = 3_600.0


@pytest.mark.parametrize(
    "text",
    [
        "1795399200",
        "2026-11-23T02:00",
        "2026-11-23 02:00:00+00:00",
        "2026-11-23T03:00+01:00",
        "02:00",
        "02:00:00",
    ],
)
def test_a_time_is_read_in_all_its_forms(text):
    assert instant(text, after=TWO_O_CLOCK - HOUR) == TWO_O_CLOCK


def test_a_time_of_day_before_the_beginning_is_the_next_day():
    assert instant("01:00", after=TWO_O_CLOCK) == TWO_O_CLOCK + 23 * HOUR


@pytest.mark.parametrize("text", ["noon", "25:00", "2026-13-01", ""])
def test_what_is_no_time_is_refused_before_anything_is_read(text):
    with pytest.raises(RefusedError, match="is no time"):
        Scope(Filters(begin=text))


def test_an_end_before_the_beginning_of_the_same_day_is_the_day_after():
    scope = Scope(Filters(begin="23:00", end="01:00"))
    scope.anchor(TWO_O_CLOCK)
    assert scope.end_at - scope.begin_at == 2 * HOUR


def test_the_end_is_not_included():
    scope = Scope(Filters(begin="100", end="200"))
    assert [scope.has_instant(at) for at in (99.0, 100.0, 199.9, 200.0)] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (Filters(), True),
        (Filters(tasks=("mail.*",)), True),
        (Filters(tasks=("orders.*", "mail.s?nd")), True),
        (Filters(tasks=("mail",)), False),
        (Filters(queues=("slow",)), False),
        (Filters(uuids=("abc*",)), True),
        (Filters(tasks=("mail.*",), uuids=("x",)), False),
    ],
)
def test_all_kinds_of_patterns_must_match_and_one_of_each_is_enough(filters, wanted):
    assert Scope(filters).has_task_of("abcd", Kind("mail.send", "mail")) is wanted


def test_a_name_that_is_not_known_matches_no_pattern():
    assert not Scope(Filters(tasks=("*",))).has_task_of("u", Kind(None, None))
