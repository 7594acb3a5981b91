"""What becomes of the effects in a measurement: which sinks there are, and what they hand on to.

Nothing is shed: before an outlet's buffer is full, the measurement waits for it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import partial
from typing import Final, Protocol, TypeAlias

import anyio
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

from ..config import OtlpSettings, SpanSettings
from ..errors import StreamError
from ..export.buffer import Buffer, Ledger
from ..export.encoding import encode_spans
from ..export.records import Log, SpanDraft
from ..export.resources import Resources
from ..export.telemetry import Telemetry
from ..occurrences import Occurrence, Signal
from ..sinks.aggregate import Aggregate
from ..sinks.base import Sink
from ..sinks.logs import LogSink, log_bytes
from ..sinks.metrics import MetricsSink
from ..sinks.otel_metrics import metrics_data
from ..sinks.spans import SpanSink, draft_bytes
from .traffic import BEGAN_AT

BATCH_ITEMS: Final = OtlpSettings().batch_items
PATIENCE: Final = 60.0
"""Seconds in which a receiver must take what waits."""
SPANS: Final = SpanSettings(wait=0)
"""A span for each sending and each run; waits would be spans by chance."""


AnyBuffer: TypeAlias = Buffer[SpanDraft] | Buffer[Log]


class Outlet(StrEnum):
    """How far the effects go."""

    NULL = "null"
    """Nowhere: decoder and engine."""
    METRICS = "metrics"
    """Into the metrics."""
    SPANS = "spans"
    """Into the metrics, and a span for each run and each sending, encoded and thrown away."""
    OTLP = "otlp"
    """All that, and log records, over OTLP/HTTP with gzip to a receiver on loopback."""


class Outflow(Protocol):
    """An outlet in use."""

    sinks: Sequence[Sink]

    def drain(self) -> None:
        """Do what is done beside the sinks. Called after each batch; part of its latency."""

    async def make_room(self) -> None:
        """Wait until the next batch cannot overflow anything. Called before each batch."""

    async def catch_up(self) -> None:
        """Wait until nothing is being done any more; a batch that is not full may wait on."""

    async def finish(self) -> dict[Signal, Ledger]:
        """Hand on what is left, and say what became of everything. To be called once."""


class _Inward:
    """Nothing leaves."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = sinks

    def drain(self) -> None:
        """Nothing to do."""

    async def make_room(self) -> None:
        """There is always room."""

    async def catch_up(self) -> None:
        """Nothing runs beside the sinks."""

    async def finish(self) -> dict[Signal, Ledger]:
        """Nothing was to leave."""
        return {}


class _Encoded(_Inward):
    """Spans are encoded, as the export thread would, and go nowhere."""

    def __init__(self) -> None:
        self._buffer: Buffer[SpanDraft] = Buffer(Signal.TRACES, limit=2**40, tell=_ignore)
        spans = SpanSink(self._buffer, Resources(OtlpSettings()), settings=SPANS)
        super().__init__((MetricsSink(Aggregate(started_at=BEGAN_AT)), spans))

    def drain(self) -> None:
        """Encode all full batches."""
        while len(self._buffer) >= BATCH_ITEMS:
            self._encode()

    async def finish(self) -> dict[Signal, Ledger]:
        """Encode the rest."""
        while len(self._buffer):
            self._encode()
        return {Signal.TRACES: self._buffer.statistics()}

    def _encode(self) -> None:
        batch = self._buffer.take(BATCH_ITEMS)
        encode_spans(batch)
        self._buffer.settle(len(batch), rejected=0)


class _Sent(_Inward):
    """Everything leaves as the service's does."""

    def __init__(self, telemetry: Telemetry, patience: float) -> None:
        self._telemetry = telemetry
        self._patience = patience
        buffers = (telemetry.spans, telemetry.logs)
        self._buffers = [buffer for buffer in buffers if buffer is not None]
        self._aggregate = Aggregate(started_at=BEGAN_AT)
        super().__init__(
            (
                MetricsSink(self._aggregate),
                SpanSink(telemetry.spans, telemetry.resources, settings=SPANS),
                LogSink(telemetry.logs, telemetry.resources),
            )
        )

    async def run(self) -> None:
        """Send until `finish` is done."""
        resource = Resource({"service.name": "celery-stream"})

        def collect() -> MetricsData:
            return metrics_data(self._aggregate.collect(), resource, BEGAN_AT)

        await self._telemetry.run(collect)

    async def make_room(self) -> None:
        """Wait while half of a buffer is taken."""
        await self._until(_has_room)

    async def catch_up(self) -> None:
        """Wait until no full batch is left."""
        await self._until(_has_no_batch)

    async def finish(self) -> dict[Signal, Ledger]:
        """Flush."""
        await self._telemetry.flush(self._patience)
        ledgers = self._telemetry.statistics()
        return {signal: ledgers[signal] for signal in (Signal.TRACES, Signal.LOGS)}

    async def _until(self, condition: Callable[[AnyBuffer], bool]) -> None:
        try:
            with anyio.fail_after(self._patience):
                for buffer in self._buffers:
                    await buffer.until(partial(condition, buffer))
        except TimeoutError:
            raise StreamError("The receiver does not take what is sent to it") from None


def _has_room(buffer: AnyBuffer) -> bool:
    return not buffer.is_high


def _has_no_batch(buffer: AnyBuffer) -> bool:
    return buffer.statistics().waiting < BATCH_ITEMS


@asynccontextmanager
async def opened(
    outlet: Outlet, endpoint: str | None = None, *, patience: float = PATIENCE
) -> AsyncIterator[Outflow]:
    """Open an outlet.

    Args:
        outlet: which.
        endpoint: of an OTLP receiver; for `Outlet.OTLP`.
        patience: seconds in which that must take what waits.
    """
    match outlet:
        case Outlet.NULL:
            yield _Inward(())
        case Outlet.METRICS:
            yield _Inward((MetricsSink(Aggregate(started_at=BEGAN_AT)),))
        case Outlet.SPANS:
            yield _Encoded()
        case Outlet.OTLP:
            settings = OtlpSettings(endpoint=endpoint)
            telemetry = Telemetry(settings, _ignore, span_bytes=draft_bytes, log_bytes=log_bytes)
            sent = _Sent(telemetry, patience)
            problem: StreamError | None = None
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sent.run, name="export")
                try:
                    yield sent
                except StreamError as error:
                    problem = error  # raised below: out of the group it would come as a group
                tasks.cancel_scope.cancel()
            if problem is not None:
                raise problem


def _ignore(_: Occurrence) -> None:
    """Nobody is told: the ledgers say it all."""
