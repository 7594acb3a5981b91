"""Draw a summary: a table for a terminal, a line for anything else. Pure but for rich's types."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..core.states import State, WorkerState
from ..core.view import QueueGauge, View, WorkerGauge
from .summary import Latency, Summary, TaskLine

_ENDS = (State.SUCCESS, State.FAILURE)
_MINUTE = 60.0


def draw(summary: Summary, *, events_per_second: float) -> RenderableType:
    """Draw tables of tasks, queues and workers, and one line of totals."""
    view = summary.view
    side = Table.grid(padding=(0, 2))
    side.add_row(_queues(view), _workers(view))
    return Group(_tasks(summary.tasks), side, Text(line(summary, events_per_second)))


def line(summary: Summary, events_per_second: float) -> str:
    """Say the totals in one line."""
    view = summary.view
    stuck = sum(gauge.stuck for gauge in view.tasks)
    failed = sum(task.ends.get(State.FAILURE, 0) for task in summary.tasks)
    retries = sum(task.retries for task in summary.tasks)
    waiting = sum(queue.depth for queue in view.queues)
    up = sum(worker.state is WorkerState.ONLINE for worker in view.workers)
    return (
        f"finished {summary.finished} (failed {failed}), in flight {view.tasks_in_flight}, "
        f"stuck {stuck}, retries {retries}, waiting {waiting} in queues {len(view.queues)}, "
        f"workers {up}, events/s {events_per_second:.0f}"
    )


def seconds(value: float | None) -> str:
    """Write a duration in few characters."""
    match value:
        case None:
            return "–"  # noqa: RUF001 - a dash for "no number"
        case _ if value < 1:
            return f"{value * 1000:.0f}ms"
        case _ if value < _MINUTE:
            return f"{value:.1f}s"
        case _:
            return f"{value / _MINUTE:.1f}min"


def _latency(latency: Latency) -> str:
    if latency.median is None:
        return seconds(None)
    return f"{seconds(latency.median)}/{seconds(latency.p95)}"


def _tasks(tasks: tuple[TaskLine, ...]) -> Table:
    # 80 columns are enough for it: what is fixed takes 50.
    table = Table(
        title="Tasks (latencies: median/95 %)",
        title_justify="left",
        expand=False,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("task", no_wrap=True)
    for heading in ("now", "ok", "failed", "other", "retry", "stuck"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("wait", justify="right", no_wrap=True)
    table.add_column("run", justify="right", no_wrap=True)
    for task in tasks:
        ok, failed = (task.ends.get(state, 0) for state in _ENDS)
        other = sum(task.ends.values()) - ok - failed
        table.add_row(
            task.name,
            str(task.in_flight),
            str(ok),
            _alarming(failed),
            str(other),
            str(task.retries),
            _alarming(task.stuck),
            _latency(task.wait),
            _latency(task.run),
        )
    return table


def _alarming(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "")


def _queues(view: View) -> Table:
    table = Table(title="Queues", title_justify="left", expand=False, box=box.SIMPLE_HEAD)
    table.add_column("queue", no_wrap=True)
    table.add_column("waiting", justify="right")
    table.add_column("by priority")
    table.add_column("oldest", justify="right")
    for queue in sorted(view.queues, key=lambda queue: queue.name):
        table.add_row(queue.name, str(queue.depth), _steps(queue), seconds(queue.oldest_age))
    return table


def _steps(queue: QueueGauge) -> str:
    return "  ".join(f"{step}:{count}" for step, count in sorted(queue.ready.items()) if count)


def _workers(view: View) -> Table:
    table = Table(title="Workers", title_justify="left", expand=False, box=box.SIMPLE_HEAD)
    table.add_column("worker", no_wrap=True)
    table.add_column("state")
    table.add_column("running", justify="right")
    table.add_column("processed", justify="right")
    for worker in sorted(view.workers, key=lambda worker: worker.hostname):
        table.add_row(worker.hostname, str(worker.state), *_work_of(worker))
    return table


def _work_of(worker: WorkerGauge) -> tuple[str, str]:
    counts = (worker.active, worker.processed)
    active, processed = ("–" if count is None else str(count) for count in counts)  # noqa: RUF001
    return active, processed
