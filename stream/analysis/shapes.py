"""What the reports in a terminal are made of: tables, headings and lines, and names cut to fit."""

from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .report import FailureRow
from .text import one_line

ROWS: Final = 10
"""Of a table; the JSON has them all."""
NAME: Final = 24
"""Characters of a name."""
NARROW: Final = 20
"""Likewise, where there are two names in a row."""


def example(row: FailureRow) -> str:
    """Return the example of a group of failures: which task, and what it raised."""
    message = f": {one_line(row.message)}" if row.message else ""
    return f"{row.uuid}  {one_line(row.error_type)}{message}"


def table_of(*columns: str, left: int = 1) -> Table:
    """Make a table; the first *left* columns are texts, the others numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, column in enumerate(columns):
        is_text = index < left
        table.add_column(column, justify="left" if is_text else "right", no_wrap=True)
    return table


def heading(console: Console, text: str, *, of: int = 0) -> None:
    """Print a heading; *of* is how many rows there would be."""
    more = f" ({ROWS} of {of:,})" if of > ROWS else ""
    console.print(f"\n[bold]{escape(text)}{more}[/bold]")


def line(console: Console, text: str) -> None:
    """Print one line, cut at the terminal's width."""
    console.print(Text(text), no_wrap=True, overflow="ellipsis")


def short(name: str, characters: int = NAME) -> str:
    """Cut a name in front: its end tells more."""
    name = one_line(name)
    return escape(name if len(name) <= characters else f"…{name[1 - characters :]}")
