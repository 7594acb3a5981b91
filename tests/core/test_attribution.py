"""Which delivery an event speaks of, and what it says about it."""

import pytest

from stream.core.attribution import begins_before, end_of, epoch, same, to_end
from stream.core.states import State
from stream.core.task import Delivery
from tests.builders import T0, Process


def delivery(retries, state, ordinal=0, **fields):
    return Delivery(retries, ordinal, state=state, **fields)


RECEIVED, STARTED = State.RECEIVED, State.STARTED


# -- the same event ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "other_clock", "at", "other_at", "is_same"),
    [
        (5, 5, 1.0, 1.0, True),
        (5, 5, 1.0, 2.0, False),
        (5, 6, 1.0, 1.0, False),
        (1, 1, 1.0, 2.0, False),
        (0, 0, 1.0, 1.0, True),
        (0, 0, 1.0, 2.0, False),
        (-1, 5, None, 1.0, False),
        (-1, 0, None, 1.0, False),
    ],
)
def test_two_events_are_one_by_their_clock_or_else_by_their_time(
    clock, other_clock, at, other_at, is_same
):
    assert same(clock, other_clock, at, other_at) is is_same


# -- ends ----------------------------------------------------------------------------------------

ENDS = ["succeeded", "failed", "retried", "rejected", "revoked", "cancelled"]


def ending(kind):
    return getattr(Process(), kind)()


@pytest.mark.parametrize("kind", ENDS)
def test_an_end_belongs_to_the_delivery_that_is_open(kind):
    ended = delivery(0, State.FAILURE)
    running = delivery(0, STARTED, 1)
    assert to_end(ending(kind), [ended, running]) is running


@pytest.mark.parametrize("kind", ENDS)
def test_an_end_belongs_to_no_delivery_where_none_is_open(kind):
    here = [delivery(0, State.SENT), delivery(0, State.REQUEUED), delivery(1, State.SUCCESS)]
    assert to_end(ending(kind), here) is None


@pytest.mark.parametrize(
    ("kind", "retries"),
    [("retried", 0), ("succeeded", 2), ("failed", 2), ("rejected", 2), ("revoked", 2)],
)
def test_of_several_attempts_a_retry_ends_the_lowest_and_all_else_the_highest(kind, retries):
    here = [delivery(number, STARTED) for number in (0, 1, 2)]
    assert to_end(ending(kind), here).retries == retries


@pytest.mark.parametrize(("kind", "retries"), [("failed", 0), ("retried", 0), ("succeeded", 1)])
def test_only_a_success_may_be_of_an_attempt_whose_start_was_lost(kind, retries):
    here = [delivery(0, STARTED), delivery(1, RECEIVED)]
    assert to_end(ending(kind), here).retries == retries


@pytest.mark.parametrize("kind", ["failed", "retried", "succeeded"])
def test_of_one_attempt_the_delivery_that_started_is_preferred(kind):
    here = [delivery(0, RECEIVED), delivery(0, STARTED, 1)]
    assert to_end(ending(kind), here).ordinal == 1


@pytest.mark.parametrize(("eta", "chosen"), [(None, 1), (T0 - 1, 1), (T0, 1), (T0 + 1, 0)], ids=str)
def test_nothing_succeeds_before_its_eta(eta, chosen):
    here = [delivery(0, STARTED), delivery(1, RECEIVED, eta=eta)]
    assert to_end(ending("succeeded"), here).retries == chosen


def test_what_waits_for_its_eta_alone_did_not_succeed():
    assert to_end(ending("succeeded"), [delivery(0, RECEIVED, eta=T0 + 1)]) is None


def test_what_waits_for_its_eta_may_be_revoked():
    waiting = delivery(0, RECEIVED, eta=T0 + 1)
    assert to_end(ending("revoked"), [waiting]) is waiting


@pytest.mark.parametrize(
    ("kind", "fields", "meaning"),
    [
        ("succeeded", {}, (State.SUCCESS, None)),
        ("failed", {}, (State.FAILURE, None)),
        ("retried", {}, (State.RETRY, None)),
        ("cancelled", {}, (State.CANCELLED, None)),
        ("rejected", {"requeue": True}, (State.REQUEUED, "requeue")),
        ("rejected", {"requeue": False}, (State.REJECTED, "drop")),
        ("rejected", {"requeue": None}, (State.REJECTED, "drop")),
        ("revoked", {}, (State.REVOKED, "revoked")),
        ("revoked", {"terminated": True}, (State.REVOKED, "terminated")),
        ("revoked", {"expired": True}, (State.REVOKED, "expired")),
    ],
)
def test_an_end_says_how_and_why(kind, fields, meaning):
    assert end_of(getattr(Process(), kind)(**fields)) == meaning


# -- received ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "may_be"),
    [
        ({}, True),
        ({"started_at": T0 + 1}, True),
        ({"started_at": T0}, True),
        ({"started_at": T0 - 1}, False),
        ({"ended_at": T0 - 1}, False),
        ({"started_at": T0 + 1, "ended_at": T0 - 1}, True),
    ],
)
def test_a_delivery_was_received_before_it_began(fields, may_be):
    assert begins_before(Process().received(), delivery(0, STARTED, **fields)) is may_be


# -- instants ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-23T10:00:00+00:00", 1_795_428_000.0),
        ("2026-11-23T10:00:00Z", 1_795_428_000.0),
        ("2026-11-23T10:00:00", 1_795_428_000.0),
        ("2026-11-23T15:30:00.250000+05:30", 1_795_428_000.25),
        ("soon", None),
        ("", None),
        ("2026-13-01T00:00:00", None),
    ],
)
def test_an_eta_is_read_with_its_offset_and_as_utc_without(text, at):
    assert epoch(text) == at


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_an_eta_at_the_end_of_time_is_no_fault(text):
    assert epoch(text) is None or isinstance(epoch(text), float)
