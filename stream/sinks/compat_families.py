"""The tallies and the engine's tables as the metrics of celery-exporter and of flower.

What was counted comes from the tallies, everything that goes up and down from the tables. Series
that differ in what is no label of theirs (the workers of one host, the queues of one task) are
added up.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, cast

from ..core.kinds import OTHER
from ..core.states import WorkerState
from ..core.view import View, WorkerGauge
from . import compat_table as table
from .aggregate import Cell, Distribution, Family, Number
from .by_broker import merged
from .compat import Counts, Tally
from .compat_table import Compat
from .instruments import Instrument
from .labels import Labels, label

GOODBYE_SHOWN: Final = 600.0
"""Seconds for which a worker is told to be down that said goodbye."""
PRODUCER: Final = "generic"
"""Stands for all producers: each process of each web server would be a series of its own."""
_ALIVE: Final = frozenset({WorkerState.ONLINE, WorkerState.SUSPECT})

Prefetched = Mapping[tuple[str | None, str | None], int]
"""How many tasks are prefetched, by node name and task name."""


def families_of(
    wanted: Collection[Compat],
    counted: Counts,
    view: View,
    prefetched: Prefetched,
    *,
    started_at: float,
) -> Iterable[Family]:
    """Make what is asked for; see the two that make it."""
    if Compat.CELERY_EXPORTER in wanted:
        yield from celery_exporter(counted, view, started_at=started_at)
    if Compat.FLOWER in wanted:
        yield from flower(counted, view, prefetched, started_at=started_at)


def lazily(
    brokers: Mapping[str, Callable[[], Iterable[Family]]], *, labelled: bool
) -> Iterable[Family]:
    """Make the families of all brokers, once somebody reads them.

    Args:
        brokers: what makes those of each, by its name.
        labelled: whether the names are told.
    """
    if labelled:
        yield from merged((), {name: make() for name, make in brokers.items()})
        return
    for make in brokers.values():
        yield from make()


def celery_exporter(counted: Counts, view: View, *, started_at: float) -> tuple[Family, ...]:
    """Return what celery-exporter would tell.

    Args:
        counted: by task and worker.
        view: what the engine's tables hold.
        started_at: since when it was counted, epoch seconds.
    """
    nodes = _nodes(view)
    counts, spread = _Numbers(), _Spread()
    for kind, sent in counted.sent.items():
        counts.add(table.SENT, sent, label(kind.name), PRODUCER, label(kind.queue))
    for kind, hostname, tally in counted.tallies:
        place = label(kind.name), _host(hostname), label(kind.queue)
        _exporter_counts(counts, place, tally)
        spread.add(table.RUNTIME, tally.runs, *place)
        spread.add(table.QUEUE_WAIT, tally.waits, *place)
    gauges = _Numbers()
    for node, processes in nodes.items():
        gauges.least(table.WORKER_UP, int(_is_up(processes)), _host(node))
        gauges.add(table.TASKS_ACTIVE, _active(processes), _host(node))
    for queue in view.queues:
        gauges.add(table.QUEUE_LENGTH, queue.depth, label(queue.name))
    _consumers(gauges, counted, view, alive={node for node in nodes if _is_up(nodes[node])})
    return (*counts.families(started_at), *spread.families(started_at), *gauges.families(None))


def flower(
    counted: Counts, view: View, prefetched: Prefetched, *, started_at: float
) -> tuple[Family, ...]:
    """Return what flower would tell.

    Args:
        counted: by task and worker.
        view: what the engine's tables hold.
        prefetched: read from them too.
        started_at: since when it was counted, epoch seconds.
    """
    counts, spread, gauges = _Numbers(), _Spread(), _Numbers()
    for kind, sent in counted.sent.items():
        counts.add(table.EVENTS, sent, PRODUCER, "task-sent", label(kind.name))
    for kind, hostname, tally in counted.tallies:
        worker, task = label(hostname), label(kind.name)
        for event, count in _events(tally):
            if count:  # as there: what never happened has no series
                counts.add(table.EVENTS, count, worker, event, task)
        if tally.succeeded:
            spread.add(table.FLOWER_RUNTIME, tally.runs, worker, task)
        if tally.prefetch is not None:
            gauges.most(table.PREFETCH_TIME, tally.prefetch, worker, task)
        if tally.received:
            gauges.add(table.PREFETCHED, 0, worker, task)
    for (node, name), waiting in prefetched.items():
        gauges.add(table.PREFETCHED, waiting, label(node), label(name))
    for node, processes in _nodes(view).items():
        gauges.add(table.ONLINE, int(_is_up(processes)), label(node))
        gauges.add(table.EXECUTING, _active(processes), label(node))
    return (*counts.families(started_at), *spread.families(started_at), *gauges.families(None))


def _exporter_counts(counts: "_Numbers", place: tuple[str, str, str], tally: Tally) -> None:
    """Add all eight, also those that are 0: queries divide the ones by the others."""
    counts.add(table.SENT, 0, place[0], PRODUCER, place[2])
    counts.add(table.RECEIVED, tally.received, *place)
    counts.add(table.STARTED, tally.started, *place)
    counts.add(table.SUCCEEDED, tally.succeeded, *place)
    counts.add(table.REJECTED, tally.rejected, *place)
    counts.add(table.REVOKED, tally.revoked, *place)
    counts.add(table.RETRIED, tally.retried, *place)
    name, hostname, queue = place
    counts.add(table.FAILED, 0, name, hostname, "", queue)
    for exception, failures in tally.failures.items():
        counts.add(table.FAILED, failures, name, hostname, label(exception), queue)


def _events(tally: Tally) -> Iterable[tuple[str, int]]:
    yield "task-received", tally.received
    yield "task-started", tally.started
    yield "task-succeeded", tally.succeeded
    yield "task-failed", sum(tally.failures.values())
    yield "task-retried", tally.retried
    yield "task-revoked", tally.revoked
    yield "task-rejected", tally.rejected


def _consumers(gauges: "_Numbers", counted: Counts, view: View, *, alive: set[str]) -> None:
    """Tell who serves a queue: the living workers that took something from it, or say they do."""
    takers: dict[str, set[str]] = {label(queue.name): set() for queue in view.queues}
    for kind, hostname, tally in counted.tallies:
        if hostname in alive and kind.queue not in {None, OTHER} and tally.received:
            takers.setdefault(label(kind.queue), set()).add(hostname or "")
    pools: dict[str, int] = {}
    for gauge in view.workers:
        if gauge.state in _ALIVE:
            for queue in gauge.queues or ():
                takers.setdefault(label(queue), set()).add(gauge.hostname)
            if gauge.pool is not None:
                pools[gauge.hostname] = pools.get(gauge.hostname, 0) + gauge.pool
    for queue, workers in takers.items():
        processes = sum(
            pools.get(hostname, counted.most_active.get(hostname, 0)) for hostname in workers
        )
        gauges.add(table.ACTIVE_CONSUMERS, len(workers), queue)
        gauges.add(table.ACTIVE_WORKERS, len(workers), queue)
        gauges.add(table.ACTIVE_PROCESSES, processes, queue)


def _nodes(view: View) -> dict[str, list[WorkerGauge]]:
    """The processes of each node name that is to be told of."""
    nodes: dict[str, list[WorkerGauge]] = {}
    for gauge in view.workers:
        nodes.setdefault(gauge.hostname, []).append(gauge)
    return {node: known for node, known in nodes.items() if not _left(known, view.at)}


def _left(processes: list[WorkerGauge], at: float) -> bool:
    """Whether the last that was heard of a node is a goodbye, some time ago."""
    last = max(processes, key=lambda gauge: gauge.last_seen_at)
    long_ago = at - last.last_seen_at > GOODBYE_SHOWN
    return long_ago and last.state is WorkerState.OFFLINE and not _is_up(processes)


def _is_up(processes: list[WorkerGauge]) -> bool:
    return any(gauge.state in _ALIVE for gauge in processes)


def _active(processes: list[WorkerGauge]) -> int:
    return sum(gauge.active or 0 for gauge in processes if gauge.state in _ALIVE)


def _host(node: str | None) -> str:
    """Return the part behind the ``@``, as celery-exporter does it."""
    return label(node if node is None else node.partition("@")[2] or node)


class _Numbers:
    """Numbers by instrument and labels."""

    def __init__(self) -> None:
        self._values: dict[Instrument, dict[Labels, float]] = {}

    def add(self, instrument: Instrument, value: float, *labels: str) -> None:
        series = self._values.setdefault(instrument, {})
        series[labels] = series.get(labels, 0) + value

    def least(self, instrument: Instrument, value: float, *labels: str) -> None:
        series = self._values.setdefault(instrument, {})
        series[labels] = min(series.get(labels, value), value)

    def most(self, instrument: Instrument, value: float, *labels: str) -> None:
        series = self._values.setdefault(instrument, {})
        series[labels] = max(series.get(labels, value), value)

    def families(self, started_at: float | None) -> Iterable[Family]:
        for instrument, series in self._values.items():
            yield Family(instrument, tuple(Number(*item) for item in series.items()), started_at)


class _Spread:
    """Histograms by instrument and labels."""

    def __init__(self) -> None:
        self._cells: dict[Instrument, dict[Labels, Cell]] = {}

    def add(self, instrument: Instrument, cell: Cell, *labels: str) -> None:
        cells = self._cells.setdefault(instrument, {})
        known = cells.get(labels)
        cells[labels] = cell if known is None else [a + b for a, b in zip(known, cell, strict=True)]

    def families(self, started_at: float) -> Iterable[Family]:
        for instrument, cells in self._cells.items():
            points = tuple(_distribution(*item) for item in cells.items())
            yield Family(instrument, points, started_at)


def _distribution(labels: Labels, cell: Cell) -> Distribution:
    counts = cast("tuple[int, ...]", tuple(cell[1:]))  # only the sum is a float
    return Distribution(labels, counts, cell[0], sum(counts))
