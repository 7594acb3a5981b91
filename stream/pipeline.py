"""From frames to effects in the sinks: decode, feed, tell.

One caller drives it, so the engine needs no lock. Whatever a batch of frames costs, the event loop
gets its turn after it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import assert_never

import anyio.lowlevel

from .channel import Channel
from .core.effects import Effect
from .core.engine import Engine
from .events import Event, Frame, Message, QueueSample, Rejected, Subscribed, Tick
from .occurrences import EventsDecoded, EventsRejected, Tell
from .sinks.base import Sink
from .wire.codec import decode


class Pipeline:
    """Drives the engine with what comes through the channel.

    Args:
        engine: the machine; nobody else may feed it.
        sinks: told of every effect, in this order.
        channel: where frames come from.
        tell: hears what was decoded and rejected, never once an event.
    """

    def __init__(
        self, engine: Engine, sinks: Sequence[Sink], *, channel: Channel, tell: Tell
    ) -> None:
        self._engine = engine
        self._accepts = tuple(sink.accept for sink in sinks)
        self._channel = channel
        self._tell = tell
        # Of the messages that arrived together and are not fed yet.
        self._events: list[Event] = []
        self._at = 0.0
        self._source = ""

    async def run(self) -> None:
        """Process until the channel is closed and empty."""
        while batch := await self._channel.get():
            self.process(batch)
            await anyio.lowlevel.checkpoint()

    def process(self, frames: Sequence[Frame]) -> None:
        """Process frames now, in order. Messages that arrived together are fed together."""
        rejected: list[Rejected] = []
        for frame in frames:
            if not isinstance(frame, Message):
                self._feed()
                self._accept(self._effects_of(frame))
                continue
            if frame.received_at != self._at or frame.source != self._source:
                self._feed()
                self._at, self._source = frame.received_at, frame.source
            decoded = decode(frame)
            self._events += decoded.events
            rejected += decoded.rejected
        self._feed()
        for reason, count in Counter(each.reason for each in rejected).items():
            self._tell(EventsRejected(reason, count))

    def _feed(self) -> None:
        """Feed the events of the messages that arrived together."""
        if not self._events:
            return
        self._accept(self._engine.feed(self._events, self._at, self._source))
        self._tell(EventsDecoded(len(self._events)))
        self._events.clear()

    def _effects_of(self, frame: QueueSample | Tick | Subscribed) -> Sequence[Effect]:
        match frame:
            case Tick():
                return self._engine.tick(frame.received_at)
            case QueueSample():
                return self._engine.sample(frame)
            case Subscribed():
                return self._engine.subscribed(frame)
            case _:
                assert_never(frame)

    def _accept(self, effects: Sequence[Effect]) -> None:
        if effects:
            for accept in self._accepts:
                accept(effects)
