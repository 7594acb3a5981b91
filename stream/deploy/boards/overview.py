"""Is it all right, and if not, where to look."""

from ...sinks import instruments as table
from ..names import BAD_ENDS, ENDS, Series
from ..panels import Dashboard, Panel, Query, Row, stat
from . import variables

_NONE_IS_GOOD = (("green", None), ("red", 1.0))


def dashboard(series: Series) -> Dashboard:
    """Make it."""
    return Dashboard(
        "celery-stream-overview",
        "Celery / Overview",
        "Whether the cluster does its work: throughput, failures, waiting, workers. "
        "Made by celery-stream.",
        (
            variables.job(series),
            variables.broker(series),
        ),
        (
            Row("Is it all right?", _now(series)),
            Row("Work", _work(series)),
            Row("Waiting", _waiting(series)),
            Row("Trouble", _trouble(series)),
        ),
    )


def _now(series: Series) -> tuple[Panel, ...]:
    bad = series.rate(table.TASK_FINISHED, matchers=BAD_ENDS)
    every = f"sum(rate({series(table.TASK_FINISHED, ENDS)}[$__rate_interval]))"
    return (
        stat(
            "Workers alive",
            "Workers whose heartbeats come. Fewer than usual: look at the workers' dashboard.",
            "none",
            f"sum({series(table.WORKERS_ACTIVE)})",
            bad=(("red", None), ("green", 1.0)),
        ),
        stat(
            "Tasks per second",
            "Tasks that ended, in whatever way.",
            "ops",
            series.rate(table.TASK_FINISHED),
        ),
        stat(
            "Failure ratio",
            "Share of the tasks that ended by failing or being lost. Retries are not failures.",
            "percentunit",
            f"{bad} / ({every} > 0)",
            bad=(("green", None), ("orange", 0.01), ("red", 0.05)),
        ),
        stat(
            "Oldest waiting",
            "Age of the message that has waited longest at the head of a queue. Grows when a queue "
            "is not consumed, however short it is.",
            "s",
            f"max({series(table.QUEUE_OLDEST_AGE)}) or vector(0)",
            bad=(("green", None), ("orange", 60.0), ("red", 300.0)),
        ),
        stat(
            "Stuck tasks",
            "Tasks in one phase for longer than its limit: nobody took them, or they run too long.",
            "none",
            f"sum({series(table.TASK_STUCK)}) or vector(0)",
            bad=_NONE_IS_GOOD,
        ),
        stat(
            "Seen of what ran",
            "Smallest share over the workers of the executions whose start was seen. Below 100 % "
            "the numbers here are too small; 0 % is a worker without -E.",
            "percentunit",
            f"min({series(table.WORKER_COVERAGE)})",
            bad=(("red", None), ("orange", 0.95), ("green", 0.999)),
            most=1.0,
        ),
    )


def _work(series: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Tasks ended, by state",
            "How tasks end. LOST is a worker that is gone; UNKNOWN is an end that no event told.",
            "ops",
            (Query(series.rate(table.TASK_FINISHED, by="state"), "{{state}}"),),
            stacked=True,
        ),
        Panel(
            "Failures, by task",
            "The ten tasks that fail most. The tasks' dashboard has their exceptions.",
            "ops",
            (Query(f"topk(10, {series.rate(table.TASK_FAILED, by='task')})", "{{task}}"),),
        ),
        Panel(
            "Retries, by task",
            "The ten tasks that ask most for another attempt: often the first sign of a dependency "
            "that fails.",
            "ops",
            (Query(f"topk(10, {series.rate(table.TASK_RETRIES, by='task')})", "{{task}}"),),
        ),
        Panel(
            "Running time, 95th percentile",
            "The ten slowest tasks by the time that 95 of 100 stay below.",
            "ms",
            (
                Query(
                    f"topk(10, {series.quantile(0.95, table.TASK_DURATION, by='task')})",
                    "{{task}}",
                ),
            ),
            exemplars=True,
        ),
        Panel(
            "From sent to done",
            "First sent to the end, waiting, retries and back-off included: what a user waits for.",
            "s",
            tuple(
                Query(series.quantile(share, table.TASK_TOTAL_TIME), legend)
                for share, legend in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ),
        ),
        Panel(
            "Tasks that have not ended",
            "By state. SENT is waiting in a queue, RECEIVED is at a worker and not begun.",
            "none",
            (Query(f"sum by (state) ({series(table.TASK_ACTIVE)})", "{{state}}"),),
            stacked=True,
        ),
    )


def _waiting(series: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Messages waiting, by queue",
            "All priorities. A line that only rises is a queue that gets more than it gives.",
            "none",
            (Query(f"topk(10, sum by (queue) ({series(table.QUEUE_DEPTH)}))", "{{queue}}"),),
        ),
        Panel(
            "Time waited, 95th percentile",
            "From sent, or the ETA if later, to started, by queue.",
            "s",
            (Query(series.quantile(0.95, table.TASK_WAIT_TIME, by="queue"), "{{queue}}"),),
        ),
        Panel(
            "Oldest message, by queue",
            "Age of the message at the head.",
            "s",
            (Query(f"max by (queue) ({series(table.QUEUE_OLDEST_AGE)})", "{{queue}}"),),
        ),
    )


def _trouble(series: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Lost, unknown, redelivered",
            "LOST: the worker went and nobody took over. Unknown: no event told the end. "
            "Redelivered: a message was given out again, so something may have run twice.",
            "ops",
            (
                Query(series.rate(table.TASK_LOST), "lost"),
                Query(series.rate(table.TASK_UNKNOWN), "unknown"),
                Query(series.rate(table.TASK_REDELIVERED), "redelivered"),
            ),
            width=6,
        ),
        Panel(
            "Stuck, by task",
            "Tasks over the limit of their phase.",
            "none",
            (Query(f"topk(10, sum by (task) ({series(table.TASK_STUCK)}))", "{{task}}"),),
            width=6,
        ),
        Panel(
            "Executions not seen",
            "Executions that heartbeats count and of which no event came: events lost, or tasks "
            "with send_events=False.",
            "ops",
            (Query(series.rate(table.EVENTS_MISSED), "not seen"),),
            width=6,
        ),
        Panel(
            "Periodic tasks overdue",
            "Time since a task of Celery Beat's was due and was not sent; 0 while it is not late.",
            "s",
            (Query(f"max by (task) ({series(table.BEAT_OVERDUE)})", "{{task}}"),),
            width=6,
        ),
    )
