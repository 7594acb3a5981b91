"""The records of all tasks and worker processes of a capture, as JSON lines.

A sink: it takes the records of tasks as the engine lets go of them; those of workers are given to
it, since they are of interest without those of tasks. Those of tasks wait in a temporary file,
because they are wanted in the order in which the tasks appeared and come in the order in which
they were forgotten, and there may be more of them than fit into memory.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from mmap import ACCESS_READ, mmap
from typing import IO, Final

import msgspec
from msgspec.structs import replace

from ..core.effects import Effect, TaskForgotten
from ..core.record import TaskRecord, WorkerRecord
from ..core.states import WorkerState
from .scope import Filters, Scope

_encode: Final = msgspec.json.Encoder().encode


class Records:
    """Takes the records of tasks and worker processes.

    Args:
        spool: an empty temporary file for those of tasks, which the caller closes; None: they are
            not kept.
        scope: which tasks and workers are taken; None: all.
    """

    def __init__(self, spool: IO[bytes] | None, scope: Scope | None = None) -> None:
        self._spool = spool
        self._scope = scope or Scope(Filters())
        self._numbers = array("Q")
        self._ends = array("Q", [0])
        self._workers: dict[tuple[str, int], WorkerRecord] = {}
        self._states: dict[tuple[str, int], WorkerState | None] = {}

    def accept(self, effects: Sequence[Effect]) -> None:
        """Take in the tasks that are forgotten."""
        for effect in effects:
            if type(effect) is TaskForgotten and self._scope.has_record(effect.record):
                self._take_task(effect.first_seen, effect.record)

    # -- tasks ---------------------------------------------------------------------------------

    def _take_task(self, first_seen: int, record: TaskRecord) -> None:
        if self._spool is not None:
            size = self._spool.write(_encode(record) + b"\n")
            self._numbers.append(first_seen)
            self._ends.append(self._ends[-1] + size)

    def task_lines(self) -> Iterator[bytes]:
        """One line for each task, with its end, in the order of their first appearance."""
        if self._spool is None or not self._numbers:
            return
        self._spool.flush()
        ends = self._ends
        with mmap(self._spool.fileno(), 0, access=ACCESS_READ) as spool:
            for index in sorted(range(len(self._numbers)), key=self._numbers.__getitem__):
                yield spool[ends[index] : ends[index + 1]]

    # -- workers -------------------------------------------------------------------------------

    def note_states(self, records: Iterable[WorkerRecord]) -> None:
        """Take note of the workers' states as the capture ends; later they are all lost."""
        self._states = {(record.hostname, record.pid): record.state for record in records}

    def take_workers(self, records: Iterable[WorkerRecord]) -> None:
        """Take in the records of the processes that were not forgotten."""
        for record in records:
            self.take_worker(record)

    def workers(self) -> list[WorkerRecord]:
        """The records of all worker processes, by hostname and pid."""
        return [
            replace(record, state=self._states.get(key, record.state))
            for key, record in sorted(self._workers.items())
            if self._scope.has_worker(record)
        ]

    def worker_lines(self) -> Iterator[bytes]:
        """One line for each worker process, with its end, by hostname and pid."""
        for record in self.workers():
            yield _encode(record) + b"\n"

    def take_worker(self, record: WorkerRecord) -> None:
        """Take in the record of a process, perhaps a further one of it."""
        key = (record.hostname, record.pid)
        before = self._workers.get(key)
        self._workers[key] = record if before is None else _together(before, record)


def _together(before: WorkerRecord, after: WorkerRecord) -> WorkerRecord:
    """One record of a process that was forgotten in between."""
    starts, unseen = before.starts_seen + after.starts_seen, before.unseen + after.unseen
    return replace(
        after,
        processed=before.processed if after.processed is None else after.processed,
        starts_seen=starts,
        unseen=unseen,
        duplicates=before.duplicates + after.duplicates,
        coverage=starts / (starts + unseen) if starts + unseen else None,
    )
