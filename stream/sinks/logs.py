"""Effects become log records: what failed, was retried, lost or got stuck, and the workers.

Each record carries the ids of the attempt's ``process`` span (see `spans`), also before that span
has ended, and an id of its own that is the same whoever makes it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.effects import (
    Advised,
    AttemptEnded,
    Effect,
    QueueMoved,
    QueueStalled,
    StuckBegan,
    StuckEnded,
    WorkerChanged,
)
from ..export.buffer import Buffer
from ..export.records import Log
from ..export.resources import Resources
from .log_records import (
    advice_record,
    attempt_record,
    queue_record,
    stuck_record,
    unstuck_record,
    worker_record,
)
from .stdout import JsonLines

# Each takes the class that it is filed under, which a mapping's type cannot say.
_RECORDS: Mapping[type[Effect], Callable[[Any, Resources], Log | None]] = {
    AttemptEnded: attempt_record,
    StuckBegan: stuck_record,
    StuckEnded: unstuck_record,
    QueueStalled: queue_record,
    QueueMoved: queue_record,
    Advised: advice_record,
    WorkerChanged: worker_record,
}


class LogSink:
    """Hands log records to the export and writes them as lines.

    Args:
        buffer: where they wait for export; None exports none.
        resources: the resource of each worker.
        lines: where they are written; None writes none.
    """

    def __init__(
        self, buffer: Buffer[Log] | None, resources: Resources, *, lines: JsonLines | None = None
    ) -> None:
        self._buffer = buffer
        self._resources = resources
        self._lines = lines

    def accept(self, effects: Sequence[Effect]) -> None:
        """Make the records of what is worth one."""
        logs = []
        for effect in effects:
            make = _RECORDS.get(type(effect))
            if make is not None and (log := make(effect, self._resources)) is not None:
                logs.append(log)
        if not logs:
            return
        if self._buffer is not None:
            self._buffer.extend(logs)
        if self._lines is not None:
            self._lines.add(logs)
