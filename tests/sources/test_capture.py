"""Capture files as a source: all frames, in order, and the time between them."""

import errno
import gzip
import json
import os
from pathlib import Path

import pytest
from zstandard import COMPRESSOBJ_FLUSH_BLOCK, ZstdCompressor

from stream.errors import RefusedError
from stream.events import Message, Reason, Tick
from stream.occurrences import EventsRejected
from stream.sources.capture import Capture
from stream.wire.capture_lines import Header, frame_lines, header_line
from tests.builders import T0, message

pytestmark = pytest.mark.anyio


def event(at, number=0, **fields):
    fields = {"type": "task-started", "hostname": "w", "uuid": f"u{number}", **fields}
    return json.dumps({**fields, "timestamp": T0, "_t_recv": T0 + at}).encode()


def flushed(lines):
    """Compress lines as they are recorded: some, and some more."""
    frame = ZstdCompressor().compressobj()
    half = lines.index(b"\n", len(lines) // 2) + 1
    begin = frame.compress(lines[:half]) + frame.flush(COMPRESSOBJ_FLUSH_BLOCK)
    return begin + frame.compress(lines[half:]) + frame.flush()


def written(path, *lines, end=b"\n"):
    path.write_bytes(b"\n".join(lines) + end)
    return str(path)


class Reading:
    """What a source handed over."""

    def __init__(self, *files):
        self.told = []
        self.batches = []
        self.source = Capture(files, tell=self.told.append)

    async def run(self):
        await self.source.run(self._put)
        return self

    async def _put(self, frames):
        self.batches.append(frames)

    @property
    def times(self):
        """Of all frames, after the first one's: messages as floats, ticks as ints."""
        return [
            int(frame.received_at - T0) if isinstance(frame, Tick) else frame.received_at - T0
            for batch in self.batches
            for frame in batch
        ]

    @property
    def uuids(self):
        return [
            json.loads(frame.payload)["uuid"]
            for batch in self.batches
            for frame in batch
            if isinstance(frame, Message)
        ]


async def read(*files):
    return await Reading(*files).run()


# -- time ----------------------------------------------------------------------------------------


async def test_a_tick_comes_for_each_whole_second_after_the_first_frame(tmp_path):
    lines = [event(0.0), event(0.5), event(2.25), event(3.0)]
    reading = await read(written(tmp_path / "c", *lines))
    assert [repr(at) for at in reading.times] == ["0.0", "0.5", "1", "2", "2.25", "3", "3.0"]
    assert reading.source.last_at == T0 + 3.0


async def test_ticks_are_handed_over_apart_from_messages(tmp_path):
    reading = await read(written(tmp_path / "c", event(0.0), event(2.5), event(2.5)))
    assert [[type(frame) for frame in batch] for batch in reading.batches] == [
        [Message],
        [Tick, Tick],
        [Message, Message],
    ]


async def test_a_silence_of_a_week_costs_an_hour_of_ticks_and_then_it_goes_on_by_the_second(
    tmp_path,
):
    week = 7 * 86_400.0
    lines = [event(0.0), event(week + 0.5), event(week + 2.5)]
    reading = await read(written(tmp_path / "c", *lines))
    ticks = [frame for batch in reading.batches for frame in batch if isinstance(frame, Tick)]
    assert 3_500 < len(ticks) <= 3_602
    assert [each.received_at - T0 - week for each in ticks[-2:]] == [1.0, 2.0]


async def test_a_frame_that_is_older_than_the_last_one_brings_no_tick(tmp_path):
    reading = await read(written(tmp_path / "c", event(5.0), event(1.0), event(5.5)))
    assert reading.times == [5.0, 1.0, 5.5]
    assert reading.source.last_at == T0 + 5.5


async def test_several_files_are_read_as_one_by_arrival(tmp_path):
    one = written(tmp_path / "one", event(0.0, 0), event(0.75, 3))
    two = written(tmp_path / "two", event(0.25, 1), event(0.5, 2))
    assert (await read(one, two)).uuids == ["u0", "u1", "u2", "u3"]
    assert (await read(two, one)).uuids == ["u0", "u1", "u2", "u3"]


# -- files ---------------------------------------------------------------------------------------


async def test_a_compressed_file_is_known_by_its_content(tmp_path):
    lines = event(0.0, 0) + b"\n", event(0.1, 1) + b"\n"
    path = tmp_path / "capture.jsonl"
    path.write_bytes(gzip.compress(lines[0]) + gzip.compress(lines[1]))
    assert (await read(str(path))).uuids == ["u0", "u1"]
    plain = written(tmp_path / "capture.gz", event(0.0, 0))
    assert (await read(plain)).uuids == ["u0"]


async def test_the_last_line_needs_no_end(tmp_path):
    reading = await read(written(tmp_path / "c", event(0.0, 0), event(0.0, 1), end=b""))
    assert reading.uuids == ["u0", "u1"]


async def test_many_lines_are_read_in_slices_and_none_is_lost(tmp_path):
    lines = [event(number / 1_000, number) for number in range(5_000)]
    reading = await read(written(tmp_path / "c", *lines))
    assert reading.uuids == [f"u{number}" for number in range(5_000)]
    assert max(map(len, reading.batches)) <= 2_000


# -- damage --------------------------------------------------------------------------------------


async def test_damaged_lines_are_told_by_their_numbers_and_the_rest_is_read(tmp_path):
    lines = [event(0.0, 0), b"{damaged", b"", b'{"neither": 1}', event(0.0, 1), event(0.0)[:30]]
    file = written(tmp_path / "c", *lines, end=b"")
    reading = await read(file)
    assert reading.uuids == ["u0", "u1"]
    assert [damage[:2] for damage in reading.source.damages] == [(file, 2), (file, 4), (file, 6)]
    assert reading.source.damaged_lines == 3


async def test_of_very_many_damaged_lines_the_first_are_told_and_all_are_counted(tmp_path):
    reading = await read(written(tmp_path / "c", event(0.0), *[b"?"] * 1_000))
    assert len(reading.source.damages) == 100
    assert reading.source.damaged_lines == 1_000


async def test_compressed_data_that_break_off_give_what_was_there(tmp_path):
    path = tmp_path / "c.gz"
    lines = [event(number / 1_000, number) for number in range(2_000)]
    path.write_bytes(gzip.compress(b"\n".join(lines))[:-2_000])
    reading = await read(str(path))
    read_before = len(reading.uuids)
    assert reading.uuids == [f"u{number}" for number in range(read_before)]
    assert 0 < read_before < 2_000
    (damage,) = reading.source.damages
    assert damage.line == read_before + 1
    assert damage.detail.startswith("the compressed data break off")


async def test_what_the_capturing_side_did_not_decode_is_counted_and_no_damage(tmp_path):
    undecoded = b'{"_undecoded": "application/x-python-serialize"}'
    reading = await read(written(tmp_path / "c", undecoded, undecoded))
    assert reading.told == [EventsRejected(Reason.CONTENT_TYPE, 2)]
    assert (reading.batches, reading.source.damages) == ([], [])


async def test_a_capture_of_nothing_but_notes_is_a_capture(tmp_path):
    reading = await read(written(tmp_path / "c", b'{"t_recv": 1.0, "control": "psubscribe"}'))
    assert (reading.batches, reading.source.last_at) == ([], 0.0)


async def test_frames_of_zstandard_follow_one_another(tmp_path):
    path = tmp_path / "c"
    compress = ZstdCompressor().compress
    path.write_bytes(
        compress(event(0.0, 0) + b"\n" + event(0.1, 1)[:20]) + compress(event(0.1, 1)[20:])
    )
    reading = await read(str(path))
    assert (reading.uuids, reading.source.damages) == (["u0", "u1"], [])


@pytest.mark.parametrize("kind", ["zst", "gz"])
async def test_a_compressed_file_may_be_cut_at_any_byte(tmp_path, kind):
    """What is read is a beginning of what was written, and a cut is told."""
    lines = b"".join(event(number / 1_000, number) + b"\n" for number in range(50))
    whole = gzip.compress(lines) if kind == "gz" else flushed(lines)
    path = tmp_path / "c"
    for size in range(20, len(whole)):
        path.write_bytes(whole[:size])
        reading = Reading(str(path))
        try:
            await reading.run()
        except RefusedError as refused:
            assert "break off" in str(refused)  # noqa: PT017 - early cuts leave nothing
        assert reading.uuids == [f"u{number}" for number in range(len(reading.uuids))]
        assert reading.source.damaged_lines == 1


async def test_garbage_in_a_compressed_file_ends_it(tmp_path):
    path = tmp_path / "c"
    path.write_bytes(ZstdCompressor().compress(event(0.0, 0) + b"\n") + b"garbage, and more")
    reading = await read(str(path))
    assert reading.uuids == ["u0"]
    assert reading.source.damages[0].detail.startswith("the compressed data break off")


async def test_a_plain_line_that_breaks_off_is_one_damaged_line(tmp_path):
    reading = await read(written(tmp_path / "c", event(0.0, 0), event(0.0, 1)[:-9], end=b""))
    assert (reading.uuids, reading.source.damaged_lines) == (["u0"], 1)


# -- what this program recorded ------------------------------------------------------------------


def recorded(path, *frames, recording="r", part=1):
    path.write_bytes(header_line(Header(1, recording=recording, part=part)) + frame_lines(frames))
    return str(path)


def tick(at):
    return Tick(T0 + at)


def frames_of(reading):
    return [frame for batch in reading.batches for frame in batch]


async def test_a_recording_has_its_own_ticks_and_gets_no_others(tmp_path):
    frames = [message([], 0.0), tick(0.5), message([], 7.0), tick(7.5)]
    assert frames_of(await read(recorded(tmp_path / "c", *frames))) == frames


async def test_the_files_of_a_recording_follow_one_another_whatever_their_times(tmp_path):
    """Frames may come later than those behind them arrived, also at the end of a file."""
    second = recorded(tmp_path / "a", message([], 1.9), part=2)
    first = recorded(tmp_path / "b", message([], 1.0), message([], 2.0))
    reading = await read(second, first)
    assert frames_of(reading) == [message([], 1.0), message([], 2.0), message([], 1.9)]


@pytest.mark.parametrize("names", [("r", "s"), ("", "")])
async def test_different_recordings_are_merged_by_arrival(tmp_path, names):
    one = recorded(tmp_path / "a", message([], 0.0), message([], 2.0), recording=names[0])
    other = recorded(tmp_path / "b", message([], 1.0), recording=names[1])
    assert reading_times(await read(one, other)) == [0.0, 1.0, 2.0]


def reading_times(reading):
    return [frame.received_at - T0 for frame in frames_of(reading)]


async def test_batches_are_of_one_source(tmp_path):
    frames = [message([], 0.0, source=source) for source in "aab"]
    reading = await read(recorded(tmp_path / "c", *frames))
    assert reading.batches == [frames[:2], frames[2:]]


async def test_a_directory_is_read_whole_and_by_the_names_of_captures(tmp_path):
    recorded(tmp_path / "b.jsonl", message([], 0.0))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(frame_lines([message([], 1.0)])))
    (tmp_path / "notes.txt").write_text("no capture")
    reading = await read(str(tmp_path))
    assert reading_times(reading) == [0.0, 1.0]
    assert reading.source.done_bytes == reading.source.total_bytes > 0


async def test_an_empty_file_in_a_directory_is_told_and_costs_no_other(tmp_path):
    recorded(tmp_path / "a.jsonl", message([], 0.0))
    (tmp_path / "b.jsonl").touch()
    reading = await read(str(tmp_path))
    assert frames_of(reading) == [message([], 0.0)]
    (damage,) = reading.source.damages
    assert damage == (str(tmp_path / "b.jsonl"), 1, "the file is empty")


async def test_a_pipe_with_a_name_is_read_once():
    """As a shell makes it of ``<(zcat …)``."""
    reader, writer = os.pipe()
    os.write(writer, header_line(Header(1)) + frame_lines([message([], 0.0)]))
    os.close(writer)
    try:
        assert reading_times(await read(f"/dev/fd/{reader}")) == [0.0]
    finally:
        os.close(reader)


async def test_a_directory_without_captures_is_refused(tmp_path):
    assert (await refusal(str(tmp_path))).startswith(f"{tmp_path} holds no capture: ")


async def test_a_capture_of_a_later_format_is_refused(tmp_path):
    path = tmp_path / "c"
    path.write_bytes(header_line(Header(2, "9.9")))
    assert await refusal(str(path)) == (
        f"{path} was written by celery-stream 9.9 in format 2: this version reads up to 1"
    )


# -- what is no capture --------------------------------------------------------------------------


async def refusal(*files):
    with pytest.raises(RefusedError) as refused:
        await read(*files)
    return str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", gzip.compress(b"")], ids=["no bytes", "no lines", "compressed"]
)
async def test_an_empty_file_is_refused(tmp_path, content):
    path = tmp_path / "c"
    path.write_bytes(content)
    assert await refusal(str(path)) == (
        f"{path} is empty: a capture has a frame or an event on each line"
    )


async def test_a_file_without_a_single_frame_is_refused(tmp_path):
    file = written(tmp_path / "c", b"a,b,c", b"1,2,3")
    assert (await refusal(file)).startswith(
        f"{file} is no capture: no line is a frame or an event (line 1: "
    )


async def test_a_wrong_file_is_refused_beside_a_right_one(tmp_path):
    right = written(tmp_path / "right", event(0.0))
    wrong = written(tmp_path / "wrong", b"a,b,c")
    assert (await refusal(right, wrong)).startswith(f"{wrong} is no capture")


async def test_a_name_that_the_system_does_not_take_is_refused(tmp_path):
    name = tmp_path / ("x" * 300)
    assert await refusal(str(name)) == f"{name} cannot be read: File name too long"


DENIED = os.strerror(errno.EACCES)


def deny(_path):
    """As the system does it to everybody but root, who may run the tests."""
    raise PermissionError(errno.EACCES, DENIED)


@pytest.mark.parametrize(
    ("name", "denied"), [("", "iterdir"), ("night.jsonl", "iterdir"), ("", "is_file")]
)
async def test_a_directory_that_may_not_be_read_is_refused(tmp_path, monkeypatch, name, denied):
    (tmp_path / "c.jsonl").touch()
    monkeypatch.setattr(Path, denied, deny)
    assert await refusal(str(tmp_path / name)) == f"{tmp_path / name} cannot be read: {DENIED}"


async def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    missing = tmp_path / "missing"
    assert await refusal(str(missing)) == f"{missing} cannot be read: No such file or directory"
    (tmp_path / "locked.jsonl").symlink_to(tmp_path / "locked.jsonl")
    loop = "Too many levels of symbolic links"
    locked = str(tmp_path / "locked.jsonl")
    assert await refusal(locked) == f"{locked} cannot be read: {loop}"


async def test_compressed_data_that_are_damaged_from_the_start_are_refused(tmp_path):
    path = tmp_path / "c"
    path.write_bytes(gzip.compress(event(0.0))[:15])
    assert "break off" in await refusal(str(path))
