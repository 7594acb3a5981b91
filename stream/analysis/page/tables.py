"""The tables of a page: what a report lists, as columns and rows of plain values."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from ...core.states import State
from ..report import Report
from ..sketch import Latency

Cell = str | int | float | None


class Kind(StrEnum):
    """What the values of a column are; says how the page shows and orders them."""

    TEXT = "text"
    COUNT = "count"
    SECONDS = "seconds"
    INSTANT = "instant"
    SHARE = "share"
    TASK_ID = "uuid"
    """Of a task, whose trace may be on the page."""


class Column(Struct, frozen=True):
    """One column."""

    title: str
    kind: Kind
    about: str = ""
    """Shown on demand; empty where the title says it all."""
    group: str = ""
    """What neighbouring columns have in common."""
    tone: str = ""
    """``bad``: what is not 0 deserves a look."""


class Table(Struct, frozen=True):
    """One table; a row has a value for each column."""

    name: str
    title: str
    about: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def tables_of(report: Report) -> tuple[Table, ...]:
    """Return the tables of a report, each in the report's order."""
    return (
        _tasks(report),
        _failures(report),
        _unfinished(report),
        _queues(report),
        _workers(report),
        _slow_runs(report),
        _slow_traces(report),
    )


def _latency(title: str, about: str) -> tuple[Column, ...]:
    return tuple(
        Column(which, Kind.SECONDS, about, title) for which in ("p50", "p95", "p99", "max")
    )


def _quantiles(latency: Latency) -> tuple[Cell, ...]:
    return latency.p50, latency.p95, latency.p99, latency.max


def _tasks(report: Report) -> Table:
    columns = (
        Column("Task", Kind.TEXT),
        Column("Tasks", Kind.COUNT),
        Column("Succeeded", Kind.COUNT),
        Column("Failed", Kind.COUNT, tone="bad"),
        Column("Retries", Kind.COUNT, "Attempts that ended by asking for another one"),
        Column("Revoked", Kind.COUNT, "Revoked, expired or rejected"),
        Column("Not known", Kind.COUNT, "Lost, or no event says how they ended", tone="bad"),
        Column("Redelivered", Kind.COUNT, "Deliveries of what had been delivered before"),
        *_latency("Run", "Of the delivery that decided"),
        *_latency("Wait", "From sent, or the ETA if later, to started"),
        *_latency("Prefetch", "From received, or the ETA if later, to started"),
        *_latency("Total", "From first sent to the end, back-off included"),
    )
    rows: Iterable[tuple[Cell, ...]] = (
        (
            row.task,
            row.tasks,
            row.states.get(State.SUCCESS, 0),
            row.states.get(State.FAILURE, 0),
            row.retries,
            row.states.get(State.REVOKED, 0) + row.states.get(State.REJECTED, 0),
            row.states.get(State.LOST, 0) + row.states.get(State.UNKNOWN, 0),
            row.redelivered,
            *_quantiles(row.run),
            *_quantiles(row.wait),
            *_quantiles(row.prefetch),
            *_quantiles(row.total),
        )
        for row in report.tasks
    )
    about = "By task name, those with the most running time first. Quantiles are within 1 %."
    return Table("tasks", "Tasks", about, columns, tuple(rows))


def _failures(report: Report) -> Table:
    columns = (
        Column("Exception", Kind.TEXT),
        Column("Task", Kind.TEXT),
        Column("Failures", Kind.COUNT, tone="bad"),
        Column("Retries", Kind.COUNT),
        Column("First", Kind.INSTANT),
        Column("Last", Kind.INSTANT),
        Column("Message", Kind.TEXT, "Of the first one, as an example"),
        Column("Worker", Kind.TEXT, "Where the example ran"),
        Column("Example", Kind.TASK_ID),
    )
    rows: Iterable[tuple[Cell, ...]] = (
        (
            row.error_type,
            row.task,
            row.failures,
            row.retries,
            row.first_at,
            row.last_at,
            row.message,
            row.worker,
            row.uuid,
        )
        for row in report.failures
    )
    about = "Attempts that failed or asked for a retry, by exception and task."
    return Table("failures", "Failures", about, columns, tuple(rows))


def _unfinished(report: Report) -> Table:
    columns = (
        Column("What", Kind.TEXT),
        Column("Task", Kind.TEXT),
        Column("Reason", Kind.TEXT),
        Column("Tasks", Kind.COUNT),
        Column("Longest", Kind.SECONDS, "How long the stuck ones had been so at least"),
        Column("Example", Kind.TASK_ID),
    )
    rows: Iterable[tuple[Cell, ...]] = (
        (row.what, row.task, row.reason, row.tasks, row.longest, row.uuid)
        for row in report.unfinished
    )
    about = "Tasks that were stuck, were lost with their worker, or whose end no event tells."
    return Table("unfinished", "Stuck, lost, unknown", about, columns, tuple(rows))


