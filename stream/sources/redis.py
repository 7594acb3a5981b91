"""Celery's events from a Redis broker, by raw ``PSUBSCRIBE``.

Not through kombu: a kombu consumer sweeps ``unacked_index`` with its own visibility timeout and
so redelivers the application's tasks. Commands sent: AUTH, SELECT, CLIENT SETNAME, PSUBSCRIBE,
PING; and with Sentinel those of `sentinel` and ROLE. None writes.

The reader does nothing but read and wrap, because the server cuts off a subscriber that falls
32 MB behind. It hands over one list per socket read.
"""

import time
from collections.abc import Callable

import anyio
from hiredis import ReplyError

from ..errors import LostError
from ..events import Frame, Message, Subscribed, Transport
from ..wire.keys import glob_of
from .base import Put
from .broker import Broker, SentinelBroker
from .flow import GATHERING, Flow
from .reach import reach
from .resp import MESSAGE_WORDS, Connection, Reply, is_message
from .transport import TransportOptions

_REDIS = Transport.REDIS
_DEFAULTS = TransportOptions()


class RedisEvents:
    """The messages of one broker's event exchange.

    Args:
        broker: where its server is; a replica serves as well, since it repeats what is published.
        name: the broker's name in the configuration; it goes into each frame.
        exchange: Celery's ``event_exchange``.
        options: the transport options, which decide on the channel.
        now: the clock, epoch seconds.
        idle: seconds without a message after which the server must answer a PING.
        timeout: seconds for connecting and for each answer.
        stale: seconds without a message, after there were some, after which it is subscribed anew:
            workers send a heartbeat every two seconds, and whatever keeps them from us (a server
            that is not the one that they use any more) may be over.
    """

    def __init__(
        self,
        broker: Broker,
        name: str,
        *,
        exchange: str = "celeryev",
        options: TransportOptions = _DEFAULTS,
        now: Callable[[], float] = time.time,
        idle: float = 15.0,
        timeout: float = 5.0,
        stale: float = 60.0,
    ) -> None:
        self.name = name
        self._broker = broker
        self._exchange = exchange
        self._options = options
        self._now = now
        self._idle = idle
        self._timeout = timeout
        self._stale = stale
        self._epoch = 0
        self._alive_at: float | None = None

    async def run(self, put: Put) -> None:
        """Subscribe and hand over a `Subscribed` frame, then messages, until the connection ends.

        Raises:
            LostError: the connection could not be made or broke, or nothing comes any more.
            RefusedError: the server refuses the user, or the subscription.
        """
        async with reach(self._broker, timeout=self._timeout) as connection:
            early = await self._subscribe(connection)
            silent_since, self._alive_at = self._alive_at, self._now()
            self._epoch += 1
            await put([Subscribed(self._alive_at, self.name, self._epoch, silent_since)])
            if early:
                await put(self._frames(early, self._alive_at))
            await self._read(connection, put, heard=bool(early))

    async def _read(self, connection: Connection, put: Put, *, heard: bool) -> None:
        """Hand over messages until the connection ends, or nothing comes any more."""
        silent_from = anyio.current_time()
        flow = Flow(silent_from)
        while True:
            replies = await connection.receive_alive(self._idle)
            self._alive_at = received_at = self._now()
            if frames := self._frames(replies, received_at):
                heard, silent_from = True, anyio.current_time()
                await put(frames)
                if flow.is_quick(len(frames), silent_from) and connection.drained:
                    await anyio.sleep(GATHERING)
            elif not replies:
                silent_from = anyio.current_time()  # a part of a large message
            elif isinstance(replies[-1], ReplyError):
                # The answer to our PING, which comes alone.
                raise connection.explain(replies[-1], "ask whether it is there", "+ping")
            elif heard and anyio.current_time() - silent_from >= self._stale:
                raise LostError(f"nothing was heard for {self._stale:g} s; subscribing anew")

    async def _subscribe(self, connection: Connection) -> list[Reply]:
        """Subscribe; return the messages that came along with the confirmations."""
        patterns = self.patterns(connection.address.db)
        await connection.send(*(("PSUBSCRIBE", pattern) for pattern in patterns))
        answers: list[Reply] = []
        messages: list[Reply] = []
        while len(answers) < len(patterns):
            for reply in await connection.receive_soon():
                (messages if is_message(reply) else answers).append(reply)
        if isinstance(answers[0], ReplyError):
            doing, grant = f"subscribe to {patterns[0]}", f"+psubscribe '&{patterns[0]}'"
            raise connection.explain(answers[0], doing, grant)
        return messages

    def patterns(self, db: int) -> list[str]:
        """What to subscribe to: first what must be granted; few ACLs grant the others.

        An ACL compares a pattern literally with what it grants, hence no narrower ones. Both forms
        of ``fanout_patterns``, because producers may have another one than the workers.
        """
        topic = glob_of(self._options.topic(self._exchange, db))
        found = [f"{topic}/*", topic]
        if not self._options.fanout_patterns:
            found.reverse()
        if isinstance(self._broker, SentinelBroker):
            # Of kombu before 5.4. What is published on both, the machine knows as the same.
            old = glob_of(self._options.unformatted_topic(self._exchange))
            found += [f"{old}/*", old]
        return list(dict.fromkeys(found))

    def _frames(self, replies: list[Reply], received_at: float) -> list[Frame]:
        name = self.name
        try:
            # The hot loop; a pong is shorter.
            return [
                Message(received_at, name, _REDIS, reply[2], reply[3])  # type: ignore[index, arg-type] # RESP2: a list of 4 is a pmessage
                for reply in replies
                if len(reply) == MESSAGE_WORDS  # type: ignore[arg-type] # the except below
            ]
        except TypeError:  # an error among them
            return self._frames([each for each in replies if isinstance(each, list)], received_at)
