"""The commands that read captures: ``replay``, ``trace`` and ``diff``.

Each reads (see `reading`), then writes and prints what it was asked for; nothing is written before
everything is read. What only one of them needs is imported there: nobody else waits for it.
"""

import gc
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import TYPE_CHECKING, Final

import click
import msgspec
from msgspec import Struct
from rich.console import Console

from .analysis.attempts import AttemptRecord, Attempts
from .analysis.outputs import STDOUT, check_writable, write, write_records
from .analysis.records import Records
from .analysis.report import SCHEMA, VERSION, Report, decode_report, encode_report
from .analysis.scope import Filters, Scope
from .analysis.screen import show
from .config import Settings
from .core.record import TaskRecord, WorkerRecord
from .errors import RefusedError
from .machines import Making
from .reading import Reading
from .sinks.base import Sink

if TYPE_CHECKING:
    from .exporting import Exporting

_SPOOL_BYTES: Final = 1024 * 1024
_HEAD_BYTES: Final = 200
"""Of a file: enough to tell a report from a capture."""


class Outputs(Struct, frozen=True):
    """Where to write what; ``-`` is standard output, None: it is not written."""

    tasks: str | None = None
    """One record per task. The suffix says how: .jsonl, .csv or .parquet."""
    attempts: str | None = None
    """One per delivery."""
    workers: str | None = None
    """One per worker process."""
    report: str | None = None
    """The report as JSON."""
    html: str | None = None
    """The report as a page."""

    @property
    def names(self) -> list[str]:
        """Those that are asked for."""
        named = (self.tasks, self.attempts, self.workers, self.report, self.html)
        return [each for each in named if each is not None]


def replay(
    files: Sequence[str],
    *,
    tasks: str | None = None,
    attempts: str | None = None,
    workers: str | None = None,
    report: str | None = None,
    html: str | None = None,
    filters: Filters | None = None,
    speed: float | None = None,
    settings: Settings | None = None,
) -> int:
    """Replay captures, write what is asked for, and print a report.

    Args:
        files: captures, plain or compressed; ``-`` is standard input. Merged by arrival.
        tasks: as in `Outputs`, like the three that follow.
        attempts: see there.
        workers: see there.
        report: see there.
        html: see there.
        filters: which tasks are reported; None: all.
        speed: how many times as fast as it was recorded; None: as fast as can be.
        settings: where spans, log records and metrics are sent, and by which limits tasks are
            followed; None: nowhere, and by the usual ones.

    Returns:
        The exit code: 1 where something was to be sent and was not taken.

    Raises:
        ConfigError: something is to be sent, and there is no receiver.
        RefusedError: a file cannot be read or written, or is no capture; a receiver takes nothing.
    """
    export = None if settings is None else _exporting(settings)
    outputs = Outputs(tasks, attempts, workers, report, html)
    for name in outputs.names:
        check_writable(name)
    if html is not None:
        _check_drawable()
    scope = Scope(filters or Filters())
    with ExitStack() as stack:
        if html is not None:
            files = stack.enter_context(_stored(files))
        spools = [stack.enter_context(TemporaryFile(buffering=_SPOOL_BYTES)) for _ in range(2)]
        records = Records(spools[0], scope)
        deliveries = Attempts(spools[1], scope)
        sinks: list[Sink] = [] if tasks is None else [records]
        sinks += [] if attempts is None else [deliveries]
        run = Reading(files, sinks, scope=scope, records=records, export=export)
        try:
            run.read(speed=speed)
        finally:
            if export is not None:
                _tell(export.told())
        if tasks is not None:
            write_records(tasks, records.task_lines(), of=TaskRecord)
        if attempts is not None:
            write_records(attempts, deliveries.lines(), of=AttemptRecord)
        found = run.report()
        del run  # its tables are large, and a page needs another reading
        gc.collect()  # they are in circles
        if html is not None:
            write(html, _page(files, found, scope, making=export))
    if workers is not None:
        write_records(workers, records.worker_lines(), of=WorkerRecord)
    if report is not None:
        write(report, [encode_report(found)])
    show(_console(beside=outputs.names), found)
    return 0 if export is None or export.is_complete else 1


def _exporting(settings: Settings) -> "Exporting":
    from .exporting import Exporting  # noqa: PLC0415 - brings all that a delivery needs

    return Exporting(settings)


def _tell(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        click.echo(f"celery-stream: {sentence}", err=True)


def _check_drawable() -> None:
    from .analysis.page.render import check_drawable  # noqa: PLC0415 - see above

    check_drawable()


def _page(
    files: Sequence[str], report: Report, scope: Scope, *, making: Making | None
) -> Iterator[bytes]:
    """Make a page of captures that were read once, when what is worth drawing was not known.

    By engines as those of then: with other limits or patience other tasks would be given up.
    """
    from .analysis.page.draw import Draw  # noqa: PLC0415 - see above
    from .analysis.page.render import render  # noqa: PLC0415

    draw = Draw(report, scope)
    Reading(files, [draw], scope=scope, making=making).read(quiet=True)
    return render(draw.content())


def trace(wanted: str, files: Sequence[str]) -> int:
    """Print one task's story: its family as a tree, with every delivery.

    Args:
        wanted: the task's id, or its beginning.
        files: captures.

    Raises:
        RefusedError: a file cannot be read, or has no such task, or several.
    """
    from .analysis.story import Finder, Story, show_story  # noqa: PLC0415 - see above

    with _stored(files) as names:
        finder = Finder(wanted)
        Reading(names, [finder]).read()
        story = Story(*finder.found())
        Reading(names, [story]).read(quiet=True)
    show_story(_console(), story)
    return 0


def diff(before: str, after: str, *, output: str | None = None) -> int:
    """Compare two captures or JSON reports.

    Args:
        before: a file or folder of files of the time before.
        after: likewise.
        output: where the comparison goes as JSON; None: nowhere.

    Raises:
        RefusedError: a file cannot be read or written, or is neither capture nor report.
    """
    from .analysis.compare import compare  # noqa: PLC0415 - see above
    from .analysis.compare_screen import show_comparison  # noqa: PLC0415

    if output is not None:
        check_writable(output)
    comparison = compare(_report_of(before), _report_of(after), names=(before, after))
    if output is not None:
        write(output, [msgspec.json.format(msgspec.json.encode(comparison), indent=1) + b"\n"])
    show_comparison(_console(beside=[output] if output else []), comparison)
    return 0


def _report_of(name: str) -> Report:
    """Read a report, or make one of a capture."""
    written = _written_report(name)
    if written is None:
        run = Reading([name])
        run.read()
        return run.report()
    try:
        report = decode_report(written)
    except msgspec.MsgspecError as error:
        raise RefusedError(f"{name} is no report: {error}") from None
    if report.version != VERSION:
        raise RefusedError(f"{name} is a report of version {report.version}, not {VERSION}")
    return report


def _written_report(name: str) -> bytes | None:
    """Return a file's content if it is a report; None for anything else, readable or not."""
    try:
        with Path(name).open("rb") as file:
            head = file.read(_HEAD_BYTES)
            return head + file.read() if SCHEMA.encode() in head else None
    except OSError:
        return None  # who reads captures says what is wrong


def _console(*, beside: Sequence[str] = ()) -> Console:
    """For people: on stderr where standard output is taken."""
    return Console(stderr=STDOUT in beside, highlight=False)


@contextmanager
def _stored(files: Sequence[str]) -> Iterator[list[str]]:
    """Name files that can be read twice: standard input cannot."""
    if STDOUT not in files:
        yield list(files)
        return
    with NamedTemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield [copy.name if name == STDOUT else name for name in files]
