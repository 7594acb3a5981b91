"""A measurement in the terminal: how far it is, and what it found."""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..analysis.text import duration, share
from .live import LiveFound, Try
from .measure import Found
from .meter import Reading

_SIZED: Final = 0.6
"""Of what a core takes: what a machine is planned for, so that a burst finds room."""
_MEGABYTE: Final = 1e6


@contextmanager
def progress(console: Console, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar where the console is a terminal; yields what to tell of events that are done."""
    columns = (TextColumn("{task.completed:,} events"), BarColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("bench", total=total)
        yield lambda events: bar.advance(task, events)


def show(console: Console, found: Found, *, what: str) -> None:
    """Print what was found in memory."""
    reading = found.reading
    grid = _grid()
    for name, value, detail in (
        ("workload", found.workload, what),
        ("events", f"{found.events:,}", _messages(found)),
        ("  a CPU second", f"{found.events_per_cpu_second:,.0f}", f"of this process, {_python()}"),
        ("  a second", f"{found.events_per_second:,.0f}", "by the clock"),
        ("batch, p50", duration(reading.batch_p50), f"{reading.batches:,} batches"),
        ("batch, p99", duration(reading.batch_p99), f"longest {duration(reading.batch_max)}"),
        ("memory, peak", f"{reading.peak_bytes / _MEGABYTE:,.0f} MB", _memory(found)),
        ("collector", duration(reading.collecting), _collector(reading)),
    ):
        grid.add_row(name, value, escape(detail))
    console.print(grid)
    sized = found.events_per_cpu_second * _SIZED
    console.print(f"\nA core of this machine is well used at {sized:,.0f} events a second.")


def show_live(console: Console, found: LiveFound) -> None:
    """Print what was found beside a broker; the tries were told as they came."""
    bound = {
        "service": "above it something was lost, or came late",
        "publisher": "this command could not publish more: the service can take it",
        "limit": "no more was tried",
    }[found.bounded_by]
    console.print(f"\n{found.highest:,.0f} events a second without loss ({bound}).")
    console.print(f"{found.events:,} events were published.")


def show_try(console: Console, tried: Try) -> None:
    """Print one try as it ends."""
    verdict = "held" if tried.held else "not held"
    if tried.held and not tried.paced:
        verdict = f"the publisher reached only {tried.reached:,.0f}"
    losses = f"shed {tried.shed:,}, missing {tried.missing:,}, cut off {tried.disconnections:,}"
    cpu = "" if tried.cpu is None else f", CPU {tried.cpu:.0%}"
    console.print(
        f"{tried.rate:>9,.0f} events/s  {verdict}: {losses}, {duration(tried.late)} late{cpu}",
        soft_wrap=True,
    )


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right")
    grid.add_column()
    return grid


def _messages(found: Found) -> str:
    size = f"{found.message_bytes / _MEGABYTE:,.1f} MB"
    rejected = f", {found.rejected:,} not readable" if found.rejected else ""
    return f"in {found.messages:,} messages, {size}{rejected}"


def _memory(found: Found) -> str:
    began = f"{found.reading.began_bytes / _MEGABYTE:,.0f} MB before it began"
    return f"{began}; {found.in_flight:,} tasks in flight, {found.remembered:,} remembered"


def _collector(reading: Reading) -> str:
    of_all = share(reading.collecting / reading.cpu if reading.cpu else 0.0)
    times = f"{reading.collections:,} times, longest {duration(reading.longest_collection)}"
    return f"{of_all} of the CPU time; {times}"


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"
