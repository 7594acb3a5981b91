"""Gauges, read from the engine's tables: nothing is counted up and down beside them.

Series that differ in what is no attribute (the process ids of a worker, the brokers of a queue)
are merged. The number of series is bounded by the tables' own limits.
"""

from collections.abc import Callable, Iterable
from itertools import chain

from ..core.states import WorkerState
from ..core.view import BrokerGauge, QueueGauge, TaskGauge, View, WorkerGauge
from . import instruments as table
from .aggregate import Family, Number
from .instruments import Instrument
from .labels import Labels, label

ALL_QUEUES = "*"
"""Stands for the queue where a broker keeps one number for all; no queue of Redis is called so."""

_ALIVE = frozenset({WorkerState.ONLINE, WorkerState.SUSPECT})


class _Readings:
    """Collects the series of a scrape, instrument by instrument."""

    def __init__(self) -> None:
        self._values: dict[Instrument, dict[Labels, float]] = {}

    def add(self, instrument: Instrument, value: float | None, *labels: str) -> None:
        """Add to what the series has; None, an unknown value, changes nothing."""
        self._merge(instrument, value, labels, lambda a, b: a + b)

    def most(self, instrument: Instrument, value: float | None, *labels: str) -> None:
        """Keep the larger one; None changes nothing."""
        self._merge(instrument, value, labels, max)

    def _merge(
        self,
        instrument: Instrument,
        value: float | None,
        labels: Labels,
        merge: Callable[[float, float], float],
    ) -> None:
        if value is None:
            return
        if instrument.unit in {"s", "1"}:
            value = float(value)  # a series does not change between integer and float
        series = self._values.setdefault(instrument, {})
        series[labels] = merge(series[labels], value) if labels in series else value

    def families(self) -> tuple[Family, ...]:
        """Everything read, as families."""
        return tuple(
            Family(instrument, tuple([Number(*item) for item in series.items()]))
            for instrument, series in self._values.items()
        )


def gauges(view: View) -> tuple[Family, ...]:
    """Read all gauges from a view; what is unknown has no series."""
    readings = _Readings()
    _tasks(readings, view.tasks)
    _queues(readings, view.queues)
    _brokers(readings, view.brokers, at=view.at)
    _workers(readings, view.workers)
    for periodic in view.periodic:
        labels = label(periodic.kind.name), label(periodic.kind.queue)
        readings.most(table.BEAT_INTERVAL, periodic.every, *labels)
        readings.most(table.BEAT_OVERDUE, periodic.overdue, *labels)
    _consumers(readings, view)
    readings.add(table.TASKS_IN_FLIGHT, view.tasks_in_flight)
    readings.add(table.TASKS_REMEMBERED, view.tasks_remembered)
    for name, count in view.evictions:
        readings.add(table.TABLE_EVICTED, count, name)
    readings.add(table.EVENT_AGE, _age(view.last_event_at, view.at))
    return readings.families()


def _tasks(readings: _Readings, tasks: Iterable[TaskGauge]) -> None:
    for gauge in tasks:
        labels = (label(gauge.kind.name), label(gauge.kind.queue), gauge.state)
        readings.add(table.TASK_ACTIVE, gauge.count, *labels)
        readings.most(table.TASK_OLDEST_AGE, gauge.oldest_age, *labels)
        readings.add(table.TASK_STUCK, gauge.stuck, *labels)
        readings.add(table.TASK_STUCK_UNKNOWN, gauge.unsure, *labels)


def _queues(readings: _Readings, queues: Iterable[QueueGauge]) -> None:
    for gauge in queues:
        queue = label(gauge.name)
        readings.add(table.QUEUE_DEPTH, gauge.depth, queue)
        readings.add(table.QUEUE_SIZE, gauge.depth, queue, "ready")
        for priority, count in gauge.ready.items():
            readings.add(table.QUEUE_PRIORITY_DEPTH, count, queue, str(priority))
        readings.most(table.QUEUE_OLDEST_AGE, gauge.oldest_age, queue)
        readings.most(table.QUEUE_DRAIN_TIME, gauge.drain_time, queue)
        readings.add(table.QUEUE_SIZE, gauge.unacknowledged, queue, "unacknowledged")
        held_for = gauge.oldest_unacknowledged_age
        readings.most(table.QUEUE_UNACKNOWLEDGED_AGE, held_for, queue)
        readings.add(table.QUEUE_OVERDUE, gauge.overdue, queue)
        readings.most(table.QUEUE_STALLED, int(gauge.stalled), queue)


