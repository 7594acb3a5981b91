"""Messages that are made before they are published, so that making them takes no core from anybody.

A minute of them is several gigabytes: they wait in a temporary file, compressed in blocks.
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, Final

import msgspec
import zstandard

from stream.bench.publisher import Packed

_BLOCK: Final = 1_000
"""Messages; some 2 MB."""
_LENGTH: Final = struct.Struct("<I")
_read_block: Final = msgspec.msgpack.Decoder(list[Packed]).decode


def store(messages: Iterable[Packed], file: IO[bytes]) -> int:
    """Write messages to an empty file; return how many they are."""
    rest, compress = iter(messages), zstandard.ZstdCompressor(level=1).compress
    count = 0
    while block := list(islice(rest, _BLOCK)):
        data = compress(msgspec.msgpack.encode(block))
        file.write(_LENGTH.pack(len(data)))
        file.write(data)
        count += len(block)
    return count


def stored(file: IO[bytes]) -> Iterator[Packed]:
    """Read them back, as they are asked for."""
    file.seek(0)
    decompress = zstandard.ZstdDecompressor().decompress
    while length := file.read(_LENGTH.size):
        yield from _read_block(decompress(file.read(*_LENGTH.unpack(length))))
