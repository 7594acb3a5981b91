"""One file of the spool: batches one after another, each with its length and checksums.

::

    file   = magic, frame*
    frame  = header, body
    header = length of the body, items, flags, CRC-32 of the body, CRC-32 of the header so far
             (five little-endian 32-bit numbers)

The header's own checksum lets a reader skip from frame to frame without reading bodies, and count
what a damaged body held. Whatever the bytes are, reading raises nothing but what the disk does.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from .batch import Batch

MAGIC = b"cstream1"
_FIELDS = struct.Struct("<IIII")
_CHECK = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CHECK.size
_GZIP = 1


class Frame(Struct, frozen=True, gc=False):
    """Where a batch lies in its file."""

    offset: int
    """Of the header."""
    length: int
    """Bytes of the body."""
    items: int
    flags: int
    crc: int

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.offset + HEADER_BYTES + self.length


class Scan(Struct, frozen=True):
    """What a file holds from some offset on."""

    frames: tuple[Frame, ...]
    end: int
    """Offset behind the last whole frame."""
    damaged: bool
    """Whether something follows that is no frame: a torn write, or damage."""


def pack(batch: Batch) -> bytes:
    """Return a batch as a frame."""
    flags = _GZIP if batch.gzip else 0
    fields = _FIELDS.pack(len(batch.body), batch.items, flags, zlib.crc32(batch.body))
    return b"".join((fields, _CHECK.pack(zlib.crc32(fields)), batch.body))


def scan(path: Path, offset: int = 0) -> Scan:
    """Find the frames of a file from *offset* on (0: from the first), without their bodies.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(MAGIC)) != MAGIC:
            return Scan((), 0, damaged=True)
        frames = tuple(_frames(file, max(offset, len(MAGIC)), size))
    end = frames[-1].end if frames else min(max(offset, len(MAGIC)), size)
    return Scan(frames, end, damaged=end < size)


def read(path: Path, frame: Frame) -> Batch | None:
    """Read one batch; None where its body is damaged.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(frame.offset + HEADER_BYTES)
        body = file.read(frame.length)
    if len(body) != frame.length or zlib.crc32(body) != frame.crc:
        return None
    return Batch(frame.items, body, bool(frame.flags & _GZIP))


def _frames(file: BinaryIO, offset: int, size: int) -> Iterator[Frame]:
    while offset + HEADER_BYTES <= size:
        file.seek(offset)
        header = file.read(HEADER_BYTES)
        fields, check = header[: _FIELDS.size], header[_FIELDS.size :]
        if len(header) < HEADER_BYTES or _CHECK.unpack(check)[0] != zlib.crc32(fields):
            return
        length, items, flags, crc = _FIELDS.unpack(fields)
        frame = Frame(offset, length, items, flags, crc)
        if frame.end > size or items == 0:
            return
        yield frame
        offset = frame.end
