"""Durations once more, in exponential buckets: for `MetricsSink`, where those are asked for.

What is recorded here is exactly what the sink's own histograms of durations have: the same values
under the same labels. It is apart from them so that nobody who does not ask pays for it.
"""

from ..core.effects import AttemptEnded, Started, Succeeded, TaskFinished
from ..core.kinds import Kind
from ..core.states import State
from . import instruments as table
from .aggregate import Aggregate
from .base import Selective
from .cells import Cells
from .exponential import Exponential
from .labels import conventional, error, label, names

MAX_SECONDS = 1e9
"""Thirty years: no latency. One infinity or NaN from the wire would spoil a sum for ever."""


class ExponentialDurations(Selective):
    """Records the durations of effects; called with the same batches as the sink."""

    def __init__(self, aggregate: Aggregate, *, system: str) -> None:
        """Make one; *system* is the broker, as ``messaging.system`` names it."""
        self._aggregate = aggregate
        self._system = system
        self._starts: Cells[Kind, tuple[Exponential, Exponential]] = Cells(self._of_start)
        self._runs: Cells[tuple[Kind, str | None], Exponential] = Cells(self._of_run)
        self._ends: Cells[tuple[Kind, State], tuple[Exponential, Exponential]] = Cells(self._of_end)
        super().__init__(
            {
                Started: self._on_started,
                AttemptEnded: self._on_attempt_ended,
                TaskFinished: self._on_finished,
                Succeeded: self._on_succeeded,
            }
        )

    def _on_started(self, effect: Started) -> None:
        wait, prefetch = self._starts[effect.kind]
        _record(wait, effect.wait)
        _record(prefetch, effect.prefetch)

    def _on_attempt_ended(self, effect: AttemptEnded) -> None:
        # A run without a known duration makes no series.
        if effect.run is not None and 0.0 <= effect.run < MAX_SECONDS:
            error_type = error(effect.state, effect.error_type)
            self._runs[effect.kind, error_type].record(effect.run)

    def _on_finished(self, effect: TaskFinished) -> None:
        duration, total = self._ends[effect.kind, effect.state]
        _record(duration, effect.run, units=1000.0)
        _record(total, effect.total)

    def _on_succeeded(self, effect: Succeeded) -> None:
        attempt, finished = effect.apart()
        self._on_attempt_ended(attempt)
        self._on_finished(finished)

    def _of_start(self, kind: Kind) -> tuple[Exponential, Exponential]:
        return (
            self._aggregate.histogram(table.TASK_WAIT_TIME).exponential(*names(kind)),
            self._aggregate.histogram(table.TASK_PREFETCH_TIME).exponential(*names(kind)),
        )

    def _of_run(self, key: tuple[Kind, str | None]) -> Exponential:
        kind, error_type = key
        return self._aggregate.histogram(table.PROCESS_DURATION).exponential(
            *conventional(self._system, kind, "process"), label(error_type, missing="")
        )

    def _of_end(self, key: tuple[Kind, State]) -> tuple[Exponential, Exponential]:
        kind, state = key
        return (
            self._aggregate.histogram(table.TASK_DURATION).exponential(*names(kind), state),
            self._aggregate.histogram(table.TASK_TOTAL_TIME).exponential(*names(kind)),
        )


def _record(buckets: Exponential, seconds: float | None, *, units: float = 1.0) -> None:
    if seconds is not None and 0.0 <= seconds < MAX_SECONDS:
        buckets.record(seconds * units)
