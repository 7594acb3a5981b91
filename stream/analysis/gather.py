"""The sink that makes a report of effects, in memory that does not grow with the capture.

It is told of effects like any sink, of each tick, and now and then of what the tables hold. Tasks
are counted by their records, once each and when nothing can change any more; attempts as they end.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ..core.effects import (
    Advised,
    AttemptEnded,
    GapMarked,
    Odd,
    QueueStalled,
    StuckBegan,
    StuckEnded,
    Succeeded,
    TaskForgotten,
    WorkerChanged,
    WorkerForgotten,
)
from ..core.record import WorkerRecord
from ..core.states import State
from ..core.view import View
from ..sinks.base import Selective
from ..sinks.identity import origin
from ..wire.capture_lines import Header
from .bounded import Looks, Pace, Top
from .failures import Failures, Unfinished
from .families import Families
from .fleet import Fleet, Queues
from .outcomes import UNNAMED, Outcomes
from .records import Records
from .report import VERSION, Coverage, Recording, Report, SlowRun, Throughput
from .scope import GIVEN_UP, Scope
from .sketch import MOST
from .tally import Tally

_SLOW_RUNS: Final = 10
_FAILED: Final = frozenset({State.FAILURE, State.RETRY})
_SUCCESS: Final = State.SUCCESS


class Gathering(Selective):
    """Gathers a report.

    Args:
        scope: what is reported.
        records: is given the records of the workers that are forgotten.
    """

    def __init__(self, scope: Scope, records: Records) -> None:
        self.scope = scope
        self._records = records
        self._outcomes, self._failures, self._unfinished = Outcomes(), Failures(), Unfinished()
        self._fleet, self._queues, self._families = Fleet(), Queues(), Families()
        self._ended, self._failed = Pace(), Pace()
        self._slow: Top[SlowRun] = Top(_SLOW_RUNS)
        self._oddities: Counter[str] = Counter()
        self._advice: dict[tuple[str, str | None], None] = {}
        self._gaps, self._gap_seconds = 0, 0.0
        self._attempts = 0
        self._closed = False
        self._looks = Looks()
        super().__init__(
            {
                AttemptEnded: self._on_attempt,
                Succeeded: self._on_attempt,
                TaskForgotten: self._on_forgotten,
                StuckBegan: self._on_stuck,
                StuckEnded: self._on_stuck,
                WorkerChanged: self._on_worker,
                WorkerForgotten: self._on_worker_forgotten,
                QueueStalled: self._on_stall,
                GapMarked: self._on_gap,
                Odd: self._on_odd,
                Advised: self._on_advice,
            }
        )

    # -- what is told --------------------------------------------------------------------------

    def pass_time(self, now: float, view: Callable[[float], View]) -> None:
        """Time passed. Looks at the tables where that is due."""
        self._ended.fold(now)
        self._failed.fold(now)
        if not self._closed and self._looks.due(now) and self.scope.has_instant(now):
            self._look(view(now))

    def _look(self, view: View) -> None:
        self._fleet.look(view)
        self._queues.look(view)

    def close(self, at: float) -> None:
        """The capture ends; what is told from now on follows from waiting."""
        self._closed = True
        self._fleet.close(at)
        self._ended.fold(at, everything=True)
        self._failed.fold(at, everything=True)

    # -- effects -------------------------------------------------------------------------------

    def _on_attempt(self, ended: AttemptEnded) -> None:
        if ended.state in GIVEN_UP:
            self._unfinished.note_reason(ended, after_the_end=self._closed)
            return  # when it ended, if it did, is not known
        scope = self.scope
        if self._closed or not (scope.is_everything or scope.has_attempt(ended)):
            return
        self._attempts += 1
        second = int(ended.ended_at)
        seconds = self._ended.seconds
        seconds[second] = seconds.get(second, 0) + 1
        self._fleet.take_attempt(ended)
        run = ended.run
        if run is not None and self._slow.least < run < MOST:
            self._slow.offer(run, ended.uuid, _slow_run(ended, run))
        if ended.state is not _SUCCESS or ended.redelivered:
            self._on_odd_attempt(ended, second)

    def _on_odd_attempt(self, ended: AttemptEnded, second: int) -> None:
        self._outcomes.take_odd_attempt(ended)
        if ended.state in _FAILED:
            seconds = self._failed.seconds
            seconds[second] = seconds.get(second, 0) + 1
            self._failures.take(ended)

    def _on_forgotten(self, effect: TaskForgotten) -> None:
        record, scope = effect.record, self.scope
        if not (scope.is_everything or scope.has_record(record)):
            return
        self._outcomes.take_task(record)
        self._families.take(record)
        if record.state in GIVEN_UP:
            self._unfinished.take_task(record)
        elif self._unfinished.reasons:
            self._unfinished.forget_reason(record)

    def _on_stuck(self, effect: StuckBegan | StuckEnded) -> None:
        if not self._closed and self.scope.has_task_of(effect.uuid, effect.kind):
            self._unfinished.take_stuck(effect)

    def _on_worker(self, effect: WorkerChanged) -> None:
        if not self._closed:
            self._fleet.take_change(effect)

    def _on_worker_forgotten(self, effect: WorkerForgotten) -> None:
        self._records.take_worker(effect.record)

    def _on_stall(self, effect: QueueStalled) -> None:
        if self.scope.has_queue(effect.queue) and not self._closed:
            self._queues.take_stall(effect)

    def _on_gap(self, effect: GapMarked) -> None:
        self._gaps += 1
        self._gap_seconds += effect.seconds

    def _on_odd(self, effect: Odd) -> None:
        if not self._closed:
            self._oddities[effect.oddity] += effect.count

    def _on_advice(self, effect: Advised) -> None:
        self._advice[effect.advice, effect.subject] = None

    # -- what it comes to ----------------------------------------------------------------------

    def report(
        self,
        tally: Tally,
        *,
        began_at: float | None,
        ended_at: float | None,
        damaged_lines: int,
        unrecorded: int = 0,
        headers: Iterable[Header] = (),
    ) -> Report:
        """Make the report. To be called once, at the end.

        Args:
            tally: what was read.
            began_at: first arrival; None where there was none.
            ended_at: last arrival.
            damaged_lines: how many could not be read.
            unrecorded: messages that the recording side had no room for.
            headers: of the files that have one, as they came.
        """
        if began_at is not None and ended_at is not None:
            began_at = max(began_at, self.scope.begin_at)
            ended_at = max(began_at, min(ended_at, self.scope.end_at))
        seconds = 0.0 if began_at is None or ended_at is None else ended_at - began_at
        processes = tuple(self._records.workers())
        waits, tasks = self._outcomes.waits_by_queue(), self._outcomes.tasks_by_queue()
        queues = self._queues.rows(waits, tasks)
        return Report(
            VERSION,
            began_at,
            ended_at,
            self._outcomes.states(),
            self._coverage(tally, processes, damaged_lines, unrecorded),
            self._throughput(tally, seconds),
            self._outcomes.by_name(),
            tuple(row for row in queues if self.scope.has_queue(row.queue)),
            self._fleet.rows(processes, seconds=seconds),
            self._failures.rows(),
            self._unfinished.rows(),
            tuple(self._slow.largest()),
            self._families.slowest(),
            processes,
            _recordings(headers),
        )

    def _coverage(
        self,
        tally: Tally,
        processes: Sequence[WorkerRecord],
        damaged_lines: int,
        unrecorded: int,
    ) -> Coverage:
        return Coverage(
            tally.events,
            {str(reason): n for reason, n in sorted(tally.rejected.items())},
            damaged_lines,
            sum(each.starts_seen for each in processes),
            sum(each.unseen for each in processes),
            self._gaps,
            self._gap_seconds,
            dict(sorted(self._oddities.items())),
            self._overflowed(),
            tuple(sorted(self._advice, key=lambda each: (each[0], each[1] or ""))),
            unrecorded,
        )

    def _overflowed(self) -> dict[str, int]:
        counts = {
            "failures": self._failures.overflowed,
            "queues": self._queues.overflowed,
            "tasks": self._outcomes.overflowed,
            "unfinished": self._unfinished.overflowed,
            "workers": self._fleet.overflowed,
        }
        return {name: count for name, count in counts.items() if count}

    def _throughput(self, tally: Tally, seconds: float) -> Throughput:
        return Throughput(
            tally.events / seconds if seconds else None,
            self._attempts,
            self._attempts / seconds if seconds else None,
            self._ended.most,
            self._ended.series.read(),
            self._failed.series.read(),
        )


def _recordings(headers: Iterable[Header]) -> tuple[Recording, ...]:
    """Put the files of each process together, in the order in which they came."""
    by_process: dict[str, list[Header]] = {}
    for header in headers:
        by_process.setdefault(header.recording, []).append(header)
    return tuple(
        Recording(
            name,
            files[0].version,
            files[0].origin,
            files[0].arguments,
            len(files),
            min(each.part for each in files),
        )
        for name, files in by_process.items()
    )


def _slow_run(ended: AttemptEnded, run: float) -> SlowRun:
    found = origin(ended.trace, ended.root_id, ended.uuid)
    return SlowRun(
        ended.uuid,
        UNNAMED if ended.kind.name is None else ended.kind.name,
        ended.state,
        ended.hostname,
        ended.started_at,
        ended.wait,
        run,
        f"{found.trace_id:032x}",
        ended.root_id,
    )
