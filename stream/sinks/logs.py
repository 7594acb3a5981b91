"""Effects become log records, for the export and as lines.

What failed, was retried, lost or got stuck, workers and queues have theirs always; runs that start
and complete, arguments and results only where the settings ask for them.
"""

from collections.abc import Callable, Mapping, Sequence
from sys import getsizeof
from typing import Any, Final

from ..config import RecordSettings
from ..core.effects import (
    Advised,
    AttemptBegan,
    AttemptEnded,
    Effect,
    PeriodicLate,
    PeriodicMissed,
    PeriodicResumed,
    QueueMoved,
    QueueStalled,
    StuckBegan,
    StuckEnded,
    Succeeded,
    TaskRevised,
    WorkerChanged,
)
from ..export.buffer import Buffer
from ..export.records import Log
from ..export.resources import Resources
from .cluster_records import (
    advice_record,
    late_record,
    missed_record,
    moved_record,
    resumed_record,
    stalled_record,
    worker_record,
)
from .log_records import (
    Observed,
    began_record,
    ended_record,
    observed,
    revised_record,
    stuck_record,
    unstuck_record,
)
from .stdout import JsonLines

# Each takes the class that it is filed under, which a mapping's type cannot say.
_RECORDS: Mapping[type[Effect], Callable[[Any, Observed], Log | None]] = {
    AttemptBegan: began_record,
    AttemptEnded: ended_record,
    Succeeded: ended_record,
    TaskRevised: revised_record,
    StuckBegan: stuck_record,
    StuckEnded: unstuck_record,
    QueueStalled: stalled_record,
    QueueMoved: moved_record,
    PeriodicLate: late_record,
    PeriodicMissed: missed_record,
    PeriodicResumed: resumed_record,
    Advised: advice_record,
    WorkerChanged: worker_record,
}


class LogSink:
    """Hands log records to the export and writes them as lines.

    Args:
        buffer: where they wait for export; None exports none.
        resources: the resource of each worker.
        lines: where they are written; None writes none.
        settings: what they tell.
        broker: the name that they tell; None: none.
    """

    def __init__(
        self,
        buffer: Buffer[Log] | None,
        resources: Resources,
        *,
        lines: JsonLines | None = None,
        settings: RecordSettings = RecordSettings(),  # noqa: B008 - frozen
        broker: str | None = None,
    ) -> None:
        self._buffer = buffer
        self._lines = lines
        self._observed = observed(resources, settings, broker)
        left_out = set() if settings.lifecycle else {Succeeded}
        self._told = _RECORDS.keys() - left_out

    def accept(self, effects: Sequence[Effect]) -> None:
        """Make the records of what is worth one."""
        if self._buffer is None and self._lines is None:
            return
        if self._told.isdisjoint(map(type, effects)):
            return  # nearly always; this asks in a tenth of the time
        logs = []
        for effect in effects:
            make = _RECORDS.get(type(effect))
            if make is not None and (log := make(effect, self._observed)) is not None:
                logs.append(log)
        if not logs:
            return
        if self._buffer is not None:
            self._buffer.extend(logs)
        if self._lines is not None:
            self._lines.add(logs)


# What `tracemalloc` finds for records whose uuid nothing else holds, and their place in a deque.
_LOG_BYTES: Final = 400
_ATTRIBUTE_BYTES: Final = 80
_TEXTS: Final = frozenset(
    {"error", "exception.message", "exception.stacktrace", "args", "kwargs", "result"}
)
"""The attributes that may be long."""


def log_bytes(log: Log) -> int:
    """Return about how much memory a record takes while it waits; exact for its long texts."""
    size = _LOG_BYTES + _ATTRIBUTE_BYTES * len(log.attributes)
    for name, value in log.attributes:
        if name in _TEXTS:
            size += getsizeof(value)
    return size
