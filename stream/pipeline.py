"""From frames to effects in the sinks: decode, feed, tell.

One caller drives it, so the engine needs no lock. Whatever a batch of frames costs, the event loop
gets its turn after it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, assert_never

import anyio.lowlevel

from .channel import Channel
from .core.effects import Effect
from .core.engine import Engine
from .events import Event, Frame, Inspected, Message, QueueSample, Rejected, Subscribed, Tick
from .occurrences import EventsDecoded, EventsRejected, Tell
from .sinks.base import Sink
from .wire.codec import Decoder, plain

_SLICE_BYTES: Final = 300_000
"""Of messages that are processed before the event loop gets its turn: some 600 events, 3 ms; and
more than one read of a socket."""


def slices(frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
    """Cut a batch into slices of about `_SLICE_BYTES`; nearly all are one."""
    if sum([len(frame.payload) for frame in frames if isinstance(frame, Message)]) < _SLICE_BYTES:
        yield frames
        return
    begin = size = 0
    for place, frame in enumerate(frames):
        if isinstance(frame, Message):
            size += len(frame.payload)
            if size >= _SLICE_BYTES:
                yield frames[begin : place + 1]
                begin, size = place + 1, 0
    if begin < len(frames):
        yield frames[begin:]


class Pipeline:
    """Drives the engine with what comes through the channel.

    Args:
        engine: the machine; nobody else may feed it.
        sinks: told of every effect, in this order.
        channel: where frames come from.
        tell: hears what was decoded and rejected, never once an event.
        decoder: reads the events of a message.
        tap: given each batch of frames before it is processed, to record it; must not raise.
    """

    def __init__(
        self,
        engine: Engine,
        sinks: Sequence[Sink],
        *,
        channel: Channel,
        tell: Tell,
        decoder: Decoder = plain,
        tap: Callable[[Sequence[Frame]], None] | None = None,
    ) -> None:
        self._engine = engine
        self._accepts = tuple(sink.accept for sink in sinks)
        self._channel = channel
        self._tell = tell
        self._read = decoder.read
        self._tap = tap

    async def run(self) -> None:
        """Process until the channel is closed and empty."""
        while batch := await self._channel.get():
            if self._tap is not None:
                self._tap(batch)
            for some in slices(batch):
                self.process(some)
                await anyio.lowlevel.checkpoint()

    def process(self, frames: Sequence[Frame]) -> None:
        """Process frames now, in order. Messages that arrived together are fed together."""
        read, at, source = self._read, 0.0, ""
        events: list[Event] = []  # of the messages that arrived together and are not fed yet
        rejected: list[Rejected] = []
        for frame in frames:
            if not isinstance(frame, Message):
                self._feed(events, at, source)
                self._accept(self._effects_of(frame))
                continue
            if frame.received_at != at or frame.source != source:
                self._feed(events, at, source)
                at, source = frame.received_at, frame.source
            if unreadable := read(frame, events):
                rejected += unreadable
        self._feed(events, at, source)
        for reason, count in Counter(each.reason for each in rejected).items():
            self._tell(EventsRejected(reason, count))

    def _feed(self, events: list[Event], at: float, source: str) -> None:
        """Feed the events of the messages that arrived together, and empty their list."""
        if events:
            self._accept(self._engine.feed(events, at, source))
            self._tell(EventsDecoded(len(events)))
            events.clear()

    def _effects_of(self, frame: QueueSample | Tick | Subscribed | Inspected) -> Sequence[Effect]:
        match frame:
            case Tick():
                return self._engine.tick(frame.received_at, deaf=frame.deaf)
            case QueueSample():
                return self._engine.sample(frame)
            case Subscribed():
                return self._engine.subscribed(frame)
            case Inspected():
                return self._engine.inspected(frame)
            case _:
                assert_never(frame)

    def _accept(self, effects: Sequence[Effect]) -> None:
        if effects:
            for accept in self._accepts:
                accept(effects)
