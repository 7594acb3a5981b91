"""The queue of our own on RabbitMQ that gets a copy of every event.

It is bound to the event exchange, which is never declared: its arguments are the application's
business. The queue always has limits, because one that grows without end raises the broker's
memory alarm, and that stops the application's publishers. Two kinds:

* By default it is exclusive: nobody else may use it, and it is gone when we are.
* Retained, as a quorum queue or a stream, it is durable, so that it keeps what is published
  while we are down. A quorum queue also loses nothing when the broker restarts; a stream was
  seen (RabbitMQ 3.10.8) to miss what is published, and confirmed, in the seconds until it is
  back.

Rights that the user needs: configure and write on its queue, read on its queue and the exchange.
"""

import re
import shlex
from enum import StrEnum
from typing import Final
from uuid import uuid4

import anyio
from msgspec import Struct

from ..errors import ForbiddenError, LostError, RefusedError, StreamError
from .amqp_connection import (
    ACCESS_REFUSED,
    NOT_FOUND,
    PRECONDITION_FAILED,
    ChannelClosedError,
    Connection,
)
from .amqp_frames import Argument, Name

CHANNEL: Final = 1
"""The one that messages come on."""
_TAG = "celery-stream"
# RabbitMQ 3.10.8 was seen to count a consumer for some 10 ms after its connection had ended.
_LOOKS, _LOOK_AGAIN = 10, 0.2
_MIN_SEGMENT_BYTES, _MAX_SEGMENT_BYTES = 1024 * 1024, 500_000_000


class Retain(StrEnum):
    """What keeps the events that are published while nobody reads them."""

    NONE = "none"
    QUORUM = "quorum"
    STREAM = "stream"


class Bounds(Struct, frozen=True):
    """The limits of a queue; beyond them RabbitMQ drops the oldest messages."""

    messages: int = 200_000
    size_bytes: int = 256 * 1024 * 1024
    age: float = 3600.0
    """Seconds; only of a retained queue, which is deleted when it is unused for twice as long."""

    def full(self, ready: int, mean_bytes: float = 0.0) -> bool:
        """Whether a queue of *ready* messages has, or may have, dropped some.

        RabbitMQ tells no size over AMQP, hence *mean_bytes*, the mean of those that were read.
        """
        return ready >= self.messages or ready * mean_bytes >= 0.95 * self.size_bytes


class Opened(Struct, frozen=True):
    """How our queue was found."""

    existed: bool
    ready: int
    """Messages that waited in it; a stream does not tell."""


