"""What ``replay --export`` sends: the telemetry of a capture, with the times of its own day.

Spans and log records are made by the sinks of ``run``. Metrics are collected each interval of the
capture's time instead of ours. Nothing is dropped because it comes too fast: reading waits until a
receiver has taken what was made. What a receiver refuses, or does not take for a minute, is lost
and told; nothing goes to a spool, since the capture itself can be sent again.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

import anyio
from msgspec.structs import replace
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

from .assembly import (
    aggregate_of,
    decoder_of,
    engine_of,
    log_sink,
    metrics_resource,
    metrics_sink,
    span_sink,
)
from .brokers import RABBITMQ, REDIS
from .config import Settings
from .core.effects import Effect
from .core.engine import Engine
from .core.view import View
from .errors import ConfigError, RefusedError
from .events import Frame, Message, Transport
from .export.buffer import Buffer, Ledger
from .export.delivery import Delivery
from .export.encoding import encode_metrics
from .export.target import target_for
from .export.telemetry import Telemetry
from .occurrences import ExportFailed, Occurrence, Signal
from .sinks.aggregate import Aggregate
from .sinks.base import Sink
from .sinks.by_broker import merged
from .sinks.gauges import gauges
from .sinks.otel_metrics import metrics_data
from .sinks.sampling import Sampler
from .sources.amqp_address import SCHEMES
from .wire.capture_lines import Header
from .wire.codec import Decoder

T = TypeVar("T")

PATIENCE: Final = 60.0
"""Seconds in which a receiver has to take something: two of the longest pauses between tries."""
_BATCH_AGE: Final = 0.1
"""Seconds that an item waits for its batch: all come at once, or as slowly as is asked for."""
_WAITING_BATCHES: Final = 4
"""Of each signal: one is sent, one encoded, and two keep both busy."""
_WAITING_COLLECTIONS: Final = 4
_ITEMS: Final = {
    Signal.TRACES: "spans",
    Signal.LOGS: "records",
    Signal.METRICS: "collections of all metrics",
}
_NO_LIMIT: Final = 2**40
"""Of the buffers: it is we who wait. What one tick tells may be more than any limit."""
_ENDING: Final = 5.0
"""Seconds for the end of a delivery that has nothing left to do."""


class Exporting:
    """Sends what the effects of a capture come to. `send` is to be called once.

    Args:
        settings: where to, and what.
        patience: seconds in which a receiver whose requests fail has to take something.

    Raises:
        ConfigError: there is no endpoint.
    """

    def __init__(self, settings: Settings, *, patience: float = PATIENCE) -> None:
        otlp = settings.otlp
        self._settings = settings
        self._patience = patience
        self._waiting_items = _WAITING_BATCHES * otlp.batch_items
        self._telemetry = Telemetry(
            replace(
                otlp,
                batch_age=_BATCH_AGE,
                buffer_items=_NO_LIMIT,
                buffer_bytes=_NO_LIMIT,
                metrics=False,  # those are collected by the time of the capture
            ),
            self._tell,
        )
        self._metrics = _Collections.of(settings, self._tell)
        if not self._telemetry.active and self._metrics is None:
            raise ConfigError("--export needs a receiver: set OTEL_EXPORTER_OTLP_ENDPOINT")
        self._sampler = Sampler(settings.spans)
        self._closed = False
        self._failures: Counter[Signal] = Counter()
        self.problems: dict[Signal, str] = {}
        """Why a request failed last, of the signals of which one did."""

    def _tell(self, occurrence: Occurrence) -> None:
        if isinstance(occurrence, ExportFailed):
            self._failures[occurrence.signal] += 1
            self.problems[occurrence.signal] = occurrence.reason

    # -- what is told --------------------------------------------------------------------------

    @property
    def decoder(self) -> Decoder:
        """Reads messages."""
        return decoder_of(self._settings.log_records)

    @property
    def longest_grace(self) -> float:
        """Seconds after which its engines have given up whoever was silent."""
        return self._settings.graces.longest

    def engine(self) -> Engine:
        """Make the engine of the settings; it tells the records of what it forgets."""
        return engine_of(self._settings, records=True)

    def begin(
        self,
        broker: str | None,
        first: Frame,
        *,
        headers: Sequence[Header],
        view: Callable[[float], View],
    ) -> Sink:
        """Return the sink of one engine's effects.

        Args:
            broker: what its broker is called; None where it is the only one.
            first: its first frame.
            headers: of the files so far.
            view: reads its tables.
        """
        settings, telemetry = self._settings, self._telemetry
        system = _system_of(first, headers)
        aggregate = aggregate_of(settings, started_at=first.received_at)
        traced = telemetry.spans is not None
        sinks = (
            metrics_sink(settings, aggregate, system=system, traced=traced),
            span_sink(settings, telemetry, system=system, sampler=self._sampler, broker=broker),
            log_sink(settings, telemetry, broker=broker),
        )
        if self._metrics is not None:
            self._metrics.begin(broker, aggregate, view)
        return _WhileOpen(sinks, lambda: not self._closed)

    def pass_time(self, now: float) -> None:
        """Time passed; collects the metrics where they are due."""
        if self._metrics is not None and not self._closed:
            self._metrics.pass_time(now)

    def close(self, at: float) -> None:
        """The capture ends: what waiting would bring about from now on, nobody has seen."""
        if self._metrics is not None:
            self._metrics.collect(at)
        self._closed = True

    # -- sending -------------------------------------------------------------------------------

    async def send(self, read: Callable[[], Awaitable[None]]) -> None:
        """Deliver what comes while *read* runs, and then the rest.

        Raises:
            RefusedError: a receiver takes nothing any more; or as *read* does.
        """
        problem: RefusedError | None = None
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._telemetry.run)
            if self._metrics is not None:
                tasks.start_soon(self._metrics.delivery.run, name="deliver metrics")
            try:
                await read()
                await self._until_at_most(0)
            except RefusedError as exc:
                problem = exc  # raised below: out of the group it would come as a group
            await self._end(_ENDING if problem is None else 0.0)
        if problem is not None:
            raise problem

    async def until_room(self) -> None:
        """Wait until more may be made."""
        await self._until_at_most(self._waiting_items)

    async def _until_at_most(self, items: int) -> None:
        if self._telemetry.spans is not None:
            await self._drained(self._telemetry.spans, items)
        if self._telemetry.logs is not None:
            await self._drained(self._telemetry.logs, items)
        if self._metrics is not None:
            await self._drained(self._metrics.buffer, min(items, _WAITING_COLLECTIONS))

    async def _drained(self, buffer: Buffer[T], items: int) -> None:
        """Wait until no more than *items* wait; with 0 not even on the way.

        A receiver that has taken nothing for as long as we have patience is given up if a request
        has failed meanwhile. If none has, it has not been asked yet, by a machine that is slow, or
        may still answer: how long that may take is a setting of its own.
        """
        signal = buffer.signal
        while (ledger := buffer.statistics()).waiting > items:
            failures = self._failures[signal]
            with anyio.move_on_after(self._patience) as waited:
                await buffer.until(lambda: buffer.statistics().waiting <= items)
            if not waited.cancelled_caught or buffer.statistics().waiting < ledger.waiting:
                continue
            if self._failures[signal] > failures:
                raise RefusedError(self._complaint(signal))

    def _complaint(self, signal: Signal) -> str:
        seconds, reason = f"{self._patience:g} s", self.problems[signal]
        return f"the receiver of {signal} has taken nothing for {seconds}: {reason}"

    async def _end(self, seconds: float) -> None:
        await self._telemetry.flush(seconds)
        if self._metrics is not None:
            await self._metrics.delivery.flush(seconds)

    @property
    def is_complete(self) -> bool:
        """Whether the receivers took everything."""
        return all(ledger.sent == ledger.accepted for ledger in self.ledgers().values())

    def told(self) -> Iterator[str]:
        """Say what became of everything, a line for each signal."""
        for signal, ledger in self.ledgers().items():
            lost = {str(reason): count for reason, count in ledger.dropped.items() if count}
            fates = {"sent": ledger.sent, "rejected": ledger.rejected, **lost}
            counts = ", ".join(f"{count:,} {fate}" for fate, count in fates.items())
            problem = self.problems.get(signal)
            last = f" (last problem: {problem})" if problem else ""
            yield f"exported {signal}: {counts} of {ledger.accepted:,} {_ITEMS[signal]}{last}"

    def ledgers(self) -> dict[Signal, Ledger]:
        """Tell what became of everything; of metrics, collections are counted."""
        ledgers = self._telemetry.statistics()
        if self._metrics is not None:
            ledgers[Signal.METRICS] = self._metrics.buffer.statistics()
        return ledgers


class _Collections:
    """All metrics, each interval of the capture's time."""

    def __init__(
        self,
        buffer: Buffer[MetricsData],
        delivery: Delivery[MetricsData],
        *,
        resource: Resource,
        interval: float,
    ) -> None:
        self.buffer = buffer
        self.delivery = delivery
        self._resource = resource
        self._interval = interval
        self._brokers: dict[str | None, tuple[Aggregate, Callable[[float], View]]] = {}
        self._due_at = 0.0

    @classmethod
    def of(cls, settings: Settings, tell: Callable[[Occurrence], None]) -> "_Collections | None":
        """Make them; None where metrics go nowhere."""
        target = target_for(settings.otlp, Signal.METRICS)
        if target is None:
            return None
        buffer: Buffer[MetricsData] = Buffer(Signal.METRICS, limit=_NO_LIMIT, tell=tell)
        delivery = Delivery(
            buffer,
            encode=_encoded,
            target=target,
            settings=replace(settings.otlp, batch_items=1),  # in order, and of any size
            tell=tell,
        )
        resource, interval = metrics_resource(settings), settings.otlp.metric_interval
        return cls(buffer, delivery, resource=resource, interval=interval)

    def begin(
        self, broker: str | None, aggregate: Aggregate, view: Callable[[float], View]
    ) -> None:
        """Collect what is counted of this broker as well."""
        self._due_at = self._due_at or aggregate.started_at + self._interval
        self._brokers[broker] = aggregate, view

    def pass_time(self, now: float) -> None:
        """Time passed; collects where that is due."""
        if now >= self._due_at:
            self._due_at = now + self._interval
            self.collect(now)

    def collect(self, at: float) -> None:
        """Collect all metrics of this moment."""
        if not self._brokers:
            return
        found = {
            broker: (*aggregate.collect(), *gauges(view(at)))
            for broker, (aggregate, view) in self._brokers.items()
        }
        alone = found.pop(None, ())
        families = merged(alone, {name: each for name, each in found.items() if name is not None})
        self.buffer.extend([metrics_data(families, self._resource, at)])


class _WhileOpen:
    """Passes effects on until the capture ends."""

    def __init__(self, sinks: Sequence[Sink], is_open: Callable[[], bool]) -> None:
        self._sinks = sinks
        self._is_open = is_open

    def accept(self, effects: Sequence[Effect]) -> None:
        """Take in what happened."""
        if self._is_open():
            for sink in self._sinks:
                sink.accept(effects)


def _system_of(first: Frame, headers: Sequence[Header]) -> str:
    """Return which broker a frame is of, as ``messaging.system`` names it."""
    if isinstance(first, Message) and first.transport is Transport.AMQP:
        return RABBITMQ
    for header in headers:
        if header.brokers and first.source not in header.brokers:
            continue
        at = header.brokers.index(first.source) if header.brokers else 0
        if header.origin[at : at + 1] and header.origin[at].partition("://")[0] in SCHEMES:
            return RABBITMQ
    return REDIS


def _encoded(collections: Sequence[MetricsData]) -> bytes:
    """Encode collections as one request: concatenated, messages of Protocol Buffers are merged."""
    return b"".join(map(encode_metrics, collections))
