"""The last minutes of the cluster, a sample each second, for the curves on the page.

Sampled, not counted: what is kept of each second is read from counters and tables once a second,
so that the page costs the same whatever happens. All of it is bounded.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from statistics import quantiles
from typing import Final

from ..core.view import View
from ..sinks.history import Counts, Ended, ended_at, total_of
from .answers import Quantiles, Sample, Totals
from .watched import Brokers

KEPT: Final = 300
"""Samples of the whole cluster: five minutes, 50 kB."""
TREND: Final = 60
"""Samples of each queue and worker."""
FOLLOWED: Final = 500
"""Queues, and workers, that have a curve; a page with more of them is not read."""
_LATELY: Final = 60.0
"""Seconds within which a task ended lately."""
_ENOUGH: Final = 400
"""Tasks that quantiles are taken of; their 95th percentile is one of 20 values then."""

Key = tuple[str, str, int]
"""Broker, name and process; 0 for a queue."""


class Trends:
    """The last values of each of many things, by key."""

    def __init__(self) -> None:
        self._rings: dict[Key, deque[int]] = {}

    def take(self, values: dict[Key, int]) -> None:
        """Add a value for each thing that is there; what is not there any more is forgotten."""
        for key in self._rings.keys() - values.keys():
            del self._rings[key]
        for key, value in islice(values.items(), FOLLOWED):
            self._rings.setdefault(key, deque(maxlen=TREND)).append(value)

    def of(self, key: Key) -> tuple[int, ...]:
        """Return the last values of one thing, oldest first."""
        return tuple(self._rings.get(key, ()))


class Samples:
    """Keeps the samples.

    Args:
        brokers: what is watched.
        now: when it begins.
    """

    def __init__(self, brokers: Brokers, now: float) -> None:
        self._brokers = brokers
        self._before = totals(brokers)
        self._at = now
        self.series: deque[Sample] = deque(maxlen=KEPT)
        self.queues = Trends()
        self.workers = Trends()
        self.peaks: dict[Key, int] = {}
        """The most that each worker was seen to run at once."""
        self.wait = self.run = self.total = Quantiles()

    def take(self, views: dict[str, View], now: float) -> None:
        """Take a sample; called about once a second."""
        self._measure(now)
        depths = {
            (name, queue.name, 0): queue.depth
            for name, view in views.items()
            for queue in view.queues
        }
        active = {
            (name, worker.hostname, worker.pid): worker.active or 0
            for name, view in views.items()
            for worker in view.workers
        }
        self.queues.take(depths)
        self.workers.take(active)
        self.peaks = {key: max(self.peaks.get(key, 0), count) for key, count in active.items()}
        self.series.append(self._sample(views, sum(depths.values()), now))

    def latest(self, now: float) -> Sample:
        """Return the newest sample; an empty one before there is any."""
        return self.series[-1] if self.series else Sample(now, 0, 0, 0, 0, 0, 0, 0, None, None)

    def _sample(self, views: dict[str, View], depth: int, now: float) -> Sample:
        before, after = self._before, totals(self._brokers)
        elapsed = max(now - self._at, 0.001)
        self._before, self._at = after, now
        return Sample(
            now,
            (after.sent - before.sent) / elapsed,
            (after.started - before.started) / elapsed,
            (after.finished - before.finished) / elapsed,
            (after.failed - before.failed) / elapsed,
            (after.retried - before.retried) / elapsed,
            sum(view.tasks_in_flight for view in views.values()),
            depth,
            self.wait.p95,
            self.run.p95,
        )

    def _measure(self, now: float) -> None:
        lately = [
            each
            for broker in self._brokers.values()
            for each in _lately(broker.history.succeeded(), now)
        ]
        attempts = [attempt for _, attempt in lately if attempt is not None]
        self.wait = _quantiles(attempt.wait for attempt in attempts)
        self.run = _quantiles(attempt.run for attempt in attempts)
        self.total = _quantiles(total_of(end) for end, _ in lately)


def totals(brokers: Brokers) -> Totals:
    """Add up what happened at all brokers."""
    counts: list[Counts] = [each.history.counts for each in brokers.values()]
    return Totals(
        sum(each.sent for each in counts),
        sum(each.started for each in counts),
        sum(each.finished for each in counts),
        sum(each.failed for each in counts),
        sum(each.retried for each in counts),
    )


def _lately(ended: Iterator[Ended], now: float) -> list[Ended]:
    newest = islice(ended, _ENOUGH)
    return [each for each in newest if ended_at(each[0]) >= now - _LATELY]


def _quantiles(values: Iterable[float | None]) -> Quantiles:
    known = [value for value in values if value is not None]
    match known:
        case []:
            return Quantiles()
        case [only]:
            return Quantiles(only, only)
        case _:
            twentieths = quantiles(known, n=20, method="inclusive")
            return Quantiles(twentieths[9], twentieths[18])
