"""Tasks that are sent at fixed intervals, as by Celery Beat: which there are, which are late.

An interval is declared by a rule, or learned from four steps of equal length between five sendings
of a task that no other task sent. Learned are intervals, not calendars: what is sent every hour of
a working day is missed at night, so declare it (``every = 0``: it is not judged). What was learned
is forgotten after `_GIVE_UP` misses in a row: the schedule was changed.
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from ..config import BeatRule
from .effects import Effect, PeriodicLate, PeriodicMissed, PeriodicResumed
from .kinds import Kind, Kinds
from .view import PeriodicGauge

_STEPS: Final = 4
_LEAST: Final = 5.0
"""Seconds: what is sent more often is load; Beat itself wakes up every five seconds by default."""
_STRAYS: Final = 4
"""Sendings out of turn, in a row, after which an interval is learned anew."""
_DULL_AFTER: Final = 20
"""Sendings without an interval after which nobody looks any more: each would cost a little."""
_GIVE_UP: Final = 5
_MAX_WATCHED: Final = 1_000
_WILD: Final = frozenset("*?[")


def slack_of(every: float) -> float:
    """Seconds that a sending may be late: a tenth of the interval, 2 s to a minute."""
    return min(max(every * 0.1, 2.0), 60.0)


class Rhythm(Struct, gc=False):
    """When one kind of task is sent."""

    every: float = 0.0
    """Seconds between two sendings; 0 while that is not known."""
    slack: float = 0.0
    declared: bool = False
    last_at: float | None = None
    """When it was sent last, our clock; after a gap in what we see, when that ended; of one that is
    declared and was not sent yet, when we began to await it."""
    steps: tuple[float, ...] = ()
    """The last steps, while they are learned from."""
    seen: int = 0
    """Sendings since the learning began."""
    strays: int = 0
    late: bool = False
    missed: int = 0
    """In a row."""
    sent_at: float | None = None
    """When it was really seen to be sent last."""

    @property
    def due_at(self) -> float:
        """When the next sending is expected; never where that is not known."""
        if not self.every or self.last_at is None:
            return float("inf")
        return self.last_at + self.every * (self.missed + 1)


class Periodic:
    """Learns and judges the rhythms of all kinds.

    Args:
        rules: declared intervals; the first whose patterns match decides.
        kinds: the interned (name, queue) pairs.
        learn: whether intervals are learned too.
        emit: takes each effect.
    """

    def __init__(
        self,
        rules: tuple[BeatRule, ...],
        kinds: Kinds,
        *,
        learn: bool,
        emit: Callable[[Effect], None],
    ) -> None:
        self._rules = rules
        self._kinds = kinds
        self._learn = learn
        self._emit = emit
        self.rhythms: dict[Kind, Rhythm | None] = {}
        """Of each kind that was sent; None: it has none, and is not looked at again."""
        self._begun = False

    def sent(self, kind: Kind, at: float) -> None:
        """Take note that a task that no other task sent was sent at *at*, our clock."""
        rhythm = self.rhythms.get(kind)
        if rhythm is None:
            if kind in self.rhythms:
                return
            rhythm = self._meet(kind)
            if rhythm is None:
                return
        if rhythm.every:
            self._expected(kind, rhythm, at)
        else:
            self._learn_from(kind, rhythm, at)

    def _meet(self, kind: Kind) -> Rhythm | None:
        rule = self._rule_of(kind)
        watched = sum(each is not None for each in self.rhythms.values())
        known = watched < _MAX_WATCHED and not kind.internal
        if rule is not None and rule.every:
            slack = slack_of(rule.every) if rule.slack is None else rule.slack
            self.rhythms[kind] = Rhythm(rule.every, slack, declared=True)
            self._stop_awaiting(kind)
        elif rule is not None or not self._learn or not known:
            self.rhythms[kind] = None
        else:
            self.rhythms[kind] = Rhythm()
        return self.rhythms[kind]

    def _rule_of(self, kind: Kind) -> BeatRule | None:
        for rule in self._rules:
            if fnmatchcase(kind.name or "", rule.task) and (
                rule.queue is None or fnmatchcase(kind.queue or "", rule.queue)
            ):
                return rule
        return None

    def _expected(self, kind: Kind, rhythm: Rhythm, at: float) -> None:
        rhythm.sent_at = at if rhythm.sent_at is None else max(at, rhythm.sent_at)
        early = rhythm.last_at is not None and at < rhythm.due_at - rhythm.slack
        if rhythm.late:
            behind = max(0.0, at - (rhythm.due_at - rhythm.every * rhythm.missed))
            self._emit(PeriodicResumed(kind, rhythm.every, behind, rhythm.missed, at))
        rhythm.last_at = at if rhythm.last_at is None else max(at, rhythm.last_at)
        rhythm.late, rhythm.missed = False, 0
        rhythm.strays = rhythm.strays + 1 if early else 0
        if rhythm.strays >= _STRAYS and not rhythm.declared:
            self.rhythms[kind] = Rhythm(last_at=at, sent_at=at)

    def _learn_from(self, kind: Kind, rhythm: Rhythm, at: float) -> None:
        last_at, rhythm.last_at, rhythm.sent_at = rhythm.last_at, at, at
        rhythm.seen += 1
        if last_at is None:
            return
        steps = rhythm.steps = (*rhythm.steps, at - last_at)[-_STEPS:]
        shortest, longest = min(steps), max(steps)
        if len(steps) == _STEPS and shortest >= _LEAST and longest - shortest <= _alike(shortest):
            every = sum(steps) / len(steps)
            self.rhythms[kind] = Rhythm(every, slack_of(every), last_at=at, sent_at=at)
        elif rhythm.seen >= _DULL_AFTER:
            self.rhythms[kind] = None

    # -- time ----------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Tell what is late and what was missed."""
        if not self._begun:
            self._begun = True
            self._await_declared(now)
        for kind, rhythm in list(self.rhythms.items()):
            if rhythm is not None and now > rhythm.due_at + rhythm.slack:
                self._tell_late(kind, rhythm, now)

    def _tell_late(self, kind: Kind, rhythm: Rhythm, now: float) -> None:
        if not rhythm.late:
            rhythm.late = True
            self._emit(PeriodicLate(kind, rhythm.every, rhythm.due_at, now))
        while now > rhythm.due_at + rhythm.every + rhythm.slack:
            due_at = rhythm.due_at
            rhythm.missed += 1
            self._emit(PeriodicMissed(kind, rhythm.every, due_at, rhythm.missed, now))
            if rhythm.missed >= _GIVE_UP and not rhythm.declared:
                self.rhythms[kind] = Rhythm()
                return

    def _await_declared(self, now: float) -> None:
        """Expect from now on what is declared by its full name, though it may never come."""
        for rule in self._rules:
            if rule.every and not _WILD & set(rule.task + (rule.queue or "")):
                rhythm = self._meet(self._kinds.get(rule.task, rule.queue))
                if rhythm is not None and rhythm.last_at is None:
                    rhythm.last_at = now

    def _stop_awaiting(self, kind: Kind) -> None:
        """A task that was awaited without its queue has come, and its queue is known."""
        awaited = self._kinds.get(kind.name, None)
        if awaited is not kind and (before := self.rhythms.pop(awaited, None)) is not None:
            rhythm = self.rhythms[kind]
            if rhythm is not None:
                rhythm.last_at, rhythm.late = before.last_at, before.late
                rhythm.missed = before.missed

    def gap(self, now: float) -> None:
        """What was sent in a while that ended *now* was not seen: nothing of it was missed."""
        for rhythm in self.rhythms.values():
            if rhythm is not None and rhythm.last_at is not None:
                rhythm.last_at, rhythm.late, rhythm.missed = now, False, 0
                rhythm.steps = ()

    def gauges(self, now: float) -> tuple[PeriodicGauge, ...]:
        """Read every rhythm that is known."""
        return tuple(
            PeriodicGauge(
                kind,
                rhythm.every,
                declared=rhythm.declared,
                last_at=rhythm.sent_at,
                overdue=_overdue(rhythm, now),
            )
            for kind, rhythm in self.rhythms.items()
            if rhythm is not None and rhythm.every
        )

    # -- snapshots -----------------------------------------------------------------------------

    def rows(self, number: Callable[[Kind], int]) -> list[tuple[int, Rhythm | None]]:
        """Write the rhythms, kinds by number."""
        return [(number(kind), rhythm) for kind, rhythm in self.rhythms.items()]

    def restore(self, rows: Iterable[tuple[int, Rhythm | None]], kinds: list[Kind]) -> None:
        """Take over what a snapshot knows."""
        self.rhythms.update((kinds[number], rhythm) for number, rhythm in rows)
        self._begun = True


def _alike(step: float) -> float:
    """Seconds by which steps of one interval may differ: Beat's own delays, and a worker's."""
    return max(1.0, step * 0.05)


def _overdue(rhythm: Rhythm, now: float) -> float:
    first_due_at = rhythm.due_at - rhythm.every * rhythm.missed
    behind = now - first_due_at
    return behind if behind > rhythm.slack else 0.0
