"""The composition root of what reads captures: files to effects in sinks, and a report.

The same pipeline and engine as for a broker; what is different is that time passes by the arrival
times in the files, and that what is read is processed at once: nothing can be shed.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import anyio
import click

from .analysis.gather import Gathering
from .analysis.pacing import Pacing
from .analysis.progress import Progress
from .analysis.records import Records
from .analysis.report import Report
from .analysis.scope import Filters, Scope
from .analysis.tally import Tally
from .events import Frame, Tick
from .machines import Export, Machines, Making, Usual
from .sinks.base import Sink
from .sources.capture import Capture

_LAST_HEARTBEATS: Final = 5.0
"""Seconds after the end when the workers' states are read: two of the usual heartbeats later."""
_STEP_GROWTH: Final = 0.05
"""Of the time since the end: what ends by waiting is dated this exactly."""
_STEPS: Final = 1_000
"""An ETA may be far ahead; after as many steps so is the end of the universe."""


class Reading:
    """One reading: its parts, and its steps in the order in which they are to be called.

    Args:
        files: captures.
        sinks: told of the effects.
        scope: what is reported; None: everything.
        records: takes the records that are told; None: nobody asks for those of tasks.
        making: makes the machine; None: *export* does, or else it is the usual one.
        export: sends what the effects come to; None: nothing is sent.
    """

    def __init__(
        self,
        files: Sequence[str],
        sinks: Sequence[Sink] = (),
        *,
        scope: Scope | None = None,
        records: Records | None = None,
        making: Making | None = None,
        export: Export | None = None,
    ) -> None:
        self._scope = scope or Scope(Filters())
        self._records = records or Records(None, self._scope)
        self._gathering = Gathering(self._scope, self._records)
        self._tally = Tally()
        self._first_at: float | None = None
        self._pacing = Pacing(None)
        self._export = export
        self._source = Capture(files, tell=self._tally)
        self._machines = Machines(
            self._source,
            (self._gathering, *sinks),
            making=making or export or Usual(),
            export=export,
            tell=self._tally,
        )
        self._progress = Progress()

    def read(self, *, speed: float | None = None, quiet: bool = False) -> None:
        """Read the files to their end, and let time pass until every task has left.

        Args:
            speed: how many times as fast as it was recorded; None: as fast as can be.
            quiet: say nothing of lines that cannot be read.

        Raises:
            RefusedError: a file cannot be read or is no capture, or a receiver takes nothing.
        """
        self._pacing = Pacing(speed)
        with self._progress:
            anyio.run(
                self._read if self._export is None else partial(self._export.send, self._read)
            )
        self._let_time_pass()
        if not quiet:
            self._tell_damages()

    async def _read(self) -> None:
        await self._source.run(self._put)
        if self._export is not None:
            self._export.close(self._source.last_at)

    async def _put(self, frames: list[Frame]) -> None:
        if self._first_at is None:
            self._first_at = frames[0].received_at
            self._scope.anchor(self._first_at)
        if delay := self._pacing.delay(frames[-1].received_at, anyio.current_time()):
            await anyio.sleep(delay)
        if isinstance(frames[0], Tick):
            for tick in frames:
                self._pass_time(tick)
        else:
            self._machines.process(frames)
        self._progress.show(self._source.done_bytes, self._source.total_bytes, self._tally.events)
        if self._export is not None:
            await self._export.until_room()

    def _pass_time(self, tick: Frame) -> None:
        """Let time pass, and look at the tables where that is due."""
        self._machines.process([tick])
        self._gathering.pass_time(tick.received_at, self._machines.view)
        if self._export is not None:
            self._export.pass_time(tick.received_at)

    def _let_time_pass(self) -> None:
        """Advance time until every task has left, and collect the workers."""
        end = self._source.last_at
        since = _LAST_HEARTBEATS
        self._gathering.close(end)
        self._machines.tick(end + since)
        self._records.note_states(self._machines.worker_records())
        for _ in range(_STEPS):
            since += max(1.0, since * _STEP_GROWTH)
            self._machines.tick(end + since)
            if since > self._machines.longest_grace and self._machines.are_empty(end + since):
                break
        self._records.take_workers(self._machines.worker_records())

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
            unrecorded=self._source.unrecorded,
            headers=self._source.headers,
        )
