"""Blocks of whole lines, however the bytes come."""

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zstandard import ZstdCompressor

from stream.errors import RefusedError
from stream.sources.lines import blocks_of


class Pipe(io.RawIOBase):
    """Gives bytes in pieces, as a pipe does."""

    def __init__(self, pieces):
        super().__init__()
        self._pieces = list(pieces)

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._pieces.pop(0) if self._pieces else b""
        buffer[: len(piece)] = piece
        return len(piece)


def piped(*pieces):
    return io.BufferedReader(Pipe(pieces))


def lines_of(file):
    return [line for block in blocks_of("name", file) for line in block.split(b"\n")]


@given(st.lists(st.binary(min_size=1, max_size=20) | st.just(b"\n"), max_size=10))
def test_lines_are_whole_wherever_the_pieces_end(pieces):
    text = b"\n" + b"".join(pieces)  # so that it begins like nothing that is compressed
    lines = text.split(b"\n")
    expected = lines if lines[-1] else lines[:-1]
    assert lines_of(piped(b"\n", *pieces)) == expected


@pytest.mark.parametrize("compress", [bytes, gzip.compress, ZstdCompressor().compress])
def test_what_is_piped_in_may_be_compressed(compress):
    assert lines_of(piped(compress(b"one\ntwo\n"))) == [b"one", b"two"]


def test_lines_that_have_come_are_read_before_the_next_ones_come():
    blocks = blocks_of("name", piped(b"one\ntw", b"o\n"))
    assert list(blocks) == [b"one", b"two"]


def test_what_has_no_lines_is_refused_before_it_takes_all_memory():
    compressed = ZstdCompressor().compress(bytes(80 * 1024 * 1024))
    with pytest.raises(RefusedError, match="name is no capture: it has a line of"):
        lines_of(piped(compressed))
