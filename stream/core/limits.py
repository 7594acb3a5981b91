"""How long a task of some kind may be in some phase before somebody should look.

For each phase the first that exists: the limit of a rule that matches; for running, the time limit
that the task's messages carry, else three times the 99th percentile of its own runs; the default.
"""

from fnmatch import fnmatchcase
from typing import Final

from ..config import StuckLimits, StuckRule
from .buckets import count_by_bucket
from .kinds import Kind
from .tables import STARTED

NEVER: Final = float("inf")
QUANTILE: Final = 0.99
FACTOR: Final = 3.0
SAMPLES: Final = 50
"""Runs of a task below which its history says nothing: the 99th percentile would be its maximum."""
LEAST: Final = 30.0
"""Seconds: a task of milliseconds is not stuck after a garbage collection or a slow disk."""
HALVE_AT: Final = 10_000
"""Runs after which the old ones count half: a task may become slower with its data."""
TIME_LIMIT_MARGIN: Final = 1.1
"""A worker enforces a hard limit itself within seconds; beyond this it did not."""

_BOUNDS: Final = tuple(0.001 * 2 ** (step / 2) for step in range(54))
"""Seconds, 1 ms to about a day, by factors of 1.41: the error of a quantile read from them."""
_AT_ONCE: Final = 500


class History:
    """How long the runs of one kind took, in buckets.

    Runs are counted many at once, when somebody looks: a third of what counting each would take.
    """

    __slots__ = ("_counts", "_new", "_total")

    def __init__(self, counts: list[int] | None = None, total: int = 0) -> None:
        self._counts = counts or [0] * (len(_BOUNDS) + 1)
        self._total = total
        self._new: list[float] = []

    @property
    def counts(self) -> list[int]:
        """Of each bucket."""
        self._count()
        return self._counts

    @property
    def total(self) -> int:
        """How many runs they are."""
        self._count()
        return self._total

    def add(self, seconds: float) -> None:
        """Take note of one run."""
        self._new.append(seconds)
        if len(self._new) >= _AT_ONCE:
            self._count()

    def _count(self) -> None:
        new, self._new = self._new, []
        while new:
            some, new = new[: HALVE_AT - self._total], new[HALVE_AT - self._total :]
            for bucket, count in count_by_bucket(some, _BOUNDS):
                self._counts[bucket] += count
            self._total += len(some)
            if self._total >= HALVE_AT:
                self._counts = [count // 2 for count in self._counts]
                self._total = sum(self._counts)

    def quantile(self, share: float) -> float | None:
        """Return the upper bound of the bucket that a quantile is in; None with too few runs."""
        if self.total < SAMPLES:
            return None
        wanted, seen = share * self.total, 0
        for bound, count in zip(_BOUNDS, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return NEVER


class PhaseLimits:
    """The limits of all kinds.

    Args:
        defaults: for what no rule and no history says.
        rules: the first whose patterns match the task's name and queue wins.
    """

    def __init__(self, defaults: StuckLimits, rules: tuple[StuckRule, ...]) -> None:
        self._defaults = defaults
        self._rules = rules
        self._explicit: dict[Kind, tuple[float | None, ...]] = {}
        self._fallback = (
            defaults.queued,
            defaults.prefetched,
            defaults.running,
            defaults.retrying,
        )
        self.histories: dict[Kind, History] = {}
        self.time_limits: dict[str, float] = {}
        """Hard time limits by task name, seconds; as many names as there are kinds at most."""

    def learn(self, kind: Kind, run: float) -> None:
        """Take note of how long a run took that succeeded."""
        history = self.histories.get(kind)
        if history is None:
            history = self.histories[kind] = History()
        history.add(run)

    def of(self, kind: Kind, phase: int) -> float:
        """Seconds that tasks of this kind may be in a phase; infinite where it is turned off."""
        explicit = self._explicit.get(kind)
        if explicit is None:
            explicit = self._explicit[kind] = self._resolve(kind)
        limit = explicit[phase]
        if limit is None:
            limit = self._known(kind) if phase == STARTED and self._fallback[phase] else None
        return (self._fallback[phase] if limit is None else limit) or NEVER

    def _known(self, kind: Kind) -> float | None:
        if kind.name is not None and (hard := self.time_limits.get(kind.name)):
            return hard * TIME_LIMIT_MARGIN
        history = self.histories.get(kind)
        usual = None if history is None else history.quantile(QUANTILE)
        return None if usual is None else max(LEAST, usual * FACTOR)

    def _resolve(self, kind: Kind) -> tuple[float | None, ...]:
        for rule in self._rules:
            if fnmatchcase(kind.name or "", rule.task) and (
                rule.queue is None or fnmatchcase(kind.queue or "", rule.queue)
            ):
                return (rule.queued, rule.prefetched, rule.running, rule.retrying)
        return (None, None, None, None)
