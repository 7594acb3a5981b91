"""Celery's remote control on the wire: requests to workers, and what they answer.

The protocol is that of ``kombu.pidbox``: a request is broadcast to all workers and names those
that it is for; each of them sends its answer to the exchange and key that the request gives. The
nameless exchange takes an answer straight to the queue of that name, so nothing is declared or
bound. Pure; an answer that cannot be read is none.
"""

import base64
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct, field

from ..events import Inspected, Message, Rejected
from .envelope import unwrap

MAX_NAMES: Final = 500
"""Workers that one request may name; a request is read by all of them."""
_MAX_NAMES_TOLD: Final = 10_000
"""Queues, or tasks, of one answer; a worker has as many processes at the very most."""


class Question(StrEnum):
    """What workers are asked, by the names of Celery's commands."""

    STATS = "stats"
    ACTIVE = "active"
    QUEUES = "active_queues"


ENABLE_EVENTS: Final = "enable_events"
NOBODY: Final = "celery-stream@nobody"
"""To whom a request is addressed that only finds out whether we may make any."""


def request(
    command: str, destination: Sequence[str], *, reply_to: str | None = None, ticket: str = ""
) -> bytes:
    """Write a request.

    Args:
        command: Celery's name of it.
        destination: node names; to Celery an empty list is everybody.
        reply_to: the queue for the answers; None: none is wanted.
        ticket: comes back with the answers, in a header.

    Raises:
        ValueError: *destination* is empty.
    """
    if not destination:
        raise ValueError("a request without destination is for every worker")
    # What else `active` tells, arguments, is written as it was sent: a repr is shorter.
    arguments = {"safe": True} if command == Question.ACTIVE else {}
    body: dict[str, object] = {
        "method": command,
        "arguments": arguments,
        "destination": list(destination),
        "pattern": None,
        "matcher": None,
    }
    if reply_to is not None:
        body |= {"ticket": ticket, "reply_to": {"exchange": "", "routing_key": reply_to}}
    return msgspec.json.encode(body)


def in_envelope(body: bytes, *, exchange: str, tag: str) -> bytes:
    """Wrap a request as kombu publishes it on Redis.

    Args:
        body: the request.
        exchange: the one of the remote control.
        tag: unique.
    """
    return msgspec.json.encode(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 0, "expires": 0},
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": exchange, "routing_key": ""},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": tag,
            },
        }
    )


class _Headers(Struct, gc=False):
    ticket: str | None = None


class _Enveloped(Struct, gc=False):
    headers: _Headers = field(default_factory=_Headers)


class _Pool(Struct, gc=False):
    size: int | None = field(name="max-concurrency", default=None)


class _Stats(Struct, gc=False):
    pid: int | None = None
    pool: _Pool = field(default_factory=_Pool)


class _Named(Struct, gc=False):
    name: str


class _Request(Struct, gc=False):
    id: str


_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def ticket_of(payload: bytes) -> str | None:
    """Return the ticket that came back in a kombu envelope; None where there is none."""
    try:
        return msgspec.json.decode(payload, type=_Enveloped).headers.ticket
    except _UNREADABLE:
        return None


def read_answers(question: Question, message: Message, *, asked_at: float) -> list[Inspected]:
    """Read what a worker answered; nothing where it is no answer.

    Args:
        question: what was asked.
        message: as it came off the wire.
        asked_at: when, epoch seconds.
    """
    body = unwrap(message)
    if isinstance(body, Rejected):
        return []
    try:
        answers = msgspec.json.decode(body.data, type=dict[str, msgspec.Raw])
    except _UNREADABLE:
        return []
    blank = Inspected(message.received_at, message.source, "", asked_at)
    found = (_answer(question, each, blank, hostname) for hostname, each in answers.items())
    return [answer for answer in found if answer is not None]


def _answer(
    question: Question, answer: msgspec.Raw, blank: Inspected, hostname: str
) -> Inspected | None:
    said = msgspec.structs.replace(blank, hostname=hostname)
    try:
        match question:
            case Question.STATS:
                stats = msgspec.json.decode(answer, type=_Stats)
                return msgspec.structs.replace(said, pid=stats.pid, pool=stats.pool.size)
            case Question.ACTIVE:
                tasks = msgspec.json.decode(answer, type=list[_Request])
                return msgspec.structs.replace(said, active=_told(task.id for task in tasks))
            case Question.QUEUES:
                queues = msgspec.json.decode(answer, type=list[_Named])
                return msgspec.structs.replace(said, queues=_told(each.name for each in queues))
    except _UNREADABLE:  # an error of the worker's
        return None


def _told(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)[:_MAX_NAMES_TOLD]