class OwnQueue:
    """One queue of ours.

    Args:
        name: the broker's name in the configuration; a retained queue is found again by it.
        exchange: Celery's ``event_exchange``.
        prefix: Celery's ``event_queue_prefix``; the queue's name begins with it.
        retain: its kind.
        bounds: its limits.
        prefetch: messages that RabbitMQ sends ahead of our acknowledgement.
    """

    def __init__(
        self,
        name: str,
        *,
        exchange: str,
        prefix: str,
        retain: Retain,
        bounds: Bounds,
        prefetch: int,
    ) -> None:
        self.retain = retain
        self.bounds = bounds
        self._exchange = exchange
        self._prefix = prefix
        self._prefetch = prefetch
        kept = retain is not Retain.NONE
        self._name = f"{prefix}.stream.{name}" if kept else f"{prefix}.{uuid4().hex}"

    async def has_exchange(self, connection: Connection) -> bool:
        """Whether the event exchange is there. Asks on a channel of its own.

        Raises:
            StreamError: the connection broke, or the server refused.
        """
        asked: tuple[Argument, ...] = (0, self._exchange, "", True, False, False, False, False, {})
        try:
            await connection.open_channel(CHANNEL)
            await connection.call(
                CHANNEL, Name.EXCHANGE_DECLARE, *asked, answer=Name.EXCHANGE_DECLARE_OK
            )
        except ChannelClosedError as error:
            if error.code == NOT_FOUND:
                return False
            raise self.explain(connection, error, "look for the event exchange") from error
        return True

    async def open(self, connection: Connection, offset: int | None) -> Opened:
        """Declare and bind the queue on the channel that is open, and consume it.

        Args:
            connection: with the channel that `has_exchange` left open.
            offset: of a stream, where to begin; None: with what it still has.

        Raises:
            LostError: the connection broke, or somebody else consumes the queue.
            RefusedError: the user lacks a permission, or the queue has other arguments.
        """
        doing = "declare its queue"
        try:
            existed = await self._exists(connection)
            answer = await connection.call(
                CHANNEL, Name.QUEUE_DECLARE, *self._declaration(), answer=Name.QUEUE_DECLARE_OK
            )
            await self._wait_for_sole_use(connection, int(str(answer[2])))
            doing = "bind its queue to the event exchange"
            await connection.call(
                CHANNEL, Name.QUEUE_BIND, *self._binding(), False, {}, answer=Name.QUEUE_BIND_OK
            )
            doing = "read its queue"
            await self._consume(connection, offset if existed else None)
        except ChannelClosedError as error:
            raise self.explain(connection, error, doing) from error
        return Opened(existed, int(str(answer[1])))

    async def inspect(self, connection: Connection) -> tuple[int, int] | None:
        """Look at a retained queue without making it, on the channel that is open.

        It is declared once more as it should be, which changes nothing where it is like that.

        Returns:
            Messages that wait in it, and readers; None where there is none.

        Raises:
            LostError: the connection broke.
            RefusedError: the user lacks a permission, or the queue has other arguments.
        """
        try:
            if not await self._exists(connection):
                return None
            answer = await connection.call(
                CHANNEL, Name.QUEUE_DECLARE, *self._declaration(), answer=Name.QUEUE_DECLARE_OK
            )
        except ChannelClosedError as error:
            raise self.explain(connection, error, "declare its queue") from error
        return int(str(answer[1])), int(str(answer[2]))

    @property
    def name(self) -> str:
        """What it is called on the server."""
        return self._name

    async def _wait_for_sole_use(self, connection: Connection, consumers: int) -> None:
        """Refuse a second reader of a queue, which would wait in silence until the first one ends.

        A reader that has just left, as we ourselves before a restart, is forgotten a moment later.
        """
        if self.retain is not Retain.QUORUM:
            return
        for _ in range(_LOOKS):
            if not consumers:
                return
            await anyio.sleep(_LOOK_AGAIN)
            answer = await connection.call(
                CHANNEL, Name.QUEUE_DECLARE, *self.look(), answer=Name.QUEUE_DECLARE_OK
            )
            consumers = int(str(answer[2]))
        if consumers:
            raise LostError(
                f"{connection.place}: somebody else reads the queue {self._name!r}; give each "
                "celery-stream its own broker name."
            )

    def look(self) -> tuple[Argument, ...]:
        """Arguments of a declaration that only asks how many messages wait."""
        return (0, self._name, True, False, False, False, False, {})

    def rebinding(self) -> tuple[Argument, ...]:
        """Arguments of a binding without an answer; it changes nothing where it is there.

        Whoever deletes the exchange deletes the binding, and whoever declares it again does not
        bring it back: without this nothing would ever come any more, and nothing would tell.
        """
        return (*self._binding(), True, {})

    def _binding(self) -> tuple[Argument, ...]:
        return (0, self._name, self._exchange, "#")

    async def _exists(self, connection: Connection) -> bool:
        if self.retain is Retain.NONE:
            return False
        try:
            await connection.call(
                CHANNEL, Name.QUEUE_DECLARE, *self.look(), answer=Name.QUEUE_DECLARE_OK
            )
        except ChannelClosedError as error:
            if error.code != NOT_FOUND:
                raise
            await connection.open_channel(CHANNEL)
            return False
        return True

    def _declaration(self) -> tuple[Argument, ...]:
        durable = self.retain is not Retain.NONE
        return (0, self._name, False, durable, not durable, not durable, False, self._arguments())

    def _arguments(self) -> dict[str, object]:
        bounds, age = self.bounds, int(self.bounds.age)
        lengths = {"x-max-length": bounds.messages, "x-max-length-bytes": bounds.size_bytes}
        match self.retain:
            case Retain.NONE:
                return {**lengths, "x-overflow": "drop-head"}
            case Retain.QUORUM:
                return {
                    **lengths,
                    "x-queue-type": "quorum",
                    # Two readers of one queue would get half of the events each.
                    "x-single-active-consumer": True,
                    "x-overflow": "drop-head",
                    "x-message-ttl": age * 1000,
                    "x-expires": age * 2000,
                }
            case Retain.STREAM:
                return {
                    "x-queue-type": "stream",
                    "x-max-length-bytes": bounds.size_bytes,
                    "x-max-age": f"{age}s",
                    # The limits remove whole segments, and the last one stays.
                    "x-stream-max-segment-size-bytes": min(
                        max(_MIN_SEGMENT_BYTES, bounds.size_bytes // 8), _MAX_SEGMENT_BYTES
                    ),
                }

    async def _consume(self, connection: Connection, offset: int | None) -> None:
        await connection.call(
            CHANNEL, Name.BASIC_QOS, 0, self._prefetch, False, answer=Name.BASIC_QOS_OK
        )
        arguments: dict[str, object] = {}
        if self.retain is Retain.STREAM:
            arguments["x-stream-offset"] = "first" if offset is None else offset
        words = (0, self._name, _TAG, False, False, False, False, arguments)
        await connection.call(CHANNEL, Name.BASIC_CONSUME, *words, answer=Name.BASIC_CONSUME_OK)

    def explain(self, connection: Connection, error: ChannelClosedError, doing: str) -> StreamError:
        """Turn a refusal into the exception to raise; *doing* completes "does not let user …"."""
        place, vhost = connection.place, connection.address.vhost
        user = connection.address.username
        if error.code == ACCESS_REFUSED:
            return ForbiddenError(
                f"{place} does not let user {user!r} {doing}: grant it with "
                f"rabbitmqctl set_permissions -p '{vhost}' {user} {self.rights}"
            )
        if error.code == PRECONDITION_FAILED:
            return RefusedError(
                f"{place} has the queue {self._name!r} with other limits or of another kind: "
                f"delete it with rabbitmqctl delete_queue -p '{vhost}' {self._name}"
            )
        return LostError(f"{place} closed the channel ({error.code}).")

    @property
    def rights(self) -> str:
        """The least that the user needs, as ``rabbitmqctl set_permissions`` takes it."""
        return shlex.join(needed_rights(self._prefix, self._exchange))


def needed_rights(prefix: str, exchange: str) -> tuple[str, str, str]:
    """The least that the user needs: what it may configure, write and read.

    Args:
        prefix: Celery's ``event_queue_prefix``.
        exchange: Celery's ``event_exchange``.
    """
    own = rf"^{re.escape(prefix)}\."
    return own, own, rf"{own}|^{re.escape(exchange)}$"
