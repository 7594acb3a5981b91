"""One file of a capture while it is written, plain or compressed by its suffix.

What `append` returned from is readable, up to its last line, whatever becomes of the process: each
call ends a block of the compressed data. What a failed call wrote is cut off again.
"""

import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from zstandard import COMPRESSOBJ_FLUSH_BLOCK, COMPRESSOBJ_FLUSH_FINISH, ZstdCompressor

_GZIP_LEVEL: Final = 6
_GZIP_WINDOW: Final = 31
"""zlib's number for its largest window and a gzip header."""
_ZSTANDARD_LEVEL: Final = 3
_MODE: Final = 0o640
"""A capture may hold arguments: nobody else reads it."""


class _Compression(NamedTuple):
    """Makes the bytes of a file from those of its lines."""

    compress: Callable[[bytes], bytes]
    flush: Callable[[], bytes]
    """Return what makes all so far readable."""
    finish: Callable[[], bytes]


class CaptureFile:
    """A new file.

    Args:
        path: where; ``.zst`` and ``.gz`` at its end are compressed.

    Raises:
        OSError: it cannot be made, or is there already.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        """On disk."""
        self._header_bytes = 0
        self._compression = _compression_of(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)

    @property
    def has_frames(self) -> bool:
        """Whether there is more in it than its header."""
        return self.size_bytes > self._header_bytes

    def begin(self, header: bytes) -> None:
        """Write the header.

        Raises:
            OSError: as `append`.
        """
        self.append(header)
        self._header_bytes = self.size_bytes

    def append(self, lines: bytes) -> None:
        """Write whole lines.

        Raises:
            OSError: the disk does not take them. The file holds what it held before and is to be
                left.
        """
        compression = self._compression
        self._write(compression.compress(lines) + compression.flush())

    def close(self) -> None:
        """End the compressed data, if the disk takes that, and close the file."""
        try:
            with suppress(OSError):  # it is readable without its end as well
                self._write(self._compression.finish())
        finally:
            os.close(self._descriptor)

    def leave(self) -> None:
        """Close the file after a failed `append`, and remove it where no frame is in it."""
        os.close(self._descriptor)
        if not self.has_frames:
            with suppress(OSError):
                self.path.unlink()

    def _write(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size_bytes)
            raise
        self.size_bytes += written


def _compression_of(path: Path) -> _Compression:
    match path.suffix:
        case ".zst":
            zstandard = ZstdCompressor(_ZSTANDARD_LEVEL, write_checksum=True).compressobj()
            return _Compression(
                zstandard.compress,
                lambda: zstandard.flush(COMPRESSOBJ_FLUSH_BLOCK),
                lambda: zstandard.flush(COMPRESSOBJ_FLUSH_FINISH),
            )
        case ".gz":
            gzip = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
            return _Compression(
                gzip.compress,
                lambda: gzip.flush(zlib.Z_SYNC_FLUSH),
                lambda: gzip.flush(zlib.Z_FINISH),
            )
        case _:
            return _Compression(lambda lines: lines, bytes, bytes)
