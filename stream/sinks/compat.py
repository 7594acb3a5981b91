"""Counts what celery-exporter and flower count: by task, queue *and worker*.

Both pages are made of one set of tallies, one for each kind and worker, so an event costs one
look-up whoever is asked for. Nothing is counted before the first request for such a page, unless
the settings ask for one: whoever does not use them pays nothing.

There are at most *limit* tallies; beyond it tasks are counted under the worker ``other``, so that
what is summed over workers stays right. A worker that is no longer known is dropped from the pages.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from ..core.effects import AttemptEnded, Effect, Received, Sent, Started, Succeeded
from ..core.kinds import OTHER, Kind
from ..core.states import State
from ..core.view import View
from .aggregate import Cell
from .compat_table import RUN_BOUNDS
from .durations import MAX_SECONDS

MAX_TALLIES: Final = 5_000
"""A hundred tasks on fifty workers. Each is some forty lines of a page, and 1 kB."""
MAX_EXCEPTIONS: Final = 50
"""Classes for one task on one worker; further ones are counted as ``other``."""
FORGET_AFTER: Final = 600.0
"""Seconds after which a worker is dropped that is not known any more and does nothing."""
_NO_EXCEPTION: Final = "UnknownException"
_EDGES: Final = (float("-inf"), *RUN_BOUNDS)

# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_SUCCESS, _FAILURE, _RETRY = State.SUCCESS, State.FAILURE, State.RETRY
_REVOKED, _REJECTED, _REQUEUED = State.REVOKED, State.REJECTED, State.REQUEUED


class Tally:
    """What one worker did with the tasks of one kind."""

    __slots__ = (
        "failures",
        "prefetch",
        "received",
        "rejected",
        "retried",
        "revoked",
        "runs",
        "started",
        "succeeded",
        "waits",
    )

    def __init__(self) -> None:
        self.received = self.started = self.succeeded = 0
        self.retried = self.revoked = self.rejected = 0
        self.failures: dict[str, int] = {}
        """By class of the exception."""
        self.runs: Cell = [0.0, *([0] * (len(RUN_BOUNDS) + 1))]
        """As the cells of an aggregate: the sum, then the count of each bucket."""
        self.waits: Cell = self.runs.copy()
        self.prefetch: float | None = None
        """Of the task that was started last, seconds; 0 once one has ended."""

    def copy(self) -> "Tally":
        """Return one with the same numbers, which nobody counts into."""
        new = Tally.__new__(Tally)
        new.received, new.started, new.succeeded = self.received, self.started, self.succeeded
        new.retried, new.revoked, new.rejected = self.retried, self.revoked, self.rejected
        new.failures, new.prefetch = self.failures.copy(), self.prefetch
        new.runs, new.waits = self.runs.copy(), self.waits.copy()
        return new

    @property
    def events(self) -> int:
        """All that was counted."""
        ended = self.succeeded + self.retried + self.revoked + self.rejected
        return self.received + self.started + ended + sum(self.failures.values())


class Counts(Struct, frozen=True):
    """What has been counted at one moment; may go to another thread."""

    tallies: tuple[tuple[Kind, str | None, Tally], ...]
    """With the worker's node name; None where no event told it."""
    sent: dict[Kind, int]
    most_active: dict[str, int]
    """The most tasks that a worker was seen to run at once, by node name."""


