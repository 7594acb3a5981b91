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
        tell: hears what was decoded and rejected, once a batch.
    """

    def __init__(
        self, engine: Engine, sinks: Sequence[Sink], *, channel: Channel, tell: Tell
    ) -> None:
        self._engine = engine
        self._accepts = tuple(sink.accept for sink in sinks)
        self._channel = channel
        self._tell = tell

    async def run(self) -> None:
        """Process until the channel is closed and empty."""
        while batch := await self._channel.get():
            self.process(batch)
            await anyio.lowlevel.checkpoint()

    def process(self, frames: Sequence[Frame]) -> None:
        """Process frames now, in order. Messages that arrived together are fed together."""
        events: list[Event] = []
        rejected: list[Rejected] = []
        decoded_events = 0
        at, source = 0.0, ""
        for frame in frames:
            if isinstance(frame, Message):
                if events and (frame.received_at != at or frame.source != source):
                    self._accept(self._engine.feed(events, at, source))
                    decoded_events += len(events)
                    events = []
                at, source = frame.received_at, frame.source
                decoded = decode(frame)
                events += decoded.events
                rejected += decoded.rejected
                continue
            if events:
                self._accept(self._engine.feed(events, at, source))
                decoded_events += len(events)
                events = []
            self._accept(self._effects_of(frame))
        if events:
            self._accept(self._engine.feed(events, at, source))
            decoded_events += len(events)
        self._account(decoded_events, rejected)

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

    def _account(self, decoded: int, rejected: Sequence[Rejected]) -> None:
        if decoded:
            self._tell(EventsDecoded(decoded))
        for reason, count in Counter(each.reason for each in rejected).items():
            self._tell(EventsRejected(reason, count))
