"""The cluster as a whole, from the engines' gauges to the page's answers. Pure."""

from collections import Counter
from collections.abc import Iterable
from heapq import nsmallest
from typing import Final

from .. import __version__
from ..core.states import State, WorkerState
from ..core.view import PeriodicGauge, QueueGauge, TaskGauge, View, WorkerGauge
from ..server.health import Health
from .answers import (
    Broker,
    Check,
    InFlight,
    Overview,
    PeriodicTask,
    PeriodicTasks,
    Queue,
    Queues,
    Worker,
    WorkerCounts,
    Workers,
)
from .samples import Samples, totals
from .watched import Brokers

MOST: Final = 500
"""Queues, workers, and periodic tasks, in one answer."""
_URGENCY: Final = (WorkerState.LOST, WorkerState.SUSPECT, WorkerState.ONLINE, WorkerState.OFFLINE)

Views = dict[str, View]
"""By broker."""
QueueKey = tuple[str, str | None]


def overview(
    brokers: Brokers,
    views: Views,
    samples: Samples,
    *,
    health: Health,
    started_at: float,
    trace_link: bool,
    now: float,
) -> Overview:
    """Tell the whole cluster, without its last minutes."""
    workers = [worker for view in views.values() for worker in view.workers]
    states = Counter(worker.state for worker in workers)
    return Overview(
        at=now,
        version=__version__,
        started_at=started_at,
        healthy=health.ok,
        checks=_checks(health),
        brokers=tuple(_broker(name, view) for name, view in views.items()),
        now=samples.latest(now),
        in_flight=_in_flight(gauge for view in views.values() for gauge in view.tasks),
        totals=totals(brokers),
        wait=samples.wait,
        run=samples.run,
        total=samples.total,
        workers=WorkerCounts(*(states[state] for state in WorkerState)),
        coverage=_coverage(workers),
        queue_depth=sum(queue.depth for view in views.values() for queue in view.queues),
        trace_link=trace_link,
    )


def queues(views: Views, samples: Samples, now: float) -> Queues:
    """Tell every queue that was looked at or that events name."""
    tasks = {name: _by_queue(view.tasks) for name, view in views.items()}
    looked_at = [(name, gauge) for name, view in views.items() for gauge in view.queues]
    found = [
        _queue(name, gauge, tasks[name].pop(gauge.name, Counter()), samples, now)
        for name, gauge in looked_at
    ]
    found += (
        _only_named(broker, queue, counts)
        for broker, named in tasks.items()
        for queue, counts in named.items()
        if queue is not None
    )
    chosen = nsmallest(MOST, found, key=lambda queue: (-(queue.depth or 0), queue.name))
    return Queues(tuple(chosen), len(found))


def workers(views: Views, samples: Samples) -> Workers:
    """Tell every worker process."""
    found = [(name, gauge) for name, view in views.items() for gauge in view.workers]
    chosen = nsmallest(
        MOST, found, key=lambda each: (_URGENCY.index(each[1].state), each[1].hostname)
    )
    return Workers(tuple(_worker(*each, samples) for each in chosen), len(found))


def periodic(views: Views) -> PeriodicTasks:
    """Tell every task that is sent at fixed intervals."""
    found = [
        _periodic(name, gauge, view.at) for name, view in views.items() for gauge in view.periodic
    ]
    late = sum(each.overdue_since is not None for each in found)
    return PeriodicTasks(tuple(nsmallest(MOST, found, key=_lateness)), len(found), late)


def _checks(health: Health) -> tuple[Check, ...]:
    checks, details = health.checks, health.details
    return tuple(
        Check(name, getattr(checks, name), getattr(details, name))
        for name in checks.__struct_fields__
    )


def _broker(name: str, view: View) -> Broker:
    gauges = view.brokers
    held = [each.unacknowledged for each in gauges if each.unacknowledged is not None]
    return Broker(
        name,
        max((each.epoch for each in gauges), default=0),
        sum(each.gap_seconds for each in gauges),
        view.last_event_at,
        sum(held) if held else None,
        view.tasks_in_flight,
        dict(view.evictions).get("in_flight", 0),
    )


def _in_flight(gauges: Iterable[TaskGauge]) -> InFlight:
    gauges = tuple(gauges)
    counts: Counter[State] = Counter()
    for gauge in gauges:
        counts[gauge.state] += gauge.count
    return InFlight(
        counts[State.SENT],
        counts[State.RECEIVED],
        counts[State.STARTED],
        counts[State.RETRY],
        sum(gauge.stuck for gauge in gauges),
        sum(gauge.unsure for gauge in gauges),
    )


def _coverage(workers: Iterable[WorkerGauge]) -> float | None:
    """Mean of the workers' coverage, each weighted with what it executed."""
    known = [
        (worker.coverage, worker.processed or 0)
        for worker in workers
        if worker.coverage is not None
    ]
    executed = sum(weight for _, weight in known)
    return sum(share * weight for share, weight in known) / executed if executed else None


def _by_queue(gauges: Iterable[TaskGauge]) -> dict[str | None, Counter[State]]:
    found: dict[str | None, Counter[State]] = {}
    for gauge in gauges:
        found.setdefault(gauge.kind.queue, Counter())[gauge.state] += gauge.count
    return found


def _queue(
    broker: str, gauge: QueueGauge, tasks: Counter[State], samples: Samples, now: float
) -> Queue:
    return Queue(
        broker,
        gauge.name,
        gauge.depth,
        {str(step): count for step, count in gauge.ready.items()},
        _since(gauge.oldest_age, now),
        gauge.drain_time,
        gauge.stalled,
        gauge.unacknowledged,
        _since(gauge.oldest_unacknowledged_age, now),
        gauge.overdue,
        *_counts(tasks),
        samples.queues.of((broker, gauge.name, 0)),
    )


def _only_named(broker: str, name: str, tasks: Counter[State]) -> Queue:
    return Queue(
        broker,
        name,
        None,
        {},
        None,
        None,
        False,
        None,
        None,
        None,
        *_counts(tasks),
    )


def _counts(tasks: Counter[State]) -> tuple[int, int, int, int]:
    return tasks[State.SENT], tasks[State.RECEIVED], tasks[State.STARTED], tasks[State.RETRY]


def _since(age: float | None, now: float) -> float | None:
    # As an instant it stays the same while nothing happens, and so does what is sent.
    return None if age is None else round(now - age, 1)


def _periodic(broker: str, gauge: PeriodicGauge, at: float) -> PeriodicTask:
    return PeriodicTask(
        broker,
        gauge.kind.name,
        gauge.kind.queue,
        gauge.every,
        gauge.declared,
        gauge.last_at,
        _since(gauge.overdue or None, at),
    )


def _lateness(task: PeriodicTask) -> tuple[float, str, str]:
    since = float("inf") if task.overdue_since is None else task.overdue_since
    return since, task.name or "", task.queue or ""


def _worker(broker: str, gauge: WorkerGauge, samples: Samples) -> Worker:
    key = (broker, gauge.hostname, gauge.pid)
    trend, peak = samples.workers.of(key), samples.peaks.get(key)
    most = gauge.pool or peak
    return Worker(
        broker,
        gauge.hostname,
        gauge.pid,
        gauge.state,
        gauge.active,
        sum(trend) / len(trend) / most if trend and most else None,
        gauge.pool,
        peak,
        gauge.processed,
        gauge.coverage,
        gauge.skew,
        gauge.last_seen_at,
        gauge.version,
        trend,
    )
