"""From what somebody names to the files that are read, in the order in which they belong.

A name is a file, a directory (its files that are called like captures), a set (what ``record`` was
told to write to) or ``-``. The files that one process recorded follow one another; what comes from
different processes is merged by arrival.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from ..errors import RefusedError
from ..wire.capture import read_line
from ..wire.capture_lines import FORMAT, Header
from ..wire.capture_names import set_name
from .lines import STDIN, BrokenOffError, blocks_of

_FIRST_PART: Final = 1


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """Refuse what the system does not let us look at."""
    try:
        yield
    except OSError as error:
        raise RefusedError(f"{name} cannot be read: {error.strerror}") from None


class File(Struct, frozen=True):
    """One file to read."""

    name: str
    """``-`` is standard input."""
    named: bool = True
    """Somebody named it; else it was found in a directory or belongs to a set."""

    @property
    def label(self) -> str:
        """Its name for messages."""
        return "standard input" if self.name == STDIN else self.name

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open it for reading.

        Raises:
            RefusedError: it cannot be opened.
        """
        if self.name == STDIN:
            yield sys.stdin.buffer
            return
        with _refused(self.name):
            file = Path(self.name).open("rb")  # noqa: SIM115 - closed below; only opening may fail here
        with file:
            yield file

    @property
    def may_wait(self) -> bool:
        """Whether reading it may wait for somebody who writes: standard input, or a pipe."""
        return self.name == STDIN or Path(self.name).is_fifo()

    @property
    def size_bytes(self) -> int:
        """How much there is to read, compressed as it is; 0 where that is not known."""
        try:
            return 0 if self.name == STDIN else Path(self.name).stat().st_size
        except OSError:
            return 0


Recording = tuple[File, ...]
"""Files that follow one another."""


def recordings(names: Sequence[str]) -> list[Recording]:
    """Find the files behind *names*, grouped by the process that wrote them.

    Raises:
        RefusedError: there is none, one cannot be opened, or is of a later format than ours.
    """
    parts: dict[str, list[tuple[int, File]]] = {}
    for file in {file.name: file for name in names for file in _files(name)}.values():
        header = _header(file)
        if header is None or not header.recording:
            parts[file.name] = [(_FIRST_PART, file)]
        else:
            parts.setdefault(f"recording {header.recording}", []).append((header.part, file))
    return [tuple(file for _, file in sorted(each, key=_number)) for each in parts.values()]


def _number(part: tuple[int, File]) -> int:
    return part[0]


def _files(name: str) -> list[File]:
    path = Path(name)
    if name == STDIN:
        return [File(name)]
    with _refused(name):
        if path.is_dir():
            return _in_directory(path)
        found = [] if path.exists() else _of_set(path)
    return found or [File(name)]


def _in_directory(directory: Path) -> list[File]:
    names = sorted(each for each in directory.iterdir() if set_name(each) and each.is_file())
    if not names:
        raise RefusedError(
            f"{directory} holds no capture: no file in it ends in .jsonl, .jsonl.gz or .jsonl.zst"
        )
    return [File(str(each), named=False) for each in names]


def _of_set(path: Path) -> list[File]:
    name = set_name(path)
    if name is None or not path.parent.is_dir():
        return []
    found = sorted(each for each in path.parent.iterdir() if name.number_of(each.name) is not None)
    return [File(str(each), named=False) for each in found]


def _header(file: File) -> Header | None:
    """Read the first line; None where it is no header."""
    with _refused(file.name):
        if file.name == STDIN or not Path(file.name).is_file():
            return None  # a pipe can be read only once
    with file.opened() as opened:
        try:
            block = next(blocks_of(file.label, opened), b"")
        except BrokenOffError:
            return None
    header = read_line(block.partition(b"\n")[0])
    if not isinstance(header, Header):
        return None
    check(file, header)
    return header


def check(file: File, header: Header) -> None:
    """Refuse what a later version wrote.

    Raises:
        RefusedError: it is of a later format than ours.
    """
    if header.format > FORMAT:
        raise RefusedError(
            f"{file.label} was written by celery-stream {header.version} in format "
            f"{header.format}: this version reads up to {FORMAT}"
        )
