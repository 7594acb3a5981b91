"""The service's own log: stable dotted names and fields, one line for each change, on stderr.

Task records go to stdout; so a collector that reads both can tell them apart, and a person who
redirects one of them sees the other.
"""

import sys
from typing import Final, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from .occurrences import (
    EventsRejected,
    Exported,
    ExportFailed,
    FramesShed,
    ItemsDropped,
    Occurrence,
    SourceLost,
    SourceOpened,
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
        structlog.PrintLogger(file),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
    )
    return made


class OccurrenceLog:
    """Writes the occurrences that somebody should see; a `Tell`.

    What repeats (a broker that stays away, a receiver that refuses) is written when it begins,
    when its reason changes and when it is over.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._lost: dict[str, str] = {}
        self._failing: dict[str, str] = {}
        self._rejected: set[str] = set()
        self._dropped: set[tuple[str, str]] = set()
        self._shed = 0

    def __call__(self, occurrence: Occurrence) -> None:
        """Write a line, if it says something new."""
        match occurrence:
            case SourceLost(source, reason, retry_in):
                if self._lost.get(source) != reason:
                    self._lost[source] = reason
                    retry_in = round(retry_in, 1)
                    self._log.warning(
                        "source.lost", source=source, reason=reason, retry_in=retry_in
                    )
            case SourceOpened(source, epoch):
                self._lost.pop(source, None)
                self._log.info("source.opened", source=source, epoch=epoch)
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
                    self._log.info("export.recovered", signal=signal)
            case _:
                self._loss(occurrence)

    def _loss(self, occurrence: Occurrence) -> None:
        match occurrence:
            case EventsRejected(reason, count):
                if reason not in self._rejected:
                    self._rejected.add(reason)
                    self._log.warning("events.rejected", reason=reason, count=count)
            case ItemsDropped(signal, reason, count):
                if (signal, reason) not in self._dropped:
                    self._dropped.add((signal, reason))
                    self._log.error("export.dropped", signal=signal, reason=reason, count=count)
            case FramesShed(count):
                before, self._shed = self._shed, self._shed + count
                if before == 0 or before // _SHED_EVERY != self._shed // _SHED_EVERY:
                    self._log.error("frames.shed", total=self._shed)
            case _:
                pass
