"""Frames of a source through decoder, engine and sinks, and what that takes.

The same pipeline as for a broker. The source and the work take turns, block by block: what making
or reading the input costs is not measured, and while a batch is worked on nothing else runs but
the export. Nothing is shed, and at the end every event must be accounted for.
"""

import time
from collections.abc import Callable
from typing import Final

import anyio
import anyio.lowlevel
from msgspec import Struct

from ..channel import Channel, Overflow
from ..core.engine import Engine, Limits
from ..events import Frame, Message
from ..export.buffer import Ledger
from ..occurrences import EventsDecoded, EventsRejected, Occurrence, Signal
from ..pipeline import Pipeline
from ..sources.base import Source
from .messages import Fingerprint
from .meter import Meter, Reading
from .outlets import PATIENCE, Outflow, Outlet, opened
from .synthetic import READ

_BLOCK: Final = 4_000
"""Frames that are made or read before they are worked on: some megabytes."""


class Found(Struct, frozen=True):
    """What a measurement found."""

    workload: str
    """Hash of all messages."""
    outlet: Outlet
    messages: int
    message_bytes: int
    events: int
    """That were fed to the engine."""
    rejected: int
    """Messages and events that could not be read."""
    in_flight: int
    """Tasks at the end."""
    remembered: int
    """Ended ones that would still be recognised."""
    evictions: int
    """How often a table was full."""
    reading: Reading
    ledgers: dict[Signal, Ledger]

    @property
    def events_per_cpu_second(self) -> float:
        """Of this process, all threads together."""
        return self.events / self.reading.cpu if self.reading.cpu else 0.0

    @property
    def events_per_second(self) -> float:
        """By the clock, while it worked."""
        return self.events / self.reading.wall if self.reading.wall else 0.0

    @property
    def lost_items(self) -> int:
        """Spans and records that were made and did not get where they should."""
        return sum(ledger.accepted - ledger.sent for ledger in self.ledgers.values())


class Measurement:
    """One run of one source into one outlet.

    Args:
        source: where the frames come from; ends.
        outlet: what becomes of the effects.
        endpoint: of an OTLP receiver; for `Outlet.OTLP`.
        advance: told how many events more were fed.
        limits: of the engine's tables.
        patience: seconds in which a receiver must take what waits.
    """

    def __init__(
        self,
        source: Source,
        outlet: Outlet,
        *,
        endpoint: str | None = None,
        advance: Callable[[int], None] = lambda _: None,
        limits: Limits | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._source = source
        self._outlet = outlet
        self._endpoint = endpoint
        self._advance = advance
        self._limits = limits or Limits()
        self._patience = patience
        self._meter = Meter()
        self._fingerprint = Fingerprint()
        self._block: list[list[Frame]] = []
        self._frames = self._messages = self._bytes = 0
        self._events = self._rejected = 0
        self._last_at = 0.0

    def run(self) -> Found:
        """Measure, and return what was found.

        Raises:
            RefusedError: a file cannot be read or is no capture.
            StreamError: the receiver does not take what is sent to it.
        """
        return anyio.run(self._run)

    async def _run(self) -> Found:
        engine = Engine(self._limits, in_one=True)
        async with opened(self._outlet, self._endpoint, patience=self._patience) as outflow:
            channel = Channel(1, Overflow.WAIT, tell=self._tell)
            pipeline = Pipeline(engine, outflow.sinks, channel=channel, tell=self._tell)
            with self._meter:

                async def put(frames: list[Frame]) -> None:
                    self._take(frames)
                    if self._frames >= _BLOCK:
                        await self._work(pipeline, outflow)

                await self._source.run(put)
                await self._work(pipeline, outflow)
                self._meter.go()
                ledgers = await outflow.finish()
                self._meter.halt()
        return self._found(engine, ledgers)

    def _take(self, frames: list[Frame]) -> None:
        """Keep frames for the next block, and take note of them."""
        self._frames += len(frames)
        self._last_at = frames[-1].received_at
        for start in range(0, len(frames), READ):
            self._block.append(frames[start : start + READ])
        for frame in frames:
            if isinstance(frame, Message):
                self._messages += 1
                self._bytes += len(frame.payload)
                self._fingerprint.add(frame.channel, frame.payload)

    async def _work(self, pipeline: Pipeline, outflow: Outflow) -> None:
        """Process a block."""
        block, self._block, self._frames = self._block, [], 0
        before = self._events
        self._meter.go()
        for frames in block:
            await outflow.make_room()
            began = time.perf_counter()
            pipeline.process(frames)
            outflow.drain()
            self._meter.batch(time.perf_counter() - began)
            await anyio.lowlevel.checkpoint()
        await outflow.catch_up()
        self._meter.halt()
        self._advance(self._events - before)

    def _tell(self, occurrence: Occurrence) -> None:
        if isinstance(occurrence, EventsDecoded):
            self._events += occurrence.count
        elif isinstance(occurrence, EventsRejected):
            self._rejected += occurrence.count

    def _found(self, engine: Engine, ledgers: dict[Signal, Ledger]) -> Found:
        view = engine.view(self._last_at)
        return Found(
            workload=self._fingerprint.name,
            outlet=self._outlet,
            messages=self._messages,
            message_bytes=self._bytes,
            events=self._events,
            rejected=self._rejected,
            in_flight=view.tasks_in_flight,
            remembered=view.tasks_remembered,
            evictions=sum(count for _, count in view.evictions),
            reading=self._meter.read(),
            ledgers=ledgers,
        )
