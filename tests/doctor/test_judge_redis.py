"""Answers of Redis to findings and rules, without a server."""

import shlex

import pytest

from stream.doctor.diagnosis import Verdict
from stream.doctor.judge_redis import (
    Denial,
    Grants,
    Tried,
    denial_of,
    judge_grants,
    needs_of_events,
    needs_of_queues,
    unsettled,
)
from stream.wire.keys import Layout

NEEDS = (
    *needs_of_queues(Layout(), ["celery", "mail"], peek=True, held=True),
    *needs_of_events("/0.celeryev/*"),
)


def answered(*denied, places=None, old=False):
    """All needs, of which those with these grants are refused as a command."""
    tried = tuple(
        Tried(need, Denial.COMMAND if need.grant in denied else None, old) for need in NEEDS
    )
    return Grants("watcher", tried, places or {})


def place_denied(place):
    """All needs, of which those of a place are refused because of it."""
    return Grants(
        "watcher",
        tuple(Tried(need, Denial.PLACE if need.place == place else None) for need in NEEDS),
    )


def test_where_nothing_is_missing_there_is_one_finding_and_no_rule():
    (finding,), rule = judge_grants(answered())
    assert (finding.verdict, finding.about, rule) == (Verdict.OK, None, None)


@pytest.mark.parametrize("grant", sorted({need.grant for need in NEEDS} - {"scan"}))
def test_a_command_that_is_missing_is_named_with_its_rule(grant):
    findings, rule = judge_grants(answered(grant))
    (finding,) = [each for each in findings if each.verdict is Verdict.BROKEN]
    assert finding.about == f"+{grant}"
    assert shlex.split(finding.fix)[:4] == ["ACL", "SETUSER", "watcher", f"+{grant}"]
    assert rule is None


@pytest.mark.parametrize("place", sorted({need.place for need in NEEDS if need.place}))
def test_a_place_that_is_missing_is_named_with_its_rule(place):
    (finding,), rule = judge_grants(place_denied(place))
    word = place if place.startswith("&") else f"%R~{place}"
    assert (finding.about, rule) == (word, None)
    assert shlex.split(finding.fix) == ["ACL", "SETUSER", "watcher", word]


def test_a_command_that_is_optional_is_no_fault():
    findings, rule = judge_grants(answered("scan"))
    assert [each.verdict for each in findings] == [Verdict.OK, Verdict.UNKNOWN]
    assert (findings[1].fix, rule) == ("ACL SETUSER watcher +scan", None)


def test_where_no_command_is_permitted_the_rule_grants_the_keys_as_well():
    everything = answered(*{need.grant for need in NEEDS})
    _, rule = judge_grants(everything)
    words = set(shlex.split(rule))
    assert {"+llen", "+psubscribe", "+hmget", "+lrange"} <= words
    assert {"%R~celery*", "%R~mail*", "%R~unacked", "%R~unacked_index"} <= words
    assert {"%R~_kombu.binding.*", "&/0.celeryev/*"} <= words


def test_keys_that_another_command_may_read_are_not_granted_again():
    """A rule that adds a pattern to a user with all keys is refused by Redis."""
    grants = answered("zcard", "zrange", places={"unacked_index": True})
    findings, rule = judge_grants(grants)
    assert unsettled(grants.tried) == ("unacked_index",)
    assert rule == "ACL SETUSER watcher +zcard +zrange"
    assert len(findings) == 2


def test_keys_that_no_other_command_may_read_either_are_granted():
    _, rule = judge_grants(answered("zcard", "zrange", places={"unacked_index": False}))
    assert shlex.split(rule)[3:] == ["+zcard", "+zrange", "%R~unacked_index"]


def test_redis_6_has_no_keys_for_reading_only():
    grants = answered(*{need.grant for need in NEEDS}, old=True)
    _, rule = judge_grants(grants)
    assert "'~celery*'" in rule
    assert "%R~" not in rule


@pytest.mark.parametrize(
    ("error", "denial"),
    [
        ("NOPERM User w has no permissions to run the 'llen' command", (Denial.COMMAND, False)),
        ("NOPERM No permissions to access a key", (Denial.PLACE, False)),
        ("NOPERM No permissions to access a channel", (Denial.PLACE, False)),
        (
            "NOPERM this user has no permissions to run the 'llen' command or its subcommand",
            (Denial.COMMAND, True),
        ),
        (
            "NOPERM this user has no permissions to access one of the keys used as arguments",
            (Denial.PLACE, True),
        ),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", (None, False)),
    ],
)
def test_a_refusal_tells_what_it_was_about(error, denial):
    assert denial_of(error) == denial


def test_keys_of_an_application_with_a_prefix_are_asked_for_with_it():
    layout = Layout(prefix="shop[1]:")
    places = {need.place for need in needs_of_queues(layout, ["q"], peek=False, held=True)}
    escaped = r"shop\[1\]:"
    assert places == {
        f"{escaped}q*",
        f"{escaped}unacked",
        f"{escaped}unacked_index",
        f"{escaped}_kombu.binding.*",
        None,
    }


def test_of_two_servers_the_one_is_named():
    (finding, *_), _ = judge_grants(answered("ping"), about="replica")
    assert "on the replica" in finding.says


def test_a_user_with_blanks_is_quoted():
    grants = Grants("the watcher", (Tried(NEEDS[0], Denial.COMMAND),), {"celery*": True})
    (finding,), _ = judge_grants(grants)
    assert finding.fix == "ACL SETUSER 'the watcher' +llen"
