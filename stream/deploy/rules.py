"""Recording and alert rules for Prometheus and what speaks its language.

An alert says what it costs and where to look. A counter that appears with its first failure has
nothing to increase from, so `_grew` also takes a series that was not there before.
"""

from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta, Struct

from ..sinks import instruments as table
from ..sinks.instruments import Instrument
from .names import BAD_ENDS, ENDS, Names, Series


class Thresholds(Struct, frozen=True):
    """From where on it is bad."""

    failure_ratio: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    """Share of a task's runs."""
    failures: Annotated[int, Meta(ge=1, le=10**9)] = 3
    """So many at least in ten minutes: one of two is no ratio."""
    backlog: Annotated[int, Meta(ge=0, le=10**9)] = 100
    """Messages in a queue that keeps growing."""
    oldest: Annotated[float, Meta(gt=0, le=1e9)] = 300.0
    """Seconds that a message may wait."""
    visibility_timeout: Annotated[float, Meta(gt=0, le=1e9)] = 3600.0
    """Seconds, as the application has it in ``broker_transport_options``."""


class Recording(Struct, frozen=True):
    """A series that is computed ahead."""

    name: str
    expr: str


class Alert(Struct, frozen=True):
    """A condition that somebody is told of."""

    name: str
    expr: str
    lasts: str
    """For how long it must hold, as Prometheus writes it."""
    severity: str
    summary: str
    description: str


RATIO: Final = "celery:task_failure_ratio:rate10m"
GROWTH: Final = "celery:queue_depth:deriv15m"
WAIT: Final = "celery:task_wait_seconds:p95_10m"
RUN: Final = "celery:task_duration_milliseconds:p95_10m"


def recordings(series: Series) -> tuple[Recording, ...]:
    """Return what is computed ahead, for alerts and dashboards of one's own."""
    bad = series.rate(table.TASK_FINISHED, by="job, broker, task", matchers=BAD_ENDS, window="10m")
    every = series.rate(table.TASK_FINISHED, by="job, broker, task", matchers=ENDS, window="10m")
    wait = series.quantile(0.95, table.TASK_WAIT_TIME, by="job, broker, queue", window="10m")
    run = series.quantile(0.95, table.TASK_DURATION, by="job, broker, task", window="10m")
    return (
        Recording(RATIO, f"{bad}\n/\n({every} > 0)"),
        Recording(GROWTH, f"sum by (job, broker, queue) (deriv({series(table.QUEUE_DEPTH)}[15m]))"),
        Recording(WAIT, wait),
        Recording(RUN, run),
    )


def alerts(series: Series, thresholds: Thresholds) -> tuple[Alert, ...]:
    """Return all alerts."""
    return (
        *_of_tasks(series, thresholds),
        *_of_beat(series),
        *_of_queues(series, thresholds),
        *_of_workers(series),
        *_of_the_service(series),
    )


def _of_tasks(series: Series, thresholds: Thresholds) -> Iterable[Alert]:
    failures = (
        f"sum by (job, broker, task) (increase({series(table.TASK_FINISHED, BAD_ENDS)}[10m]))"
    )
    yield Alert(
        "CeleryTaskFailureRatioHigh",
        f"{RATIO} > {thresholds.failure_ratio:g}\nand\n{failures} >= {thresholds.failures}",
        "5m",
        "warning",
        "{{ $labels.task }} fails in {{ $value | humanizePercentage }} of its runs",
        "Its exceptions are on the tasks' dashboard, the tracebacks in the log records "
        "messaging.process.exception.",
    )
    yield Alert(
        "CeleryTasksStuck",
        f"sum by (job, broker, task, queue, state) ({series(table.TASK_STUCK)}) > 0",
        "5m",
        "warning",
        "{{ $value }} {{ $labels.task }} stuck in {{ $labels.state }}",
        "They have been in one phase for longer than its limit. The log records "
        "celery.task.stuck name them and say why.",
    )
    yield Alert(
        "CeleryTasksLost",
        _grew(series, table.TASK_LOST, by="job, broker, task", window="15m"),
        "0m",
        "critical",
        "{{ $labels.task }} was lost with its worker",
        "The worker process is gone and nobody took the task over: with acks_late it would be "
        "given to another one. The log records celery.task.lost name the tasks.",
    )


def _of_beat(series: Series) -> Iterable[Alert]:
    yield Alert(
        "CeleryBeatOverdue",
        f"max by (job, broker, task, queue) ({series(table.BEAT_OVERDUE)}) > 0",
        "1m",
        "warning",
        "{{ $labels.task }} was due {{ $value | humanizeDuration }} ago and was not sent",
        "Celery Beat is away, or the entry was taken out of its schedule. What is expected was "
        "learned from five sendings at one interval, or is in beat_rules.",
    )


def _of_queues(series: Series, thresholds: Thresholds) -> Iterable[Alert]:
    depth = f"sum by (job, broker, queue) ({series(table.QUEUE_DEPTH)})"
    overdue = f"max by (job, broker, queue) ({series(table.QUEUE_OVERDUE)}) > 0"
    held = f"max by (job, broker, queue) ({series(table.QUEUE_UNACKNOWLEDGED_AGE)})"
    yield Alert(
        "CeleryQueueBacklogGrowing",
        f"{depth} > {thresholds.backlog}\nand\n{GROWTH} > 0",
        "15m",
        "warning",
        "Queue {{ $labels.queue }} grows, {{ $value }} messages wait",
        "More comes than is consumed. Add workers, or look for a task that has become slow.",
    )
    yield Alert(
        "CeleryQueueOldestTooOld",
        f"max by (job, broker, queue) ({series(table.QUEUE_OLDEST_AGE)}) > {thresholds.oldest:g}",
        "5m",
        "warning",
        "The first message in {{ $labels.queue }} has waited for {{ $value | humanizeDuration }}",
        "However few messages wait: the queue is consumed too slowly, or its first step of "
        "priorities is not reached.",
    )
    yield Alert(
        "CeleryQueueStalled",
        f"max by (job, broker, queue) ({series(table.QUEUE_STALLED)}) == 1",
        "2m",
        "critical",
        "Nobody takes messages from {{ $labels.queue }}",
        "It holds messages and workers are there: one that hangs (it still answers a ping), or "
        "none that was started with this queue.",
    )
    yield Alert(
        "CeleryVisibilityTimeoutNear",
        f"{overdue}\nor\n{held} > {0.75 * thresholds.visibility_timeout:g}",
        "1m",
        "critical",
        "Messages of {{ $labels.queue }} will soon be given to another worker too",
        "A worker has held one for most of the visibility timeout, so the task may run twice. "
        "Raise visibility_timeout above the longest run and the longest countdown.",
    )


