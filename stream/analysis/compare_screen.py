"""A comparison in the terminal: what differs beyond chance, and what is new."""

from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .compare import Comparison, Side
from .shapes import example, heading, line, short, table_of
from .text import duration, instant, number, one_line, share

_ROWS: Final = 20


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print a comparison."""
    _show_sides(console, comparison)
    _show_rates(console, comparison)
    _show_shifts(console, comparison)
    _show_failures(console, comparison)
    _show_queues(console, comparison)


def _show_sides(console: Console, comparison: Comparison) -> None:
    table = table_of("", "before", "after")
    sides = comparison.before, comparison.after
    for when, side in zip(("before", "after"), sides, strict=True):
        console.print(f"{when:<7} {escape(one_line(side.name))}", soft_wrap=True)
    table.add_row("from (UTC)", *(instant(side.began_at) for side in sides))
    table.add_row("period", *(duration(side.seconds) for side in sides))
    table.add_row("tasks", *(number(side.tasks) for side in sides))
    table.add_row("  per second", *(number(side.tasks_per_second) for side in sides))
    states = dict.fromkeys(state for side in sides for state in side.states)
    for state in states:
        table.add_row(f"  {state}", *(_of_all(side, state) for side in sides))
    console.print(table)
    for what, names in (("new", comparison.new_tasks), ("gone", comparison.gone_tasks)):
        if names:
            console.print(f"{what} tasks: {escape(', '.join(map(one_line, names)))}")


def _of_all(side: Side, state: str) -> str:
    count = side.states.get(state, 0)
    return f"{count:,} ({share(count / side.tasks)})" if side.tasks else "0"


def _show_rates(console: Console, comparison: Comparison) -> None:
    clear = [rate for rate in comparison.rates if rate.is_clear]
    heading(console, "Outcomes")
    table = table_of("task", "outcome", "before", "after", "difference, 95 %", left=2)
    for rate in sorted(clear, key=lambda each: (-abs(each.after - each.before), each.task))[:_ROWS]:
        interval = f"{rate.low * 100:+.1f} … {rate.high * 100:+.1f}"
        table.add_row(short(rate.task), rate.what, share(rate.before), share(rate.after), interval)
    _print(console, table, clear=len(clear), compared=len(comparison.rates))


def _show_shifts(console: Console, comparison: Comparison) -> None:
    clear = [shift for shift in comparison.shifts if shift.is_clear]
    heading(console, "Latencies")
    table = table_of("task", "time", "before", "after", "times", "95 %", left=2)
    by_size = sorted(clear, key=lambda each: (-abs(each.after - each.before), each.task, each.what))
    for shift in by_size[:_ROWS]:
        interval = f"{shift.low:.2f} … {shift.high:.2f}"
        numbers = duration(shift.before), duration(shift.after), f"{shift.ratio:.2f}"
        table.add_row(short(shift.task), shift.what, *numbers, interval)
    _print(console, table, clear=len(clear), compared=len(comparison.shifts))


def _print(console: Console, table: Table, *, clear: int, compared: int) -> None:
    if clear:
        console.print(table)
    shown = f", the {_ROWS} largest are shown" if clear > _ROWS else ""
    line(console, f"of {compared:,} compared {clear:,} clearly differ{shown}")
    if clear:
        line(console, "(where nothing differs, 1 in 20 seems to by chance)")


def _show_failures(console: Console, comparison: Comparison) -> None:
    for what, rows in (("New", comparison.new_failures), ("Gone", comparison.gone_failures)):
        if rows:
            heading(console, f"{what} exceptions")
            table = table_of("exception", "task", "failures", "retries", left=2)
            for row in rows[:_ROWS]:
                counts = number(row.failures), number(row.retries)
                table.add_row(short(row.error_type), short(row.task), *counts)
            console.print(table)
            for row in rows[:_ROWS]:
                line(console, f"  {example(row)}")


def _show_queues(console: Console, comparison: Comparison) -> None:
    if comparison.grown_queues:
        heading(console, "Queues that grew")
        table = table_of("queue", "most before", "most after")
        for growth in comparison.grown_queues[:_ROWS]:
            table.add_row(escape(growth.queue), f"{growth.before:,}", f"{growth.after:,}")
        console.print(table)
