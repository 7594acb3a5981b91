"""Log records as lines of JSON, for whoever collects the output of the process."""

from collections.abc import Sequence
from datetime import UTC, datetime
from sys import getsizeof
from typing import TextIO

import anyio
import structlog
from anyio import to_thread

from ..export.records import Log, Severity
from ..occurrences import RecordsLost, Tell

_LEVELS = {Severity.INFO: "info", Severity.WARN: "warning", Severity.ERROR: "error"}
_NANOSECONDS = 1_000_000_000


class JsonLines:
    """Takes records at once; renders them with structlog and writes them in a thread. Never raises.

    Whoever reads may be slow or stop reading, and that must not hold up anything else: lines wait,
    and beyond a limit they are lost and counted.

    Args:
        file: where to; the caller opens and closes it.
        tell: hears of lines that are lost.
        limit: of lines that wait.
        limit_bytes: of the texts in them: one may have a long traceback.
    """

    def __init__(
        self, file: TextIO, *, tell: Tell, limit: int = 10_000, limit_bytes: int = 10_000_000
    ) -> None:
        self._file = file
        self._tell = tell
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._waiting: list[Log] = []
        self._waiting_bytes = 0
        self._rendered: list[str] = []
        self._broken = False
        self._writing = False
        self._changed = anyio.Event()
        self.written = 0
        self.lost = 0
        """Lines that could not be written: nobody reads, or the disk is full."""
        # structlog calls our `msg` with what the renderer made of an event.
        self._log = structlog.wrap_logger(
            self,
            processors=[structlog.processors.JSONRenderer()],
            wrapper_class=structlog.BoundLogger,
            cache_logger_on_first_use=True,
        )

    def msg(self, line: str) -> None:
        """Keep a rendered line; called by structlog, in the thread."""
        self._rendered.append(line)

    def add(self, logs: Sequence[Log]) -> None:
        """Take records in; those for which there is no room are lost."""
        taken = 0
        for log in logs:
            if self._is_full:
                break
            self._waiting.append(log)
            self._waiting_bytes += _text_bytes(log)
            taken += 1
        self._lose(len(logs) - taken)
        self._notify()

    async def run(self) -> None:
        """Write what is added until cancelled."""
        limiter = anyio.CapacityLimiter(1)
        while True:
            while not self._waiting:
                await self._changed.wait()
            logs, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._writing = True
            # Abandoned where nobody reads: the thread waits, the service does not.
            done = await to_thread.run_sync(
                self._put, logs, limiter=limiter, abandon_on_cancel=True
            )
            self._writing = False
            if done:
                self.written += len(logs)
            else:
                self._lose(len(logs))
            self._notify()

    async def until_written(self) -> None:
        """Wait until nothing waits to be written."""
        while self._waiting or self._writing:
            await self._changed.wait()

    @property
    def _is_full(self) -> bool:
        """Whether there is no room for one more, of whatever size."""
        full = len(self._waiting) >= self._limit or self._waiting_bytes >= self._limit_bytes
        return full or self._broken

    def _put(self, logs: list[Log]) -> bool:
        for log in logs:
            self._log.msg(log.event_name, **_fields(log))
        lines, self._rendered = self._rendered, []
        try:
            self._file.write("".join(f"{line}\n" for line in lines))
            self._file.flush()
        except BrokenPipeError:
            self._broken = True  # it stays broken: do not build up what cannot be written
            return False
        except (OSError, ValueError):  # a full disk; a file that was closed
            return False
        return True

    def _lose(self, count: int) -> None:
        if count > 0:
            self.lost += count
            self._tell(RecordsLost(count))

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


def _text_bytes(log: Log) -> int:
    """Return how much memory the texts of a record take."""
    values = [value for _, value in log.attributes if isinstance(value, str)]
    return sum(map(getsizeof, [log.body, *values]))


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
