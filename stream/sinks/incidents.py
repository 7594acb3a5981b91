"""What happens now and then, counted: to workers, to subscriptions, to what was told before.

The part of `MetricsSink` that is not hot. An effect that is not counted has a handler too, so that
each effect of the engine is one decision.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

from ..core.effects import (
    Advised,
    AttemptBegan,
    Effect,
    EventsMissed,
    GapMarked,
    Odd,
    Oddity,
    PeriodicLate,
    PeriodicMissed,
    PeriodicResumed,
    QueueMoved,
    QueueStalled,
    StuckBegan,
    StuckEnded,
    StuckReason,
    TaskForgotten,
    TaskRevised,
    WaitedLong,
    WorkerChanged,
    WorkerForgotten,
)
from ..core.states import WorkerState
from . import instruments as table
from .aggregate import Aggregate, Cell, Counter
from .labels import label

S = TypeVar("S", bound=StrEnum)


class Incidents:
    """Counts rare effects; `handlers` has one function for each type of them."""

    def __init__(self, aggregate: Aggregate) -> None:
        """Make one that counts into *aggregate*."""
        self._aggregate = aggregate
        self._odd = _closed(aggregate.counter(table.EVENTS_ODD), Oddity)
        self._stuck = _closed(aggregate.counter(table.TASKS_STUCK), StuckReason)
        self._changed = _closed(aggregate.counter(table.WORKERS_CHANGED), WorkerState)
        self._unstuck = aggregate.counter(table.TASKS_UNSTUCK).cell()
        self._stalled = aggregate.counter(table.QUEUES_STALLED).cell()
        self._missed = aggregate.counter(table.EVENTS_MISSED).cell()
        self.handlers: dict[type, Callable[..., None]] = {
            TaskRevised: self._on_revised,
            StuckBegan: self._on_stuck,
            StuckEnded: self._on_unstuck,
            QueueStalled: self._on_stalled,
            WorkerChanged: self._on_worker,
            EventsMissed: self._on_missed,
            GapMarked: self._on_gap,
            Odd: self._on_odd,
            PeriodicLate: self._on_late,
            PeriodicMissed: self._on_beat_missed,
            **dict.fromkeys(_UNCOUNTED, _ignore),
        }

    def _on_revised(self, effect: TaskRevised) -> None:
        self._aggregate.counter(table.TASKS_REVISED).add(1, effect.was, effect.state)

    def _on_stuck(self, effect: StuckBegan) -> None:
        self._stuck[effect.reason][0] += 1

    def _on_unstuck(self, _: StuckEnded) -> None:
        self._unstuck[0] += 1

    def _on_stalled(self, _: QueueStalled) -> None:
        self._stalled[0] += 1

    def _on_worker(self, effect: WorkerChanged) -> None:
        self._changed[effect.state][0] += 1

    def _on_missed(self, effect: EventsMissed) -> None:
        self._missed[0] += effect.count

    def _on_gap(self, effect: GapMarked) -> None:
        source = label(effect.source)
        self._aggregate.counter(table.SOURCE_GAPS).add(1, source)
        self._aggregate.counter(table.SOURCE_GAP_TIME).add(effect.seconds, source)

    def _on_late(self, effect: PeriodicLate) -> None:
        kind = effect.kind
        self._aggregate.counter(table.BEAT_LATE).add(1, label(kind.name), label(kind.queue))

    def _on_beat_missed(self, effect: PeriodicMissed) -> None:
        kind = effect.kind
        self._aggregate.counter(table.BEAT_MISSED).add(1, label(kind.name), label(kind.queue))

    def _on_odd(self, effect: Odd) -> None:
        self._odd[effect.oddity][0] += effect.count


_UNCOUNTED: tuple[type, ...] = (
    AttemptBegan,  # Started is counted
    WaitedLong,  # in the histogram of waits
    QueueMoved,  # told by a gauge
    PeriodicResumed,  # likewise
    Advised,  # told by a log record
    TaskForgotten,
    WorkerForgotten,
)


def _ignore(_: Effect) -> None:
    """Count nothing."""


def _closed(counter: Counter, values: Iterable[S]) -> dict[S, Cell]:
    """Make a cell for each value of a closed set, so that each series begins at 0."""
    return {value: counter.cell(value) for value in values}