def _of_workers(series: Series) -> Iterable[Alert]:
    coverage = f"min by (job, broker, worker) ({series(table.WORKER_COVERAGE)})"
    missed = f"sum by (job, broker) (increase({series(table.EVENTS_MISSED)}[15m])) > 0"
    yield Alert(
        "CeleryWorkerLost",
        _grew(
            series, table.WORKERS_CHANGED, by="job, broker", window="15m", matchers='state="lost"'
        ),
        "0m",
        "critical",
        "A worker process vanished without a goodbye",
        "Killed (out of memory?), or cut off from the broker. The log records celery.worker.lost "
        "name it.",
    )
    yield Alert(
        "CeleryNoWorkers",
        f"sum by (job, broker) ({series(table.WORKERS_ACTIVE)}) == 0",
        "2m",
        "critical",
        "No worker is alive",
        "No heartbeat comes from any worker.",
    )
    yield Alert(
        "CeleryEventsDisabled",
        f"{coverage} == 0",
        "5m",
        "warning",
        "{{ $labels.worker }} runs tasks and sends no task events",
        "Start it with -E, or set worker_send_task_events; until then nothing it does is seen.",
    )
    yield Alert(
        "CeleryEventCoverageLow",
        f"0 < {coverage} < 0.99\nand on (job, broker)\n{missed}",
        "10m",
        "warning",
        "Only {{ $value | humanizePercentage }} of what {{ $labels.worker }} runs is seen",
        "Events are lost on the way, or tasks have send_events=False: all numbers of it are too "
        "small by so much.",
    )


def _of_the_service(series: Series) -> Iterable[Alert]:
    circuit = f"max by (job, signal) ({series(table.EXPORT_CIRCUIT)}) == 1"
    yield Alert(
        "CeleryStreamAbsent",
        f"absent({series(table.WORKERS_ACTIVE)})",
        "5m",
        "critical",
        "Nothing watches Celery",
        "celery-stream does not run, is not scraped, or does not deliver: no other of these alerts "
        "can fire.",
    )
    yield Alert(
        "CeleryStreamBlind",
        f"max by (job, broker) ({series(table.EVENT_AGE)}) > 120",
        "2m",
        "critical",
        "No event has come for {{ $value | humanizeDuration }}",
        "The broker is away, or no worker runs. Its /health says which.",
    )
    yield Alert(
        "CeleryStreamOverloaded",
        _grew(series, table.FRAMES_SHED, by="job, broker", window="10m"),
        "0m",
        "warning",
        "{{ $value }} messages were given up because they came too fast",
        "All numbers are too small by them. Give the process more CPU.",
    )
    yield Alert(
        "CeleryStreamExportFailing",
        circuit,
        "5m",
        "warning",
        "The receiver of {{ $labels.signal }} does not take them",
        "Nothing is sent for a while; items wait in memory, or on disk with a spool. /health has "
        "what the receiver said.",
    )
    yield Alert(
        "CeleryStreamExportDropping",
        _grew(series, table.EXPORT_DROPPED, by="job, signal, reason", window="10m"),
        "0m",
        "warning",
        "{{ $value }} {{ $labels.signal }} were given up ({{ $labels.reason }})",
        "They will not arrive. Metrics heal with the next export, spans and records do not.",
    )


def _grew(
    series: Series, instrument: Instrument, *, by: str, window: str, matchers: str = ""
) -> str:
    """Whether a counter grew within a window, also from not being there at all."""
    counter = series(instrument, matchers)
    return (
        f"sum by ({by}) (increase({counter}[{window}])) > 0\n"
        f"or\n"
        f"(sum by ({by}) ({counter}) > 0 unless sum by ({by}) ({counter} offset {window}))"
    )


def written(names: Names, thresholds: Thresholds) -> str:
    """Write all rules as a file."""
    series = Series(names)
    lines = [
        "# Rules of celery-stream. Check them with: promtool check rules FILE",
        "groups:",
        "  - name: celery-stream.recordings",
        "    rules:",
    ]
    for recording in recordings(series):
        lines += [f"      - record: {recording.name}", *_expr(recording.expr)]
    lines += ["  - name: celery-stream.alerts", "    rules:"]
    for alert in alerts(series, thresholds):
        lines += _alert(alert)
    return "\n".join(lines) + "\n"


def _alert(alert: Alert) -> list[str]:
    return [
        f"      - alert: {alert.name}",
        *_expr(alert.expr),
        f"        for: {alert.lasts}",
        "        labels:",
        f"          severity: {alert.severity}",
        "        annotations:",
        f"          summary: {_quoted(alert.summary)}",
        f"          description: {_quoted(alert.description)}",
    ]


def _expr(expr: str) -> list[str]:
    return ["        expr: |-", *(f"          {line}" for line in expr.splitlines())]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
