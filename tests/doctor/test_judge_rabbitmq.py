"""Answers of RabbitMQ to findings, without a server."""

import msgspec
import pytest

from stream.doctor.diagnosis import Step, Verdict
from stream.doctor.judge_rabbitmq import (
    Managed,
    Retained,
    Rights,
    judge_management,
    judge_retained,
    judge_rights,
)

NEEDED = (r"^celeryev\.", r"^celeryev\.", r"^celeryev\.|^celeryev$")
LINE = (
    r"rabbitmqctl set_permissions -p / watcher "
    r"'^celeryev\.' '^celeryev\.' '^celeryev\.|^celeryev$'"
)
ALL = Rights(
    user="watcher",
    vhost="/",
    exchange="celeryev",
    exchange_exists=True,
    configure=True,
    write=True,
    read_exchange=True,
    read_queue=True,
    needed=NEEDED,
)


def judged(**changes):
    rights = msgspec.structs.replace(ALL, **changes)
    found = list(judge_rights(rights))
    return found[0], [(each.about, each.verdict, each.fix) for each in found[1:]]


def test_all_rights_are_one_finding():
    assert judged()[1] == [(None, Verdict.OK, None)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"configure": False}, ["configure"]),
        ({"write": False, "read_exchange": None}, ["write"]),
        ({"read_exchange": False}, ["read"]),
        ({"read_queue": False}, ["read"]),
        ({"read_queue": False, "read_exchange": False}, ["read"]),
        (
            {"configure": False, "write": False, "read_exchange": None, "read_queue": False},
            ["configure", "write", "read"],
        ),
    ],
)
def test_each_right_that_is_missing_is_named_once_with_the_line_of_the_readme(changes, named):
    assert judged(**changes)[1] == [(each, Verdict.BROKEN, LINE) for each in named]


def test_an_exchange_that_is_not_there_is_no_fault_yet():
    exchange, _ = judged(exchange_exists=False)
    assert (exchange.step, exchange.verdict) == (Step.EXCHANGE, Verdict.UNKNOWN)


def test_a_management_api_that_is_away_needs_no_line():
    assert judge_management(Managed(problem="no answer")).fix is None


@pytest.mark.parametrize(
    ("changes", "verdict", "fix"),
    [
        ({}, Verdict.UNKNOWN, None),
        ({"exists": True}, Verdict.OK, None),
        ({"exists": True, "waiting": 99, "readers": 1}, Verdict.OK, None),
        ({"exists": True, "waiting": 100}, Verdict.UNKNOWN, None),
        ({"problem": "another"}, Verdict.BROKEN, "rabbitmqctl delete_queue -p / 'the queue'"),
        ({"problem": "not allowed", "forbidden": True}, Verdict.BROKEN, None),
    ],
)
def test_a_retained_queue_is_judged(changes, verdict, fix):
    found = judge_retained(Retained("the queue", "/", 100, **changes))
    assert (found.verdict, found.fix) == (verdict, fix)
