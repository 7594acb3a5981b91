"""Two reports side by side: what is different, and whether that can be chance.

Deterministic: the bootstrap's random numbers are seeded by what they are for.
"""

from collections.abc import Iterable, Iterator
from math import sqrt
from random import Random
from typing import Final

from msgspec import Struct

from .report import FailureRow, QueueRow, Report, TaskRow
from .sketch import ERROR, Latency, Quantiles

_DRAWS: Final = 400
_TAIL: Final = 0.025
"""On either side of an interval of 95 %."""
_SIGMAS: Final = 1.959964
"""Likewise, of a normal distribution."""
_FEW: Final = 10
"""With fewer durations on a side, an interval made of them means little."""
_SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_OUTCOMES: Final = ("FAILURE", "REVOKED", "REJECTED", "LOST", "UNKNOWN")


class Rate(Struct, frozen=True):
    """How often the tasks of one name ended in one way. Shares, 0…1."""

    task: str
    what: str
    before: float
    after: float
    low: float
    """Of the difference after - before, an interval of 95 % (Newcombe's, of Wilson's scores)."""
    high: float
    is_clear: bool
    """The interval leaves out 0."""


class Shift(Struct, frozen=True):
    """A quantile of one duration of the tasks of one name. Seconds."""

    task: str
    what: str
    """``wait|prefetch|run|total`` and the quantile."""
    before: float
    after: float
    low: float
    """Of the ratio after / before, a bootstrap interval of 95 %."""
    high: float
    is_clear: bool
    """The interval leaves out 1 by more than the error of the quantiles."""

    @property
    def ratio(self) -> float:
        """How many times as long as before; infinite after 0."""
        return self.after / self.before if self.before else float("inf")


class Growth(Struct, frozen=True):
    """A queue that was longer than before."""

    queue: str
    before: int
    """Most tasks that waited, or where it was polled, most messages."""
    after: int


class Side(Struct, frozen=True):
    """One of the two."""

    name: str
    began_at: float | None
    seconds: float
    tasks: int
    tasks_per_second: float | None
    states: dict[str, int]


class Comparison(Struct, frozen=True):
    """What `diff --json` writes."""

    before: Side
    after: Side
    rates: tuple[Rate, ...]
    shifts: tuple[Shift, ...]
    new_failures: tuple[FailureRow, ...]
    """Exception classes, by task, that were not there before."""
    gone_failures: tuple[FailureRow, ...]
    new_tasks: tuple[str, ...]
    gone_tasks: tuple[str, ...]
    grown_queues: tuple[Growth, ...]


def compare(before: Report, after: Report, *, names: tuple[str, str]) -> Comparison:
    """Compare two reports; *names* are what to call them."""
    was, now = ({row.task: row for row in each.tasks} for each in (before, after))
    common = [(was[name], now[name]) for name in sorted(was.keys() & now.keys())]
    return Comparison(
        _side(names[0], before),
        _side(names[1], after),
        tuple(rate for pair in common for rate in _rates(*pair)),
        tuple(shift for pair in common for shift in _shifts(*pair)),
        _only_in(after.failures, before.failures),
        _only_in(before.failures, after.failures),
        tuple(sorted(now.keys() - was.keys())),
        tuple(sorted(was.keys() - now.keys())),
        tuple(_grown(before.queues, after.queues)),
    )


def _side(name: str, report: Report) -> Side:
    tasks = sum(report.states.values())
    per_second = tasks / report.seconds if report.seconds else None
    return Side(name, report.began_at, report.seconds, tasks, per_second, report.states)


def _only_in(rows: Iterable[FailureRow], others: Iterable[FailureRow]) -> tuple[FailureRow, ...]:
    known = {(row.error_type, row.task) for row in others}
    return tuple(row for row in rows if (row.error_type, row.task) not in known)


def _grown(before: Iterable[QueueRow], after: Iterable[QueueRow]) -> Iterator[Growth]:
    lengths = {row.queue: _length(row) for row in before}
    grown = [(row.queue, lengths.get(row.queue, 0), _length(row)) for row in after]
    for queue, was, now in sorted(grown, key=lambda each: (each[1] - each[2], each[0])):
        if now > was:
            yield Growth(queue, was, now)


def _length(row: QueueRow) -> int:
    return row.most_waiting if row.most_depth is None else row.most_depth


# -- rates ---------------------------------------------------------------------------------------


def _rates(before: TaskRow, after: TaskRow) -> Iterator[Rate]:
    for what in _OUTCOMES:
        counts = before.states.get(what, 0), after.states.get(what, 0)
        if any(counts):
            yield _rate(before.task, what, counts, (before.tasks, after.tasks))
    if before.retries or after.retries:  # a task may be retried many times: of its attempts
        attempts = max(before.attempts, before.retries), max(after.attempts, after.retries)
        yield _rate(before.task, "retried", (before.retries, after.retries), attempts)


def _rate(task: str, what: str, counts: tuple[int, int], totals: tuple[int, int]) -> Rate:
    before, after = (count / total for count, total in zip(counts, totals, strict=True))
    low_before, high_before = wilson(counts[0], totals[0])
    low_after, high_after = wilson(counts[1], totals[1])
    change = after - before
    low = change - sqrt((after - low_after) ** 2 + (high_before - before) ** 2)
    high = change + sqrt((high_after - after) ** 2 + (before - low_before) ** 2)
    return Rate(task, what, before, after, low, high, low > 0.0 or high < 0.0)


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    share, squared = count / total, _SIGMAS**2
    middle = share + squared / (2 * total)
    spread = _SIGMAS * sqrt(share * (1 - share) / total + squared / (4 * total**2))
    scale = 1 + squared / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


# -- latencies -----------------------------------------------------------------------------------


def _shifts(before: TaskRow, after: TaskRow) -> Iterator[Shift]:
    for what, was, now in (
        ("wait", before.wait, after.wait),
        ("prefetch", before.prefetch, after.prefetch),
        ("run", before.run, after.run),
        ("total", before.total, after.total),
    ):
        if was.count and now.count:
            for name, share in _SHARES:
                yield _shift(before.task, f"{what} {name}", share=share, pair=(was, now))


def _shift(task: str, what: str, *, share: float, pair: tuple[Latency, Latency]) -> Shift:
    random = Random(f"{task} {what}")  # noqa: S311 - repeatable, not secret
    was, now = (Quantiles(each.buckets, zeros=each.zeros, most=each.max) for each in pair)
    ratios = sorted(
        _ratio(one, two)
        for one, two in zip(
            was.resampled(share, _DRAWS, random=random),
            now.resampled(share, _DRAWS, random=random),
            strict=True,
        )
    )
    low, high = ratios[int(_TAIL * _DRAWS)], ratios[int((1 - _TAIL) * _DRAWS) - 1]
    is_clear = min(was.count, now.count) >= _FEW and not (
        high >= 1 - 2 * ERROR and low <= 1 + 2 * ERROR
    )
    return Shift(task, what, was.at(share), now.at(share), low, high, is_clear)


def _ratio(before: float, after: float) -> float:
    if before:
        return after / before
    return 1.0 if not after else 1e9  # JSON has no infinity
