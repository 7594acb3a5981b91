"""How far a long replay is, on the terminal: events, their rate and the time left.

Only where stderr is a terminal. What is done is told in bytes of the files, as compressed as they
are; of standard input nobody knows how much there is.
"""

from time import monotonic
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)
from rich.text import Text

_LONG_BYTES: Final = 4 * 1024 * 1024
"""Files that are smaller are read in a second or two."""
_EVERY: Final = 0.1
"""Seconds: the bar is drawn ten times a second, and asked for at each of many small reads."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        elapsed = task.elapsed or 0.0
        rate = task.fields["events"] / elapsed if elapsed else 0.0
        return Text(f"{rate:,.0f} events/s")


class Progress:
    """Shows how far it is; a context, outside of which nothing is shown.

    Args:
        console: where; None: stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar: Bar | None = None
        self._open = False
        self._next_at = 0.0

    def __enter__(self) -> Self:
        self._open = self._console.is_terminal
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show(self, done_bytes: int, total_bytes: int, events: int) -> None:
        """Say how far it is; to be called as often as one likes.

        Args:
            done_bytes: of the files.
            total_bytes: all there are; 0: nobody knows.
            events: so many were read.
        """
        if not self._open or monotonic() < self._next_at:
            return
        self._next_at = monotonic() + _EVERY
        if self._bar is None:
            if 0 < total_bytes <= _LONG_BYTES:
                self._open = False
                return
            self._bar = self._started(total_bytes)
        self._bar.update(self._bar.task_ids[0], completed=done_bytes, events=events)

    def _started(self, total_bytes: int) -> Bar:
        columns = (
            TextColumn("{task.fields[events]:,}"),
            BarColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        bar = Bar(*columns, console=self._console, transient=True)
        bar.add_task("replay", total=total_bytes or None, events=0)
        bar.start()
        return bar
