"""Everything that leaves over OTLP, as the composition root sees it."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.abc import TaskStatus
from msgspec import Struct

from ..config import OtlpSettings, SpoolSettings
from ..occurrences import Signal, Tell
from .buffer import Buffer, Ledger
from .circuit import Health
from .delivery import Delivery
from .encoding import encode_logs, encode_spans
from .periodic import Collect, PeriodicDelivery
from .records import Log, SpanDraft
from .resources import Resources
from .store import SpoolStatistics, Store
from .target import Target, target_for

T = TypeVar("T")

_SHARE_OF_SPANS = 0.75
"""Of the bounds in bytes, where there are log records too: those are fewer."""


class Telemetry:
    """The three signals on their way out. `open`, `run` once, `flush` at the end.

    A signal without an endpoint has no buffer: its sink is given None and keeps nothing.

    Args:
        settings: where to, and how much may wait.
        tell: hears what becomes of everything.
        spool: where it waits on disk.
        span_bytes: what a draft of a span takes of the memory.
        log_bytes: what a log record takes.
    """

    def __init__(
        self,
        settings: OtlpSettings,
        tell: Tell,
        *,
        spool: SpoolSettings = SpoolSettings(),  # noqa: B008 - immutable
        span_bytes: Callable[[SpanDraft], int] = lambda _: 0,
        log_bytes: Callable[[Log], int] = lambda _: 0,
    ) -> None:
        self.resources = Resources(settings)
        self.spans: Buffer[SpanDraft] | None = None
        self.logs: Buffer[Log] | None = None
        self._spans: Delivery[SpanDraft] | None = None
        self._logs: Delivery[Log] | None = None
        self._metrics: PeriodicDelivery | None = None
        self._stores: dict[Signal, Store] = {}
        traces, logs = target_for(settings, Signal.TRACES), target_for(settings, Signal.LOGS)
        parts = _Parts(settings, spool, tell, self._stores)
        if traces is not None:
            share = 1.0 if logs is None else _SHARE_OF_SPANS
            self.spans, self._spans = parts.delivery(traces, encode_spans, span_bytes, share)
        if logs is not None:
            share = 1.0 if traces is None else 1.0 - _SHARE_OF_SPANS
            self.logs, self._logs = parts.delivery(logs, encode_logs, log_bytes, share)
        if metrics := target_for(settings, Signal.METRICS):
            self._metrics = PeriodicDelivery(metrics, interval=settings.metric_interval, tell=tell)

    @property
    def active(self) -> bool:
        """Whether anything is sent anywhere."""
        return bool(self.health())

    async def open(self) -> None:
        """Open what is kept on disk, and accept what an earlier process left there.

        Raises:
            ConfigError: the directory cannot be used.
        """
        for store in self._stores.values():
            await store.open()

    async def run(
        self,
        collect: Collect | None = None,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Deliver until `flush` is done or the task is cancelled; at once where nothing is sent.

        Args:
            collect: returns the metrics to send; None sends none.
            task_status: told at once, because a receiver that is down is no reason to wait.
        """
        async with anyio.create_task_group() as tasks:
            if self._spans is not None:
                tasks.start_soon(self._spans.run, name="deliver traces")
            if self._logs is not None:
                tasks.start_soon(self._logs.run, name="deliver logs")
            if self._metrics is not None and collect is not None:
                tasks.start_soon(self._metrics.run, collect, name="deliver metrics")
            task_status.started()

    async def flush(self, seconds: float) -> dict[Signal, int]:
        """Send what waits, for at most *seconds*; returns what was dropped, by signal.

        What a spool took is not dropped: the next process sends it. Nothing is accepted any more
        afterwards, and `run` returns.
        """
        left: dict[Signal, int] = {}

        async def flush_one(signal: Signal, flush: Callable[[float], Awaitable[int]]) -> None:
            left[signal] = await flush(seconds)

        async with anyio.create_task_group() as tasks:
            for signal, delivery in self._deliveries().items():
                tasks.start_soon(flush_one, signal, delivery.flush, name=f"flush {signal}")
        for store in self._stores.values():
            await store.close()
        return left

    def statistics(self) -> dict[Signal, Ledger]:
        """Return the ledger of each signal that has an endpoint."""
        ledgers: dict[Signal, Ledger] = {}
        if self.spans is not None:
            ledgers[Signal.TRACES] = self.spans.statistics()
        if self._metrics is not None:
            ledgers[Signal.METRICS] = self._metrics.statistics()
        if self.logs is not None:
            ledgers[Signal.LOGS] = self.logs.statistics()
        return ledgers

    def health(self) -> dict[Signal, Health]:
        """Return how delivery goes, for each signal that has an endpoint."""
        return {signal: delivery.health for signal, delivery in self._deliveries().items()}

    def spools(self) -> dict[Signal, SpoolStatistics]:
        """Return how the spool of each signal stands that has one."""
        return {signal: store.statistics() for signal, store in self._stores.items()}

    def _deliveries(
        self,
    ) -> dict[Signal, Delivery[SpanDraft] | Delivery[Log] | PeriodicDelivery]:
        every = {
            Signal.TRACES: self._spans,
            Signal.METRICS: self._metrics,
            Signal.LOGS: self._logs,
        }
        return {signal: delivery for signal, delivery in every.items() if delivery is not None}


class _Parts(Struct, frozen=True):
    """What the deliveries of spans and log records are made of alike."""

    settings: OtlpSettings
    spool: SpoolSettings
    tell: Tell
    stores: dict[Signal, Store]

    def delivery(
        self,
        target: Target,
        encode: Callable[[Sequence[T]], bytes],
        size_of: Callable[[T], int],
        share: float,
    ) -> tuple[Buffer[T], Delivery[T]]:
        """Make the buffer and the delivery of one signal; *share* is its part of all bytes."""
        buffer = Buffer(
            target.signal,
            limit=self.settings.buffer_items,
            limit_bytes=int(self.settings.buffer_bytes * share),
            size_of=size_of,
            tell=self.tell,
        )
        delivery = Delivery(
            buffer,
            encode=encode,
            target=target,
            settings=self.settings,
            tell=self.tell,
            store=self._store(target.signal, buffer, share),
            patience=self.spool.after,
        )
        return buffer, delivery

    def _store(self, signal: Signal, buffer: Buffer[T], share: float) -> Store | None:
        if self.spool.dir is None:
            return None
        self.stores[signal] = Store(
            Path(self.spool.dir) / signal,
            max_bytes=int(self.spool.max_bytes * share),
            books=buffer,
            tell=self.tell,
        )
        return self.stores[signal]
