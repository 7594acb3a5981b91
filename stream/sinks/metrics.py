"""Effects become counters and histograms: exact, before any sampling.

Gauges are not here: they are read from the engine's tables (`gauges`). The handlers below run for
every effect, so they hold the cells of a kind together and change them in place.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

from ..core.effects import AttemptEnded, Effect, Received, Sent, Started, TaskFinished
from ..core.kinds import Kind
from ..core.states import State
from . import instruments as table
from .aggregate import Aggregate, Cell, edges
from .cells import Cells
from .durations import MAX_SECONDS, ExponentialDurations
from .exemplars import example
from .incidents import Incidents
from .instruments import Instrument
from .labels import RAN, Labels, conventional, error, label, names

# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_SUCCESS, _FAILURE, _RETRY, _REQUEUED = State.SUCCESS, State.FAILURE, State.RETRY, State.REQUEUED

_EXEMPLARY = frozenset({_FAILURE, _RETRY, State.LOST})
"""Deliveries that end so are worth an example however long they ran; their spans are kept."""

_ENDS: dict[State, Instrument] = {
    State.REVOKED: table.TASK_REVOKED,
    State.REJECTED: table.TASK_REJECTED,
    State.LOST: table.TASK_LOST,
    State.UNKNOWN: table.TASK_UNKNOWN,
}


class _StartCells:
    """What the start of an attempt changes."""

    __slots__ = ("attempts", "prefetch", "started", "wait")

    def __init__(self, aggregate: Aggregate, kind: Kind) -> None:
        labels = names(kind)
        self.started = aggregate.counter(table.TASK_STARTED).cell(*labels)
        self.attempts = aggregate.counter(table.TASK_ATTEMPTS).cell(*labels)
        self.wait = aggregate.histogram(table.TASK_WAIT_TIME).cell(*labels)
        self.prefetch = aggregate.histogram(table.TASK_PREFETCH_TIME).cell(*labels)


class _EndCells:
    """What the end of a task in one state changes."""

    __slots__ = ("attempts", "completed", "duration", "finished", "total")

    def __init__(self, aggregate: Aggregate, kind: Kind, state: State) -> None:
        labels = names(kind)
        self.finished = aggregate.counter(table.TASK_FINISHED).cell(*labels, state)
        self.completed = (
            aggregate.counter(table.TASK_COMPLETED).cell(*labels) if state is _SUCCESS else None
        )
        self.duration = aggregate.histogram(table.TASK_DURATION).cell(*labels, state)
        self.total = aggregate.histogram(table.TASK_TOTAL_TIME).cell(*labels)
        self.attempts = aggregate.histogram(table.ATTEMPTS_PER_TASK).cell(labels[0], state)


class MetricsSink:
    """Counts effects into an aggregate."""

    def __init__(
        self,
        aggregate: Aggregate,
        *,
        system: str = "redis",
        slow: float = 0.0,
        exemplars: bool = True,
    ) -> None:
        """Make a sink.

        Args:
            aggregate: what it counts into; only this thread may change it.
            system: the broker, as ``messaging.system`` names it.
            slow: seconds from which a run is an example of its series; 0: never.
            exemplars: whether runs that failed or were slow are examples at all.
        """
        self._aggregate = aggregate
        self._system = system
        self._exemplars = exemplars
        self._slow = slow or math.inf
        self._failure: AttemptEnded | None = None
        """The last attempt that failed: the end of its task, told next, has no trace."""
        self._durations = (
            ExponentialDurations(aggregate, system=system) if aggregate.exponential else None
        )
        self._sent: Cells[Kind, Cell] = Cells(self._sent_cell)
        self._consumed: Cells[Kind, Cell] = Cells(self._consumed_cell)
        self._starts: Cells[Kind, _StartCells] = Cells(lambda kind: _StartCells(aggregate, kind))
        self._processed: Cells[tuple[Kind, str | None], Cell] = Cells(self._process_cell)
        # Of successes, which nearly all are: a pair as the key costs three times as much.
        self._returned: Cells[Kind, Cell] = Cells(lambda kind: self._process_cell((kind, None)))
        self._successes: Cells[Kind, _EndCells] = Cells(
            lambda kind: _EndCells(aggregate, kind, _SUCCESS)
        )
        self._ends: Cells[tuple[Kind, State], _EndCells] = Cells(
            lambda key: _EndCells(aggregate, *key)
        )
        self._failures: Cells[tuple[Kind, str | None], tuple[Cell, Labels]] = Cells(
            self._failure_cell
        )
        self._run_places: Cells[tuple[Kind, str | None], Labels] = Cells(self._run_place)
        self._run_exemplars = aggregate.histogram(table.PROCESS_DURATION).exemplars
        self._failure_exemplars = aggregate.counter(table.TASK_FAILED).exemplars
        unknown = aggregate.counter(table.LATENCY_UNKNOWN)
        self._no_wait, self._no_prefetch = unknown.cell("wait"), unknown.cell("prefetch")
        self._no_run, self._no_total = unknown.cell("run"), unknown.cell("total")
        # By exact type: an effect costs one look-up and one call.
        self._handlers: dict[type, Callable[..., None]] = {
            Sent: self._on_sent,
            Received: self._on_received,
            Started: self._on_started,
            AttemptEnded: self._on_attempt_ended,
            TaskFinished: self._on_finished,
            **Incidents(aggregate).handlers,
        }

    def accept(self, effects: Sequence[Effect]) -> None:
        """Count what happened."""
        handlers = self._handlers
        for effect in effects:
            handlers[type(effect)](effect)
        if self._durations is not None:
            self._durations.accept(effects)

    # The hot ones.

    def _on_sent(self, effect: Sent) -> None:
        self._sent[effect.kind][0] += 1

    def _on_received(self, effect: Received) -> None:
        self._consumed[effect.kind][0] += 1
        if effect.redelivered:
            self._aggregate.counter(table.TASK_REDELIVERED).add(1, *names(effect.kind))

    def _on_started(self, effect: Started) -> None:
        cells = self._starts[effect.kind]
        cells.started[0] += 1
        cells.attempts[0] += 1
        wait, prefetch = effect.wait, effect.prefetch
        if wait is not None and 0.0 <= wait < MAX_SECONDS:
            cell = cells.wait
            cell[bisect_left(_WAIT_EDGES, wait)] += 1
            cell[0] += wait
        else:
            self._no_wait[0] += 1
        if prefetch is not None and 0.0 <= prefetch < MAX_SECONDS:
            cell = cells.prefetch
            cell[bisect_left(_WAIT_EDGES, prefetch)] += 1
            cell[0] += prefetch
        else:
            self._no_prefetch[0] += 1
        if effect.eta_delay is not None:
            delays = self._aggregate.histogram(table.TASK_ETA_DELAY)
            delays.record(effect.eta_delay, *names(effect.kind))

    def _on_attempt_ended(self, effect: AttemptEnded) -> None:
        state, run = effect.state, effect.run
        if state is _SUCCESS and run is not None and 0.0 <= run < MAX_SECONDS and run < self._slow:
            cell = self._returned[effect.kind]
            cell[bisect_left(_RUN_EDGES, run)] += 1
            cell[0] += run
            return
        error_type = None if state is _SUCCESS else error(state, effect.error_type)
        if run is not None and 0.0 <= run < MAX_SECONDS:
            cell = self._processed[effect.kind, error_type]
            cell[bisect_left(_RUN_EDGES, run)] += 1
            cell[0] += run
            if run >= self._slow or (error_type is not None and state in _EXEMPLARY):
                self._exemplify_run(effect, run, error_type)
        elif run is not None or state in RAN:
            self._no_run[0] += 1
        if state is _FAILURE:
            self._failure = effect
        elif state is _RETRY:
            self._add(table.TASK_RETRIES, effect.kind, error_type)
        elif state is _REQUEUED and not effect.inferred:
            self._add(table.TASK_REJECTED, effect.kind, effect.reason)

    def _on_finished(self, effect: TaskFinished) -> None:
        state, run, total = effect.state, effect.run, effect.total
        cells = (
            self._successes[effect.kind] if state is _SUCCESS else self._ends[effect.kind, state]
        )
        cells.finished[0] += 1
        if run is not None and 0.0 <= run < MAX_SECONDS:
            milliseconds = run * 1000.0
            cell = cells.duration
            cell[bisect_left(_DURATION_EDGES, milliseconds)] += 1
            cell[0] += milliseconds
        if total is not None and 0.0 <= total < MAX_SECONDS:
            cell = cells.total
            cell[bisect_left(_WAIT_EDGES, total)] += 1
            cell[0] += total
        else:
            self._no_total[0] += 1
        attempts, cell = effect.attempts, cells.attempts
        cell[1 if attempts <= 1 else bisect_left(_ATTEMPT_EDGES, attempts)] += 1
        cell[0] += attempts
        if cells.completed is not None:
            cells.completed[0] += 1
        elif state is _FAILURE:
            self._count_failure(effect)
        elif state in _ENDS:
            self._add(_ENDS[state], effect.kind, effect.reason)

    def _exemplify_run(self, effect: AttemptEnded, run: float, error_type: str | None) -> None:
        if self._exemplars:
            place = self._run_places[effect.kind, error_type]
            self._run_exemplars.keep(place, example(run, effect))

    def _count_failure(self, effect: TaskFinished) -> None:
        cell, place = self._failures[effect.kind, effect.error_type]
        cell[0] += 1
        attempt = self._failure
        if self._exemplars and attempt is not None and attempt.uuid == effect.uuid:
            self._failure_exemplars.keep(place, example(1, attempt))

    # Cells of what was not seen before.

    def _add(self, instrument: Instrument, kind: Kind, why: str | None) -> None:
        self._aggregate.counter(instrument).add(1, *names(kind), label(why))

    def _sent_cell(self, kind: Kind) -> Cell:
        labels = conventional(self._system, kind, "send")
        return self._aggregate.counter(table.SENT_MESSAGES).cell(*labels)

    def _consumed_cell(self, kind: Kind) -> Cell:
        labels = conventional(self._system, kind, "receive")
        return self._aggregate.counter(table.CONSUMED_MESSAGES).cell(*labels)

    def _failure_cell(self, key: tuple[Kind, str | None]) -> tuple[Cell, Labels]:
        kind, error_type = key
        labels = (*names(kind), label(error(_FAILURE, error_type)))
        failed = self._aggregate.counter(table.TASK_FAILED)
        return failed.cell(*labels), failed.place(*labels)

    def _process_cell(self, key: tuple[Kind, str | None]) -> Cell:
        return self._aggregate.histogram(table.PROCESS_DURATION).cell(*self._run_labels(*key))

    def _run_place(self, key: tuple[Kind, str | None]) -> Labels:
        return self._aggregate.histogram(table.PROCESS_DURATION).place(*self._run_labels(*key))

    def _run_labels(self, kind: Kind, error_type: str | None) -> Labels:
        return (*conventional(self._system, kind, "process"), label(error_type, missing=""))


_WAIT_EDGES = edges(table.TASK_WAIT_TIME)
_RUN_EDGES = edges(table.PROCESS_DURATION)
_DURATION_EDGES = edges(table.TASK_DURATION)
_ATTEMPT_EDGES = edges(table.ATTEMPTS_PER_TASK)
