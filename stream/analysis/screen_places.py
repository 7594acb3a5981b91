"""The part of a report in the terminal that is about places: queues, workers and slow traces."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from .report import QueueRow, Report, TracePath, WorkerRow
from .shapes import ROWS, heading, line, short, table_of
from .text import NONE, duration, number, share, time_of_day

_PATHS: Final = 5
_STEPS: Final = 8
_MARK: Final = "[bold]◀[/bold]"
_TEXTS: Final = frozenset({1, 3, 5})
"""Columns of a critical path that are no numbers."""


def show_queues(console: Console, rows: Sequence[QueueRow]) -> None:
    """Print the queues."""
    if not rows:
        return
    polled = any(row.depth is not None for row in rows)
    columns = ["queue", "tasks", "wait p50", "p95", "max", "waiting ≤", "oldest ≤"]
    table = table_of(*columns, *(["depth", "≤", "head ≤"] if polled else []))
    for row in rows[:ROWS]:
        wait = row.wait
        cells = [duration(each) for each in (wait.p50, wait.p95, wait.max)]
        cells += [number(row.most_waiting), duration(row.oldest_waiting)]
        if polled:
            cells += [number(row.last_depth), number(row.most_depth), duration(row.oldest_age)]
        table.add_row(short(row.queue, 18), number(row.tasks), *cells)
    heading(console, "Queues", of=len(rows))
    console.print(table)


def show_workers(console: Console, rows: Sequence[WorkerRow]) -> None:
    """Print the workers."""
    if not rows:
        return
    table = table_of(
        "worker", "state", "tasks", "busy", "at once", "seen", "silent", "skew", left=2
    )
    for row in rows[:ROWS]:
        once = NONE if row.running is None else f"{row.running:.2f}"
        busiest = f"{once}/{row.most_active}" if row.most_active else once
        state = row.state or "no beats"
        state += f" ({row.processes})" if row.processes > 1 else ""
        silent = duration(row.silent_seconds) if row.silences else ""
        numbers = number(row.tasks), duration(row.busy_seconds), busiest, share(row.coverage)
        table.add_row(short(row.worker, 20), state, *numbers, silent, _skew(row.skew))
    heading(console, "Workers", of=len(rows))
    console.print(table)


def _skew(seconds: float | None) -> str:
    if seconds is None or not seconds:
        return ""
    return ("-" if seconds < 0 else "+") + duration(abs(seconds))


def show_slow_runs(console: Console, report: Report) -> None:
    """Print the longest runs, and their ids below."""
    rows = report.slow_runs
    if not rows:
        return
    table = table_of("run", "wait", "at", "task", "state", left=0)
    for row in rows:
        numbers = duration(row.run), duration(row.wait), time_of_day(row.started_at)
        table.add_row(*numbers, short(row.task), row.state)
    table.columns[3].justify = table.columns[4].justify = "left"
    heading(console, "Slowest runs")
    console.print(table)
    for row in rows:
        line(console, f"{duration(row.run):>6}  {row.uuid}  {row.trace_id}")


def show_traces(console: Console, paths: Sequence[TracePath]) -> None:
    """Print the critical paths of the slowest families."""
    if not paths:
        return
    heading(console, "Slowest chains, groups and chords: their critical paths")
    for path in paths[:_PATHS]:
        left_out = f", {path.left_out:,} more not kept" if path.left_out else ""
        tasks = f"{path.tasks:,} task{'s' if path.tasks != 1 else ''}"
        head = f"{duration(path.seconds)}  {tasks}{left_out}"
        line(console, f"{head}  at {time_of_day(path.began_at)}  {path.root_id}")
        longest = max((max(step.queued, step.run) for step in path.steps), default=0.0)
        table = Table.grid(padding=(0, 2))
        for column in range(6):
            table.add_column(justify="left" if column in _TEXTS else "right", no_wrap=True)
        for step in path.steps[:_STEPS]:
            parts = (
                f"waits {duration(step.queued)}",
                _MARK if step.queued == longest else "",
                f"runs {duration(step.run)}",
                _MARK if step.run == longest else "",
            )
            table.add_row(f"  +{duration(step.at)}", short(step.task), *parts)
        console.print(table)
        if len(path.steps) > _STEPS:
            line(console, f"  … {len(path.steps) - _STEPS} more steps")
