"""Which tasks a report is about: filters by time, task, queue, worker and uuid.

They choose what is reported. The engine sees everything, so what is told of the chosen tasks is
the same with and without filters.
"""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from fnmatch import translate
from functools import lru_cache
from re import compile as compile_pattern
from typing import Final

from msgspec import Struct

from ..core.effects import AttemptEnded
from ..core.kinds import Kind
from ..core.record import TaskRecord, WorkerRecord
from ..core.states import State
from ..errors import RefusedError

Matches = Callable[[str | None], bool]
GIVEN_UP: Final = frozenset({State.LOST, State.UNKNOWN})
"""Ends that nobody told; when they were is not known."""
_KNOWN_TEXTS: Final = 4096


class Filters(Struct, frozen=True):
    """As given on the command line; what is empty or None lets everything through."""

    begin: str | None = None
    """ISO 8601 (UTC where it has no zone), ``HH:MM[:SS]`` in UTC, or epoch seconds."""
    end: str | None = None
    tasks: tuple[str, ...] = ()
    """Patterns as in a shell; one that matches is enough."""
    queues: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    uuids: tuple[str, ...] = ()


class Scope:
    """Decides what is reported.

    Args:
        filters: from the command line.

    Raises:
        RefusedError: a time cannot be read.
    """

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self.begin_at, self.end_at = float("-inf"), float("inf")
        self.anchor(0.0)  # to refuse at once what is no time
        self.is_everything = filters == Filters()
        self._task, self._queue = _matcher(filters.tasks), _matcher(filters.queues)
        self._worker, self._uuid = _matcher(filters.workers), _matcher(filters.uuids)

    def anchor(self, first_at: float) -> None:
        """Be told when the capture begins: ``HH:MM`` is the first such time from then on."""
        filters = self._filters
        if filters.begin is not None:
            self.begin_at = instant(filters.begin, after=first_at)
        if filters.end is not None:
            self.end_at = instant(filters.end, after=max(first_at, self.begin_at))

    def has_attempt(self, ended: AttemptEnded) -> bool:
        """Whether a delivery is reported: its end lies in the time and all patterns match."""
        return (
            self.has_instant(_last_instant_of(ended))
            and self._worker(ended.hostname)
            and self.has_task_of(ended.uuid, ended.kind)
        )

    def has_record(self, record: TaskRecord) -> bool:
        """Whether a task is reported, by the last instant that is known of it."""
        return self.is_everything or (
            self.has_instant(last_instant(record))
            and self._worker(record.worker)
            and self._task(record.name)
            and self._queue(record.queue)
            and self._uuid(record.uuid)
        )

    def has_task_of(self, uuid: str, kind: Kind) -> bool:
        """Whether a task's uuid, name and queue match."""
        return self._task(kind.name) and self._queue(kind.queue) and self._uuid(uuid)

    def has_instant(self, at: float) -> bool:
        """Whether an instant lies in the time that is reported."""
        return self.begin_at <= at < self.end_at

    def has_worker(self, record: WorkerRecord) -> bool:
        """Whether a worker process is reported."""
        return self._worker(record.hostname)

    def has_queue(self, name: str | None) -> bool:
        """Whether a queue is reported."""
        return self._queue(name)


def _last_instant_of(ended: AttemptEnded) -> float:
    if ended.state not in GIVEN_UP:
        return ended.ended_at
    return ended.started_at or ended.received_at or ended.sent_at or 0.0


def last_instant(record: TaskRecord) -> float:
    """Return the last instant that is known of a task; 0 where none is."""
    for at in (record.ended_at, record.started_at, record.received_at, record.sent_at):
        if at is not None:
            return at
    return 0.0


def instant(text: str, *, after: float) -> float:
    """Read a time.

    Args:
        text: as in `Filters`.
        after: a time of day is the first one from here on.

    Raises:
        RefusedError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        if "-" not in text:
            return _next(time.fromisoformat(text), after)
        at = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(
            f"{text!r} is no time: HH:MM in UTC, 2026-01-31T02:00 or epoch seconds"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _next(of_day: time, after: float) -> float:
    first = datetime.fromtimestamp(int(after), UTC)
    at = datetime.combine(first.date(), of_day.replace(tzinfo=of_day.tzinfo or UTC))
    return (at + timedelta(days=at < first)).timestamp()


def _matcher(patterns: tuple[str, ...]) -> Matches:
    if not patterns:
        return lambda _: True
    match = compile_pattern("|".join(map(translate, patterns))).match
    return lru_cache(_KNOWN_TEXTS)(lambda text: text is not None and match(text) is not None)
