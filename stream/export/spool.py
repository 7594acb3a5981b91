"""Batches on disk that wait for their receiver: first in, first out, bounded, across restarts.

A directory of numbered segment files and a cursor that says how far they were delivered. A batch
that `append` returned from survives the end of the process (and of the machine, as far as its
disk keeps what it was told to sync). A batch whose `done` was not written down in time is
delivered once more: at least once, never less.

Blocks: one call at a time, in a thread. One process at a time: the directory is locked.
"""

import fcntl
import os
import struct
import zlib
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from ..errors import ConfigError
from . import segment
from .batch import Batch
from .segment import HEADER_BYTES, MAGIC, Frame

_CURSOR = struct.Struct("<QQ")
_CHECK = struct.Struct("<I")
_SEGMENTS = 16
"""A full spool gives up its oldest segment: about this part of it at a time."""
_MOST_SEGMENT_BYTES = 8 * 1024 * 1024


class Losses(Struct, frozen=True, gc=False):
    """What left the spool without being delivered."""

    evicted: int = 0
    """Items given up because it was full."""
    damaged: int = 0
    """Items that were appended and cannot be read any more."""


class _Segment(Struct):
    """One file, and the batches in it that are still to be delivered."""

    number: int
    path: Path
    end: int
    frames: deque[Frame]
    items: int


