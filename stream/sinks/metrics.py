"""Effects become counters and histograms: exact, before any sampling.

Gauges are not here: they are read from the engine's tables (`gauges`). The handlers below run for
every effect, so they hold the cells of a kind together and change them in place.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TypeVar

from ..core.effects import (
    Advised,
    AttemptEnded,
    Effect,
    EventsMissed,
    GapMarked,
    Odd,
    Oddity,
    QueueMoved,
    QueueStalled,
    Received,
    Sent,
    Started,
    StuckBegan,
    StuckEnded,
    StuckReason,
    TaskFinished,
    TaskForgotten,
    TaskRevised,
    WorkerChanged,
    WorkerForgotten,
)
from ..core.kinds import Kind
from ..core.states import State, WorkerState
from . import instruments as table
from .aggregate import Aggregate, Cell, Cells, Counter, Labels, edges, label
from .instruments import Instrument

S = TypeVar("S", bound=StrEnum)

MAX_SECONDS = 1e9
"""Thirty years: no latency. One infinity or NaN from the wire would spoil a sum for ever."""

# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_SUCCESS, _FAILURE, _RETRY, _REQUEUED = State.SUCCESS, State.FAILURE, State.RETRY, State.REQUEUED

_RAN = frozenset({_SUCCESS, _FAILURE, _RETRY})
"""Deliveries that end so have run, and should say for how long."""

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
        names = _names(kind)
        self.started = aggregate.counter(table.TASK_STARTED).cell(*names)
        self.attempts = aggregate.counter(table.TASK_ATTEMPTS).cell(*names)
        self.wait = aggregate.histogram(table.TASK_WAIT_TIME).cell(*names)
        self.prefetch = aggregate.histogram(table.TASK_PREFETCH_TIME).cell(*names)


class _EndCells:
    """What the end of a task in one state changes."""

    __slots__ = ("attempts", "completed", "duration", "finished", "total")

    def __init__(self, aggregate: Aggregate, kind: Kind, state: State) -> None:
        names = _names(kind)
        self.finished = aggregate.counter(table.TASK_FINISHED).cell(*names, state)
        self.completed = (
            aggregate.counter(table.TASK_COMPLETED).cell(*names) if state is _SUCCESS else None
        )
        self.duration = aggregate.histogram(table.TASK_DURATION).cell(*names, state)
        self.total = aggregate.histogram(table.TASK_TOTAL_TIME).cell(*names)
        self.attempts = aggregate.histogram(table.ATTEMPTS_PER_TASK).cell(names[0], state)


class MetricsSink:
    """Counts effects into an aggregate."""

    def __init__(self, aggregate: Aggregate, *, system: str = "redis") -> None:
        """Make a sink.

        Args:
            aggregate: what it counts into; only this thread may change it.
            system: the broker, as ``messaging.system`` names it.
        """
        self._aggregate = aggregate
        self._system = system
        self._sent: Cells[Kind, Cell] = Cells(self._sent_cell)
        self._consumed: Cells[Kind, Cell] = Cells(self._consumed_cell)
        self._starts: Cells[Kind, _StartCells] = Cells(lambda kind: _StartCells(aggregate, kind))
        self._processed: Cells[tuple[Kind, str | None], Cell] = Cells(self._process_cell)
        self._ends: Cells[tuple[Kind, State], _EndCells] = Cells(
            lambda key: _EndCells(aggregate, *key)
        )
        unknown = aggregate.counter(table.LATENCY_UNKNOWN)
        self._no_wait, self._no_prefetch = unknown.cell("wait"), unknown.cell("prefetch")
        self._no_run, self._no_total = unknown.cell("run"), unknown.cell("total")
        self._odd = _closed(aggregate.counter(table.EVENTS_ODD), Oddity)
        self._stuck = _closed(aggregate.counter(table.TASKS_STUCK), StuckReason)
        self._changed = _closed(aggregate.counter(table.WORKERS_CHANGED), WorkerState)
        self._unstuck = aggregate.counter(table.TASKS_UNSTUCK).cell()
        self._stalled = aggregate.counter(table.QUEUES_STALLED).cell()
        self._missed = aggregate.counter(table.EVENTS_MISSED).cell()
        # By exact type: an effect costs one look-up and one call.
        self._handlers: dict[type, Callable[..., None]] = {
            Sent: self._on_sent,
            Received: self._on_received,
            Started: self._on_started,
            AttemptEnded: self._on_attempt_ended,
            TaskFinished: self._on_finished,
            TaskRevised: self._on_revised,
            TaskForgotten: self._on_uncounted,
            WorkerForgotten: self._on_uncounted,
            StuckBegan: self._on_stuck,
            StuckEnded: self._on_unstuck,
            QueueStalled: self._on_stalled,
            QueueMoved: self._on_uncounted,
            Advised: self._on_uncounted,
            WorkerChanged: self._on_worker,
            EventsMissed: self._on_missed,
            GapMarked: self._on_gap,
            Odd: self._on_odd,
        }

    def accept(self, effects: Sequence[Effect]) -> None:
        """Count what happened."""
        handlers = self._handlers
        for effect in effects:
            handlers[type(effect)](effect)

    # The hot ones.

    def _on_sent(self, effect: Sent) -> None:
        self._sent[effect.kind][0] += 1

    def _on_received(self, effect: Received) -> None:
        self._consumed[effect.kind][0] += 1
        if effect.redelivered:
            self._aggregate.counter(table.TASK_REDELIVERED).add(1, *_names(effect.kind))

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
            delays.record(effect.eta_delay, *_names(effect.kind))

    def _on_attempt_ended(self, effect: AttemptEnded) -> None:
        state, run = effect.state, effect.run
        error_type = None if state is _SUCCESS else effect.error_type or _error(state)
        if run is not None and 0.0 <= run < MAX_SECONDS:
            cell = self._processed[effect.kind, error_type]
            cell[bisect_left(_RUN_EDGES, run)] += 1
            cell[0] += run
        elif run is not None or state in _RAN:
            self._no_run[0] += 1
        if state is _RETRY:
            self._add(table.TASK_RETRIES, effect.kind, error_type)
        elif state is _REQUEUED and not effect.inferred:
            self._add(table.TASK_REJECTED, effect.kind, effect.reason)

    def _on_finished(self, effect: TaskFinished) -> None:
        state, run, total = effect.state, effect.run, effect.total
        cells = self._ends[effect.kind, state]
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
            self._add(table.TASK_FAILED, effect.kind, effect.error_type or _error(state))
        elif state in _ENDS:
            self._add(_ENDS[state], effect.kind, effect.reason)

    # The rare ones.

    def _on_revised(self, effect: TaskRevised) -> None:
        self._aggregate.counter(table.TASKS_REVISED).add(1, effect.was, effect.state)

    def _on_uncounted(self, _: Effect) -> None:
        """Nothing to count: a record, or something that a log record tells."""

    def _on_stalled(self, _: QueueStalled) -> None:
        self._stalled[0] += 1

    def _on_stuck(self, effect: StuckBegan) -> None:
        self._stuck[effect.reason][0] += 1

    def _on_unstuck(self, _: StuckEnded) -> None:
        self._unstuck[0] += 1

    def _on_worker(self, effect: WorkerChanged) -> None:
        self._changed[effect.state][0] += 1

    def _on_missed(self, effect: EventsMissed) -> None:
        self._missed[0] += effect.count

    def _on_gap(self, effect: GapMarked) -> None:
        source = label(effect.source)
        self._aggregate.counter(table.SOURCE_GAPS).add(1, source)
        self._aggregate.counter(table.SOURCE_GAP_TIME).add(effect.seconds, source)

    def _on_odd(self, effect: Odd) -> None:
        self._odd[effect.oddity][0] += effect.count

    # Cells of what was not seen before.

    def _add(self, instrument: Instrument, kind: Kind, why: str | None) -> None:
        self._aggregate.counter(instrument).add(1, *_names(kind), label(why))

    def _sent_cell(self, kind: Kind) -> Cell:
        return self._aggregate.counter(table.SENT_MESSAGES).cell(*self._conventional(kind, "send"))

    def _consumed_cell(self, kind: Kind) -> Cell:
        labels = self._conventional(kind, "receive")
        return self._aggregate.counter(table.CONSUMED_MESSAGES).cell(*labels)

    def _process_cell(self, key: tuple[Kind, str | None]) -> Cell:
        kind, error_type = key
        return self._aggregate.histogram(table.PROCESS_DURATION).cell(
            *self._conventional(kind, "process"), label(error_type, missing="")
        )

    def _conventional(self, kind: Kind, operation: str) -> Labels:
        return (self._system, label(kind.queue), operation, label(kind.name))


_WAIT_EDGES = edges(table.TASK_WAIT_TIME)
_RUN_EDGES = edges(table.PROCESS_DURATION)
_DURATION_EDGES = edges(table.TASK_DURATION)
_ATTEMPT_EDGES = edges(table.ATTEMPTS_PER_TASK)


def _names(kind: Kind) -> tuple[str, str]:
    return label(kind.name), label(kind.queue)


def _error(state: State) -> str:
    """Name an error that has no class: the conventions' word, or how the delivery ended."""
    return "_OTHER" if state in _RAN else state


def _closed(counter: Counter, values: Iterable[S]) -> dict[S, Cell]:
    """Make a cell for each value of a closed set, so that each series begins at 0."""
    return {value: counter.cell(value) for value in values}
