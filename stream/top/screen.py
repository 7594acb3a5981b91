"""Draw what was seen for a terminal of any size. Pure but for rich's types.

What needs attention is red or yellow and stands first; what does not fit is counted, not cut off.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..analysis.text import one_line
from ..core.states import WorkerState
from ..page.answers import Overview, Sample, Worker
from .site import Seen

_BARS: Final = "▁▂▃▄▅▆▇█"
_UNKNOWN: Final = "–"  # noqa: RUF001 - a dash for "no number"
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_HEAD_LINES: Final = 6
_TABLE_LINES: Final = 4
"""Lines of a table besides its rows: space above, title, heading, rule."""
_LEAST_ROWS: Final = 2
_UUID_SHOWN: Final = 8
"""Characters: enough for ``trace``, and for the page's search."""
_LITTLE_COVERAGE: Final = 0.99
_MUCH_SKEW: Final = 1.0
"""Seconds."""


def draw(seen: Seen, *, width: int, height: int) -> RenderableType:
    """Draw the cluster for so many columns and lines."""
    usual = [_queues(seen), _workers(seen.workers.workers), _failures(seen), _running(seen)]
    periodic = _periodic(seen)
    ordered = [periodic, *usual] if seen.periodic.late else [*usual, periodic]
    tables = [_stuck(seen), *ordered]
    most = (height - _HEAD_LINES) // (_TABLE_LINES + _LEAST_ROWS)
    shown = [table for table in tables if table.rows][: max(most, 1)]
    room = height - _HEAD_LINES - _TABLE_LINES * len(shown)
    shares = _shares([len(table.rows) for table in shown], room)
    body = [part for table, rows in zip(shown, shares, strict=True) for part in table.draw(rows)]
    return Group(*_head(seen.overview, width), *body)


def problem(sentence: str) -> RenderableType:
    """Draw why nothing is seen."""
    return Text(one_line(sentence), style="red")


def seconds(value: float | None) -> str:
    """Write a duration in few characters."""
    if value is None:
        return _UNKNOWN
    if value < 1.0:
        return f"{value * 1000:.0f} ms"
    for limit, unit, name in ((_MINUTE, 1.0, "s"), (_HOUR, _MINUTE, "min"), (_DAY, _HOUR, "h")):
        if value < limit:
            number = value / unit
            return f"{number:.1f} {name}" if number < 10 else f"{number:.0f} {name}"  # noqa: PLR2004
    return f"{value / _DAY:.1f} d"


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw the last values as bars from 0 to the highest of them."""
    shown = values[-width:]
    most = max(shown, default=0.0) or 1.0
    return "".join(_BARS[min(int(value / most * len(_BARS)), len(_BARS) - 1)] for value in shown)


# -- the head --------------------------------------------------------------------------------------


def _head(overview: Overview, width: int) -> list[Text]:
    bad = [check.detail for check in overview.checks if not check.ok]
    state = ("● healthy", "green") if overview.healthy else ("● unhealthy", "bold red")
    clock = time.strftime("%H:%M:%S UTC", time.gmtime(overview.at))
    up = seconds(overview.at - overview.started_at)
    brokers = one_line(", ".join(broker.name for broker in overview.brokers))
    first = Text.assemble(
        (f"celery-stream {one_line(overview.version)}  ", "bold"),
        state,
        f"  {brokers}  {clock}  up {up}",
    )
    lines = [first, _rates(overview), _levels(overview), _latencies(overview)]
    lines.append(_curve(overview.series, width))
    lines += [Text(one_line(detail), style="red") for detail in bad[:1]]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return lines


def _rates(overview: Overview) -> Text:
    now = overview.now
    return Text.assemble(
        ("per second  ", "dim"),
        f"sent {now.sent:.1f}  started {now.started:.1f}  finished {now.finished:.1f}  ",
        _alarming(f"failed {now.failed:.1f}", now.failed),
        f"  retried {now.retried:.1f}",
    )


def _levels(overview: Overview) -> Text:
    flight, workers = overview.in_flight, overview.workers
    alive = workers.online + workers.suspect
    coverage = overview.coverage
    seen = _UNKNOWN if coverage is None else f"{coverage:.1%}"
    little = coverage is not None and coverage < _LITTLE_COVERAGE
    return Text.assemble(
        ("now         ", "dim"),
        f"in flight {flight.total}  running {flight.started}  queued {overview.queue_depth}  ",
        _alarming(f"stuck {flight.stuck}", flight.stuck),
        f"  workers {alive}  ",
        _alarming(f"lost {workers.lost}", workers.lost),
        ("  seen ", ""),
        (seen, "yellow" if little else ""),
    )


def _latencies(overview: Overview) -> Text:
    each = (("wait", overview.wait), ("run", overview.run), ("total", overview.total))
    told = "  ".join(
        f"{name} {seconds(quantiles.median)}, {seconds(quantiles.p95)}" for name, quantiles in each
    )
    return Text.assemble(("median, 95 %  ", "dim"), told)


def _curve(series: Sequence[Sample], width: int) -> Text:
    finished = sparkline([sample.finished for sample in series], max(10, width - 14))
    return Text.assemble(("finished/s  ", "dim"), (finished, "cyan"))


# -- the tables ------------------------------------------------------------------------------------

Cell = str | Text
Row = tuple[Cell, ...]


class _Rows:
    """A table whose rows are known and whose height is not yet."""

    def __init__(self, title: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        self.title = title
        self.columns = columns
        self.rows = list(rows)

    def draw(self, most: int) -> tuple[RenderableType, ...]:
        """Draw the first rows, and say how many there are."""
        left = len(self.rows) - most
        title = f"{self.title} ({most} of {len(self.rows)})" if left > 0 else self.title
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            expand=False,
            show_edge=False,
        )
        for column in self.columns:
            prose = column.endswith("~")  # takes what the others leave
            table.add_column(
                column.rstrip(">~"),
                justify="right" if column.endswith(">") else "left",
                no_wrap=True,
                overflow="ellipsis",
                ratio=1 if prose else None,
            )
            table.expand = table.expand or prose
        for row in self.rows[:most]:
            table.add_row(*map(_as_text, row))
        return Text(), Text(title, style="bold"), table


def _as_text(cell: Cell) -> Text:
    """Return a cell that is neither read as rich's markup nor obeyed by the terminal."""
    if isinstance(cell, str):
        return Text(one_line(cell))
    return Text(one_line(cell.plain), style=cell.style)