class CompatSink:
    """Keeps the tallies.

    Args:
        counting: from the start; False: from the first time that somebody reads them.
        overflowed: called for what is counted under the worker ``other``.
        limit: of tallies with a worker of their own.
    """

    def __init__(
        self,
        *,
        counting: bool = False,
        overflowed: Callable[[], None] = lambda: None,
        limit: int = MAX_TALLIES,
    ) -> None:
        self._counting = counting
        self._overflowed = overflowed
        self._limit = limit
        self._quiet: dict[str, tuple[int, float]] = {}
        self._tallies: dict[tuple[Kind, str | None], Tally] = {}
        self._sent: dict[Kind, int] = {}  # bounded by the number of kinds
        self._most_active: dict[str, int] = {}
        self._handlers: dict[type, Callable[..., None]] = {
            Sent: self._on_sent,
            Received: self._on_received,
            Started: self._on_started,
            AttemptEnded: self._on_ended,
            Succeeded: self._on_ended,
        }

    def accept(self, effects: Sequence[Effect]) -> None:
        """Count what happened, if anybody wants to know."""
        if not self._counting:
            return
        handler_of = self._handlers.get
        for effect in effects:
            handler = handler_of(type(effect))
            if handler is not None:
                handler(effect)

    def read(self, view: View) -> Counts:
        """Copy what has been counted, having dropped the workers that are long gone.

        From the first time on there is something to read.
        """
        self._counting = True
        known = {gauge.hostname for gauge in view.workers}
        self._drop_quiet(known, view.at)
        for gauge in view.workers:
            most = self._most_active.get(gauge.hostname, 0)
            self._most_active[gauge.hostname] = max(most, gauge.active or 0)
        for hostname in self._most_active.keys() - known:
            del self._most_active[hostname]
        tallies = [(*key, tally.copy()) for key, tally in self._tallies.items()]
        return Counts(tuple(tallies), self._sent.copy(), self._most_active.copy())

    # The hot ones.

    def _on_sent(self, effect: Sent) -> None:
        kind = effect.kind
        self._sent[kind] = self._sent.get(kind, 0) + 1

    def _on_received(self, effect: Received) -> None:
        key = effect.kind, effect.hostname
        tally = self._tallies.get(key) or self._tally(*key)
        tally.received += 1

    def _on_started(self, effect: Started) -> None:
        key = effect.kind, effect.hostname
        tally = self._tallies.get(key) or self._tally(*key)
        tally.started += 1
        tally.prefetch = effect.prefetch
        _record(tally.waits, effect.wait)

    def _on_ended(self, effect: AttemptEnded) -> None:
        if effect.inferred:
            return  # no event told it, so neither of the two would know
        key = effect.kind, effect.hostname
        tally, state = self._tallies.get(key) or self._tally(*key), effect.state
        if tally.prefetch is not None:
            tally.prefetch = 0.0
        if state is _SUCCESS:
            tally.succeeded += 1
            _record(tally.runs, effect.run)
        elif state is _FAILURE:
            _count_failure(tally.failures, effect.error_type or _NO_EXCEPTION)
        elif state is _RETRY:
            tally.retried += 1
        elif state is _REVOKED:
            tally.revoked += 1
        elif state is _REJECTED or state is _REQUEUED:
            tally.rejected += 1

    # Tallies come and go.

    def _tally(self, kind: Kind, hostname: str | None) -> Tally:
        """Make a tally, or find the one for all workers that have none of their own."""
        if len(self._tallies) >= self._limit:
            self._overflowed()
            hostname = OTHER
        return self._tallies.setdefault((kind, hostname), Tally())

    def _drop_quiet(self, known: set[str], at: float) -> None:
        events: dict[str, int] = {}
        for (_, hostname), tally in self._tallies.items():
            if hostname is not None and hostname != OTHER and hostname not in known:
                events[hostname] = events.get(hostname, 0) + tally.events
        before, self._quiet = self._quiet, {}
        gone = set()
        for hostname, count in events.items():
            last, since = before.get(hostname, (count, at))
            self._quiet[hostname] = (count, since if last == count else at)
            if last == count and at - since >= FORGET_AFTER:
                gone.add(hostname)
        for key in [key for key in self._tallies if key[1] in gone]:
            del self._tallies[key]


def _record(cell: Cell, seconds: float | None) -> None:
    if seconds is not None and 0.0 <= seconds < MAX_SECONDS:
        cell[bisect_left(_EDGES, seconds)] += 1
        cell[0] += seconds


def _count_failure(failures: dict[str, int], exception: str) -> None:
    if exception not in failures and len(failures) >= MAX_EXCEPTIONS:
        exception = OTHER
    failures[exception] = failures.get(exception, 0) + 1
