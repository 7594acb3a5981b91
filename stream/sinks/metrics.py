"""Effects become counters and histograms: exact, before any sampling.

Gauges are not here: they are read from the engine's tables (`gauges`). The handlers below run for
every effect, so they hold the cells of a kind together and change them in place; durations they
only note, to be counted many at once before anybody reads them.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

from ..core.effects import AttemptEnded, Effect, Received, Sent, Started, Succeeded, TaskFinished
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
from .noted import Noted

# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_SUCCESS, _FAILURE, _RETRY, _REQUEUED = State.SUCCESS, State.FAILURE, State.RETRY, State.REQUEUED

_AT_ONCE = 5_000
"""Effects after which what was noted is counted: some 200 kB."""

_EXEMPLARY = frozenset({_FAILURE, _RETRY, State.LOST})
"""Deliveries that end so are worth an example however long they ran; their spans are kept."""

_ENDS: dict[State, Instrument] = {
    State.REVOKED: table.TASK_REVOKED,
    State.REJECTED: table.TASK_REJECTED,
    State.LOST: table.TASK_LOST,
    State.UNKNOWN: table.TASK_UNKNOWN,
}


class _Starts:
    """Where the starts of one kind are noted."""

    __slots__ = ("prefetches", "waits")

    def __init__(self, waits: Noted, prefetches: Noted) -> None:
        self.waits = waits.seconds
        self.prefetches = prefetches.seconds


class _Ends:
    """What the end of a task in one state changes."""

    __slots__ = ("attempts", "completed", "durations", "finished")

    def __init__(self, aggregate: Aggregate, kind: Kind, state: State, durations: Noted) -> None:
        labels = names(kind)
        self.finished = aggregate.counter(table.TASK_FINISHED).cell(*labels, state)
        self.completed = (
            aggregate.counter(table.TASK_COMPLETED).cell(*labels) if state is _SUCCESS else None
        )
        self.durations = durations.seconds
        self.attempts = aggregate.histogram(table.ATTEMPTS_PER_TASK).cell(labels[0], state)

    def count(self, attempts: int, tasks: int = 1) -> None:
        """Count tasks that had so many attempts each."""
        self.finished[0] += tasks
        if self.completed is not None:
            self.completed[0] += tasks
        self.attempts[bisect_left(_ATTEMPT_EDGES, attempts)] += tasks
        self.attempts[0] += attempts * tasks


class _Successes:
    """Where the tasks of one kind are noted that succeeded at their first attempt."""

    __slots__ = ("count", "durations", "ends", "runs", "totals")

    def __init__(self, ends: _Ends, runs: Noted, totals: Noted) -> None:
        self.ends = ends
        self.runs, self.durations, self.totals = runs.seconds, ends.durations, totals.seconds
        self.count = 0

    def settle(self) -> None:
        """Count them."""
        count, self.count = self.count, 0
        self.ends.count(1, count)


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
        self._noted: dict[int, Noted] = {}
        """By the identity of their cell: as many as the aggregate has."""
        self._effects = 0
        """Since what was noted was counted."""
        self._starts: Cells[Kind, _Starts] = Cells(self._starts_of)
        self._runs: Cells[tuple[Kind, str | None], Noted] = Cells(self._runs_of)
        self._totals: Cells[Kind, Noted] = Cells(self._totals_of)
        self._ends: Cells[tuple[Kind, State], _Ends] = Cells(self._ends_of)
        self._successes: Cells[Kind, _Successes] = Cells(self._successes_of, forgetting=self.settle)
        self._failures: Cells[tuple[Kind, str | None], tuple[Cell, Labels]] = Cells(
            self._failure_cell
        )
        self._run_places: Cells[tuple[Kind, str | None], Labels] = Cells(self._run_place)
        self._run_exemplars = aggregate.histogram(table.PROCESS_DURATION).exemplars
        self._failure_exemplars = aggregate.counter(table.TASK_FAILED).exemplars
        unknown = aggregate.counter(table.LATENCY_UNKNOWN)
        self._no_wait, self._no_prefetch = unknown.cell("wait"), unknown.cell("prefetch")
        self._no_run, self._no_total = unknown.cell("run"), unknown.cell("total")
        aggregate.before_collecting(self.settle)
        # By exact type: an effect costs one look-up and one call.
        self._handlers: dict[type, Callable[..., None]] = {
            Received: self._on_received,
            Started: self._on_started,
            AttemptEnded: self._on_attempt_ended,
            TaskFinished: self._on_finished,
            Succeeded: self._on_succeeded,
            **Incidents(aggregate).handlers,
        }

    def accept(self, effects: Sequence[Effect]) -> None:
        """Count what happened."""
        self._count(effects)
        if self._durations is not None:
            self._durations.accept(effects)
        self._effects += len(effects)
        if self._effects >= _AT_ONCE:
            self.settle()

    def _count(self, effects: Sequence[Effect]) -> None:
        sent, consumed, starts, successes = (
            self._sent,
            self._consumed,
            self._starts,
            self._successes,
        )
        handlers, most_run = self._handlers, min(self._slow, MAX_SECONDS)
        for effect in effects:
            # What nearly all are, without a call, which would cost half as much again. Whatever is
            # odd about them goes to their handlers.
            if type(effect) is Started and effect.eta_delay is None:
                started = starts[effect.kind]
                started.waits.append(effect.wait)
                started.prefetches.append(effect.prefetch)
            elif (
                type(effect) is Succeeded and not effect.retries and (effect.run or 0.0) < most_run
            ):
                succeeded = successes[effect.kind]
                succeeded.count += 1
                succeeded.runs.append(effect.run)
                succeeded.durations.append(effect.run)
                succeeded.totals.append(effect.total)
            elif type(effect) is Received and not effect.redelivered:
                consumed[effect.kind][0] += 1
            elif type(effect) is Sent:
                sent[effect.kind][0] += 1
            else:
                handlers[type(effect)](effect)

    def settle(self) -> None:
        """Count what was only noted."""
        self._effects = 0
        for noted in self._noted.values():
            noted.settle()
        for successes in self._successes.values():
            successes.settle()

    # The hot ones, as far as `_count` has not taken them.

    def _on_received(self, effect: Received) -> None:
        self._consumed[effect.kind][0] += 1
        if effect.redelivered:
            self._aggregate.counter(table.TASK_REDELIVERED).add(1, *names(effect.kind))

    def _on_started(self, effect: Started) -> None:
        starts = self._starts[effect.kind]
        starts.waits.append(effect.wait)
        starts.prefetches.append(effect.prefetch)
        if effect.eta_delay is not None:
            delays = self._aggregate.histogram(table.TASK_ETA_DELAY)
            delays.record(effect.eta_delay, *names(effect.kind))

    def _on_succeeded(self, effect: Succeeded) -> None:
        attempt, finished = effect.apart()
        self._on_attempt_ended(attempt)
        self._on_finished(finished)

    def _on_attempt_ended(self, effect: AttemptEnded) -> None:
        state, run = effect.state, effect.run
        error_type = None if state is _SUCCESS else error(state, effect.error_type)
        if run is not None or state in RAN:
            self._runs[effect.kind, error_type].seconds.append(run)
        if (
            run is not None
            and 0.0 <= run < MAX_SECONDS
            and (run >= self._slow or (error_type is not None and state in _EXEMPLARY))
        ):
            self._exemplify_run(effect, run, error_type)
        if state is _FAILURE:
            self._failure = effect
        elif state is _RETRY:
            self._add(table.TASK_RETRIES, effect.kind, error_type)
        elif state is _REQUEUED and not effect.inferred:
            self._add(table.TASK_REJECTED, effect.kind, effect.reason)

    def _on_finished(self, effect: TaskFinished) -> None:
        state = effect.state
        ends = self._ends[effect.kind, state]
        ends.count(effect.attempts)
        ends.durations.append(effect.run)
        self._totals[effect.kind].seconds.append(effect.total)
        if state is _FAILURE:
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

    def _starts_of(self, kind: Kind) -> _Starts:
        labels = names(kind)
        started = self._aggregate.counter(table.TASK_STARTED).cell(*labels)
        attempts = self._aggregate.counter(table.TASK_ATTEMPTS).cell(*labels)
        return _Starts(
            self._note(
                table.TASK_WAIT_TIME,
                *labels,
                unknown=self._no_wait,
                counters=(started, attempts),
            ),
            self._note(table.TASK_PREFETCH_TIME, *labels, unknown=self._no_prefetch),
        )

    def _runs_of(self, key: tuple[Kind, str | None]) -> Noted:
        labels = self._run_labels(*key)
        return self._note(table.PROCESS_DURATION, *labels, unknown=self._no_run)

    def _totals_of(self, kind: Kind) -> Noted:
        return self._note(table.TASK_TOTAL_TIME, *names(kind), unknown=self._no_total)

    def _ends_of(self, key: tuple[Kind, State]) -> _Ends:
        kind, state = key
        durations = self._note(table.TASK_DURATION, *names(kind), state)
        return _Ends(self._aggregate, kind, state, durations)

    def _successes_of(self, kind: Kind) -> _Successes:
        ends, runs = self._ends[kind, _SUCCESS], self._runs[kind, None]
        return _Successes(ends, runs, self._totals[kind])

    def _note(
        self,
        instrument: Instrument,
        *labels: str,
        unknown: Cell | None = None,
        counters: tuple[Cell, ...] = (),
    ) -> Noted:
        """Return where the values of a cell are noted, the same each time."""
        cell = self._aggregate.histogram(instrument).cell(*labels)
        if id(cell) not in self._noted:
            self._noted[id(cell)] = Noted(instrument, cell, unknown=unknown, counters=counters)
        return self._noted[id(cell)]

    def _run_place(self, key: tuple[Kind, str | None]) -> Labels:
        return self._aggregate.histogram(table.PROCESS_DURATION).place(*self._run_labels(*key))

    def _run_labels(self, kind: Kind, error_type: str | None) -> Labels:
        return (*conventional(self._system, kind, "process"), label(error_type, missing=""))


_ATTEMPT_EDGES = edges(table.ATTEMPTS_PER_TASK)
