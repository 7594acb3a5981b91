"""Sends the metrics at an interval.

They are cumulative: a failed export is healed by the next one, so nothing is kept or sent again.
Its data points count as dropped.
"""

from collections.abc import Callable
from typing import TypeAlias

import anyio
from anyio import to_thread
from opentelemetry.sdk.metrics.export import MetricsData

from ..occurrences import Drop, Exported, ExportFailed, ItemsDropped, Signal, Tell
from .batch import Batch
from .buffer import Ledger
from .circuit import Health, State
from .encoding import count_points, encode_metrics
from .post import Later, Outcome, Poster, Taken
from .target import Target

Collect: TypeAlias = Callable[[], MetricsData | None]
"""Returns the metrics of this moment, or None for none; called on the event loop."""


class PeriodicDelivery:
    """Delivery of metrics. `run` once, `flush` at the end.

    Args:
        target: where they go.
        interval: seconds between two exports.
        tell: hears what became of each.
    """

    def __init__(self, target: Target, *, interval: float, tell: Tell) -> None:
        self._target = target
        self._interval = interval
        self._tell = tell
        self._poster = Poster(target)
        self._health = Health(ok=True, last_error=None)
        self._accepted = self._sent = self._rejected = 0
        self._dropped = dict.fromkeys(Drop, 0)
        self._closing = False
        self._scope: anyio.CancelScope | None = None
        self._pause: anyio.CancelScope | None = None
        self._ended: anyio.Event | None = None

    @property
    def health(self) -> Health:
        """How it goes."""
        return self._health

    def statistics(self) -> Ledger:
        """Return what became of the data points; those of a failed export are dropped."""
        fates = self._sent + self._rejected + sum(self._dropped.values())
        return Ledger(
            accepted=self._accepted,
            sent=self._sent,
            rejected=self._rejected,
            dropped=dict(self._dropped),
            waiting=self._accepted - fates,
        )

    async def run(self, collect: Collect) -> None:
        """Export what *collect* returns until `flush` is done or the task is cancelled."""
        self._ended = anyio.Event()
        limiter = anyio.CapacityLimiter(1)
        delay = self._interval
        try:
            with anyio.CancelScope() as self._scope:
                last = False
                while not last:
                    with anyio.move_on_after(0 if self._closing else delay) as self._pause:
                        await anyio.sleep_forever()
                    last = self._closing
                    delay = await self._export(collect(), limiter)
        finally:
            self._scope = None
            self._ended.set()
            self._poster.close()

    async def flush(self, seconds: float) -> int:
        """Export once more, for at most *seconds*; returns the data points that did not arrive."""
        if self._scope is None or self._ended is None:
            return 0
        before = sum(self._dropped.values())
        self._closing = True
        if self._pause is not None:
            self._pause.cancel()
        with anyio.move_on_after(seconds):
            await self._ended.wait()
        if self._scope is not None:
            self._scope.cancel()
        await self._ended.wait()
        self._drop(self.statistics().waiting, Drop.SHUTDOWN)
        return sum(self._dropped.values()) - before

    async def _export(self, metrics: MetricsData | None, limiter: anyio.CapacityLimiter) -> float:
        """Send one collection; returns the seconds until the next."""
        started_at = anyio.current_time()
        points = 0 if metrics is None else count_points(metrics)
        if metrics is None or points == 0:
            return self._interval
        self._accepted += points
        outcome = await to_thread.run_sync(
            self._send, metrics, limiter=limiter, abandon_on_cancel=True
        )
        left = max(self._interval - (anyio.current_time() - started_at), 0.0)
        return self._account(outcome, points, left)

    def _send(self, metrics: MetricsData) -> Outcome:
        batch = Batch.of(1, encode_metrics(metrics), gzip=self._target.gzip)
        return self._poster.post(batch.body, timeout=self._target.timeout)

    def _account(self, outcome: Outcome, points: int, delay: float) -> float:
        if isinstance(outcome, Taken):
            rejected = min(outcome.rejected, points)
            self._sent += points - rejected
            self._rejected += rejected
            self._health = Health(ok=True, last_error=self._health.last_error)
            self._tell(Exported(Signal.METRICS, points, rejected))
            return delay
        circuit = State.CLOSED
        if isinstance(outcome, Later):
            delay = max(delay, outcome.after)
            circuit = State.OPEN
        self._health = Health(ok=False, last_error=outcome.reason, circuit=circuit)
        self._tell(ExportFailed(Signal.METRICS, points, outcome.reason, delay))
        self._drop(points, Drop.SUPERSEDED)
        return delay

    def _drop(self, points: int, reason: Drop) -> None:
        if points:
            self._dropped[reason] += points
            self._tell(ItemsDropped(Signal.METRICS, reason, points))
