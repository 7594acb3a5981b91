"""The service's own log: stable dotted names and fields, one line for each change, on stderr.

Task records go to stdout; so a collector that reads both can tell them apart, and a person who
redirects one of them sees the other.
"""

import sys
from contextlib import suppress
from typing import Final, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

from .occurrences import (
    CaptureFailed,
    CaptureOpened,
    Drop,
    EventsDecoded,
    EventsRejected,
    Exported,
    ExportFailed,
    FramesReceived,
    FramesShed,
    FramesUnrecorded,
    ItemsDropped,
    ItemsRecovered,
    ItemsSpooled,
    Occurrence,
    PositionFailed,
    QueuesPolled,
    RecordsLost,
    SourceLost,
    SourceOpened,
    SpoolFailed,
)

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_SHED_EVERY: Final = 10_000
"""Messages given up between two lines about it."""


def logger(level: str, file: TextIO | None = None) -> FilteringBoundLogger:
    """Make the service's logger: JSON lines, or text where a person reads it.

    Args:
        level: below it nothing is written.
        file: where to; None is stderr.
    """
    file = file or sys.stderr
    renderer = (
        structlog.dev.ConsoleRenderer(colors=True)
        if file.isatty()
        else structlog.processors.JSONRenderer()
    )
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(cast("TextIO", _Unbreakable(file))),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
    )
    return made


class _Unbreakable:
    """A file of which nobody may read any more: that must not end the service."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()


_USUAL: Final = frozenset({FramesReceived, EventsDecoded})


class OccurrenceLog:
    """Writes the occurrences that somebody should see; a `Tell`.

    What repeats (a broker that stays away, a receiver that refuses) is written when it begins,
    when its reason changes and when it is over.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._lost: dict[str, str] = {}
        self._unread: dict[str, str] = {}
        self._failing: dict[str, str] = {}
        self._rejected: set[str] = set()
        self._dropped: set[tuple[str, str]] = set()
        self._spooling: set[str] = set()
        self._unrecorded: set[str] = set()
        self._disks: dict[str, str] = {}
        self._shed = 0
        self._records_lost = 0

    def __call__(self, occurrence: Occurrence) -> None:
        """Write a line, if it says something new."""
        if type(occurrence) in _USUAL:
            return  # told with each read, and not to be seen by anybody
        match occurrence:
            case ExportFailed(signal, count, reason, retry_in):
                if self._failing.get(signal) != reason:
                    self._failing[signal] = reason
                    self._log.warning(
                        "export.failed",
                        signal=signal,
                        items=count,
                        reason=reason,
                        given_up=retry_in is None,
                    )
            case Exported(signal):
                if self._failing.pop(signal, None) is not None:
                    self._dropped = {each for each in self._dropped if each[0] != signal}
                    self._spooling.discard(signal)
                    self._log.info("export.recovered", signal=signal)
            case _:
                self._source(occurrence)

    def _source(self, occurrence: Occurrence) -> None:
        match occurrence:
            case SourceLost(source, reason, retry_in, refused):
                if self._lost.get(source) != reason:
                    self._lost[source] = reason
                    write = self._log.error if refused else self._log.warning
                    event = "source.refused" if refused else "source.lost"
                    write(event, source=source, reason=reason, retry_in=round(retry_in, 1))
            case SourceOpened(source, epoch):
                self._lost.pop(source, None)
                self._log.info("source.opened", source=source, epoch=epoch)
            case QueuesPolled(source, _, _, problem):
                if problem is None:
                    self._unread.pop(source, None)
                elif self._unread.get(source) != problem:
                    self._unread[source] = problem
                    self._log.warning("queues.unreadable", source=source, reason=problem)
            case _:
                self._loss(occurrence)

    def _loss(self, occurrence: Occurrence) -> None:
        match occurrence:
            case EventsRejected(reason, count):
                if reason not in self._rejected:
                    self._rejected.add(reason)
                    self._log.warning("events.rejected", reason=reason, count=count)
            case RecordsLost(count):
                if not self._records_lost:
                    self._log.error("records.lost", count=count, hint="nobody reads stdout")
                self._records_lost += count
            case ItemsDropped(signal, reason, count):
                # What is superseded is in the next export.
                if reason is not Drop.SUPERSEDED and (signal, reason) not in self._dropped:
                    self._dropped.add((signal, reason))
                    self._log.error("export.dropped", signal=signal, reason=reason, count=count)
            case FramesShed(count):
                before, self._shed = self._shed, self._shed + count
                if before == 0 or before // _SHED_EVERY != self._shed // _SHED_EVERY:
                    self._log.error("frames.shed", total=self._shed)
            case _:
                self._disk(occurrence)

    def _disk(self, occurrence: Occurrence) -> None:
        match occurrence:
            case ItemsSpooled(signal):
                if signal not in self._spooling:
                    self._spooling.add(signal)
                    self._log.warning("export.spooling", signal=signal)
            case ItemsRecovered(signal, count, damaged):
                self._log.info("spool.recovered", signal=signal, items=count, damaged=damaged)
            case SpoolFailed(signal, reason):
                if self._disks.get(signal) != reason:
                    self._disks[signal] = reason
                    self._log.error("spool.failed", signal=signal, reason=reason)
            case PositionFailed(source, reason):
                self._log.error("position.failed", source=source, reason=reason)
            case _:
                self._capture(occurrence)

    def _capture(self, occurrence: Occurrence) -> None:
        match occurrence:
            case CaptureOpened(path):
                self._log.info("capture.opened", path=path)
            case CaptureFailed(reason):
                self._log.error("capture.failed", reason=reason)
            case FramesUnrecorded(unrecorded, count):
                if unrecorded not in self._unrecorded:
                    self._unrecorded.add(unrecorded)
                    self._log.error("capture.incomplete", reason=unrecorded, count=count)
            case _:
                pass