class Spool:
    """The spool of one signal.

    Args:
        directory: its own; made if it is missing.
        max_bytes: size of all segments together.

    Raises:
        ConfigError: the directory cannot be made, read or locked.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = min(_MOST_SEGMENT_BYTES, max(1, max_bytes // _SEGMENTS))
        self._segments: deque[_Segment] = deque()
        self._file: BinaryIO | None = None
        self._losses = Losses()
        self._taken: Frame | None = None
        self.recovered = 0
        """Items that an earlier process left."""
        self.damaged = 0
        """Places in the files that could not be read: torn writes and damage."""
        self._opened: list[int] = []
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._opened.append(_locked(directory / "lock"))
            self._cursor = os.open(directory / "cursor", os.O_RDWR | os.O_CREAT, 0o600)
            self._opened.append(self._cursor)
            self._recover()
        except OSError as exc:
            self._close_opened()
            raise ConfigError(f"the spool {directory} cannot be used: {exc.strerror}") from exc

    @property
    def items(self) -> int:
        """Items that wait in it."""
        return sum(each.items for each in tuple(self._segments))

    @property
    def size_bytes(self) -> int:
        """Size of all segments. Like `items`, for any thread."""
        return sum(each.end for each in tuple(self._segments))

    def append(self, batch: Batch) -> None:
        """Write a batch behind all others; the oldest go where there is no room for it.

        Raises:
            OSError: the disk does not take it; nothing was appended.
        """
        frame = segment.pack(batch)
        room = len(MAGIC) + len(frame)  # it may begin a file
        if room > self._max_bytes:
            self._lose(evicted=batch.items)
            return
        while self._segments and self.size_bytes + room > self._max_bytes:
            self._evict()
        if self._file is not None and os.fstat(self._file.fileno()).st_nlink == 0:
            self._forget(self._segments[-1])
        if self._file is None or self._segments[-1].end >= self._segment_bytes:
            self._roll()
        self._write(frame, batch)

    def oldest(self) -> Batch | None:
        """Read the batch that has waited for longest; None where there is none.

        It stays until `done`. What is damaged is left out and counted.

        Raises:
            OSError: the disk cannot be read.
        """
        while self._segments:
            first = self._segments[0]
            if not first.frames:
                self._remove_first()
                continue
            frame = first.frames[0]
            try:
                batch = segment.read(first.path, frame)
            except FileNotFoundError:  # somebody removed it
                self._forget(first)
                continue
            if batch is not None:
                self._taken = frame
                return batch
            self.damaged += 1
            self._lose(damaged=frame.items)
            self._pass(frame)
        return None

    def done(self) -> bool:
        """Forget the batch that `oldest` returned; False where it was evicted meanwhile."""
        frame, self._taken = self._taken, None
        if frame is None:
            return False
        self._pass(frame)
        return True

    def release(self) -> bool:
        """Keep the batch that `oldest` returned; False where it was evicted meanwhile."""
        held, self._taken = self._taken is not None, None
        return held

    def losses(self) -> Losses:
        """Return what was lost since the last call."""
        lost, self._losses = self._losses, Losses()
        return lost

    def close(self) -> None:
        """Close the files; the directory is free for another process."""
        self._close_file()
        self._close_opened()

    def _close_opened(self) -> None:
        for opened in self._opened:
            with suppress(OSError):
                os.close(opened)

    # -- writing -------------------------------------------------------------------------------

    def _write(self, frame: bytes, batch: Batch) -> None:
        last = self._segments[-1]
        assert self._file is not None  # noqa: S101 - `append` has opened it
        try:
            self._file.write(frame)
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError:
            # What arrived of it, if anything, is cut off: the next one begins where this one did.
            self._close_file()
            with suppress(OSError):
                os.truncate(last.path, last.end)
            if not last.frames:
                self._segments.pop().path.unlink(missing_ok=True)
            raise
        length = len(frame) - HEADER_BYTES
        crc, flags = zlib.crc32(batch.body), int(batch.gzip)
        last.frames.append(Frame(last.end, length, batch.items, flags, crc))
        last.items += batch.items
        last.end += len(frame)

    def _roll(self) -> None:
        """Begin a new segment."""
        self._close_file()
        number = self._next_number
        self._next_number += 1
        path = self._directory / f"{number:016d}.spool"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb")
        self._file.write(MAGIC)
        self._segments.append(_Segment(number, path, len(MAGIC), deque(), 0))

    def _close_file(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):  # a full disk: what was not flushed was not appended either
                file.close()

    # -- taking out ----------------------------------------------------------------------------

    def _pass(self, frame: Frame) -> None:
        """Move on behind the oldest frame."""
        first = self._segments[0]
        first.frames.popleft()
        first.items -= frame.items
        if first.frames:
            self._note(first.number, frame.end)
        else:
            self._remove_first()

    def _evict(self) -> None:
        """Give up the oldest segment; the batch that is being delivered is not lost by that."""
        first = self._segments[0]
        self._remove_first()
        self._lose(evicted=self._lost_with(first))

    def _forget(self, gone: _Segment) -> None:
        """Count what was in a file that is not there any more; likewise."""
        self.damaged += 1
        self._lose(damaged=self._lost_with(gone))
        if gone is self._segments[-1]:
            self._close_file()
        self._segments.remove(gone)

    def _lost_with(self, gone: _Segment) -> int:
        """Return the items that go with a segment, but for the batch that is being delivered."""
        first = gone.frames[0] if gone.frames else None
        if first is None or first is not self._taken:
            return gone.items
        self._taken = None
        return gone.items - first.items

    def _remove_first(self) -> None:
        self._segments[0].path.unlink(missing_ok=True)  # first: it stays ours where it fails
        self._segments.popleft()
        if not self._segments:
            self._close_file()

    def _lose(self, *, evicted: int = 0, damaged: int = 0) -> None:
        self._losses = Losses(self._losses.evicted + evicted, self._losses.damaged + damaged)

    # -- across restarts -----------------------------------------------------------------------

    def _note(self, number: int, offset: int) -> None:
        """Write down how far was delivered. Not synced: at worst something is delivered twice."""
        fields = _CURSOR.pack(number, offset)
        os.pwrite(self._cursor, fields + _CHECK.pack(zlib.crc32(fields)), 0)

    def _noted(self) -> tuple[int, int]:
        found = os.pread(self._cursor, _CURSOR.size + _CHECK.size, 0)
        fields, check = found[: _CURSOR.size], found[_CURSOR.size :]
        if len(check) < _CHECK.size or _CHECK.unpack(check)[0] != zlib.crc32(fields):
            return 0, 0
        number, offset = _CURSOR.unpack(fields)
        return number, offset

    def _recover(self) -> None:
        """Find what an earlier process left; what cannot be read is passed over and counted."""
        delivered_in, delivered_to = self._noted()
        self._next_number = delivered_in + 1  # a new file must not look delivered
        for path in sorted(self._directory.glob("*.spool")):
            if not path.stem.isdigit():
                continue
            number = int(path.stem)
            self._next_number = max(self._next_number, number + 1)
            found = segment.scan(path, delivered_to if number == delivered_in else 0)
            self.damaged += found.damaged
            if found.frames:
                items = sum(frame.items for frame in found.frames)
                size = path.stat().st_size
                self._segments.append(_Segment(number, path, size, deque(found.frames), items))
            elif found.damaged and path.stat().st_size > len(MAGIC):
                path.replace(path.with_suffix(".damaged"))  # for a person; not read again
            else:
                path.unlink()
        self.recovered = self.items
        while self.size_bytes > self._max_bytes:  # the limit was lowered
            self._evict()


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(lock)
        raise ConfigError(f"the spool {path.parent} is used by another process") from exc
    return lock
