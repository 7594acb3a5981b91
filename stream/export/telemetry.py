"""Everything that leaves over OTLP, as the composition root sees it."""

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskStatus

from ..config import OtlpSettings
from ..occurrences import Signal, Tell
from .buffer import Buffer, Ledger
from .delivery import Delivery, Health
from .encoding import encode_logs, encode_spans
from .periodic import Collect, PeriodicDelivery
from .records import Log, SpanDraft
from .resources import Resources
from .target import target_for


class Telemetry:
    """The three signals on their way out. `run` once, `flush` at the end.

    A signal without an endpoint has no buffer: its sink is given None and keeps nothing.

    Raises:
        ConfigError: a setting has a value that cannot work.
    """

    def __init__(self, settings: OtlpSettings, tell: Tell) -> None:
        """Prepare delivery; opens no connection yet."""
        self.resources = Resources(settings)
        self.spans: Buffer[SpanDraft] | None = None
        self.logs: Buffer[Log] | None = None
        self._spans: Delivery[SpanDraft] | None = None
        self._logs: Delivery[Log] | None = None
        self._metrics: PeriodicDelivery | None = None
        limit = settings.buffer_items
        if traces := target_for(settings, Signal.TRACES):
            self.spans = Buffer(Signal.TRACES, limit=limit, tell=tell)
            self._spans = Delivery(
                self.spans, encode=encode_spans, target=traces, settings=settings, tell=tell
            )
        if logs := target_for(settings, Signal.LOGS):
            self.logs = Buffer(Signal.LOGS, limit=limit, tell=tell)
            self._logs = Delivery(
                self.logs, encode=encode_logs, target=logs, settings=settings, tell=tell
            )
        if metrics := target_for(settings, Signal.METRICS):
            self._metrics = PeriodicDelivery(metrics, interval=settings.metric_interval, tell=tell)

    @property
    def active(self) -> bool:
        """Whether anything is sent anywhere."""
        return bool(self.health())

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
        """Send what waits, for at most *seconds*; returns what was left, by signal.

        Nothing is accepted any more afterwards, and `run` returns.
        """
        left: dict[Signal, int] = {}

        async def flush_one(signal: Signal, flush: Callable[[float], Awaitable[int]]) -> None:
            left[signal] = await flush(seconds)

        async with anyio.create_task_group() as tasks:
            for signal, delivery in self._deliveries().items():
                tasks.start_soon(flush_one, signal, delivery.flush, name=f"flush {signal}")
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

    def _deliveries(
        self,
    ) -> dict[Signal, Delivery[SpanDraft] | Delivery[Log] | PeriodicDelivery]:
        every = {
            Signal.TRACES: self._spans,
            Signal.METRICS: self._metrics,
            Signal.LOGS: self._logs,
        }
        return {signal: delivery for signal, delivery in every.items() if delivery is not None}
