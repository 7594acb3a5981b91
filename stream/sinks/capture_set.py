"""The files of a capture, one after another: rotated by size and by age, the oldest removed.

A restarted process goes on in a new file of the same set. Each file begins with a header, so that
it can be read alone. Blocks: one call at a time, in a thread. One process at a time for a set.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from ..errors import ConfigError
from ..wire.capture import read_line
from ..wire.capture_lines import Gap, Header, gap_line, header_line
from ..wire.capture_names import DEFAULT, SetName, set_name
from .capture_file import CaptureFile

_HOUR: Final = 3_600.0


class Rotation(Struct, frozen=True):
    """When a file is full, and how many there are."""

    max_bytes: int = 256 * 1024 * 1024
    """On disk, after which a new file begins: some five million events."""
    max_age: float = _HOUR
    """Seconds of frames in a file."""
    keep: int | None = 48
    """Files that stay, the current one among them; None: all."""


class CaptureSet:
    """Writes the files of a set.

    Args:
        target: a directory, or ``directory/name.jsonl.zst`` (``.jsonl.gz``, ``.jsonl``), of which
            the date and number of each file become a part.
        header: of all files; each gets its own part and instant.
        rotation: how large, how old, how many.
    """

    def __init__(self, target: Path, header: Header, rotation: Rotation) -> None:
        name = set_name(target)
        self._name: SetName = name or _default_name()
        self._directory = target if name is None else target.parent
        self._header = header
        self._rotation = rotation
        self._part = 0
        self._file: CaptureFile | None = None
        self._began_at = float("-inf")
        self._missing = 0
        """Frames of which is still to be noted that they are not there."""

    def open(self) -> None:
        """Make the directory; the first file is made when there is something to write.

        Raises:
            ConfigError: the directory cannot be made or written to.
        """
        probe = self._directory / f".{self._name.stem}.writable"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as exc:
            problem = f"captures cannot be written to {self._directory}: {exc.strerror}"
            raise ConfigError(problem) from exc

    @property
    def path(self) -> Path | None:
        """The file that is being written; None before the first and after a failure."""
        return None if self._file is None else self._file.path

    def append(self, lines: bytes, at: float) -> None:
        """Write whole lines, the first of which arrived at *at*, to the file that is due.

        A note of missing frames begins no file: it goes before the frames that do. A full disk
        may have room for notes alone, and each file would cost one that holds frames.

        Raises:
            OSError: the disk does not take them; what was written before is not touched. The next
                call tries a new file.
        """
        if self._file is None and isinstance(note := read_line(lines), Gap):
            self._missing += note.count
            return
        file = self._due(at)
        is_first = not file.has_frames
        try:
            file.append(self._note() + lines)
        except OSError:
            self._file = None
            file.leave()
            raise
        self._missing = 0
        if is_first:  # not before: a full disk may take a header, and then no frame
            self._part += 1
            self._remove_oldest()

    def close(self) -> None:
        """End the current file. Safe twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _note(self) -> bytes:
        return gap_line(Gap(self._missing)) if self._missing else b""

    def _due(self, at: float) -> CaptureFile:
        file, rotation = self._file, self._rotation
        if file is not None:
            is_old = at - self._began_at >= rotation.max_age
            if not is_old and file.size_bytes < rotation.max_bytes:
                return file
            self.close()
        return self._begin(at)

    def _begin(self, at: float) -> CaptureFile:
        at = max(at, self._began_at)  # frames may come late, and names are to be in order
        number = 1 + max(self._numbers(), default=0)
        file = CaptureFile(self._directory / self._name.part(number, at))
        header = structs.replace(self._header, part=self._part + 1, started_at=at)
        try:
            file.begin(header_line(header))
        except OSError:
            file.leave()
            raise
        self._file, self._began_at = file, at
        return file

    def _numbers(self) -> dict[int, Path]:
        """The files of the set by their numbers."""
        found: dict[int, Path] = {}
        for path in self._directory.iterdir():
            number = self._name.number_of(path.name)
            if number is not None:
                found[number] = path
        return found

    def _remove_oldest(self) -> None:
        if self._rotation.keep is None:
            return
        try:
            files = self._numbers()
        except OSError:  # the lines are written; the next file brings the next try
            return
        for number in sorted(files)[: -self._rotation.keep]:
            with suppress(OSError):  # somebody else has removed it, or it stays
                files[number].unlink()


def _default_name() -> SetName:
    name = set_name(Path(DEFAULT))
    assert name is not None  # noqa: S101 - a constant
    return name
