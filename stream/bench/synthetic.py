"""Traffic as a source: the frames that a subscription to Redis would hand over.

Time passes by what the events say, with a tick for each second of it; no clock is asked.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from ..events import Frame, Message, Tick, Transport
from ..sources.base import Put
from .messages import BUFFER_LIMIT, EXCHANGE, RedisMessages, outgoing
from .traffic import Traffic

READ: Final = 50
"""Messages that arrive together: what a socket's buffer holds under load."""


class Synthetic:
    """The first *events* events of a traffic.

    Args:
        traffic: what happens.
        events: how many of them.
        batch: events in a message at most.
    """

    name = "synthetic"

    def __init__(self, traffic: Traffic, events: int, *, batch: int = BUFFER_LIMIT) -> None:
        self._traffic = traffic
        self._events = events
        self._batch = batch

    async def run(self, put: Put) -> None:
        """Hand over everything, ticks apart from messages, and return at the end."""
        tick_at = self._traffic.began_at + 1.0
        for read in self.reads():
            while read[0].received_at >= tick_at:
                await put([Tick(tick_at)])
                tick_at += 1.0
            await put(list[Frame](read))

    def reads(self) -> Iterator[list[Message]]:
        """The messages, those that arrive together in a list."""
        wrap = RedisMessages(self._traffic.seed).wrap
        messages = outgoing(islice(self._traffic.events(), self._events), batch=self._batch)
        now = self._traffic.began_at
        while read := list(islice(messages, READ)):
            now = max(now, *(message.at for message in read))
            yield [
                Message(now, self.name, Transport.REDIS, channel(each.key), wrap(each))
                for each in read
            ]


def channel(key: str, db: int = 0) -> bytes:
    """Return the Redis channel that a message with this routing key is published on."""
    return f"/{db}.{EXCHANGE}/{key}".encode()
