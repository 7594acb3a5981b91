"""Which queues the messages belong to that workers hold in a Redis broker, and for how long.

kombu keeps them for all queues together; only the message's own exchange and routing key tell the
queue, so each has to be read. Read are those that are held longest, from the index, which bounds
what a look costs and still shows what is about to be redelivered. Commands sent: ZRANGE, HMGET;
none writes.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from typing import TypeAlias

import anyio
from hiredis import ReplyError

from ..wire.keys import Layout, read_held
from .resp import Command, Connection, Reply

# What workers prefetch is mostly less; countdowns and ETAs can make it any number.
_MAX_MESSAGES = 2000
_CHUNK = 20
_MAX_BYTES = 8 * 1024 * 1024
# A message held for this share of the visibility timeout has not long before it is redelivered.
_OVERDUE_SHARE = 0.8

Routes: TypeAlias = Mapping[tuple[str, str], str | None]


@dataclass(slots=True)
class Held:
    """What workers hold of one queue."""

    oldest_at: float
    """When a worker fetched the one that is held longest."""
    count: int = 0
    overdue: int = 0


@dataclass(slots=True)
class Holdings:
    """What one look found; of messages whose queue cannot be told, nothing."""

    queues: dict[str, Held] = field(default_factory=dict)
    complete: bool = False
    """Whether all that is held was read: else the counts are lower bounds."""
    refused: tuple[Command, ReplyError] | None = None
    """What the server did not let us do, the first time that it did not."""

    def add(self, queue: str | None, fetched_at: float, overdue_since: float) -> None:
        """Count one message; those that are held longest come first."""
        if queue is None:
            return
        held = self.queues.setdefault(queue, Held(fetched_at))
        held.count += 1
        held.overdue += fetched_at < overdue_since


class HeldMessages:
    """Looks at what workers hold once in an interval, and remembers it in between.

    Args:
        layout: the keys of the application.
        interval: seconds between two looks; 0: never.
        visibility_timeout: seconds; the transport option.
    """

    def __init__(self, layout: Layout, *, interval: float, visibility_timeout: float) -> None:
        self._layout = layout
        self._interval = interval
        self._visibility_timeout = visibility_timeout
        self._due_at = -inf
        self._found = Holdings()

    async def look(self, connection: Connection, routes: Routes, *, now: float) -> Holdings:
        """Return what was found last, having looked again if that is due.

        Args:
            connection: to the broker.
            routes: the queue by exchange and routing key; None where it may be one of several.
            now: epoch seconds, on a clock like the workers'.

        Raises:
            LostError: the connection broke.
        """
        if self._interval > 0 and anyio.current_time() >= self._due_at:
            overdue_since = now - self._visibility_timeout * _OVERDUE_SHARE
            self._found = await self._read(connection, routes, overdue_since)
            self._due_at = anyio.current_time() + self._interval
            return self._found
        return replace(self._found, refused=None)  # they were told once

    async def _read(self, connection: Connection, routes: Routes, overdue_since: float) -> Holdings:
        """Read messages, the longest held first, within the budgets."""
        # One more than are read, to know whether that was all.
        command: Command = ("ZRANGE", self._layout.held_index, 0, _MAX_MESSAGES, "WITHSCORES")
        (reply,) = await connection.pipeline([command])
        if isinstance(reply, ReplyError):
            return Holdings(refused=(command, reply))
        if not isinstance(reply, list):
            return Holdings()
        rows = list(_rows(reply))
        found, left = Holdings(), _MAX_BYTES
        for start in range(0, min(len(rows), _MAX_MESSAGES), _CHUNK):
            tags, times = zip(*rows[start : start + _CHUNK], strict=True)
            (values,) = await connection.pipeline([("HMGET", self._layout.held, *tags)])
            if isinstance(values, ReplyError):
                return replace(found, refused=(("HMGET", self._layout.held), values))
            if not isinstance(values, list):
                return found
            for fetched_at, value in zip(times, values, strict=True):
                if isinstance(value, bytes):  # else acknowledged meanwhile
                    left -= len(value)
                    found.add(_queue_of(value, routes), fetched_at, overdue_since)
            if left < 0:
                return found
        return replace(found, complete=len(rows) <= _MAX_MESSAGES)


def _rows(reply: list[Reply]) -> Iterator[tuple[bytes, float]]:
    """Delivery tags and when each message was fetched."""
    for tag, score in zip(reply[::2], reply[1::2], strict=False):
        if isinstance(tag, bytes) and isinstance(score, bytes):
            with suppress(ValueError):
                yield tag, float(score)


def _queue_of(value: bytes, routes: Routes) -> str | None:
    route = read_held(value)
    if route is None:
        return None
    exchange, routing_key = route
    # The default exchange delivers to the queue of that name.
    return routes.get(route) if exchange else routing_key