def _queues(report: Report) -> Table:
    columns = (
        Column("Queue", Kind.TEXT),
        Column("Tasks", Kind.COUNT),
        *_latency("Wait", "From sent, or the ETA if later, to started"),
        Column("Most waiting", Kind.COUNT, "Sent and not yet received, by the events"),
        Column("Oldest waiting", Kind.SECONDS),
        Column("First depth", Kind.COUNT, "Messages in the broker when it was first asked"),
        Column("Last depth", Kind.COUNT),
        Column("Most depth", Kind.COUNT),
        Column("Oldest message", Kind.SECONDS, "Greatest age of the one at the head"),
        Column("Stalls", Kind.COUNT, "Nobody took any, although workers were there", tone="bad"),
    )
    rows: Iterable[tuple[Cell, ...]] = (
        (
            row.queue,
            row.tasks,
            *_quantiles(row.wait),
            row.most_waiting,
            row.oldest_waiting,
            row.first_depth,
            row.last_depth,
            row.most_depth,
            row.oldest_age,
            row.stalls,
        )
        for row in report.queues
    )
    about = "What events say of the queues and, where the broker was asked, what they held."
    return Table("queues", "Queues", about, columns, tuple(rows))


def _workers(report: Report) -> Table:
    columns = (
        Column("Worker", Kind.TEXT),
        Column("State", Kind.TEXT, "As the capture ended"),
        Column("Processes", Kind.COUNT, "More than one: it was restarted"),
        Column("Attempts", Kind.COUNT, "That ended there"),
        Column("Failures", Kind.COUNT, "And retries", tone="bad"),
        Column("Busy", Kind.SECONDS, "All runs together"),
        Column("At once", Kind.COUNT, "Mean number of runs at once, over the whole period"),
        Column("Utilisation", Kind.SHARE, "Of the most that ran at once by its heartbeats"),
        Column("Silences", Kind.COUNT, "How often its heartbeats failed to come", tone="bad"),
        Column("Silent", Kind.SECONDS),
        Column("Coverage", Kind.SHARE, "Executions whose start was seen"),
        Column("Clock ahead", Kind.SECONDS, "Of ours; corrected everywhere"),
    )
    rows: Iterable[tuple[Cell, ...]] = (
        (
            row.worker,
            row.state,
            row.processes,
            row.tasks,
            row.failures,
            row.busy_seconds,
            row.running,
            row.utilisation,
            row.silences,
            row.silent_seconds,
            row.coverage,
            row.skew,
        )
        for row in report.workers
    )
    about = "By node name, over all its processes."
    return Table("workers", "Workers", about, columns, tuple(rows))


def _slow_runs(report: Report) -> Table:
    columns = (
        Column("Task", Kind.TEXT),
        Column("Run", Kind.SECONDS),
        Column("Wait", Kind.SECONDS),
        Column("State", Kind.TEXT),
        Column("Worker", Kind.TEXT),
        Column("Started", Kind.INSTANT),
        Column("Trace", Kind.TASK_ID),
    )
    rows: Iterable[tuple[Cell, ...]] = (
        (row.task, row.run, row.wait, row.state, row.worker, row.started_at, row.uuid)
        for row in report.slow_runs
    )
    return Table("slow-runs", "Slowest runs", "The longest executions.", columns, tuple(rows))


def _slow_traces(report: Report) -> Table:
    columns = (
        Column("First task", Kind.TEXT),
        Column("Took", Kind.SECONDS),
        Column("Tasks", Kind.COUNT),
        Column("Longest part", Kind.TEXT, "Of its critical path"),
        Column("Part took", Kind.SECONDS),
        Column("Began", Kind.INSTANT),
        Column("Trace", Kind.TASK_ID),
    )
    rows: list[tuple[Cell, ...]] = []
    for path in report.slow_traces:
        parts = [(step.queued, f"wait for {step.task}") for step in path.steps]
        parts += [(step.run, f"run of {step.task}") for step in path.steps]
        seconds, part = max(parts, default=(None, None))
        first = path.steps[0].task if path.steps else None
        rows.append((first, path.seconds, path.tasks, part, seconds, path.began_at, path.root_id))
    about = "Chains, groups and chords that took longest, and what most of it went to."
    return Table("slow-traces", "Slowest workflows", about, columns, tuple(rows))
