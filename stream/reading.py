"""The composition root of what reads captures: files to effects in sinks, and a report.

The same channel, pipeline and engine as for a broker; what is different is that time passes by the
arrival times in the files, and that nothing is shed.
"""

from collections.abc import Callable, Sequence
from itertools import chain, groupby
from typing import Final

import anyio.lowlevel
import click
from msgspec import structs

from .analysis.gather import Gathering
from .analysis.pacing import Pacing
from .analysis.progress import Progress
from .analysis.records import Records
from .analysis.report import Report
from .analysis.scope import Filters, Scope
from .analysis.tally import Tally
from .channel import Channel, Overflow
from .core.early import PATIENCE
from .core.effects import Effect
from .core.engine import Engine
from .core.record import WorkerRecord
from .core.view import View
from .errors import RefusedError
from .events import Frame, Message, Tick
from .pipeline import Pipeline
from .sinks.base import Sink
from .sources.capture import Capture

_CHANNEL_FRAMES: Final = 4_000
"""Two slices of the source: the next is read while one is processed."""
_LAST_HEARTBEATS: Final = 5.0
"""Seconds after the end when the workers' states are read: two of the usual heartbeats later."""
_STEP_GROWTH: Final = 0.05
"""Of the time since the end: what ends by waiting is dated this exactly."""
_STEPS: Final = 1_000
"""An ETA may be far ahead; after as many steps so is the end of the universe."""

PassTime = Callable[[float], None]


class Reading:
    """One reading: its parts, and its steps in the order in which they are to be called.

    Args:
        files: captures.
        sinks: told of the effects.
        scope: what is reported; None: everything.
        records: takes the records that are told; None: nobody asks for those of tasks.
    """

    def __init__(
        self,
        files: Sequence[str],
        sinks: Sequence[Sink] = (),
        *,
        scope: Scope | None = None,
        records: Records | None = None,
    ) -> None:
        self._scope = scope or Scope(Filters())
        self._records = records or Records(None, self._scope)
        self._gathering = Gathering(self._scope, self._records)
        self._tally = Tally()
        self._first_at: float | None = None
        self._pacing = Pacing(None)
        self._sinks = (self._gathering, *sinks)
        self._engines: dict[str, Watched] = {}
        self._pipelines: dict[str, Pipeline] = {}
        self._channel = Channel(_CHANNEL_FRAMES, Overflow.WAIT, tell=self._tally)
        self._source = Capture(files, tell=self._tally)
        self._begin("")
        self._progress = Progress(files)

    def read(self, *, speed: float | None = None, quiet: bool = False) -> None:
        """Read the files to their end, and let time pass until every task has left.

        Args:
            speed: how many times as fast as it was recorded; None: as fast as can be.
            quiet: say nothing of lines that cannot be read.

        Raises:
            RefusedError: a file cannot be read or is no capture.
        """
        self._pacing = Pacing(speed)
        with self._progress:
            anyio.run(self._read)
        self._let_time_pass()
        if not quiet:
            self._tell_damages()

    async def _read(self) -> None:
        problem: RefusedError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._process, name="pipeline")
            try:
                await self._source.run(self._put)
            except RefusedError as exc:
                problem = exc  # raised below: out of the group it would come as a group
            self._channel.close()
        if problem is not None:
            raise problem

    async def _process(self) -> None:
        while batch := await self._channel.get():
            if not self._source.brokers:  # nearly always
                self._pipelines[""].process(batch)
            else:
                for source, frames in groupby(batch, self._source_of):
                    self._feed(source, list(frames))
            await anyio.lowlevel.checkpoint()

    # -- engines: one, but for brokers that were recorded together, each of which has its own ----

    def _source_of(self, frame: Frame) -> str:
        return frame.source if frame.source in self._source.brokers else ""

    def _feed(self, source: str, frames: list[Frame]) -> None:
        if source not in self._pipelines:
            self._begin(source)
        self._pipelines[source].process(frames)

    def _begin(self, source: str) -> None:
        engine = self._engines[source] = Watched(self._pass_time)
        self._pipelines[source] = Pipeline(
            engine, self._sinks, channel=self._channel, tell=self._tally
        )

    def _pass_time(self, now: float) -> None:
        self._gathering.pass_time(now, self._view)

    def _view(self, now: float) -> View:
        """Read the tables of all engines as if they were one's."""
        views = [engine.view(now) for engine in self._engines.values()]
        if len(views) == 1:
            return views[0]
        return structs.replace(
            views[0],
            tasks=tuple(chain.from_iterable(view.tasks for view in views)),
            workers=tuple(chain.from_iterable(view.workers for view in views)),
            queues=tuple(chain.from_iterable(view.queues for view in views)),
            brokers=tuple(chain.from_iterable(view.brokers for view in views)),
            tasks_in_flight=sum(view.tasks_in_flight for view in views),
            tasks_remembered=sum(view.tasks_remembered for view in views),
        )

    def _worker_records(self) -> list[WorkerRecord]:
        each = (engine.worker_records() for engine in self._engines.values())
        return list(chain.from_iterable(each))

    def _tick(self, at: float) -> None:
        for pipeline in self._pipelines.values():
            pipeline.process([Tick(at)])

    async def _put(self, frames: list[Frame]) -> None:
        if self._first_at is None:
            self._first_at = frames[0].received_at
            self._scope.anchor(self._first_at)
        if delay := self._pacing.delay(frames[-1].received_at, anyio.current_time()):
            await anyio.sleep(delay)
        if isinstance(frames[0], Message):
            self._progress.advance(len(frames))
        await self._channel.put(frames)

    def _let_time_pass(self) -> None:
        """Advance time until every task has left, and collect the workers."""
        end = self._source.last_at
        since = _LAST_HEARTBEATS
        self._gathering.close(end)
        self._tick(end + since)
        self._records.note_states(self._worker_records())
        for _ in range(_STEPS):
            since += max(1.0, since * _STEP_GROWTH)
            self._tick(end + since)
            if since > self._engines[""].graces.longest and self._all_left(end + since):
                break
        self._records.take_workers(self._worker_records())

    def _all_left(self, now: float) -> bool:
        view = self._view(now)
        return view.tasks_in_flight == view.tasks_remembered == 0

    def _tell_damages(self) -> None:
        """Say on stderr which lines could not be read."""
        source = self._source
        for file, line, detail in source.damages:
            click.echo(f"celery-stream: {file}, line {line}: {detail}", err=True)
        if more := source.damaged_lines - len(source.damages):
            click.echo(f"celery-stream: {more:,} more lines could not be read", err=True)

    def report(self) -> Report:
        """Say what was in the capture. To be called once, after `read`."""
        return self._gathering.report(
            self._tally,
            began_at=self._first_at,
            ended_at=None if self._first_at is None else self._source.last_at,
            damaged_lines=self._source.damaged_lines,
        )


class Watched(Engine):
    """An engine whose tables somebody looks at as time passes.

    Args:
        pass_time: told of each tick.
    """

    def __init__(self, pass_time: PassTime) -> None:
        super().__init__(records=True, patience=PATIENCE)
        self._pass_time = pass_time

    def tick(self, now: float) -> list[Effect]:
        """Let time pass."""
        effects = super().tick(now)
        self._pass_time(now)
        return effects
