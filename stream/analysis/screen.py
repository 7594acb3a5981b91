"""A report in the terminal: eighty columns are enough, and nothing is told by colour alone."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .report import Recording, Report, TaskRow
from .screen_places import show_queues, show_slow_runs, show_traces, show_workers
from .shapes import NARROW, ROWS, example, heading, line, short, table_of
from .sketch import Latency
from .text import duration, instant, number, one_line, share, spark, time_of_day

_BARS: Final = 48
"""Columns of a timeline."""
_ENDS: Final = ("SUCCESS", "FAILURE", "REVOKED", "REJECTED")
_OPEN_ENDS: Final = ("LOST", "UNKNOWN")


def show(console: Console, report: Report) -> None:
    """Print a report."""
    _show_summary(console, report)
    _show_timeline(console, report)
    _show_outcomes(console, report.tasks)
    _show_latencies(console, report.tasks)
    _show_failures(console, report)
    _show_unfinished(console, report)
    show_queues(console, report.queues)
    show_workers(console, report.workers)
    show_slow_runs(console, report)
    show_traces(console, report.slow_traces)


def _show_summary(console: Console, report: Report) -> None:
    coverage, throughput = report.coverage, report.throughput
    tasks = sum(report.states.values())
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="left")
    grid.add_column(justify="right")
    grid.add_column()
    period = f"{instant(report.began_at)} … {time_of_day(report.ended_at)} UTC"
    lost = sum(report.states.get(state, 0) for state in _OPEN_ENDS)
    for what, value, detail in (
        ("period", duration(report.seconds), period if report.began_at else ""),
        ("events", f"{coverage.events:,}", _rate(throughput.events_per_second)),
        ("  rejected", f"{sum(coverage.rejected.values()):,}", _counts(coverage.rejected)),
        ("damaged lines", f"{coverage.damaged_lines:,}", ""),
        ("tasks", f"{tasks:,}", _counts(report.states)),
        ("  end not known", f"{lost:,}", "no event says how they ended" if lost else ""),
        ("attempts ended", f"{throughput.attempts:,}", _attempts(report)),
        ("worker processes", f"{len(report.processes):,}", ""),
        ("executions", f"{coverage.seen:,}", "whose start was seen" if coverage.seen else ""),
        ("  unseen", f"{coverage.unseen:,}", _unseen(report)),
    ):
        grid.add_row(what, value, escape(detail))
    for what, detail in _remarks(report):
        grid.add_row(what, "", escape(detail))
    console.print(grid)


def _remarks(report: Report) -> Iterable[tuple[str, str]]:
    coverage = report.coverage
    for recording in report.recordings:
        yield "recorded", _recorded(recording)
    if coverage.unrecorded:
        yield "unrecorded", f"{coverage.unrecorded:,} messages that the recording had no room for"
    if coverage.gaps:
        yield "gaps", f"{coverage.gaps} in the subscription, {duration(coverage.gap_seconds)}"
    if coverage.oddities:
        yield "oddities", _counts(coverage.oddities)
    if coverage.overflowed:
        yield "told as other", _counts(coverage.overflowed)
    for advice, subject in coverage.advice:
        yield "advice", advice if subject is None else f"{advice} at {one_line(subject)}"


def _recorded(recording: Recording) -> str:
    """Say what was recorded by whom, and what of it is not there."""
    origin = one_line(", ".join(recording.origin)) or "an unknown broker"
    files = f"{recording.files:,} file{'s' if recording.files != 1 else ''}"
    rotated = recording.first_part - 1
    missing = f", {rotated:,} before them rotated away" if rotated > 0 else ""
    arguments = {"redact": ", arguments redacted", "drop": ", arguments dropped"}
    return f"of {origin}: {files}{missing}{arguments.get(recording.arguments, '')}"


def _rate(per_second: float | None) -> str:
    return "" if per_second is None else f"{number(per_second)} per second"


def _attempts(report: Report) -> str:
    throughput = report.throughput
    if not throughput.attempts:
        return ""
    most = f"{throughput.most_in_a_second:,} in the busiest second"
    return ", ".join(filter(None, (_rate(throughput.attempts_per_second), most)))


def _unseen(report: Report) -> str:
    coverage = report.coverage
    if not coverage.unseen:
        return ""
    seen = coverage.seen / (coverage.seen + coverage.unseen)
    return f"that heartbeats count besides: coverage {share(seen)}"


def _counts(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in most)


def _show_timeline(console: Console, report: Report) -> None:
    begin, end = report.began_at, report.ended_at
    ended, failed = report.throughput.ended, report.throughput.failed
    if begin is None or end is None or not ended.values:
        return
    grid = Table.grid(padding=(0, 1))
    for what, points in (("ended", ended), ("failed", failed)):
        _add_bars(grid, what, points.largest(begin, end, _BARS), per=points.width, unit="/s")
    for row in report.queues[:3]:
        _add_bars(grid, f"waiting {short(row.queue, 12)}", row.waiting.largest(begin, end, _BARS))
    heading(console, f"Over time, {time_of_day(begin)} … {time_of_day(end)}")
    console.print(grid)


def _add_bars(
    grid: Table, what: str, values: Sequence[float | None], *, per: int = 1, unit: str = ""
) -> None:
    most = max((value for value in values if value), default=0.0)
    if most:
        grid.add_row(what, spark(values), f"≤ {number(most / per)}{unit}")


def _show_outcomes(console: Console, rows: Sequence[TaskRow]) -> None:
    if not rows:
        return
    table = table_of("task", "tasks", "success", "failure", "retries", "revoked", "lost", "again")
    for row in rows[:ROWS]:
        success, failure, revoked, rejected = (row.states.get(state, 0) for state in _ENDS)
        lost = sum(row.states.get(state, 0) for state in _OPEN_ENDS)
        counts = (row.tasks, success, failure, row.retries, revoked + rejected, lost)
        table.add_row(short(row.task), *map(number, counts), number(row.redelivered))
    heading(console, "Tasks", of=len(rows))
    console.print(table)


def _show_latencies(console: Console, rows: Sequence[TaskRow]) -> None:
    table = table_of("task", "time", "p50", "p95", "p99", "max", left=2)
    for row in rows[:ROWS]:
        name = short(row.task)
        for what, latency in (
            ("wait", row.wait),
            ("prefetch", row.prefetch),
            ("run", row.run),
            ("total", row.total),
        ):
            if latency.count:
                table.add_row(name, what, *_quantiles(latency))
                name = ""
    if table.row_count:
        heading(console, "Latencies", of=len(rows))
        console.print(table)


def _quantiles(latency: Latency) -> tuple[str, ...]:
    return tuple(map(duration, (latency.p50, latency.p95, latency.p99, latency.max)))


def _show_failures(console: Console, report: Report) -> None:
    rows = report.failures
    if not rows:
        return
    table = table_of("exception", "task", "fails", "retries", "first", "last", left=2)
    for row in rows[:ROWS]:
        first, last = time_of_day(row.first_at), time_of_day(row.last_at)
        counts = number(row.failures), number(row.retries)
        names = short(row.error_type, NARROW), short(row.task, NARROW)
        table.add_row(*names, *counts, first, last)
    heading(console, "Failures", of=len(rows))
    console.print(table)
    for row in rows[:ROWS]:
        line(console, f"  {example(row)}")


def _show_unfinished(console: Console, report: Report) -> None:
    rows = report.unfinished
    if not rows:
        return
    table = table_of("what", "task", "reason", "tasks", "longest", left=3)
    for row in rows[:ROWS]:
        longest = "" if row.longest is None else duration(row.longest)
        table.add_row(row.what, short(row.task), row.reason, number(row.tasks), longest)
    heading(console, "Stuck, lost or without a known end", of=len(rows))
    console.print(table)
    for row in rows[:ROWS]:
        line(console, f"  {row.uuid}  {row.what}  {one_line(row.task)}")
