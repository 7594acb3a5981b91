"""Asking the workers of a RabbitMQ broker, on a connection of its own.

Requests are published to the exchange of the remote control, which is never declared: where there
is none, no worker listens. Answers come to exclusive queues of our own that live for one round, so
that a late answer goes nowhere; their names begin with ``event_queue_prefix``, as our other queues.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final
from uuid import uuid4

import anyio
from msgspec import Struct

from ..errors import LostError, RefusedError, StreamError
from ..events import Frame, Message
from ..wire.control import ENABLE_EVENTS, NOBODY, Question, read_answers, request
from . import amqp_frames as frames
from .amqp_address import AmqpAddress
from .amqp_connection import ACCESS_REFUSED, NOT_FOUND, ChannelClosedError, Connection
from .amqp_frames import Argument, Name
from .amqp_login import connect
from .base import Put
from .control import ANSWER, LOOK, Rounds, Workers

_CHANNEL: Final = 1
_RETRY: Final = 5.0
"""Seconds: each look for an exchange that is not there is a line in RabbitMQ's log."""
_PASSIVE: Final[tuple[Argument, ...]] = (True, False, False, False, False, {})
_EXCLUSIVE: Final[tuple[Argument, ...]] = (False, False, True, True, False, {})


class _Round(Struct):
    """The questions that were asked last."""

    queues: dict[str, Question] = {}
    """For the answers to each of them."""
    asked_at: float = 0.0
    missing: int = 0
    """Answers that are to come."""
    ends_at: float = 0.0
    """Until when they are waited for, on the loop's clock."""

    def answers(self, messages: Iterable[Frame]) -> list[Frame]:
        """Read what came."""
        found: list[Frame] = []
        for each in messages:
            if isinstance(each, Message) and (asked := self.queues.get(each.channel.decode())):
                found += read_answers(asked, each, asked_at=self.asked_at)
        self.missing -= len(found)
        return found

    def is_open(self, now: float) -> bool:
        """Whether the next one would come between this one and its answers."""
        return self.missing > 0 and now < self.ends_at


class AmqpControl:
    """Asks the workers of one broker.

    Args:
        addresses: the broker's servers; the first that answers is taken.
        name: the broker's name in the configuration; it goes into each frame.
        workers: those whose heartbeats come.
        rounds: who is to be asked when.
        exchange: Celery's ``control_exchange``.
        event_exchange: Celery's ``event_exchange``, to say which rights are needed in all.
        queue_prefix: the names of our queues begin with it.
        now: the clock, epoch seconds.
        heartbeat: seconds without a sign of life after which the connection is given up, doubled.
        timeout: seconds for connecting and for each answer of the server.
        sleep: waits until the exchange may be there.
    """

    def __init__(
        self,
        addresses: Sequence[AmqpAddress],
        name: str,
        *,
        workers: Workers,
        rounds: Rounds,
        exchange: str = "celery",
        event_exchange: str = "celeryev",
        queue_prefix: str = "celeryev",
        now: Callable[[], float] = time.time,
        heartbeat: float = 30.0,
        timeout: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.name = name
        self._addresses = tuple(addresses)
        self._workers = workers
        self._rounds = rounds
        self._exchange = f"{exchange}.pidbox"
        self._events = event_exchange
        self._prefix = queue_prefix
        self._now = now
        self._heartbeat = heartbeat
        self._timeout = timeout
        self._sleep = sleep
        self._round = _Round()

    async def run(self, put: Put) -> None:
        """Ask whoever is due, and hand over what they answer, until the connection ends.

        Raises:
            LostError: the connection could not be made or broke.
            RefusedError: the server refuses the user, or what asking needs.
        """
        reader = frames.Reader(self.name)
        async with connect(
            self._addresses, reader, timeout=self._timeout, heartbeat=self._heartbeat, now=self._now
        ) as connection:
            await put([])  # connected
            try:
                await self._find_exchange(connection)
                await self._publish(connection, request("ping", [NOBODY]))
                self._round = _Round()
                while True:
                    await self._ask(connection)
                    received = await connection.receive(LOOK)
                    await put(self._round.answers(received.messages))
            except ChannelClosedError as error:
                raise self._explain(connection, error) from error

    async def _find_exchange(self, connection: Connection) -> None:
        """Wait until there is one, which the first worker makes."""
        while True:
            await connection.open_channel(_CHANNEL)
            asked = (0, self._exchange, "", *_PASSIVE[:5], {})
            try:
                await connection.call(
                    _CHANNEL, Name.EXCHANGE_DECLARE, *asked, answer=Name.EXCHANGE_DECLARE_OK
                )
            except ChannelClosedError as error:
                if error.code != NOT_FOUND:
                    raise
                await self._sleep(_RETRY)
            else:
                return

    async def _publish(self, connection: Connection, body: bytes) -> None:
        await connection.send(frames.publish(_CHANNEL, self._exchange, body))

    async def _ask(self, connection: Connection) -> None:
        now = anyio.current_time()
        if self._round.is_open(now):
            return
        due = self._rounds.due(self._workers(), now)
        if due.enable:
            await self._publish(connection, request(ENABLE_EVENTS, due.enable))
        if due.inspect:
            await self._inspect(connection, due.inspect)

    async def _inspect(self, connection: Connection, hostnames: list[str]) -> None:
        """Begin a round; what is not answered by now to the one before never will be."""
        for queue in self._round.queues:
            words = (0, queue, False, False, False)
            await connection.call(_CHANNEL, Name.QUEUE_DELETE, *words, answer=Name.QUEUE_DELETE_OK)
        names = {f"{self._prefix}.control.{uuid4().hex}.{each}": each for each in Question}
        for queue in names:
            await self._open(connection, queue)
        missing, ends_at = len(hostnames) * len(names), anyio.current_time() + ANSWER
        self._round = _Round(names, self._now(), missing, ends_at)
        for queue, question in names.items():
            await self._publish(connection, request(question, hostnames, reply_to=queue))

    async def _open(self, connection: Connection, queue: str) -> None:
        await connection.call(
            _CHANNEL, Name.QUEUE_DECLARE, 0, queue, *_EXCLUSIVE, answer=Name.QUEUE_DECLARE_OK
        )
        # no_ack: answers are not kept
        words: tuple[Argument, ...] = (0, queue, queue, False, True, False, False, {})
        await connection.call(_CHANNEL, Name.BASIC_CONSUME, *words, answer=Name.BASIC_CONSUME_OK)

    def _explain(self, connection: Connection, error: ChannelClosedError) -> StreamError:
        place, user = connection.place, connection.address.username
        if error.code == ACCESS_REFUSED:
            return RefusedError(
                f"{place} does not let user {user!r} ask the workers: grant it with "
                f"rabbitmqctl set_permissions -p '{connection.address.vhost}' {user} {self._rights}"
            )
        return LostError(f"{place} closed the channel ({error.code}).")

    @property
    def _rights(self) -> str:
        """The least that the user needs, what the events need included."""
        own, exchange = rf"^{re.escape(self._prefix)}\.", rf"^{re.escape(self._exchange)}$"
        return rf"'{own}' '{own}|{exchange}' '{own}|^{re.escape(self._events)}$'"
