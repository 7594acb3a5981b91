"""Requests to workers and their answers, as kombu's mailbox writes and reads them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection, Exchange, Queue

from stream.events import Inspected, Message, Transport
from stream.wire.control import (
    ENABLE_EVENTS,
    Question,
    in_envelope,
    read_answers,
    request,
    ticket_of,
)

ASKED_AT = 1_795_400_000.25


def message(body, transport=Transport.AMQP):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(5.0, "shop", transport, b"", payload)


def answers(question, body):
    return read_answers(question, message(body), asked_at=ASKED_AT)


def test_a_request_that_wants_no_answer_names_whom_it_is_for():
    assert json.loads(request(ENABLE_EVENTS, ["w@h"])) == {
        "method": "enable_events",
        "arguments": {},
        "destination": ["w@h"],
        "pattern": None,
        "matcher": None,
    }


def test_a_question_says_where_the_answer_goes():
    body = json.loads(request(Question.ACTIVE, ["w@h"], reply_to="q", ticket="t"))
    assert body["reply_to"] == {"exchange": "", "routing_key": "q"}
    assert (body["ticket"], body["arguments"]) == ("t", {"safe": True})


def test_a_request_to_nobody_is_refused_since_it_would_be_to_everybody():
    with pytest.raises(ValueError, match="every worker"):
        request(ENABLE_EVENTS, [])


def test_kombu_reads_the_envelope():
    """What its virtual transports do with what came off the wire."""
    with Connection("memory://") as connection:
        channel = connection.channel()
        queue = Queue("control", Exchange("celery.pidbox", "fanout"), "")(channel)
        queue.declare()
        envelope = in_envelope(request(ENABLE_EVENTS, ["w@h"]), exchange="celery.pidbox", tag="1")
        channel._put(queue.name, json.loads(envelope))
        taken = queue.get()
        assert taken.decode()["method"] == "enable_events"
        assert taken.headers == {"clock": 0, "expires": 0}


def test_each_answer_tells_what_was_asked():
    stats = {"w@h": {"pid": 7, "pool": {"max-concurrency": 4, "processes": [8]}, "clock": "3"}}
    active = {"w@h": [{"id": "u1", "args": [1], "worker_pid": 8}, {"id": "u2"}]}
    queues = {"w@h": [{"name": "mail", "exchange": {"name": "mail"}, "alias": None}]}
    common = {"received_at": 5.0, "source": "shop", "hostname": "w@h", "asked_at": ASKED_AT}
    assert answers(Question.STATS, stats) == [Inspected(**common, pid=7, pool=4)]
    assert answers(Question.ACTIVE, active) == [Inspected(**common, active=("u1", "u2"))]
    assert answers(Question.QUEUES, queues) == [Inspected(**common, queues=("mail",))]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"w@h": {"error": "TypeError()"}}',
        b'{"w@h": [{"uuid": "u"}]}',
        b'{"w@h": 3}',
        "[" * 100_000,
    ],
)
def test_what_is_no_answer_is_none(body):
    found = [
        each for question in (Question.ACTIVE, Question.QUEUES) for each in answers(question, body)
    ]
    assert found == []


def test_an_error_is_no_statistics():
    assert answers(Question.STATS, {"w@h": {"error": "x"}}) == [
        Inspected(5.0, "shop", "w@h", ASKED_AT)
    ]


@given(st.binary(max_size=60), st.sampled_from(Question), st.sampled_from(Transport))
def test_no_bytes_raise(payload, question, transport):
    ticket_of(payload)
    read_answers(question, message(payload, transport), asked_at=1.0)


def test_the_ticket_is_in_the_headers_of_the_envelope():
    assert ticket_of(b'{"body": "e30=", "headers": {"ticket": "5.5", "clock": 3}}') == "5.5"
    assert ticket_of(b'{"body": "e30="}') is None
    assert ticket_of(b"celery-stream") is None
