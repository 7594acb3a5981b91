"""Log records as lines of JSON, for whoever collects the output of the process."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

import structlog

from ..export.records import Log, Severity

_LEVELS = {Severity.INFO: "info", Severity.WARN: "warning", Severity.ERROR: "error"}
_NANOSECONDS = 1_000_000_000


class JsonLines:
    """Writes one line for each record through structlog. Never raises.

    Writing blocks while a pipe is full, as every program's output does.

    Args:
        file: where to; the caller opens and closes it.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: list[str] = []
        self._broken = False
        self.written = 0
        self.lost = 0
        """Lines that could not be written: nobody reads any more, or the disk is full."""
        # structlog calls our `msg` with what the renderer made of an event.
        self._log = structlog.wrap_logger(
            self,
            processors=[structlog.processors.JSONRenderer()],
            wrapper_class=structlog.BoundLogger,
            cache_logger_on_first_use=True,
        )

    def msg(self, line: str) -> None:
        """Keep a rendered line; called by structlog."""
        self._lines.append(line)

    def write(self, logs: Iterable[Log]) -> None:
        """Write the lines of one batch at once."""
        self._lines.clear()
        for log in logs:
            self._log.msg(log.event_name, **_fields(log))
        count = len(self._lines)
        if self._broken or not self._put("".join(f"{line}\n" for line in self._lines)):
            self.lost += count
        else:
            self.written += count

    def _put(self, text: str) -> bool:
        try:
            self._file.write(text)
            self._file.flush()
        except BrokenPipeError:
            self._broken = True  # it stays broken: do not build up what cannot be written
            return False
        except (OSError, ValueError):  # a full disk; a file that was closed
            return False
        return True


def _fields(log: Log) -> dict[str, str | bool | int | float]:
    """Return the record's fields in the order of a line."""
    seconds, rest = divmod(log.time_ns, _NANOSECONDS)
    at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    fields: dict[str, str | bool | int | float] = {
        "level": _LEVELS[log.severity],
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "message": log.body,
    }
    if log.trace_id is not None and log.span_id is not None:
        fields["trace_id"] = f"{log.trace_id:032x}"
        fields["span_id"] = f"{log.span_id:016x}"
    fields.update(log.attributes)
    return fields
