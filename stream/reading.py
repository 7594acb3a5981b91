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
from .assembly import decoder_of, engine_of
from .brokers import RABBITMQ, REDIS
from .channel import Channel, Overflow
from .core.engine import Engine
from .events import Frame, Message, Tick, Transport
from .exporting import Exporting
from .pipeline import Pipeline
from .sinks.base import Sink
from .sources.amqp_address import SCHEMES
from .sources.capture import Capture
from .wire.capture_lines import Header
from .wire.codec import decode

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
        export: sends what the effects come to, and says as what machine they are read; None:
            nothing is sent, and the usual machine.
    """

    def __init__(
        self,
        files: Sequence[str],
        sinks: Sequence[Sink] = (),
        *,
        scope: Scope | None = None,
        records: Records | None = None,
        export: Exporting | None = None,
    ) -> None:
        self._scope = scope or Scope(Filters())
        self._records = records or Records(None, self._scope)
        self._gathering = Gathering(self._scope, self._records)
        self._tally = Tally()
        self._first_at: float | None = None
        self._pacing = Pacing(None)
        self._export = export
        self._engine = (
            Engine(records=True) if export is None else engine_of(export.settings, records=True)
        )
        self._source = Capture(files, tell=self._tally)
        self._pipeline = Pipeline(
            self._engine,
            [self._gathering, *sinks, *([] if export is None else [export])],
            channel=Channel(1, Overflow.WAIT, tell=self._tally),  # unused: nothing comes between
            tell=self._tally,
            decode=decode if export is None else decoder_of(export.settings.log_records),
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
            self._export.close(self._source.last_at, self._engine.view)

    async def _put(self, frames: list[Frame]) -> None:
        if self._first_at is None:
            self._begin(frames[0])
        if delay := self._pacing.delay(frames[-1].received_at, anyio.current_time()):
            await anyio.sleep(delay)
        if isinstance(frames[0], Tick):
            for tick in frames:
                self._pass_time(tick)
        else:
            self._pipeline.process(frames)
        self._progress.show(self._source.done_bytes, self._source.total_bytes, self._tally.events)
        if self._export is not None:
            await self._export.until_room()

    def _begin(self, first: Frame) -> None:
        self._first_at = first.received_at
        self._scope.anchor(self._first_at)
        if self._export is not None:
            system = _system_of(first, self._source.headers)
            self._export.begin(self._first_at, system=system)

    def _pass_time(self, tick: Frame) -> None:
        """Let time pass, and look at the tables where that is due."""
        self._pipeline.process([tick])
        self._gathering.pass_time(tick.received_at, self._engine.view)
        if self._export is not None:
            self._export.pass_time(tick.received_at, self._engine.view)

    def _let_time_pass(self) -> None:
        """Advance time until every task has left, and collect the workers."""
        end = self._source.last_at
        since = _LAST_HEARTBEATS
        self._gathering.close(end)
        self._pass_time(Tick(end + since))
        self._records.note_states(self._engine.worker_records())
        for _ in range(_STEPS):
            since += max(1.0, since * _STEP_GROWTH)
            self._pass_time(Tick(end + since))
            if since > self._engine.graces.longest and self._all_left(end + since):
                break
        self._records.take_workers(self._engine.worker_records())

    def _all_left(self, now: float) -> bool:
        view = self._engine.view(now)
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
            unrecorded=self._source.unrecorded,
            headers=self._source.headers,
        )


def _system_of(first: Frame, headers: Sequence[Header]) -> str:
    """Return which broker a capture is of, as ``messaging.system`` names it."""
    schemes = {url.partition("://")[0] for header in headers for url in header.origin}
    is_amqp = isinstance(first, Message) and first.transport is Transport.AMQP
    return RABBITMQ if is_amqp or schemes & set(SCHEMES) else REDIS
