"""The composition root of ``replay``: capture files to records of their tasks and workers.

The same channel, pipeline and engine as for a broker; what is different is that time passes by the
arrival times in the files, and that nothing is shed.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import anyio
import click
from rich.console import Console

from .analysis.records import Records
from .analysis.summary import Tally, print_summary
from .channel import Channel, Overflow
from .core.engine import Engine
from .errors import RefusedError
from .events import Tick
from .pipeline import Pipeline
from .sources.capture import Capture

STDOUT: Final = "-"
_CHANNEL_FRAMES: Final = 4_000
"""Two slices of the source: the next is read while one is processed."""
_SPOOL_BYTES: Final = 1024 * 1024
_LAST_HEARTBEATS: Final = 5.0
"""Seconds after the end when the workers' states are read: two of the usual heartbeats later."""
_STEP_GROWTH: Final = 0.05
"""Of the time since the end: what ends by waiting is dated this exactly."""
_STEPS: Final = 1_000
"""An ETA may be far ahead; after as many steps so is the end of the universe."""


def replay(files: Sequence[str], *, tasks: str | None = None, workers: str | None = None) -> int:
    """Replay captures, write the records that are asked for, and print a summary.

    Args:
        files: captures, plain or gzip; ``-`` is standard input. Several are merged by arrival.
        tasks: file for one JSON line per task; ``-`` is standard output; None: not written.
        workers: likewise, per worker process.

    Returns:
        The exit code.

    Raises:
        RefusedError: a file cannot be read or written, or is no capture.
    """
    for name in filter(None, (tasks, workers)):
        _check_writable(name)
    with TemporaryFile(buffering=_SPOOL_BYTES) as spool:
        records = Records(None if tasks is None else spool)
        run = Replay(files, records)
        anyio.run(run.read)
        run.let_time_pass()
        run.tell_damages()
        if tasks is not None:
            _write(tasks, records.task_lines())
        if workers is not None:
            _write(workers, records.worker_lines())
        run.print_summary(Console(stderr=STDOUT in (tasks, workers), highlight=False))
    return 0


class Replay:
    """One replay: its parts, and its steps in the order in which they are to be called.

    Args:
        files: captures.
        records: takes what is told of tasks and workers.
    """

    def __init__(self, files: Sequence[str], records: Records) -> None:
        self._tally = Tally()
        self._records = records
        self._engine = Engine(records=True)
        self._channel = Channel(_CHANNEL_FRAMES, Overflow.WAIT, tell=self._tally)
        self._source = Capture(files, tell=self._tally)
        self._pipeline = Pipeline(self._engine, [records], channel=self._channel, tell=self._tally)

    async def read(self) -> None:
        """Read the files to their end.

        Raises:
            RefusedError: a file cannot be read or is no capture.
        """
        problem: RefusedError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pipeline.run, name="pipeline")
            try:
                await self._source.run(self._channel.put)
            except RefusedError as exc:
                problem = exc  # raised below: out of the group it would come as a group
            self._channel.close()
        if problem is not None:
            raise problem

    def let_time_pass(self) -> None:
        """Advance time until every task has left, and collect the workers."""
        end = self._source.last_at
        since = _LAST_HEARTBEATS
        self._pipeline.process([Tick(end + since)])
        self._records.note_states(self._engine.worker_records())
        for _ in range(_STEPS):
            since += max(1.0, since * _STEP_GROWTH)
            self._pipeline.process([Tick(end + since)])
            if since > self._engine.graces.longest and self._all_left(end + since):
                break
        self._records.take_workers(self._engine.worker_records())

    def _all_left(self, now: float) -> bool:
        view = self._engine.view(now)
        return view.tasks_in_flight == view.tasks_remembered == 0

    # -- telling -------------------------------------------------------------------------------

    def tell_damages(self) -> None:
        """Say on stderr which lines could not be read."""
        source = self._source
        for file, line, detail in source.damages:
            click.echo(f"celery-stream: {file}, line {line}: {detail}", err=True)
        if more := source.damaged_lines - len(source.damages):
            click.echo(f"celery-stream: {more:,} more lines could not be read", err=True)

    def print_summary(self, console: Console) -> None:
        """Print what was in the capture."""
        print_summary(
            console,
            self._tally,
            damaged_lines=self._source.damaged_lines,
            tasks=self._records.tasks_by_state,
            workers=self._records.workers(),
        )


def _check_writable(name: str) -> None:
    """Refuse early, not after an hour of reading; what is there is not touched yet."""
    if name == STDOUT:
        return
    if Path(name).is_dir():
        raise RefusedError(f"{name} cannot be written: it is a folder")
    if not Path(name).parent.is_dir():
        raise RefusedError(f"{name} cannot be written: its folder does not exist")


def _write(name: str, lines: Iterable[bytes]) -> None:
    if name == STDOUT:
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
        return
    try:
        with Path(name).open("wb") as file:
            file.writelines(lines)
    except OSError as exc:
        raise RefusedError(f"{name} cannot be written: {exc.strerror}") from None
