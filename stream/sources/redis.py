"""Celery's events from a Redis broker, by raw ``PSUBSCRIBE``.

Not through kombu: a kombu consumer sweeps ``unacked_index`` with its own visibility timeout and
so redelivers the application's tasks. Commands sent: AUTH, SELECT, CLIENT SETNAME, PSUBSCRIBE,
SUBSCRIBE, PING; none writes.

The reader does nothing but read and wrap, because the server cuts off a subscriber that falls
32 MB behind. It hands over one list per socket read.
"""

import time
from collections.abc import Callable

from hiredis import ReplyError

from ..events import Frame, Message, Subscribed, Transport
from .address import RedisAddress
from .base import Put
from .resp import Connection, Reply, connect

_PMESSAGE_WORDS = 4  # pmessage, pattern, channel, payload: no other reply is that long
_REDIS = Transport.REDIS


class RedisEvents:
    """The messages of one broker's event exchange.

    Args:
        address: the server; a replica serves as well, since it repeats what is published.
        name: the broker's name in the configuration; it goes into each frame.
        exchange: Celery's ``event_exchange``.
        channel: the channel without the routing key, where the transport options ``fanout_prefix``
            or ``global_keyprefix`` change it; None: ``/{db}.{exchange}``.
        now: the clock, epoch seconds.
        idle: seconds without a message after which the server must answer a PING.
        timeout: seconds for connecting and for each answer.
    """

    def __init__(
        self,
        address: RedisAddress,
        name: str,
        *,
        exchange: str = "celeryev",
        channel: str | None = None,
        now: Callable[[], float] = time.time,
        idle: float = 15.0,
        timeout: float = 5.0,
    ) -> None:
        self.name = name
        self._address = address
        self._channel = channel if channel is not None else f"/{address.db}.{exchange}"
        self._now = now
        self._idle = idle
        self._timeout = timeout
        self._epoch = 0
        self._alive_at: float | None = None

    async def run(self, put: Put) -> None:
        """Subscribe and hand over a `Subscribed` frame, then messages, until the connection ends.

        Raises:
            LostError: the connection could not be made or broke.
            RefusedError: the server refuses the user, or the subscription.
        """
        async with connect(self._address, timeout=self._timeout) as connection:
            early = await self._subscribe(connection)
            silent_since, self._alive_at = self._alive_at, self._now()
            self._epoch += 1
            await put([Subscribed(self._alive_at, self.name, self._epoch, silent_since)])
            if early:
                await put(self._frames(early, self._alive_at))
            while True:
                replies = await connection.receive_alive(self._idle)
                self._alive_at = received_at = self._now()
                if frames := self._frames(replies, received_at):
                    await put(frames)
                elif isinstance(replies[-1], ReplyError):
                    # The answer to our PING, which comes alone.
                    raise connection.explain(replies[-1], "ask whether it is there", "+ping")

    async def _subscribe(self, connection: Connection) -> list[Reply]:
        """Subscribe; return the messages that came along with the confirmations."""
        # An ACL compares a pattern literally with what it grants, hence no narrower one. The
        # plain channel is where events go with fanout_patterns=False; few ACLs grant it.
        pattern = f"{self._channel}/*"
        await connection.send(("PSUBSCRIBE", pattern), ("SUBSCRIBE", self._channel))
        answers: list[Reply] = []
        messages: list[Reply] = []
        while len(answers) < 2:  # noqa: PLR2004 - two commands, two answers
            for reply in await connection.receive_soon():
                (messages if _is_message(reply) else answers).append(reply)
        if isinstance(answers[0], ReplyError):
            doing = f"subscribe to {pattern}"
            raise connection.explain(answers[0], doing, f"+psubscribe '&{pattern}'")
        return messages

    def _frames(self, replies: list[Reply], received_at: float) -> list[Frame]:
        name = self.name
        try:
            # The hot loop; what is not a pmessage is looked at below.
            frames: list[Frame] = [
                Message(received_at, name, _REDIS, reply[2], reply[3])  # type: ignore[index, arg-type] # RESP2: a list of 4 is a pmessage
                for reply in replies
                if len(reply) == _PMESSAGE_WORDS  # type: ignore[arg-type] # the except below
            ]
        except TypeError:
            return self._mixed_frames(replies, received_at)
        if len(frames) != len(replies):
            return self._mixed_frames(replies, received_at)
        return frames

    def _mixed_frames(self, replies: list[Reply], received_at: float) -> list[Frame]:
        """Frames of a read that holds more than pmessages: pongs, or messages of the channel."""
        return [
            Message(received_at, self.name, _REDIS, channel, payload)
            for reply in replies
            if isinstance(reply, list) and _is_message(reply)
            for channel, payload in [reply[-2:]]
            if isinstance(channel, bytes) and isinstance(payload, bytes)
        ]


def _is_message(reply: Reply) -> bool:
    return isinstance(reply, list) and reply[0] in {b"pmessage", b"message"}
