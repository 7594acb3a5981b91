"""How far a long replay is, on the terminal: events, their rate and the time left.

Only where stderr is a terminal. How many events the files have is guessed from their beginnings, so
the time left is a guess as well.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
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

_HEAD_BYTES: Final = 1024 * 1024
_LONG_BYTES: Final = 4 * 1024 * 1024
"""Files that are smaller are read in a second or two."""
_GZIP: Final = b"\x1f\x8b"
_ZSTANDARD: Final = b"\x28\xb5\x2f\xfd"
_ANY_HEADER: Final = 47
"""For zlib: gzip or zlib, by the header."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f} messages/s")


class Progress:
    """Shows how far it is; a context, outside of which nothing is shown.

    Args:
        files: what is read; standard input has no known size.
        console: where; None: stderr.
    """

    def __init__(self, files: Sequence[str], console: Console | None = None) -> None:
        self._files = files
        self._console = console or Console(stderr=True)
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        sizes = [Path(each).stat().st_size for each in self._files if Path(each).is_file()]
        if self._console.is_terminal and (sum(sizes) > _LONG_BYTES or not sizes):
            columns = (
                TextColumn("{task.completed:,}"),
                BarColumn(),
                _Rate(),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.add_task("replay", total=messages_in(self._files))
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def advance(self, messages: int) -> None:
        """So many messages more were read."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], messages)


def messages_in(files: Sequence[str]) -> int | None:
    """Guess how many messages there are in files; None where that cannot be told."""
    guesses = [_lines_in(Path(name)) for name in files]
    known = [guess for guess in guesses if guess is not None]
    return sum(known) if known and len(known) == len(guesses) else None


def _lines_in(file: Path) -> int | None:
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
        if head.startswith(_ZSTANDARD):
            return None  # its own reader would be needed
        text = zlib.decompressobj(_ANY_HEADER).decompress(head) if head[:2] == _GZIP else head
    except (OSError, zlib.error):
        return None
    return int(text.count(b"\n") / len(head) * size) if head else 0