def _shares(sizes: Sequence[int], room: int) -> list[int]:
    """Give each table its rows where they fit, else an equal share of what is left."""
    shares = [0] * len(sizes)
    left = max(room, _LEAST_ROWS * len(sizes))
    for place, index in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[index] = min(sizes[index], max(_LEAST_ROWS, left // (len(sizes) - place)))
        left -= shares[index]
    return shares


def _queues(seen: Seen) -> _Rows:
    now = seen.overview.at
    rows = (
        (
            Text(queue.name, style="bold red" if queue.stalled else ""),
            _number(queue.depth),
            seconds(_age(queue.oldest_since, now)),
            seconds(queue.drain_time),
            _number(queue.unacknowledged),
            _alarming(_number(queue.overdue), queue.overdue or 0),
            str(queue.running),
            sparkline(queue.trend, 12),
        )
        for queue in seen.queues.queues
    )
    columns = "queue", "waiting>", "oldest>", "to drain>", "unacked>", "overdue>", "running>", ""
    return _Rows("Queues", columns, rows)


def _workers(workers: Sequence[Worker]) -> _Rows:
    styles = {WorkerState.LOST: "bold red", WorkerState.SUSPECT: "yellow"}
    rows = (
        (
            worker.hostname,
            Text(worker.state, style=styles.get(worker.state, "")),
            _number(worker.active),
            _share(worker.utilisation),
            _most_of(worker),
            _number(worker.processed),
            Text(_share(worker.coverage), style="yellow" if _covers_little(worker) else ""),
            Text(_skew(worker.skew), style="yellow" if abs(worker.skew or 0) > _MUCH_SKEW else ""),
        )
        for worker in workers
    )
    columns = "worker", "state", "running>", "busy>", "of>", "processed>", "events seen>", "clock>"
    return _Rows("Workers", columns, rows)


def _stuck(seen: Seen) -> _Rows:
    now = seen.overview.at
    rows = (
        (
            Text(each.name or _UNKNOWN, style="red" if each.certain else "yellow"),
            each.uuid[:_UUID_SHOWN],
            seconds(_age(each.since, now)),
            each.why,
        )
        for each in seen.stuck.stuck
    )
    return _Rows("Stuck", ("task", "uuid", "for>", "why~"), rows)


def _failures(seen: Seen) -> _Rows:
    now = seen.overview.at
    rows = (
        (
            str(each.count),
            each.name or _UNKNOWN,
            Text(each.why or each.state, style="red"),
            seconds(_age(each.last_at, now)),
            _one_line(each.error),
        )
        for each in seen.failures.failures
    )
    return _Rows("Failures", ("count>", "task", "why", "ago>", "the last said~"), rows)


def _running(seen: Seen) -> _Rows:
    now = seen.overview.at
    rows = (
        (each.name or _UNKNOWN, each.worker or _UNKNOWN, seconds(_age(each.since, now)), each.uuid)
        for each in seen.running.tasks
    )
    return _Rows("Running for the longest", ("task", "worker", "for>", "uuid"), rows)


def _periodic(seen: Seen) -> _Rows:
    now = seen.overview.at
    rows = (
        (
            Text(each.name or _UNKNOWN, style="" if each.overdue_since is None else "bold red"),
            each.queue or _UNKNOWN,
            seconds(each.every),
            seconds(_age(each.last_at, now)),
            Text(seconds(_age(each.overdue_since, now)), style="bold red"),
        )
        for each in seen.periodic.periodic
    )
    columns = "task", "queue", "every>", "last sent>", "overdue>"
    return _Rows("Periodic tasks", columns, rows)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _number(value: int | None) -> str:
    return _UNKNOWN if value is None else str(value)


def _share(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.0%}"


def _most_of(worker: Worker) -> str:
    """Say what a worker's utilisation is a share of."""
    if worker.pool:
        return f"pool {worker.pool}"
    return f"peak {worker.peak}" if worker.peak else _UNKNOWN


def _skew(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{round(value, 1) or 0.0:+.1f} s"


def _age(since: float | None, now: float) -> float | None:
    return None if since is None else max(0.0, now - since)


def _covers_little(worker: Worker) -> bool:
    return worker.coverage is not None and worker.coverage < _LITTLE_COVERAGE


def _alarming(text: str, count: float) -> Text:
    return Text(text, style="bold red" if count else "")