def _brokers(readings: _Readings, brokers: Iterable[BrokerGauge], *, at: float) -> None:
    for gauge in brokers:
        source = label(gauge.source)
        readings.add(table.QUEUE_SIZE, gauge.unacknowledged, ALL_QUEUES, "unacknowledged")
        readings.add(table.QUEUE_SIZE, gauge.delayed, ALL_QUEUES, "delayed")
        readings.most(table.QUEUE_UNACKNOWLEDGED_AGE, gauge.oldest_unacknowledged_age, ALL_QUEUES)
        readings.add(table.SOURCE_EPOCHS, gauge.epoch, source)
        readings.add(table.SOURCE_FRAME_AGE, _age(gauge.last_frame_at, at), source)


def _workers(readings: _Readings, workers: Iterable[WorkerGauge]) -> None:
    nodes: dict[str, list[WorkerGauge]] = {}
    for gauge in workers:
        nodes.setdefault(label(gauge.hostname), []).append(gauge)
    alive = 0
    for worker, processes in nodes.items():
        up = [gauge for gauge in processes if gauge.state in _ALIVE]
        alive += bool(up)
        readings.add(table.WORKER_UP, int(bool(up)), worker)
        suspect = bool(up) and all(gauge.state is WorkerState.SUSPECT for gauge in up)
        readings.add(table.WORKER_SUSPECT, int(suspect), worker)
        _worker(readings, worker, up or [max(processes, key=_last_seen)])
    readings.add(table.WORKERS_ACTIVE, alive)


def _worker(readings: _Readings, worker: str, processes: list[WorkerGauge]) -> None:
    """Read one node: the sums of its living processes, or the last that was known of it."""
    for gauge in processes:
        # A process that is gone runs nothing, whatever its last heartbeat said.
        active = gauge.active if gauge.state in _ALIVE else 0
        readings.add(table.WORKER_ACTIVE, active, worker)
        readings.add(table.WORKER_PROCESSED, gauge.processed, worker)
    pools = [gauge.pool for gauge in processes if gauge.state in _ALIVE]
    if pools and None not in pools:
        size = sum(pool or 0 for pool in pools)
        running = sum(gauge.active or 0 for gauge in processes)
        readings.add(table.WORKER_POOL, size, worker)
        readings.add(table.WORKER_UTILIZATION, running / size if size else None, worker)
    readings.add(table.WORKER_COVERAGE, _coverage(processes), worker)
    readings.add(table.WORKER_SKEW, max(processes, key=_last_seen).skew, worker)


def _consumers(readings: _Readings, view: View) -> None:
    """Count who consumes each queue; nobody only where every living worker said what it does."""
    consumed = [gauge.queues for gauge in view.workers if gauge.state in _ALIVE]
    for queue in chain.from_iterable(queues or () for queues in consumed):
        readings.add(table.QUEUE_WORKERS, 1, label(queue))
    if consumed and None not in consumed:
        for gauge in view.queues:
            readings.add(table.QUEUE_WORKERS, 0, label(gauge.name))


def _coverage(processes: list[WorkerGauge]) -> float | None:
    """Mean share of starts seen, weighted by what each process executed; None if none is known."""
    shares = [(gauge.coverage, gauge.processed or 0) for gauge in processes]
    known = [(share, weight) for share, weight in shares if share is not None]
    weights = sum(weight for _, weight in known)
    if weights:
        return sum(share * weight for share, weight in known) / weights
    return sum(share for share, _ in known) / len(known) if known else None


def _last_seen(gauge: WorkerGauge) -> float:
    return gauge.last_seen_at


def _age(since: float | None, at: float) -> float | None:
    return None if since is None else max(0.0, at - since)
