"""Lines of a file, plain or compressed.

Which of the two it is, is told by its first bytes and not by its name. Compressed data that break
off give what was there.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from ..errors import RefusedError

STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"
_BLOCK_BYTES: Final = 1024 * 1024
_LINE_BYTES: Final = 64 * 1024 * 1024
"""Four times the largest payload that is read, which may be escaped; bounds the memory."""


class BrokenOffError(Exception):
    """The compressed data end too early or are damaged; all that could be read has been."""


def lines_of(name: str, file: BinaryIO) -> Iterator[bytes]:
    """Read *file* line by line, without the line ends.

    Args:
        name: of the file, for messages.
        file: is read and not closed.

    Raises:
        BrokenOffError: the rest of the compressed data cannot be read.
        RefusedError: the file cannot be read, or is nothing that has lines.
    """
    rest = b""
    for block in _blocks(name, _reader(file)):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        yield from lines
        if len(rest) > _LINE_BYTES:
            raise RefusedError(f"{name} is no capture: it has a line of {len(rest):,} bytes")
    if rest:
        yield rest


def _reader(file: BinaryIO) -> Callable[[int], bytes]:
    """Return what reads the next bytes of a file, as soon as there are some."""
    peek = getattr(file, "peek", None)
    if peek is not None and peek(len(_GZIP)).startswith(_GZIP):
        return gzip.GzipFile(fileobj=file).read1
    return getattr(file, "read1", file.read)


def _blocks(name: str, read: Callable[[int], bytes]) -> Iterator[bytes]:
    try:
        while block := read(_BLOCK_BYTES):
            yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BrokenOffError(str(error)) from None
    except OSError as error:
        raise RefusedError(f"{name} cannot be read: {error.strerror or error}") from None
