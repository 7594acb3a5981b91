"""How tasks ended and how long they took, by name and by queue: the largest table of a report.

Fed with the record of each task, once, when everything is known of it, so the numbers are those of
the lines that `--tasks` writes. Records wait until there are many: counted together they cost half.
"""

from collections import Counter, defaultdict
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
_AT_ONCE: Final = 4_096
"""Records that wait to be counted: 2 MB."""
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

    def take(self, records: list[TaskRecord]) -> None:
        """Count tasks."""
        self.states.update([each.state for each in records])
        self.attempts += sum([each.attempts for each in records])
        self.wait.add_all([each.wait_time for each in records])
        self.prefetch.add_all([each.prefetch_time for each in records])
        self.run.add_all([each.run_time for each in records])
        self.total.add_all([each.total_time for each in records])

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
        self._waiting: list[TaskRecord] = []

    @property
    def overflowed(self) -> int:
        """How often something was counted under ``other``."""
        return self._counted().overflowed

    def take_task(self, record: TaskRecord) -> None:
        """Count a task."""
        self._waiting.append(record)
        if len(self._waiting) >= _AT_ONCE:
            self._counted()

    def _counted(self) -> Groups[Pair, _Cell]:
        """Return the cells, with everything counted that was taken."""
        by_pair: defaultdict[Pair, list[TaskRecord]] = defaultdict(list)
        for record in self._waiting:
            by_pair[record.name, record.queue].append(record)
        self._waiting.clear()
        for pair, records in by_pair.items():
            self._cells.of_many(pair, len(records)).take(records)
        return self._cells

    def take_odd_attempt(self, ended: AttemptEnded) -> None:
        """Count a delivery that is no success at the first try."""
        cell = self._cells[ended.kind.name, ended.kind.queue]
        cell.retries += ended.state is _RETRY
        cell.redelivered += ended.redelivered

    def states(self) -> dict[str, int]:
        """Tell how many tasks ended how, most first."""
        states: Counter[State] = Counter()
        for cell in self._counted().values():
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
        for (name, queue), cell in self._counted().items():
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
