"""Lines of a file, plain or compressed, in blocks.

How it is compressed is told by its first bytes and not by its name. Compressed data that break
off, as those of a process that was killed do, give what was there.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, TypeAlias

from zstandard import ZstdDecompressor, ZstdError

from ..errors import RefusedError

STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"
_ZSTANDARD: Final = b"\x28\xb5\x2f\xfd"
_BLOCK_BYTES: Final = 256 * 1024
_PIECE_BYTES: Final = 16 * 1024
"""Of compressed data at a time. Lines become a block of a quarter of a megabyte; the worst that
somebody can make of it is half a gigabyte, and is no capture."""
_LINE_BYTES: Final = 64 * 1024 * 1024
"""Four times the largest payload that is read, which may be escaped; bounds the memory."""

_Read: TypeAlias = Callable[[int], bytes]


class BrokenOffError(Exception):
    """The compressed data end too early or are damaged; all that could be read has been."""


def blocks_of(name: str, file: BinaryIO) -> Iterator[bytes]:
    """Read *file* in blocks of whole lines, each without its last line end.

    Args:
        name: of the file, for messages.
        file: is read and not closed.

    Raises:
        BrokenOffError: the rest of the compressed data cannot be read.
        RefusedError: the file cannot be read, or is nothing that has lines.
    """
    rest: list[bytes] = []
    rest_bytes = 0
    for block in _readable(name, _blocks(file)):
        end = block.rfind(b"\n")
        if end >= 0:
            yield b"".join((*rest, block[:end]))
            rest, rest_bytes = [], 0
            block = block[end + 1 :]  # noqa: PLW2901 - what is left of it
        if block:
            rest.append(block)
            rest_bytes += len(block)
        if rest_bytes > _LINE_BYTES:
            raise RefusedError(f"{name} is no capture: it has a line of {rest_bytes:,} bytes")
    if rest:
        yield b"".join(rest)


def _readable(name: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Translate what goes wrong in reading."""
    try:
        yield from blocks
    except (EOFError, zlib.error, gzip.BadGzipFile, ZstdError) as error:
        raise BrokenOffError(str(error)) from None
    except OSError as error:
        raise RefusedError(f"{name} cannot be read: {error.strerror or error}") from None


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Read the next bytes, as soon as there are some."""
    read: _Read = getattr(file, "read1", file.read)
    peek = getattr(file, "peek", None)
    begin = b"" if peek is None else peek(len(_ZSTANDARD))
    if begin.startswith(_ZSTANDARD):
        yield from _decompressed(read)
        return
    if begin.startswith(_GZIP):
        read = gzip.GzipFile(fileobj=file).read1
    while block := read(_BLOCK_BYTES):
        yield block


def _decompressed(read: _Read) -> Iterator[bytes]:
    """Read frames of Zstandard, one after another."""
    decompressor = ZstdDecompressor()
    frame = decompressor.decompressobj()
    begun = False
    while piece := read(_PIECE_BYTES):
        while piece:
            begun = True
            if block := frame.decompress(piece):
                yield block
            piece = b""
            if frame.eof:
                piece = frame.unused_data
                frame, begun = decompressor.decompressobj(), False
    if begun:
        raise EOFError("the file ends within a frame")
