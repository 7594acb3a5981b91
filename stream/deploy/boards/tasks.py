"""What becomes of tasks: of all, of one name, of one queue."""

from ...sinks import instruments as table
from ..names import BAD_ENDS, ENDS, Series
from ..panels import Dashboard, Look, Panel, Query, Row
from . import variables


def dashboard(series: Series) -> Dashboard:
    """Make it."""
    named = Series(series.names, f'{series.common},task=~"$task"')
    chosen = Series(series.names, f'{named.common},queue=~"$queue"')
    return Dashboard(
        "celery-stream-tasks",
        "Celery / Tasks",
        "Rates, failures and the four latencies of tasks. Made by celery-stream.",
        (
            variables.job(series),
            variables.broker(series),
            variables.task(series),
            variables.queue(series),
        ),
        (
            Row("By task", (_by_task(chosen),)),
            Row("Outcomes", _outcomes(chosen, named)),
            Row("Time", _times(chosen)),
            Row("Not ended", _open(chosen)),
            Row("Celery Beat", _beat(chosen)),
        ),
    )


def _by_task(series: Series) -> Panel:
    window = "$__range"
    ended = f"sum by (task) (increase({series(table.TASK_FINISHED)}[{window}]))"
    bad = f"sum by (task) (rate({series(table.TASK_FINISHED, BAD_ENDS)}[{window}]))"
    every = f"sum by (task) (rate({series(table.TASK_FINISHED, ENDS)}[{window}]))"
    retries = f"sum by (task) (increase({series(table.TASK_RETRIES)}[{window}]))"
    slow = series.quantile(0.95, table.TASK_DURATION, by="task", window=window)
    wait = series.quantile(0.95, table.TASK_WAIT_TIME, by="task", window=window)
    return Panel(
        "Tasks",
        "Of the time that is shown: how many ended, which share failed or was lost, retries, and "
        "the running and waiting times that 95 of 100 stay below.",
        "none",
        (
            Query(ended, "Ended"),
            Query(f"{bad} / ({every} > 0)", "Failed", "percentunit"),
            Query(retries, "Retries"),
            Query(slow, "Ran (p95)", "ms"),
            Query(wait, "Waited (p95)", "s"),
        ),
        look=Look.TABLE,
        width=24,
        height=10,
    )


def _outcomes(series: Series, named: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Started",
            "Attempts that began to run, retries included.",
            "ops",
            (Query(series.rate(table.TASK_STARTED, by="task"), "{{task}}"),),
            stacked=True,
        ),
        Panel(
            "Ended, by state",
            "Every task ends once; LOST and UNKNOWN are ends that no event told.",
            "ops",
            (Query(series.rate(table.TASK_FINISHED, by="state"), "{{state}}"),),
            stacked=True,
        ),
        Panel(
            "Failures, by exception",
            "Class of the exception that ended a task.",
            "ops",
            (
                Query(
                    series.rate(table.TASK_FAILED, by="task, error_type"),
                    "{{task}} {{error_type}}",
                ),
            ),
        ),
        Panel(
            "Retries, by exception",
            "Class of the exception for which another attempt was asked.",
            "ops",
            (
                Query(
                    series.rate(table.TASK_RETRIES, by="task, error_type"),
                    "{{task}} {{error_type}}",
                ),
            ),
        ),
        Panel(
            "Not run",
            "Revoked, expired or terminated; refused; lost with their worker; ended unseen.",
            "ops",
            (
                Query(series.rate(table.TASK_REVOKED), "revoked"),
                Query(series.rate(table.TASK_REJECTED), "rejected"),
                Query(series.rate(table.TASK_LOST), "lost"),
                Query(series.rate(table.TASK_UNKNOWN), "unknown"),
            ),
        ),
        Panel(
            "Attempts per task, 95th percentile",
            "Attempts that a task had when it ended. The queue is not known here.",
            "none",
            (
                Query(
                    named.quantile(0.95, table.ATTEMPTS_PER_TASK, by="task"),
                    "{{task}}",
                ),
            ),
        ),
    )


def _times(series: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Running time",
            "Of the attempt that decided, as the worker measured it.",
            "ms",
            _quantiles(series, table.TASK_DURATION),
            width=6,
            exemplars=True,
        ),
        Panel(
            "Waited in the queue",
            "From sent, or the ETA if later, to started.",
            "s",
            _quantiles(series, table.TASK_WAIT_TIME),
            width=6,
        ),
        Panel(
            "Waited at the worker",
            "From received, or the ETA if later, to started: long when workers fetch more than "
            "they can run (worker_prefetch_multiplier).",
            "s",
            _quantiles(series, table.TASK_PREFETCH_TIME),
            width=6,
        ),
        Panel(
            "From sent to done",
            "First sent to the end, waits, retries and back-off included.",
            "s",
            _quantiles(series, table.TASK_TOTAL_TIME),
            width=6,
        ),
    )


def _open(series: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "In flight",
            "Tasks that have not ended, by state.",
            "none",
            (Query(f"sum by (state) ({series(table.TASK_ACTIVE)})", "{{state}}"),),
            stacked=True,
        ),
        Panel(
            "Longest in its state",
            "How long the task that came first has been in this state.",
            "s",
            (Query(f"max by (state) ({series(table.TASK_OLDEST_AGE)})", "{{state}}"),),
        ),
        Panel(
            "Stuck",
            "Over the limit of their phase; unsure where nobody can tell whether they are there.",
            "none",
            (
                Query(f"sum by (task, state) ({series(table.TASK_STUCK)})", "{{task}} {{state}}"),
                Query(f"sum({series(table.TASK_STUCK_UNKNOWN)}) or vector(0)", "unsure"),
            ),
        ),
    )


def _beat(series: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Overdue",
            "Time since a periodic task was due and was not sent; 0 while it is not late.",
            "s",
            (Query(f"max by (task) ({series(table.BEAT_OVERDUE)})", "{{task}}"),),
        ),
        Panel(
            "Late and missed per hour",
            "Late: not sent when it was due. Missed: not sent before the next was due.",
            "none",
            (
                Query(f"sum by (task) (increase({series(table.BEAT_LATE)}[1h]))", "{{task}} late"),
                Query(
                    f"sum by (task) (increase({series(table.BEAT_MISSED)}[1h]))", "{{task}} missed"
                ),
            ),
        ),
        Panel(
            "Interval",
            "At which a periodic task is expected, declared or learned.",
            "s",
            (Query(f"max by (task) ({series(table.BEAT_INTERVAL)})", "{{task}}"),),
        ),
    )


def _quantiles(series: Series, instrument: table.Instrument) -> tuple[Query, ...]:
    return tuple(
        Query(series.quantile(share, instrument), legend)
        for share, legend in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )
