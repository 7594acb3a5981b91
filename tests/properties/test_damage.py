"""A capture may be damaged in any way: what is whole is counted, what is not is told by its line.

Each replay ends with a report, or with one sentence and exit code 1; never with a traceback.
"""

import gzip
import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from zstandard import ZstdCompressor

from stream.cli import main
from stream.events import Tick
from stream.wire.capture_lines import FORMAT, Gap, Header, frame_lines, gap_line, header_line

CAPTURES = Path(__file__).parent.parent / "captures"
FOREIGN = gzip.decompress((CAPTURES / "redis-5.7.0-chordunlock" / "raw.jsonl.gz").read_bytes())
EVENTS = gzip.decompress((CAPTURES / "redis-5.7.0-chordunlock" / "events.jsonl.gz").read_bytes())
GIANT = b'{"t_recv": 1, "transport": "redis", "channel": "c", "data": "' + b"x" * 200_000 + b'"}'
"""A line of a message, larger than a block that is read; what it says is no event."""


def zstandard(content):
    """As `record` compresses: several frames, one after the other."""
    half = len(content) // 2
    compress = ZstdCompressor().compress
    return compress(content[:half]) + compress(content[half:])


shorter = settings(max_examples=settings.default.max_examples // 4)
"""A replay takes some 20 ms, a thousand times what other properties take."""

COMPRESSIONS = {"jsonl": bytes, "jsonl.gz": gzip.compress, "jsonl.zst": zstandard}


@cache
def recorded():
    """A capture of our own: a header, messages, ticks, and a note that some are missing."""
    header = header_line(Header(FORMAT, "1", ("redis://h",), "one"))
    lines = FOREIGN.splitlines(keepends=True)
    first = msgspec.json.decode(lines[1])["t_recv"]
    ticks = [frame_lines([Tick(first + second)]) for second in range(3)]
    return b"".join([header, *lines[:20], *ticks, gap_line(Gap(7)), *lines[20:]])


class Said(NamedTuple):
    """How a replay ended."""

    code: int
    out: str
    err: str

    @property
    def sentences(self):
        return self.err.splitlines()


class _Input:
    def __init__(self, content):
        self.buffer = io.BufferedReader(io.BytesIO(content))


def replayed(*arguments, given=b""):
    """Run the command in this process; a traceback would be an exception here."""
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = _Input(given)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(["replay", *map(str, arguments)])
    finally:
        sys.stdin = before
    return Said(code, out.getvalue(), err.getvalue())


def as_file(content, *, name="capture.jsonl"):
    with TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(content)
        return replayed(file)


def assert_told(said, *, damaged=None):
    """Counts, with the numbers of the lines; or one clear sentence."""
    if said.code == 0:
        (counted,) = re.findall(r"damaged lines +([\d,]+)", said.out)
        assert len(said.sentences) == int(counted)
        assert all(re.search(r", line \d+: .", each) for each in said.sentences)
        if damaged is not None:
            assert int(counted) == damaged
        return
    assert said.code == 1
    assert said.out == ""
    assert len(said.sentences) == 1, said.err
    assert said.sentences[0].startswith("celery-stream: ")


def events_of(said):
    return int(re.findall(r"events +([\d,]+)", said.out)[0].replace(",", ""))


contents = st.sampled_from(["foreign", "events", "recorded"])
suffixes = st.sampled_from(sorted(COMPRESSIONS))


def content_of(kind):
    return {"foreign": FOREIGN, "events": EVENTS, "recorded": recorded()}[kind]


def replay_of(kind):
    """The same, whole."""
    return as_file(content_of(kind))


@shorter
@given(contents, suffixes, st.integers(0, 10**9))
@example("recorded", "jsonl.zst", 0)
@example("recorded", "jsonl.zst", 1)
@example("recorded", "jsonl.zst", 5)
@example("foreign", "jsonl.gz", 5)
@example("foreign", "jsonl", 1)
def test_a_capture_may_end_at_any_byte(kind, suffix, at):
    whole = COMPRESSIONS[suffix](content_of(kind))
    said = as_file(whole[: at % (len(whole) + 1)], name=f"capture.{suffix}")
    assert_told(said)
    assert len(said.sentences) <= 1
    if said.code == 0:
        assert events_of(said) <= events_of(replay_of(kind))


@shorter
@given(contents, suffixes, st.integers(0, 10**9), st.binary(min_size=1, max_size=60))
@example("foreign", "jsonl", 0, b"\x00" * 9)
@example("recorded", "jsonl", 0, b"\xff\xfe")
@example("foreign", "jsonl.zst", 3, b"\x28\xb5\x2f\xfd")
@example("foreign", "jsonl.gz", 200, b"\x1f\x8b\x08")
def test_any_bytes_may_be_overwritten(kind, suffix, at, junk):
    whole = bytearray(COMPRESSIONS[suffix](content_of(kind)))
    at %= len(whole)
    whole[at : at + len(junk)] = junk
    assert_told(as_file(bytes(whole), name=f"capture.{suffix}"))


garbage = st.binary(max_size=40).filter(lambda line: line.strip() and b"\n" not in line)
nested = st.integers(1, 5_000).map(lambda depth: b"[" * depth)
wrong_types = st.sampled_from(
    [
        b"7",
        b"null",
        b'"text"',
        b"[]",
        b"{}",
        b'{"t_recv": 1e999}',
        b'{"t_recv": NaN, "frame": "tick"}',
    ]
)


@shorter
@given(contents, suffixes, st.integers(0, 10**9), garbage | nested | wrong_types)
@example("recorded", "jsonl", 0, b"{")
@example("foreign", "jsonl", 5, b"\xff")
@example("events", "jsonl", 5, b'{"type": 7}')
def test_a_line_of_garbage_costs_itself_and_is_told_by_its_number(kind, suffix, at, line):
    lines = content_of(kind).splitlines(keepends=True)
    at %= len(lines) + 1
    # How a file is compressed is told by its first bytes.
    assume(at or suffix != "jsonl" or not line.startswith((b"\x1f\x8b", b"(\xb5/\xfd")))
    content = b"".join([*lines[:at], line + b"\n", *lines[at:]])
    said = as_file(COMPRESSIONS[suffix](content), name=f"capture.{suffix}")
    assert_told(said)
    assert said.code == 0
    assert events_of(said) == events_of(replay_of(kind))
    assert all(f", line {at + 1}: " in each for each in said.sentences)
    assert len(said.sentences) <= 1


@shorter
@given(st.binary(max_size=5_000))
@example(b"")
@example(b"\n\n\n")
@example(b"\x28\xb5\x2f\xfd")
@example(b"\x1f\x8b")
def test_what_is_no_capture_at_all_is_one_sentence(content):
    said = as_file(content)
    assert_told(said)
    assert said.code == 1


@shorter
@given(contents, st.sampled_from(["jsonl.gz", "jsonl.zst"]), suffixes)
def test_how_it_is_compressed_is_told_by_its_bytes_and_not_by_its_name(kind, suffix, name):
    said = as_file(COMPRESSIONS[suffix](content_of(kind)), name=f"capture.{name}")
    assert (said.code, said.err) == (0, "")
    assert said.out == replay_of(kind).out


@shorter
@given(contents, suffixes, st.integers(0, 10**9))
def test_standard_input_may_be_damaged_as_a_file_may(kind, suffix, at):
    whole = COMPRESSIONS[suffix](content_of(kind))
    part = whole[: at % (len(whole) + 1)]
    said, of_file = replayed("-", given=part), as_file(part)
    assert_told(said)
    assert (said.code, said.out) == (of_file.code, of_file.out)


@shorter
@given(suffixes, st.lists(st.integers(0, 10**9), min_size=1, max_size=3), st.booleans())
def test_of_a_rotated_set_each_file_may_be_cut(suffix, cuts, is_named):
    lines = recorded().splitlines(keepends=True)
    size = len(lines) // len(cuts) + 1
    with TemporaryDirectory() as folder:
        for number, cut in enumerate(cuts):
            header = header_line(Header(FORMAT, "1", ("redis://h",), "one", number + 1))
            part = header + b"".join(lines[1 + number * size : 1 + (number + 1) * size])
            whole = COMPRESSIONS[suffix](part)
            name = f"capture-20261123T02000{number}Z-00000{number + 1}.{suffix}"
            (Path(folder) / name).write_bytes(whole[: cut % (len(whole) + 1)])
        said = replayed(Path(folder) / f"capture.{suffix}" if is_named else folder)
    assert_told(said)
    assert len(said.sentences) <= len(cuts)


@pytest.mark.parametrize("suffix", sorted(COMPRESSIONS))
def test_a_giant_line_is_read_over(suffix):
    lines = FOREIGN.splitlines(keepends=True)
    content = b"".join([*lines[:5], GIANT, b"\n", *lines[5:]])
    said = as_file(COMPRESSIONS[suffix](content), name=f"capture.{suffix}")
    assert_told(said, damaged=0)  # it is a frame; its payload is rejected
    assert events_of(said) == events_of(as_file(FOREIGN))
    assert re.search(r"rejected +1 ", said.out)


def test_a_line_beyond_all_measure_is_a_sentence():
    said = as_file(zstandard(b'{"t_recv": 1, "data": "' + b"x" * 70_000_000))
    assert_told(said)
    assert "has a line of" in said.err


def test_a_folder_without_captures_is_a_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    assert_told(replayed(tmp_path))
    assert replayed(tmp_path).code == 1


def test_what_cannot_be_opened_is_a_sentence(tmp_path):
    assert_told(replayed(tmp_path / "missing.jsonl"))
    assert replayed(tmp_path / "missing.jsonl").code == 1


def test_in_a_folder_an_empty_file_costs_nothing_else(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(FOREIGN)
    (tmp_path / "b.jsonl").write_bytes(b"")
    said = replayed(tmp_path)
    assert_told(said, damaged=1)
    assert events_of(said) == events_of(as_file(FOREIGN))
