"""The live page's readings: each answer of the API, made of what this process has in memory.

Everything here runs on the event loop, between two batches of events, and is bounded: a request
costs milliseconds, whatever the cluster does. No broker and no worker is asked.
"""

from collections.abc import Callable
from typing import Final

from ..core.view import View
from ..server.health import Health
from . import cluster, story, tasks
from .answers import (
    Failures,
    Overview,
    PeriodicTasks,
    Queues,
    Sample,
    StuckTasks,
    TaskDetail,
    Tasks,
    Workers,
)
from .samples import Samples
from .tasks import Wanted
from .telling import Telling
from .watched import Brokers

_FRESH: Final = 0.5
"""Seconds for which what was read of the tables serves further requests."""


class LivePage:
    """Answers what the page asks.

    Args:
        brokers: what is watched.
        health: judges whether the cluster is seen.
        telling: what may be told of a task.
        clock: epoch seconds.
    """

    def __init__(
        self,
        brokers: Brokers,
        *,
        health: Callable[[], Health],
        telling: Telling,
        clock: Callable[[], float],
    ) -> None:
        self._brokers = brokers
        self._health = health
        self._telling = telling
        self._clock = clock
        self._started_at = clock()
        self._samples = Samples(brokers, self._started_at)
        self._views: dict[str, View] = {}
        self._viewed_at = float("-inf")

    def sample(self) -> None:
        """Take a sample for the curves; called about once a second."""
        self._viewed_at = float("-inf")
        views, now = self._read()
        self._samples.take(views, now)

    def overview(self) -> Overview:
        """Tell the cluster at this moment."""
        views, now = self._read()
        return cluster.overview(
            self._brokers,
            views,
            self._samples,
            health=self._health(),
            started_at=self._started_at,
            trace_link=self._telling.trace_url is not None,
            now=now,
        )

    def series(self) -> tuple[Sample, ...]:
        """Tell the last minutes, oldest first."""
        return tuple(self._samples.series)

    def queues(self) -> Queues:
        """Tell the queues."""
        views, now = self._read()
        return cluster.queues(views, self._samples, now)

    def workers(self) -> Workers:
        """Tell the workers."""
        views, _ = self._read()
        return cluster.workers(views, self._samples)

    def periodic(self) -> PeriodicTasks:
        """Tell the tasks that are sent at fixed intervals."""
        views, _ = self._read()
        return cluster.periodic(views)

    def failures(self) -> Failures:
        """Tell the groups of failures."""
        return tasks.failures(self._brokers, telling=self._telling)

    def stuck(self) -> StuckTasks:
        """Tell the tasks that are over their limit."""
        views, _ = self._read()
        gauges = [gauge for view in views.values() for gauge in view.tasks]
        total = sum(gauge.stuck + gauge.unsure for gauge in gauges)
        return tasks.stuck(self._brokers, total=total)

    def tasks(self, wanted: Wanted) -> Tasks:
        """Look for tasks."""
        return tasks.find(self._brokers, wanted, telling=self._telling, now=self._clock())

    def task(self, uuid: str) -> TaskDetail | None:
        """Tell one task's story; None where it is not known."""
        return story.tell(self._brokers, uuid, telling=self._telling, now=self._clock())

    def _read(self) -> tuple[dict[str, View], float]:
        now = self._clock()
        if not 0.0 <= now - self._viewed_at < _FRESH:
            self._views = {
                name: watched.engine.view(now) for name, watched in self._brokers.items()
            }
            self._viewed_at = now
        return self._views, now
