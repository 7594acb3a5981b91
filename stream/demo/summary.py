"""What the demo's table shows, computed from the service's view and metrics. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Protocol

from msgspec import Struct

from ..core.states import State
from ..core.view import View
from ..sinks import instruments
from ..sinks.aggregate import Distribution, Family, Number
from ..sinks.instruments import Instrument


class Running(Protocol):
    """The service while it serves. All of it reads memory only."""

    @property
    def url(self) -> str:
        """Where a browser of this machine finds it, without a slash at the end."""

    def view(self) -> View:
        """Read what the engine's tables hold now."""

    def families(self) -> Sequence[Family]:
        """Read all counters and histograms."""


class Latency(Struct, frozen=True):
    """Two quantiles in seconds, as exact as the buckets of a histogram are; None without data."""

    median: float | None = None
    p95: float | None = None


class TaskLine(Struct, frozen=True):
    """One task name."""

    name: str
    in_flight: int
    ends: dict[str, int]
    """Finished tasks by state."""
    retries: int
    stuck: int
    wait: Latency
    run: Latency


class Summary(Struct, frozen=True):
    """One look at the service."""

    tasks: tuple[TaskLine, ...]
    events: int
    """Decoded since the start."""
    view: View

    @property
    def finished(self) -> int:
        """Tasks that ended, all names and states."""
        return sum(sum(task.ends.values()) for task in self.tasks)


def summarise(running: Running) -> Summary:
    """Look once."""
    view, families = running.view(), _Families(running.families())
    in_flight: dict[str, int] = defaultdict(int)
    stuck: dict[str, int] = defaultdict(int)
    for gauge in view.tasks:
        name = gauge.kind.name or "unknown"
        in_flight[name] += gauge.count
        stuck[name] += gauge.stuck
    ends = families.sums(instruments.TASK_FINISHED, "task", "state")
    retries = families.sums(instruments.TASK_RETRIES, "task")
    waits = families.latencies(instruments.TASK_WAIT_TIME, "task")
    runs = families.latencies(instruments.PROCESS_DURATION, "celery.task.name")
    names = {name for (name, _) in ends} | set(in_flight) | {name for (name,) in retries}
    return Summary(
        tasks=tuple(
            TaskLine(
                name=name,
                in_flight=in_flight[name],
                ends={state: ends[name, state] for state in State if (name, state) in ends},
                retries=retries.get((name,), 0),
                stuck=stuck[name],
                wait=waits.get(name, Latency()),
                run=runs.get(name, Latency()),
            )
            for name in sorted(names)
        ),
        events=families.sums(instruments.EVENTS_DECODED).get((), 0),
        view=view,
    )


class _Families:
    def __init__(self, families: Iterable[Family]) -> None:
        # By name: an instrument may be a copy where the families were made elsewhere.
        self._points = {family.instrument.name: family.points for family in families}

    def sums(self, instrument: Instrument, *by: str) -> dict[tuple[str, ...], int]:
        """Add a counter up over all attributes but *by*."""
        indexes = [instrument.attributes.index(attribute) for attribute in by]
        sums: dict[tuple[str, ...], int] = defaultdict(int)
        for point in self._points.get(instrument.name, ()):
            if isinstance(point, Number):
                sums[tuple(point.labels[index] for index in indexes)] += int(point.value)
        return sums

    def latencies(self, instrument: Instrument, by: str) -> dict[str, Latency]:
        """Merge a histogram over all attributes but *by*."""
        index = instrument.attributes.index(by)
        merged: dict[str, Distribution] = {}
        for point in self._points.get(instrument.name, ()):
            if isinstance(point, Distribution):
                name = point.labels[index]
                merged[name] = _add(merged[name], point) if name in merged else point
        return {name: latency(instrument.bounds, found) for name, found in merged.items()}


def _add(one: Distribution, other: Distribution) -> Distribution:
    counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
    return Distribution(one.labels, counts, one.sum + other.sum, one.count + other.count)


def latency(bounds: Sequence[float], found: Distribution) -> Latency:
    """Estimate both quantiles; where all is in one bucket, the mean is nearer to either."""
    if found.count and found.count in found.counts:
        mean = found.sum / found.count
        return Latency(mean, mean)
    return Latency(quantile(bounds, found.counts, 0.5), quantile(bounds, found.counts, 0.95))


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Estimate a quantile from a histogram, linear within a bucket.

    Args:
        bounds: upper bounds of the buckets; one less than *counts*, whose last has none.
        counts: of each bucket.
        share: 0.5 for the median.

    Returns:
        None for an empty histogram; the highest bound where the quantile lies beyond it.
    """
    totals = [0, *accumulate(counts)]
    if not totals[-1]:
        return None
    rank = share * totals[-1]
    bucket = max(bisect_left(totals, rank) - 1, 0)
    if bucket >= len(bounds):
        return bounds[-1]
    lower, upper = list(pairwise((0.0, *bounds)))[bucket]
    return lower + (upper - lower) * (rank - totals[bucket]) / counts[bucket]
