"""Publishes messages on Redis at a steady rate, and costs little itself.

The server is asked not to answer each of them, which would cost as much as publishing; after the
last it says that it has come to the end. The first is published apart, so that a refusal is heard.
"""

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple, Protocol

import redis

from .messages import Outgoing, RedisMessages
from .synthetic import channel

SLICES: Final = 50
"""A second is published in so many parts."""
_UNPACED: Final = 25_000.0
"""Messages in a second's slices where no rate is asked for: 500 in one, some hundred kB."""


class Pace(NamedTuple):
    """How publishing went."""

    seconds: float
    """From the first message to the last."""
    messages: int
    events: int

    def kept(self, rate: float) -> bool:
        """Whether so many messages a second were reached, but for a twentieth."""
        return self.seconds <= self.messages / rate * 1.05 + 1 / SLICES


class Packed(NamedTuple):
    """A message ready to be sent to the server."""

    command: bytes
    events: int


class _Connection(Protocol):
    """What is used of redis-py's; its own methods have no types."""

    def send_packed_command(self, command: list[bytes], check_health: bool = True) -> None: ...  # noqa: FBT001, FBT002 - theirs

    def send_command(self, *words: str) -> None: ...

    def read_response(self) -> object: ...

    def disconnect(self) -> None: ...


class Packer:
    """Makes the commands that publish messages.

    Args:
        db: database of the broker, which is part of the channels' names.
        seed: of the delivery tags.
    """

    def __init__(self, db: int = 0, seed: int = 1) -> None:
        self._wrap = RedisMessages(seed).wrap
        self._db = db

    def pack(self, message: Outgoing) -> Packed:
        """Return the command."""
        payload, name = self._wrap(message), channel(message.key, self._db)
        command = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            *(len(name), name),
            *(len(payload), payload),
        )
        return Packed(command, message.events)


def publish(
    client: "redis.Redis", messages: Iterable[Packed], *, rate: float | None = None
) -> Pace:
    """Publish messages, *rate* a second, in slices of a fiftieth of one; None: as fast as can be.

    They may be made while they are published; that delays them only where it takes too long.

    Raises:
        redis.RedisError: the server refuses them or is gone.
    """
    rest = iter(messages)
    first = next(rest, None)
    if first is None:
        return Pace(0.0, 0, 0)
    connection: _Connection = client.connection_pool.get_connection()
    try:
        connection.send_packed_command([first.command])
        connection.read_response()
        return _publish(connection, first, rest, rate)
    except BaseException:
        connection.disconnect()
        raise
    finally:
        client.connection_pool.release(connection)  # type: ignore[arg-type] # it came from there


def _publish(
    connection: _Connection,
    first: Packed,
    rest: Iterator[Packed],
    rate: float | None,
) -> Pace:
    """Publish what follows *first*, which the server has."""
    connection.send_command("CLIENT", "REPLY", "OFF")
    per_slice = max(1, round((rate or _UNPACED) / SLICES))
    count, events = 1, first.events
    began = time.monotonic()
    while found := list(islice(rest, per_slice)):
        commands = b"".join([each.command for each in found])
        connection.send_packed_command([commands], check_health=False)
        count += len(found)
        events += sum(each.events for each in found)
        if rate is not None:
            time.sleep(max(0.0, began + count / rate - time.monotonic()))  # the pace, not a wait
    connection.send_command("CLIENT", "REPLY", "ON")
    connection.read_response()
    return Pace(time.monotonic() - began, count, events)
