"""Which workers are there, what they do, and what of it is seen."""

from ...sinks import instruments as table
from ..names import Series
from ..panels import Dashboard, Look, Panel, Query, Row, stat
from . import variables

_LOST = 'state="lost"'


def dashboard(series: Series) -> Dashboard:
    """Make it."""
    chosen = Series(series.names, f'{series.common},worker=~"$worker"')
    return Dashboard(
        "celery-stream-workers",
        "Celery / Workers",
        "Presence, load, event coverage and clocks of workers. Made by celery-stream.",
        (variables.job(series), variables.broker(series), variables.worker(series)),
        (
            Row("Now", _now(series, chosen)),
            Row("Each worker", (_each(chosen),)),
            Row("Over time", _over_time(series, chosen)),
        ),
    )


def _now(series: Series, chosen: Series) -> tuple[Panel, ...]:
    return (
        stat(
            "Alive",
            "Workers whose heartbeats come.",
            "none",
            f"sum({series(table.WORKERS_ACTIVE)})",
            bad=(("red", None), ("green", 1.0)),
            width=6,
        ),
        stat(
            "Running",
            "Tasks that heartbeats say are running.",
            "none",
            f"sum({chosen(table.WORKER_ACTIVE)})",
            width=6,
        ),
        stat(
            "Suspect",
            "Workers that have been silent for longer than their heartbeats allow: a solo pool at "
            "work, or one that hangs.",
            "none",
            f"sum({chosen(table.WORKER_SUSPECT)}) or vector(0)",
            bad=(("green", None), ("orange", 1.0)),
            width=6,
        ),
        stat(
            "Lost in the last hour",
            "Worker processes that fell silent without a goodbye, so that their work was given up.",
            "none",
            f"sum(increase({series(table.WORKERS_CHANGED, _LOST)}[1h])) or vector(0)",
            bad=(("green", None), ("red", 1.0)),
            width=6,
        ),
    )


def _each(series: Series) -> Panel:
    def column(instrument: table.Instrument) -> str:
        return f"max by (worker) ({series(instrument)})"

    return Panel(
        "Workers",
        "Up, tasks running and executed since it began, the share of those that was seen, and how "
        "far its clock is ahead of ours.",
        "none",
        (
            Query(column(table.WORKER_UP), "Up"),
            Query(column(table.WORKER_ACTIVE), "Running"),
            Query(column(table.WORKER_PROCESSED), "Executed"),
            Query(column(table.WORKER_COVERAGE), "Seen", "percentunit"),
            Query(column(table.WORKER_SKEW), "Clock", "s"),
        ),
        look=Look.TABLE,
        width=24,
        height=9,
    )


def _over_time(series: Series, chosen: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Up",
            "1 while the worker is alive; the line ends an hour after it went.",
            "none",
            (Query(f"max by (worker) ({chosen(table.WORKER_UP)})", "{{worker}}"),),
            most=1.0,
        ),
        Panel(
            "Tasks running",
            "By worker, as its heartbeats say. At the size of its pool for long: saturated.",
            "none",
            (Query(f"sum by (worker) ({chosen(table.WORKER_ACTIVE)})", "{{worker}}"),),
            stacked=True,
        ),
        Panel(
            "Executed per second",
            "By worker, from the counts in its heartbeats, so also what no event told of.",
            "ops",
            (
                Query(
                    f"sum by (worker) (rate({chosen(table.WORKER_PROCESSED)}[$__rate_interval]))",
                    "{{worker}}",
                ),
            ),
        ),
        Panel(
            "Seen of what ran",
            "Share of its executions whose start was seen. 0: it runs without -E. Below 1: events "
            "were lost, or tasks send none.",
            "percentunit",
            (Query(f"min by (worker) ({chosen(table.WORKER_COVERAGE)})", "{{worker}}"),),
            most=1.0,
        ),
        Panel(
            "Clock",
            "How far it is ahead of ours; what is told of times is corrected for it.",
            "s",
            (Query(f"max by (worker) ({chosen(table.WORKER_SKEW)})", "{{worker}}"),),
            least=None,
        ),
        Panel(
            "Came and went",
            "Worker processes by the state that they came to, per hour.",
            "none",
            (
                Query(
                    f"sum by (state) (increase({series(table.WORKERS_CHANGED)}[1h]))", "{{state}}"
                ),
            ),
        ),
    )
