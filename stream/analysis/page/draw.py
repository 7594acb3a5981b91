"""The sink that draws a page: told of everything in a second reading, when the report is known.

So the period, and which tasks, workers, queues and traces deserve a place, need not be guessed, and
memory is that of what is drawn, however long the capture is.
"""

from collections.abc import Sequence
from operator import attrgetter
from re import compile as compile_pattern
from typing import Final

from msgspec import Struct

from ...config import RecordSettings
from ...core.effects import Effect
from ...sinks.redaction import redaction_of
from ..report import QueueRow, Report
from ..scope import Scope
from .content import Drawing, QueueLine
from .facts import Fact, facts_of, remarks_on
from .intervals import Intervals
from .lanes import Workers
from .tables import Table, tables_of
from .timeline import Timeline
from .traces import Traces

_TASKS: Final = 12
"""Names with latencies of their own; a list that one can choose from."""
_ERRORS: Final = 6
"""Exceptions with a colour of their own; more cannot be told apart."""
_WORKERS: Final = 40
_QUEUES: Final = 6
_DIGITS: Final = compile_pattern(r"([0-9]{1,9})")


class Content(Struct, frozen=True):
    """All that a page shows."""

    version: int
    began_at: float | None
    """None: there is nothing to show."""
    ended_at: float | None
    facts: tuple[Fact, ...]
    remarks: tuple[str, ...]
    tables: tuple[Table, ...]
    drawing: Drawing


class Draw:
    """Draws a page.

    Args:
        report: of the same capture.
        scope: what was reported.
    """

    def __init__(self, report: Report, scope: Scope) -> None:
        self._report = report
        begin_at, end_at = report.began_at or 0.0, report.ended_at or 0.0
        intervals = Intervals(begin_at, end_at)
        tasks = [row.task for row in report.tasks[:_TASKS]]
        errors = [row.error_type for row in report.failures]
        self._timeline = Timeline(
            intervals, scope, tasks=tasks, errors=list(dict.fromkeys(errors))[:_ERRORS]
        )
        busiest = sorted(report.workers, key=lambda row: (-row.tasks, row.worker))[:_WORKERS]
        names = sorted((row.worker for row in busiest), key=_naturally)
        self._workers = Workers(intervals, scope, workers=names)
        self._traces = Traces(report, scope, redaction_of(RecordSettings().redact))
        self._parts = (self._timeline, self._workers, self._traces)

    def accept(self, effects: Sequence[Effect]) -> None:
        """Take in what happened."""
        for part in self._parts:
            part.accept(effects)

    def content(self) -> Content:
        """Tell what there is to show. To be called once, at the end."""
        report, queues = self._report, _queue_lines(self._report.queues)
        drawing = Drawing(
            self._timeline.read(tasks=len(report.tasks)),
            queues[:_QUEUES],
            max(0, len(queues) - _QUEUES),
            self._workers.read(workers=len(report.workers)),
            self._traces.read(),
            self._traces.left_out,
        )
        return Content(
            report.version,
            report.began_at,
            report.ended_at,
            facts_of(report, run=self._timeline.run(), wait=self._timeline.wait()),
            remarks_on(report, drawing),
            tables_of(report),
            drawing,
        )


def _naturally(name: str) -> list[tuple[int, str]]:
    """Order numbers in names by what they count: w2 comes before w10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name) if part
    ]


def _queue_lines(rows: Sequence[QueueRow]) -> tuple[QueueLine, ...]:
    """Return the queues in which something waited, the fullest first."""
    filled = [row for row in rows if row.most_waiting or row.most_depth]
    filled.sort(key=attrgetter("queue"))
    filled.sort(key=lambda row: max(row.most_waiting, row.most_depth or 0), reverse=True)
    return tuple(QueueLine(row.queue, row.waiting, row.depth) for row in filled)
