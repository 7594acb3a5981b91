"""How tasks ended and how long they took, by name and by queue: the largest table of a report.

Fed with the record of each task, once, when everything is known of it, so the numbers are those of
the lines that `--tasks` writes.
"""

from collections import Counter
from typing import Final

from ..core.effects import AttemptEnded
from ..core.kinds import OTHER
from ..core.record import TaskRecord
from ..core.states import State
from .bounded import Groups
from .report import TaskRow
from .sketch import Latency, Sketch

UNNAMED: Final = "(unknown)"
"""Stands for a name or queue that no event told."""
_KINDS: Final = 500
"""Name and queue together; four sketches each, 5 MB where they are all full."""
_RETRY: Final = State.RETRY

Pair = tuple[str | None, str | None]


class _Cell:
    """What is counted of one name in one queue."""

    __slots__ = ("attempts", "prefetch", "redelivered", "retries", "run", "states", "total", "wait")

    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self.attempts = self.retries = self.redelivered = 0
        self.wait, self.prefetch = Sketch(), Sketch()
        self.run, self.total = Sketch(), Sketch()

    def merge(self, other: "_Cell") -> None:
        self.states.update(other.states)
        self.attempts += other.attempts
        self.retries += other.retries
        self.redelivered += other.redelivered
        self.wait.merge(other.wait)
        self.prefetch.merge(other.prefetch)
        self.run.merge(other.run)
        self.total.merge(other.total)


class Outcomes:
    """Counts tasks and attempts by name and queue."""

    def __init__(self) -> None:
        self._cells: Groups[Pair, _Cell] = Groups(_KINDS, (OTHER, OTHER), _Cell)

    @property
    def overflowed(self) -> int:
        """How often something was counted under ``other``."""
        return self._cells.overflowed

    def take_task(self, record: TaskRecord) -> None:
        """Count a task."""
        cell = self._cells[record.name, record.queue]
        cell.states[record.state] += 1
        cell.attempts += record.attempts
        if record.wait_time is not None:
            cell.wait.add(record.wait_time)
        if record.prefetch_time is not None:
            cell.prefetch.add(record.prefetch_time)
        if record.run_time is not None:
            cell.run.add(record.run_time)
        if record.total_time is not None:
            cell.total.add(record.total_time)

    def take_odd_attempt(self, ended: AttemptEnded) -> None:
        """Count a delivery that is no success at the first try."""
        cell = self._cells[ended.kind.name, ended.kind.queue]
        cell.retries += ended.state is _RETRY
        cell.redelivered += ended.redelivered

    def states(self) -> dict[str, int]:
        """Tell how many tasks ended how, most first."""
        states: Counter[State] = Counter()
        for cell in self._cells.values():
            states.update(cell.states)
        return ordered(states)

    def by_name(self) -> tuple[TaskRow, ...]:
        """Tell each name, the one with the most running time first."""
        rows = [_row(name, cell) for name, cell in self._merged(of_queue=False).items()]
        return tuple(sorted(rows, key=lambda row: (-_seconds(row.run), -row.tasks, row.task)))

    def waits_by_queue(self) -> dict[str, Latency]:
        """Tell how long tasks waited, by queue."""
        return {name: cell.wait.read() for name, cell in self._merged(of_queue=True).items()}

    def tasks_by_queue(self) -> dict[str, int]:
        """Tell how many tasks each queue had."""
        return {name: cell.states.total() for name, cell in self._merged(of_queue=True).items()}

    def _merged(self, *, of_queue: bool) -> dict[str, _Cell]:
        merged: dict[str, _Cell] = {}
        for (name, queue), cell in self._cells.items():
            key = queue if of_queue else name
            merged.setdefault(UNNAMED if key is None else key, _Cell()).merge(cell)
        return merged


def _row(name: str, cell: _Cell) -> TaskRow:
    return TaskRow(
        name,
        cell.states.total(),
        ordered(cell.states),
        cell.attempts,
        cell.retries,
        cell.redelivered,
        cell.wait.read(),
        cell.prefetch.read(),
        cell.run.read(),
        cell.total.read(),
    )


def _seconds(latency: Latency) -> float:
    return (latency.mean or 0.0) * latency.count


def ordered(counts: Counter[State]) -> dict[str, int]:
    """Return counts by name, most first; of equals by name."""
    return {str(key): n for key, n in sorted(counts.items(), key=lambda each: (-each[1], each[0]))}
