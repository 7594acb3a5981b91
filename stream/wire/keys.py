r"""The keys and values that kombu's Redis transport keeps a broker in.

A queue ``Q`` is one list per priority step: ``Q`` for step 0 and ``Q\x06\x163``, ``Q\x06\x166``,
… for the others; producers LPUSH, workers BRPOP, so the oldest message is at index -1. A set
``_kombu.binding.<exchange>`` lists what is bound to the exchange. What a worker took waits for its
acknowledgement in a hash ``unacked`` by its delivery tag, and the sorted set ``unacked_index``
says when it was taken. (kombu/transport/redis.py)

Pure and total: nothing here raises, whatever a key holds.
"""

import re
from bisect import bisect
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct, field

PRIORITY_STEPS = (0, 3, 6, 9)
"""kombu's default of the transport option ``priority_steps``."""
SEPARATOR = "\x06\x16"
"""kombu's default of the transport option ``sep``."""
_BINDING = "_kombu.binding."

_MOST_SECONDS = 1e9
_MAX_RETRIES = 2**31
"""Beyond it no number is one: what says so was not written by Celery."""


class Head(Struct, frozen=True, gc=False):
    """What a queued message says about its task. None: not said, or not readable."""

    uuid: str | None = None
    timelimit: float | None = None
    """Hard (else soft) time limit, seconds."""
    traceparent: str | None = None
    """Like the two below: as it is written there, not validated."""
    tracestate: str | None = None
    sentry_trace: str | None = None
    retries: int | None = None


class Layout(Struct, frozen=True):
    """Under which keys an application keeps its queues, as its transport options have it."""

    prefix: str = ""
    """``global_keyprefix``: before every key."""
    separator: str = SEPARATOR
    steps: tuple[int, ...] = PRIORITY_STEPS
    unacknowledged: str = "unacked"
    unacknowledged_index: str = "unacked_index"

    def queue_keys(self, queue: str) -> tuple[tuple[int, str], ...]:
        """The list keys of a queue as (step, key), the most urgent first."""
        key, separator = self.prefix + queue, self.separator
        return tuple((step, f"{key}{separator}{step}" if step else key) for step in self.steps)

    @property
    def held(self) -> str:
        """The key of the hash of unacknowledged messages."""
        return self.prefix + self.unacknowledged

    @property
    def held_index(self) -> str:
        """The key of the sorted set: delivery tag → when a worker fetched the message."""
        return self.prefix + self.unacknowledged_index

    @property
    def bindings(self) -> str:
        """A pattern of the keys of all sets of bindings."""
        return glob_of(self.prefix + _BINDING) + "*"

    def binding_key(self, exchange: str) -> str:
        """The key of the set of what is bound to *exchange*."""
        return self.prefix + _BINDING + exchange

    def exchange_of(self, key: str) -> str | None:
        """The exchange of a key of a set of bindings; None of any other key."""
        start = self.prefix + _BINDING
        return key[len(start) :] if key.startswith(start) else None

    def bindings_in(self, members: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        """Read the members ``routing_key SEP pattern SEP queue`` of a set as (key, queue).

        The private queues of ``kombu.common.Broadcast`` (``bcast.<uuid>``) never hold a message.
        """
        for member in members:
            match member.decode(errors="replace").split(self.separator):
                case [routing_key, _, queue] if queue and not queue.startswith("bcast."):
                    yield routing_key, queue
                case _:
                    pass


def step_of(priority: int, steps: tuple[int, ...] = PRIORITY_STEPS) -> int:
    """The step that a message of *priority* waits in: the one at or below it.

    A priority below the first step goes to the last, as in kombu's ``Channel.priority``.
    """
    return steps[bisect(steps, priority) - 1]


def carries_tasks(exchange: str, event_exchange: str = "celeryev") -> bool:
    """Whether an exchange carries tasks; events, and remote control with its replies, are none."""
    return exchange != event_exchange and not exchange.endswith(".pidbox")


def glob_of(text: str) -> str:
    """A pattern of Redis that matches nothing but *text*."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


class _Links(Struct):
    traceparent: object = None
    tracestate: object = None
    sentry_trace: object = field(name="sentry-trace", default=None)


class _Headers(_Links):
    id: object = None
    timelimit: object = None
    retries: object = None
    headers: object = None
    """Where protocol 1 and some instrumentations have them a second time, or only there."""


class _Properties(Struct):
    correlation_id: object = None


class _Queued(Struct):
    headers: _Headers | None = None
    properties: _Properties | None = None


_decoder = msgspec.json.Decoder(_Queued)
_held_decoder = msgspec.json.Decoder(tuple[msgspec.Raw, str | None, str | None])


def read_head(message: bytes) -> Head:
    """Read the headers of a queued message. The body, maybe pickled, is not decoded."""
    try:
        queued = _decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Head()
    headers = queued.headers or _Headers()
    # Protocol 1 keeps the task in the body, but the correlation id is the task's id in both.
    uuid = headers.id or (queued.properties and queued.properties.correlation_id)
    links = _links_of(headers)
    return Head(
        _text(uuid),
        _limit(headers.timelimit),
        _text(links.traceparent),
        _text(links.tracestate),
        _text(links.sentry_trace),
        _count(headers.retries),
    )


def read_held(value: bytes) -> tuple[str, str] | None:
    """Exchange and routing key of an unacknowledged message; None where it cannot be read.

    The value is ``[message, exchange, routing_key]``; the message is not decoded.
    """
    try:
        _, exchange, routing_key = _held_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return exchange or "", routing_key or ""


def _links_of(headers: _Headers) -> _Links:
    """Choose the headers that name a trace: the message's own, else those nested in them."""
    if headers.headers is None or headers.traceparent or headers.sentry_trace:
        return headers
    try:
        return msgspec.convert(headers.headers, _Links)
    except (msgspec.ValidationError, RecursionError):
        return headers


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MAX_RETRIES else None


def _limit(value: object) -> float | None:
    """From ``[hard, soft]`` (celery/app/amqp.py), either of which may be null."""
    if not isinstance(value, list):
        return None
    for limit in value[:2]:
        is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
        if is_number and 0 < limit <= _MOST_SECONDS:
            return float(limit)
    return None
