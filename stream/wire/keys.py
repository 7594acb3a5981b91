r"""The keys and values that kombu's Redis transport keeps a broker in.

A queue ``Q`` is one list per priority step: ``Q`` for step 0 and ``Q\x06\x163``, ``Q\x06\x166``,
… for the others; producers LPUSH, workers BRPOP, so the oldest message is at index -1. A set
``_kombu.binding.<exchange>`` lists what is bound to the exchange. (kombu/transport/redis.py)

Pure and total: nothing here raises, whatever a key holds.
"""

from bisect import bisect
from collections.abc import Iterable

import msgspec
from msgspec import Struct

PRIORITY_STEPS = (0, 3, 6, 9)
"""kombu's default of the transport option ``priority_steps``."""
SEPARATOR = "\x06\x16"
"""kombu's default of the transport option ``sep``."""
BINDING_PREFIX = "_kombu.binding."
UNACKNOWLEDGED_INDEX = "unacked_index"
"""Sorted set: delivery tag → when a worker fetched the message, over all queues."""


class Head(Struct, frozen=True, gc=False):
    """What a queued message says about its task. None: not said, or not readable."""

    uuid: str | None = None
    timelimit: float | None = None
    """Hard (else soft) time limit, seconds."""
    traceparent: str | None = None


def step_of(priority: int, steps: tuple[int, ...] = PRIORITY_STEPS) -> int:
    """The step that a message of *priority* waits in: the one at or below it.

    A priority below the first step goes to the last, as in kombu's ``Channel.priority``.
    """
    return steps[bisect(steps, priority) - 1]


def priority_keys(
    queue: str, steps: tuple[int, ...] = PRIORITY_STEPS, separator: str = SEPARATOR
) -> tuple[tuple[int, str], ...]:
    """The list keys of a queue as (step, key), the most urgent first."""
    return tuple((step, f"{queue}{separator}{step}" if step else queue) for step in steps)


def binding_key(exchange: str) -> str:
    """The key of the set of what is bound to *exchange*."""
    return BINDING_PREFIX + exchange


def is_task_binding(key: str, event_exchange: str = "celeryev") -> bool:
    """Whether a binding key is of an exchange that carries tasks.

    Events, and remote control with its replies (``*.pidbox``), are no task queues.
    """
    exchange = key.removeprefix(BINDING_PREFIX)
    return (
        key.startswith(BINDING_PREFIX)
        and exchange != event_exchange
        and not exchange.endswith(".pidbox")
    )


def bound_queues(members: Iterable[bytes], separator: str = SEPARATOR) -> set[str]:
    """The queues among the members ``routing_key SEP pattern SEP queue`` of a binding set.

    The private queues of ``kombu.common.Broadcast`` (``bcast.<uuid>``) never hold a message.
    """
    found = set()
    for member in members:
        parts = member.decode(errors="replace").split(separator)
        if len(parts) == 3 and parts[2] and not parts[2].startswith("bcast."):  # noqa: PLR2004 - as in the docstring
            found.add(parts[2])
    return found


class _Headers(Struct):
    id: object = None
    timelimit: object = None
    traceparent: object = None


class _Properties(Struct):
    correlation_id: object = None


class _Queued(Struct):
    headers: _Headers | None = None
    properties: _Properties | None = None


_decoder = msgspec.json.Decoder(_Queued)


def read_head(message: bytes) -> Head:
    """Read the headers of a queued message. The body, maybe pickled, is not decoded."""
    try:
        queued = _decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Head()
    headers = queued.headers or _Headers()
    # Protocol 1 keeps the task in the body, but the correlation id is the task's id in both.
    uuid = headers.id or (queued.properties and queued.properties.correlation_id)
    return Head(_text(uuid), _limit(headers.timelimit), _text(headers.traceparent))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _limit(value: object) -> float | None:
    """From ``[hard, soft]`` (celery/app/amqp.py), either of which may be null."""
    if not isinstance(value, list):
        return None
    for limit in value[:2]:
        if isinstance(limit, int | float) and not isinstance(limit, bool) and limit > 0:
            return float(limit)
    return None
