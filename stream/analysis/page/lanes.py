"""A sink that keeps who ran what when: the bars of the workers' lanes.

Of many runs those are kept that a picture needs: of each worker and interval the failed ones, then
the longest. So there is something to see wherever one looks closer, and short runs are the first
to be left out.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct, field

from ...core.effects import AttemptEnded, Effect, WorkerChanged
from ...core.states import State, WorkerState
from ..outcomes import UNNAMED
from ..scope import Scope
from .content import Absence, Bar, Lane, Lanes
from .intervals import Intervals

_BARS: Final = 6_000
"""Half a megabyte of page, and drawn within a few frames."""
_ROWS: Final = 24
"""Of one lane; what more ran at once lies over the others."""
_ABSENCES: Final = 1_000
_FAILED: Final = frozenset({State.FAILURE, State.RETRY, State.LOST})

What = Literal["silent", "offline"]
_ABSENT: Final[dict[WorkerState, What]] = {
    WorkerState.SUSPECT: "silent",
    WorkerState.LOST: "silent",
    WorkerState.OFFLINE: "offline",
}


class _Run(Struct, frozen=True, gc=False):
    lane: int
    begin_at: float
    end_at: float
    task: str
    state: State
    uuid: str
    retries: int


class _Presence(Struct):
    """Whether a worker is there, by its processes."""

    online: set[int] = field(default_factory=set)
    since: float = 0.0
    what: What | None = None


class Workers:
    """Keeps the runs and absences of the workers.

    Args:
        intervals: of the period.
        scope: what is reported.
        workers: the names that get a lane, from top to bottom.
        limit: of bars.
    """

    def __init__(
        self, intervals: Intervals, scope: Scope, *, workers: Sequence[str], limit: int = _BARS
    ) -> None:
        self._intervals, self._scope, self._limit = intervals, scope, limit
        self._names = tuple(workers)
        self._lanes = {name: lane for lane, name in enumerate(workers)}
        self._kept: list[_Run] = []
        self._runs = [0] * len(self._names)
        self._present = [_Presence() for _ in self._names]
        self._absences: list[Absence] = []

    def accept(self, effects: Sequence[Effect]) -> None:
        """Take in what happened."""
        for effect in effects:
            if isinstance(effect, AttemptEnded):
                if effect.started_at is not None and self._scope.has_attempt(effect):
                    self._take(effect, effect.started_at)
            elif type(effect) is WorkerChanged:
                self._follow(effect)

    # -- runs ----------------------------------------------------------------------------------

    def _take(self, ended: AttemptEnded, started_at: float) -> None:
        lane = self._lanes.get(ended.hostname or "")
        if lane is None:
            return
        self._runs[lane] += 1
        begin_at = self._intervals.clamp(started_at)
        end_at = max(begin_at, self._intervals.clamp(ended.ended_at))
        task = UNNAMED if ended.kind.name is None else ended.kind.name
        self._kept.append(
            _Run(lane, begin_at, end_at, task, ended.state, ended.uuid, ended.retries)
        )
        if len(self._kept) >= 2 * self._limit:
            self._thin()

    def _thin(self) -> None:
        """Leave as many as there may be, the most telling ones of each worker and interval."""
        if len(self._kept) <= self._limit:
            return
        kept = sorted(self._kept, key=_weight)
        of_cell: Counter[tuple[int, int]] = Counter()
        ranked: list[tuple[int, int, _Run]] = []
        for number, run in enumerate(kept):
            cell = run.lane, self._intervals.index(run.begin_at)
            ranked.append((of_cell[cell], number, run))
            of_cell[cell] += 1
        ranked.sort(key=lambda each: each[:2])
        self._kept = [run for _, _, run in ranked[: self._limit]]

    # -- absences ------------------------------------------------------------------------------

    def _follow(self, changed: WorkerChanged) -> None:
        lane = self._lanes.get(changed.hostname)
        if lane is None or changed.at > self._intervals.end_at:
            return  # after the end all fall silent
        worker = self._present[lane]
        what = _ABSENT.get(changed.state)
        if what is None:
            worker.online.add(changed.pid)
        else:
            worker.online.discard(changed.pid)
        if worker.online:
            what = None
        if what != worker.what:
            self._end_absence(lane, changed.at)
            worker.what, worker.since = what, changed.at

    def _end_absence(self, lane: int, at: float) -> None:
        worker, of = self._present[lane], self._intervals
        if worker.what is not None and len(self._absences) < _ABSENCES:
            begin, end = (round(of.clamp(each) - of.begin_at, 3) for each in (worker.since, at))
            if end > begin:
                self._absences.append(Absence(lane, begin, end, worker.what))
        worker.what = None

    # -- what it comes to ----------------------------------------------------------------------

    def read(self, *, workers: int) -> Lanes:
        """Tell the lanes. To be called once, at the end.

        Args:
            workers: how many there are.
        """
        self._thin()
        for lane in range(len(self._names)):
            self._end_absence(lane, self._intervals.end_at)
        runs = sorted(self._kept, key=lambda run: (run.lane, run.begin_at, run.end_at, run.uuid))
        tasks = {name: place for place, name in enumerate(sorted({run.task for run in runs}))}
        packing = [_Packing() for _ in self._names]
        begin_at = self._intervals.begin_at
        bars = tuple(
            Bar(
                run.lane,
                packing[run.lane].row(run.begin_at, run.end_at),
                round(run.begin_at - begin_at, 4),
                round(run.end_at - begin_at, 4),
                tasks[run.task],
                run.state,
                run.uuid,
                run.retries,
            )
            for run in runs
        )
        lanes = zip(self._names, self._runs, packing, strict=True)
        return Lanes(
            tuple(Lane(name, count, max(1, packed.rows)) for name, count, packed in lanes),
            tuple(tasks),
            bars,
            tuple(self._absences),
            sum(self._runs),
            max(0, workers - len(self._names)),
        )


def _weight(run: _Run) -> tuple[bool, float, float, str]:
    """Order by how much a run tells, most first."""
    return run.state not in _FAILED, run.begin_at - run.end_at, run.begin_at, run.uuid


class _Packing:
    """Puts what overlaps into rows of its own."""

    def __init__(self) -> None:
        self._free_at: list[float] = []

    @property
    def rows(self) -> int:
        return len(self._free_at)

    def row(self, begin_at: float, end_at: float) -> int:
        """Return the first free row from *begin_at* on; the next to be free if all are taken."""
        free = (row for row, at in enumerate(self._free_at) if at <= begin_at)
        row = next(free, len(self._free_at))
        if row == _ROWS:
            row = min(range(_ROWS), key=self._free_at.__getitem__)
        if row == len(self._free_at):
            self._free_at.append(end_at)
        self._free_at[row] = max(self._free_at[row], end_at)
        return row
