"""The workers and the queues over the time of a capture."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct, field

from ..core.effects import AttemptEnded, QueueStalled, WorkerChanged
from ..core.kinds import OTHER
from ..core.record import WorkerRecord
from ..core.states import State, WorkerState
from ..core.view import View
from .bounded import Groups, Series
from .outcomes import UNNAMED
from .report import QueueRow, WorkerRow
from .sketch import MOST, Latency, Sketch

_WORKERS: Final = 2_000
_QUEUES: Final = 200
_FAILED: Final = frozenset({State.FAILURE, State.RETRY})
_SILENT: Final = frozenset({WorkerState.SUSPECT, WorkerState.LOST})


class _Worker(Struct):
    tasks: int = 0
    failures: int = 0
    busy: float = 0.0
    most_active: int | None = None
    silences: int = 0
    silent: float = 0.0
    silent_since: float | None = None
    online: set[int] = field(default_factory=set)
    """Its processes whose heartbeats come."""

    def end_silence(self, at: float) -> None:
        """It is heard of again, went on purpose, or the capture ends."""
        if self.silent_since is not None:
            self.silent += at - self.silent_since
            self.silent_since = None


class Fleet:
    """Follows the workers, by node name."""

    def __init__(self) -> None:
        self._workers: Groups[str, _Worker] = Groups(_WORKERS, OTHER, _Worker)

    @property
    def overflowed(self) -> int:
        """How often something was counted under ``other``."""
        return self._workers.overflowed

    def take_attempt(self, ended: AttemptEnded) -> None:
        """Count an attempt at its worker."""
        if ended.hostname is not None:
            worker = self._workers[ended.hostname]
            worker.tasks += 1
            if ended.run is not None and ended.run < MOST:
                worker.busy += ended.run
            if ended.state in _FAILED:
                worker.failures += 1

    def take_change(self, changed: WorkerChanged) -> None:
        """Follow the silences of a node: one that was restarted under another pid is not silent."""
        worker = self._workers[changed.hostname]
        if changed.state is WorkerState.ONLINE:
            worker.online.add(changed.pid)
        else:
            worker.online.discard(changed.pid)
        if worker.online or changed.state not in _SILENT:
            worker.end_silence(changed.at)
        elif worker.silent_since is None:
            worker.silences += 1
            worker.silent_since = changed.at

    def look(self, view: View) -> None:
        """See how much runs at once."""
        for gauge in view.workers:
            if gauge.active is not None and gauge.state is WorkerState.ONLINE:
                worker = self._workers[gauge.hostname]
                worker.most_active = max(worker.most_active or 0, gauge.active)

    def close(self, at: float) -> None:
        """The capture ends: so do the silences."""
        for worker in self._workers.values():
            worker.end_silence(at)

    def rows(self, records: Sequence[WorkerRecord], *, seconds: float) -> tuple[WorkerRow, ...]:
        """Tell the workers by name.

        Args:
            records: of the processes that are reported.
            seconds: length of the period.
        """
        by_name: dict[str, list[WorkerRecord]] = {}
        for record in records:
            by_name.setdefault(record.hostname, []).append(record)
        return tuple(
            _worker_row(name, self._workers.get(name) or _Worker(), by_name[name], seconds=seconds)
            for name in sorted(by_name)
        )


def _worker_row(
    name: str, worker: _Worker, processes: list[WorkerRecord], *, seconds: float
) -> WorkerRow:
    seen = sum(each.starts_seen for each in processes)
    unseen = sum(each.unseen for each in processes)
    running = worker.busy / seconds if seconds > 0 else None
    alive = [each for each in processes if each.state is WorkerState.ONLINE] or processes
    capacity = worker.most_active
    return WorkerRow(
        name,
        len(processes),
        alive[-1].state,
        worker.tasks,
        worker.failures,
        worker.busy,
        running,
        capacity,
        min(1.0, running / capacity) if running is not None and capacity else None,
        worker.silences,
        worker.silent,
        seen,
        unseen,
        seen / (seen + unseen) if seen + unseen else None,
        alive[-1].skew,
    )


class _Queue:
    __slots__ = ("ages", "depths", "first", "last", "oldest", "stalls", "waiting")

    def __init__(self) -> None:
        self.waiting = Series(max)
        self.oldest = 0.0
        self.depths: Series | None = None
        self.first = self.last = 0
        self.ages: float | None = None
        self.stalls = 0


class Queues:
    """Follows the queues: what events say of them, and what polls found."""

    def __init__(self) -> None:
        self._queues: Groups[str, _Queue] = Groups(_QUEUES, OTHER, _Queue)

    @property
    def overflowed(self) -> int:
        """How often something was counted under ``other``."""
        return self._queues.overflowed

    def look(self, view: View) -> None:
        """See what waits now."""
        waiting: dict[str, tuple[int, float]] = {}
        for gauge in view.tasks:
            name = UNNAMED if gauge.kind.queue is None else gauge.kind.queue
            count, oldest = waiting.get(name, (0, 0.0))
            if gauge.state is State.SENT:
                count, oldest = count + gauge.count, max(oldest, gauge.oldest_age)
            waiting[name] = count, oldest
        for name, (count, oldest) in waiting.items():
            queue = self._queues[name]
            queue.waiting.put(view.at, float(count))
            queue.oldest = max(queue.oldest, oldest)
        for polled in view.queues:
            self._poll(self._queues[polled.name], polled.depth, age=polled.oldest_age, at=view.at)

    def _poll(self, queue: _Queue, depth: int, *, age: float | None, at: float) -> None:
        if queue.depths is None:
            queue.depths, queue.first = Series(max), depth
        queue.depths.put(at, float(depth))
        queue.last = depth
        if age is not None:
            queue.ages = max(queue.ages or 0.0, age)

    def take_stall(self, effect: QueueStalled) -> None:
        """A queue stalled."""
        self._queues[effect.queue].stalls += 1

    def rows(self, waits: dict[str, Latency], tasks: dict[str, int]) -> tuple[QueueRow, ...]:
        """Tell the queues, those with the most tasks first.

        Args:
            waits: how long the tasks of each waited.
            tasks: how many each had.
        """
        names: Iterable[str] = {*waits, *(name for name, _ in self._queues.items())}
        rows = [
            _queue_row(
                name, self._queues.get(name) or _Queue(), waits.get(name), tasks.get(name, 0)
            )
            for name in sorted(names)
        ]
        return tuple(sorted(rows, key=lambda row: (-row.tasks, row.queue)))


def _queue_row(name: str, queue: _Queue, wait: Latency | None, tasks: int) -> QueueRow:
    waiting = queue.waiting.read()
    depth = None if queue.depths is None else queue.depths.read()
    return QueueRow(
        name,
        tasks,
        wait or Sketch().read(),
        int(max((value for value in waiting.values if value is not None), default=0)),
        queue.oldest,
        waiting,
        None if depth is None else queue.first,
        None if depth is None else queue.last,
        None if depth is None else int(max(each for each in depth.values if each is not None)),
        depth,
        queue.ages,
        queue.stalls,
    )
