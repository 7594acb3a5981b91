"""Asking the workers of a Redis broker, by raw ``PUBLISH`` on a connection of its own.

Not through kombu: its consumers, which collect the answers, redeliver the application's tasks.
Commands sent: AUTH, SELECT, CLIENT SETNAME, PING, PUBLISH; and to take answers LLEN, LPOP, RPUSH
and PEXPIRE on lists of our own, ``celery-stream.reply.…``, which workers push to. Those hold a mark
that makes them exist, so that they expire whatever comes after we are gone.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import anyio
from hiredis import ReplyError

from ..events import Frame, Message, Transport
from ..wire.control import (
    ENABLE_EVENTS,
    NOBODY,
    Question,
    in_envelope,
    read_answers,
    request,
    ticket_of,
)
from .base import Put
from .broker import Broker
from .control import AGAIN, ANSWER, LOOK, Rounds, Workers
from .reach import reach
from .resp import Command, Connection, Reply
from .transport import TransportOptions

REPLIES: Final = "celery-stream.reply"
"""The names of our lists begin with it."""
_KEPT: Final = 3600.0
"""Seconds for which our lists are kept: a solo worker answers when its task is done."""
_POLL: Final = 0.1
"""Seconds between two looks for answers."""
_MAX_TAKEN: Final = 20
"""Answers that are taken at once: one may be of thousands of tasks, and a few MB."""
_MARK: Final = "celery-stream"
_DEFAULTS: Final = TransportOptions()


class RedisControl:
    """Asks the workers of one broker.

    Args:
        broker: where its server is.
        name: the broker's name in the configuration; it goes into each frame.
        workers: those whose heartbeats come.
        rounds: who is to be asked when.
        inspects: whether answers are waited for.
        exchange: Celery's ``control_exchange``.
        options: the transport options, which decide on the channel.
        now: the clock, epoch seconds.
        idle: seconds without a question after which the server must answer a PING.
        timeout: seconds for connecting and for each answer of the server.
        sleep: waits between looks.
    """

    def __init__(
        self,
        broker: Broker,
        name: str,
        *,
        workers: Workers,
        rounds: Rounds,
        inspects: bool,
        exchange: str = "celery",
        options: TransportOptions = _DEFAULTS,
        now: Callable[[], float] = time.time,
        idle: float = 15.0,
        timeout: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.name = name
        self._broker = broker
        self._workers = workers
        self._rounds = rounds
        self._inspects = inspects
        self._exchange = f"{exchange}.pidbox"
        self._options = options
        self._now = now
        self._idle = idle
        self._timeout = timeout
        self._sleep = sleep
        self._queue = f"{REPLIES}.{uuid4().hex}"
        self._missing = 0
        self._asked_at = 0.0

    async def run(self, put: Put) -> None:
        """Ask whoever is due, and hand over what they answer, until the connection ends.

        Raises:
            LostError: the connection could not be made or broke.
            RefusedError: the server refuses the user, or what asking needs.
        """
        async with reach(self._broker, timeout=self._timeout) as connection:
            await self._check(connection)
            await put([])  # connected
            quiet_since = anyio.current_time()
            while True:
                asked = await self._ask(connection)
                if asked or await self._take_answers(connection, put):
                    quiet_since = anyio.current_time()
                elif anyio.current_time() - quiet_since >= self._idle:
                    await connection.call("PING", doing="ask whether it is there", grant="+ping")
                    quiet_since = anyio.current_time()
                await self._sleep(_POLL if self._expects_answers(ANSWER) else LOOK)

    async def _check(self, connection: Connection) -> None:
        """Refuse at once, and not when the first worker is there, what is forbidden."""
        await self._publish(connection, request("ping", [NOBODY]))
        if self._inspects:
            for question in Question:
                key = self._key(question)
                await self._arm(connection, key)
                await self._own(connection, ("RPUSH", key, _MARK), ("LPOP", key))

    async def _publish(self, connection: Connection, body: bytes) -> None:
        topic = self._options.topic(self._exchange, connection.address.db)
        message = in_envelope(body, exchange=self._exchange, tag=uuid4().hex)
        doing, grant = f"publish on {topic}", f"+publish '&{topic}'"
        await connection.call("PUBLISH", topic, message, doing=doing, grant=grant)

    async def _ask(self, connection: Connection) -> bool:
        """Ask whoever is due; whether somebody was."""
        due = self._rounds.due(self._workers(), anyio.current_time())
        if due.enable:
            await self._publish(connection, request(ENABLE_EVENTS, due.enable))
        if due.inspect:
            await self._inspect(connection, due.inspect)
        return bool(due.enable or due.inspect)

    async def _inspect(self, connection: Connection, hostnames: list[str]) -> None:
        ticket = repr(self._now())
        for question in Question:
            await self._arm(connection, self._key(question))
            reply_to = f"{self._queue}.{question}"
            body = request(question, hostnames, reply_to=reply_to, ticket=ticket)
            await self._publish(connection, body)
        self._missing = max(0, self._missing) + len(hostnames) * len(Question)
        self._asked_at = anyio.current_time()

    def _expects_answers(self, patience: float) -> bool:
        """Whether some are missing that were asked for within *patience* seconds."""
        return self._missing > 0 and anyio.current_time() - self._asked_at < patience

    async def _take_answers(self, connection: Connection, put: Put) -> bool:
        """Hand over what came, if something is expected; whether it was looked for."""
        if not self._expects_answers(AGAIN):
            return False
        for question in Question:
            answers = await self._take(connection, question)
            self._missing -= len(answers)
            await put(answers)
        return True

    def _key(self, question: Question) -> str:
        return f"{self._options.global_keyprefix}{self._queue}.{question}"

    async def _arm(self, connection: Connection, key: str) -> None:
        """See to it that our list is there, and that it will not be there for ever."""
        if await self._own(connection, ("LLEN", key)) == [0]:
            await self._own(connection, ("RPUSH", key, _MARK))
        await self._own(connection, ("PEXPIRE", key, int(_KEPT * 1000)))

    async def _own(self, connection: Connection, *commands: Command) -> list[Reply]:
        """Do something with our lists."""
        replies = await connection.pipeline(commands)
        grant = f"+rpush +pexpire +llen +lpop '~{self._options.global_keyprefix}{REPLIES}.*'"
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise connection.explain(reply, "take the workers' answers", grant)
        return replies

    async def _take(self, connection: Connection, question: Question) -> list[Frame]:
        """Take the answers, and leave the mark, which is the first in the list."""
        key = self._key(question)
        (length,) = await self._own(connection, ("LLEN", key))
        count = min(length - 1, _MAX_TAKEN) if isinstance(length, int) else 0
        if count <= 0:
            return []
        replies = await self._own(connection, *([("LPOP", key)] * count))
        received_at = self._now()
        found: list[Frame] = []
        for payload in replies:
            if isinstance(payload, bytes) and (asked_at := _instant(ticket_of(payload))):
                message = Message(received_at, self.name, Transport.REDIS, b"", payload)
                found += read_answers(question, message, asked_at=asked_at)
        return found


def _instant(ticket: str | None) -> float | None:
    """Return when we asked; None where the answer is not to us."""
    try:
        return float(ticket or "")
    except ValueError:
        return None
