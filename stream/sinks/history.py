"""What ended lately, for somebody who looks: tasks, attempts, failures, and how many of each.

It keeps the effects themselves and makes nothing of them until it is asked, since nearly all that
happens is never looked at. What failed is kept apart, so that a busy cluster's successes do not
push it out within seconds.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, TypeAlias

from msgspec import Struct

from ..core.effects import (
    AttemptEnded,
    Effect,
    Received,
    Sent,
    Started,
    Succeeded,
    TaskFinished,
    TaskRevised,
)
from ..core.states import State
from .exceptions import MAX_TEXT, trimmed
from .failure_groups import FailureGroups
from .redaction import Redaction

End: TypeAlias = TaskFinished | AttemptEnded
"""What tells how a task ended. Where one delivery was all of it, nearly always, that says all;
so nothing else is kept of it, and nothing that the garbage collector has to go through."""
Ended: TypeAlias = tuple[End, AttemptEnded | None]
"""A task that ended, and the delivery that decided; None where that had been told before."""

_SHARE: Final = 10
"""For one task that failed, and one attempt before the last, ten that succeeded are kept: those
carry a traceback, of kilobytes."""
_LEAST: Final = 100
# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_SUCCESS: Final = State.SUCCESS
_RETRY: Final = State.RETRY


class Counts(Struct):
    """How much happened since the start."""

    sent: int = 0
    started: int = 0
    finished: int = 0
    failed: int = 0
    """Of those, the ones that ended in FAILURE, LOST or REJECTED."""
    retried: int = 0


_FAILED: Final = frozenset({State.FAILURE, State.LOST, State.REJECTED})


class History:
    """Keeps what ended lately, and counts; a sink.

    Args:
        limit: of tasks that succeeded; a tenth as many that did not, and of attempts before the
            last. About a kilobyte for each of the former.
        redaction: of texts that have to be cut, since what is left of a secret is not recognised.
    """

    def __init__(self, limit: int, redaction: Redaction) -> None:
        few = max(_LEAST, limit // _SHARE)
        self._redaction = redaction
        self._succeeded: deque[AttemptEnded | Ended] = deque(maxlen=limit)
        self.failed: deque[Ended] = deque(maxlen=few)
        self.earlier: deque[AttemptEnded] = deque(maxlen=few)
        """Deliveries whose end was not that of their task."""
        self.groups = FailureGroups()
        self.counts = Counts()
        self._revised: deque[TaskRevised] = deque(maxlen=few)

    def accept(self, effects: Sequence[Effect]) -> None:
        """Keep what ended, count the rest."""
        types = list(map(type, effects))
        sent, started, succeeded = map(types.count, (Sent, Started, Succeeded))
        counts = self.counts
        counts.sent += sent
        counts.started += started
        counts.finished += succeeded
        if sent + started + succeeded + types.count(Received) < len(types):
            self._take_one_by_one(effects)
        elif succeeded:  # nearly always; this takes a third of the time
            self._succeeded += [effect for effect in effects if type(effect) is Succeeded]

    def _take_one_by_one(self, effects: Sequence[Effect]) -> None:
        """Keep what ended, in order."""
        attempt: AttemptEnded | None = None  # the one before in this batch, not kept yet
        for effect in effects:
            if type(effect) is Succeeded:
                if attempt is not None:
                    self._keep(attempt)
                attempt = None
                self._succeeded.append(effect)
            elif type(effect) is AttemptEnded:
                if attempt is not None:
                    self._keep(attempt)
                attempt = effect
            elif type(effect) is TaskFinished:
                self._finish(effect, attempt)
                attempt = None
            elif type(effect) is TaskRevised:
                self._revised.append(effect)
        if attempt is not None:
            self._keep(attempt)

    def __len__(self) -> int:
        """Tasks that are kept."""
        return len(self._succeeded) + len(self.failed)

    def tasks(self) -> Iterator[Ended]:
        """Tell the tasks that ended, the newest first of each kind: failed, then succeeded."""
        return chain(reversed(self.failed), self.succeeded())

    def succeeded(self) -> Iterator[Ended]:
        """Tell the tasks that succeeded, the newest first."""
        for each in reversed(self._succeeded):
            yield each if isinstance(each, tuple) else (each, each)

    def of(self, uuid: str) -> tuple[End | None, list[AttemptEnded]]:
        """Return what is known of one task: its end, and all ends of its deliveries in order."""
        attempts = [each for each in self.earlier if each.uuid == uuid]
        finished: End | None = None
        for end, attempt in self.tasks():
            if end.uuid == uuid:
                finished = end
                attempts += [] if attempt is None else [attempt]
                break
        if not attempts:
            example = self.groups.example(uuid)  # kept for longer
            attempts += [] if example is None else [example]
        return finished, sorted(attempts, key=lambda each: (each.retries, each.ordinal))

    def revisions(self) -> dict[str, State]:
        """Return the ends that came to light after another one was told, by uuid."""
        return {each.uuid: each.state for each in self._revised}

    def _finish(self, finished: TaskFinished, attempt: AttemptEnded | None) -> None:
        if attempt is not None and attempt.uuid != finished.uuid:
            self._keep(attempt)
            attempt = None
        self.counts.finished += 1
        if finished.state is _SUCCESS:
            self._succeeded.append(_all_of(finished, attempt))
            return
        attempt = None if attempt is None else self._bounded(attempt)
        self.counts.failed += finished.state in _FAILED
        self.failed.append((finished, attempt))
        self.groups.finished(finished, attempt)

    def _keep(self, attempt: AttemptEnded) -> None:
        attempt = self._bounded(attempt)
        self.earlier.append(attempt)
        if attempt.state is _RETRY and not attempt.kind.internal:
            self.counts.retried += 1
            self.groups.retried(attempt)

    def _bounded(self, attempt: AttemptEnded) -> AttemptEnded:
        """Cut texts that are longer than what anybody is shown; hardly ever."""
        longest = max(len(attempt.exception or ""), len(attempt.traceback or ""))
        return attempt if longest <= MAX_TEXT else trimmed(attempt, self._redaction)


def _all_of(finished: TaskFinished, attempt: AttemptEnded | None) -> AttemptEnded | Ended:
    """Return what says all of a task that succeeded."""
    if attempt is None or attempt.state is not _SUCCESS or attempt.retries or attempt.ordinal:
        return finished, attempt
    return attempt


def ended_at(end: End) -> float:
    """When a task ended."""
    return end.finished_at if isinstance(end, TaskFinished) else end.ended_at


def total_of(end: End) -> float | None:
    """Seconds from first sent to the end; None where either is not known."""
    if isinstance(end, TaskFinished):
        return end.total
    return None if end.sent_at is None else max(0.0, end.ended_at - end.sent_at)
