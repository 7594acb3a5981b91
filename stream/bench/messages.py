"""Events as Celery and kombu publish them, and the hash that names what was published.

A worker with an event loop gathers task events and publishes them as one list, ``task.multi``, at
24 of them; heartbeats and what a producer sends are never gathered
(``celery/events/dispatcher.py``).
"""

import hashlib
import random
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from pybase64 import b64encode

from .traffic import Event, uuid4_of

BUFFER_LIMIT: Final = 24
"""Events in a message at most, Celery's own."""
EXCHANGE: Final = "celeryev"
_MULTI: Final = "task.multi"


class Outgoing(NamedTuple):
    """A message of the event exchange before a transport wraps it."""

    key: str
    """The routing key."""
    hostname: str
    body: bytes
    events: int
    at: float
    """When its last event happened, epoch seconds."""


def outgoing(events: Iterable[Event], *, batch: int = BUFFER_LIMIT) -> Iterator[Outgoing]:
    """Gather events into messages, each sender for itself, at most *batch* events in one."""
    gathered: dict[str, list[Event]] = {}
    for event in events:
        kind, hostname = str(event["type"]), str(event["hostname"])
        if batch == 1 or kind == "task-sent" or not kind.startswith("task-"):
            yield _message(kind.replace("-", "."), hostname, event, [event])
            continue
        waiting = gathered.setdefault(hostname, [])
        waiting.append(event)
        if len(waiting) == batch:
            yield _message(_MULTI, hostname, waiting, waiting)
            gathered[hostname] = []
    for hostname, waiting in gathered.items():
        if waiting:
            yield _message(_MULTI, hostname, waiting, waiting)


def _message(key: str, hostname: str, body: Event | list[Event], events: list[Event]) -> Outgoing:
    at = events[-1]["timestamp"]
    assert isinstance(at, float)  # noqa: S101 - for mypy: every event has one
    return Outgoing(key, hostname, _json(body), len(events), at)


def _json(body: object) -> bytes:
    """Write JSON as Python's library does, with a blank after each comma and colon."""
    return msgspec.json.format(msgspec.json.encode(body), indent=0)


class RedisMessages:
    """Wraps messages in kombu's envelope, as they are published on a Redis channel.

    Args:
        seed: of the delivery tags.
    """

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def wrap(self, message: Outgoing) -> bytes:
        """Return the payload."""
        tag = uuid4_of(self._random)
        return (
            b'{"body": "%b", "content-encoding": "utf-8", "content-type": "application/json", '
            b'"headers": {"hostname": "%b"}, "properties": {"delivery_mode": 1, "delivery_info": '
            b'{"exchange": "celeryev", "routing_key": "%b"}, "priority": 0, '
            b'"body_encoding": "base64", "delivery_tag": "%b"}}'
        ) % (
            b64encode(message.body),
            message.hostname.encode(),
            message.key.encode(),
            tag.encode(),
        )


class Fingerprint:
    """Names a workload by its content."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=6)

    def add(self, key: bytes, payload: bytes) -> None:
        """Take in a message; what came before counts, too."""
        self._digest.update(key)
        self._digest.update(payload)

    @property
    def name(self) -> str:
        """Twelve hexadecimal digits."""
        return self._digest.hexdigest()
