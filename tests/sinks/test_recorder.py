"""What is recorded is read back; what is not is counted, told and noted."""

import errno
import gzip
import json
import os
import signal
import sys
from pathlib import Path
from random import Random

import anyio
import pytest

from stream.channel import Channel, Overflow
from stream.core.engine import Engine
from stream.errors import ConfigError
from stream.events import Message, QueueSample, Subscribed, Tick, Transport
from stream.occurrences import CaptureFailed, CaptureOpened, FramesUnrecorded, Unrecorded
from stream.pipeline import Pipeline
from stream.sinks.capture_set import CaptureSet, Rotation
from stream.sinks.recorder import Recorder
from stream.sinks.redaction import Redaction
from stream.sources.capture import Capture
from stream.wire.arguments import Arguments, Editor
from stream.wire.capture_lines import Header
from tests.builders import T0, message
from tests.servers import wait_until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
HEADER = Header(1, "0.1.0", ("redis://broker:6379/0",), "abc")
LIVE = [
    [Subscribed(T0, "redis", 1)],
    [Tick(T0)],
    [message({"type": "x"}, 0.5, transport=Transport.REDIS, source="redis"), message([], 0.5)],
    [QueueSample(T0 + 0.75, "redis", ())],
    [Tick(T0 + 1)],
    [Message(T0 + 0.25, "redis", Transport.REDIS, b"\xff", b"\x80")],
]
"""As a pipeline takes them: the last one arrived before it was its turn."""


def numbered(number, at=None):
    at = number / 1_000 if at is None else at
    return Message(T0 + at, "main", Transport.REDIS, b"c", b"%d" % number)


class Rig:
    """A recorder, and what it told."""

    def __init__(self, target, *, header=HEADER, arguments=Arguments.KEEP, rotation=None, **limits):
        self.told = []
        self.target = target
        self.captures = CaptureSet(target, header, rotation or Rotation())
        editor = Editor(arguments, Redaction(("*password*",)))
        self.recorder = Recorder(self.captures, editor=editor, tell=self.told.append, **limits)

    async def record(self, *batches):
        """Record and write batches, each on its own."""
        for batch in batches:
            self.recorder.take(batch)
            await self.recorder.write()

    @property
    def files(self):
        folder = self.target if self.target.is_dir() else self.target.parent
        return sorted(path for path in folder.iterdir())

    @property
    def lost(self):
        return [each for each in self.told if isinstance(each, FramesUnrecorded)]


class Machine:
    """The pipeline up to the effects."""

    def __init__(self):
        self.effects = []
        channel = Channel(1, Overflow.WAIT, tell=ignore)
        self.pipeline = Pipeline(Engine(records=True), [self], channel=channel, tell=ignore)

    def accept(self, effects):
        self.effects += map(repr, effects)  # kinds are equal to themselves only


def ignore(_):
    """Nobody is told."""


async def read(*names):
    """All frames of captures, and the source that read them."""
    batches = []

    async def put(frames):
        batches.append(frames)

    source = Capture([str(name) for name in names], tell=ignore)
    await source.run(put)
    return [frame for batch in batches for frame in batch], source


def flat(batches):
    return [frame for batch in batches for frame in batch]


# -- what is recorded ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "night.jsonl.zst", "night.jsonl.gz", "night.jsonl"])
async def test_a_capture_is_read_back_frame_by_frame_in_the_order_in_which_it_was_taken(
    tmp_path, name
):
    rig = Rig(tmp_path / name)
    for batch in LIVE:
        rig.recorder.take(batch)
    await rig.recorder.close()
    frames, source = await read(tmp_path / name)
    assert frames == flat(LIVE)
    assert source.damages == []


async def test_the_files_say_what_they_are(tmp_path):
    rig = Rig(tmp_path / "night.jsonl.gz")
    await rig.record(*LIVE)
    await rig.recorder.close()
    (file,) = rig.files
    assert file.name == "night-20261123T021320Z-000001.jsonl.gz"
    header = json.loads(gzip.decompress(file.read_bytes()).splitlines()[0])
    assert header == {
        "capture": 1,
        "version": "0.1.0",
        "origin": ["redis://broker:6379/0"],
        "recording": "abc",
        "part": 1,
        "started_at": T0,
        "brokers": [],
        "arguments": "keep",
    }


async def test_arguments_are_redacted_before_they_are_written(tmp_path):
    rig = Rig(tmp_path / "night.jsonl", arguments=Arguments.REDACT)
    event = {"type": "task-received", "uuid": "u", "kwargs": "{'password': 'hunter2'}"}
    await rig.record([message(event)], [Tick(T0)])
    assert b"***" in rig.files[0].read_bytes()
    assert b"hunter2" not in rig.files[0].read_bytes()


async def test_a_body_in_which_arguments_cannot_be_found_is_left_out_and_counted(tmp_path):
    rig = Rig(tmp_path / "night.jsonl", arguments=Arguments.DROP)
    pickled = Message(
        T0, "main", Transport.AMQP, b"k", b"hunter2", "application/x-python-serialize"
    )
    await rig.record([pickled, message({"type": "x"})])
    assert b"hunter2" not in rig.files[0].read_bytes()
    assert rig.lost == [FramesUnrecorded(Unrecorded.BODY, 1)]
    assert rig.recorder.statistics().recorded == 2


async def test_what_runs_writes_without_being_asked(tmp_path):
    rig = Rig(tmp_path, interval=0.01)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.recorder.run)
        rig.recorder.take(LIVE[0])
        await wait_until(lambda: rig.recorder.statistics().recorded == 1)
        tasks.cancel_scope.cancel()


async def test_what_fills_the_room_is_written_at_once(tmp_path):
    rig = Rig(tmp_path, interval=1e6, max_frames=8)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.recorder.run)
        rig.recorder.take([numbered(n) for n in range(3)])
        await wait_until(lambda: rig.recorder.statistics().recorded == 3)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "name", ["redis-5.7.0-core-prefork", "redis-5.7.0-skew", "amqp-5.7.0-core-prefork"]
)
async def test_what_was_recorded_says_to_the_machine_what_the_run_said(tmp_path, name):
    seen, run = Rig(tmp_path), Machine()
    frames, _ = await read(ROOT / "tests" / "captures" / name / "raw.jsonl.gz")
    for start in range(0, len(frames), 7):
        batch = frames[start : start + 7]
        seen.recorder.take(batch)
        run.pipeline.process(batch)
    await seen.recorder.close()
    replayed = Machine()
    again, _ = await read(tmp_path)
    replayed.pipeline.process(again)
    assert again == frames
    assert run.effects
    assert replayed.effects == run.effects


# -- rotation ------------------------------------------------------------------------------------


async def test_a_full_file_is_followed_by_a_new_one_and_they_are_read_as_one(tmp_path):
    rig = Rig(tmp_path, rotation=Rotation(max_bytes=1))
    await rig.record(*LIVE)
    await rig.recorder.close()
    assert len(rig.files) == len(LIVE)
    assert [each.path for each in rig.told] == list(map(str, rig.files))
    frames, source = await read(tmp_path)
    assert frames == flat(LIVE)
    assert [header.part for header in source.headers] == [1, 2, 3, 4, 5, 6]


async def test_an_old_file_is_followed_by_a_new_one(tmp_path):
    rig = Rig(tmp_path, rotation=Rotation(max_age=60.0))
    await rig.record([numbered(1, 0)], [numbered(2, 59.9)], [numbered(3, 60.0)], [numbered(4, 61)])
    assert len(rig.files) == 2


async def test_only_the_newest_files_are_kept_and_no_other_is_touched(tmp_path):
    other = tmp_path / "other-20200101T000000Z-000001.jsonl.zst"
    other.touch()
    rig = Rig(tmp_path / "night.jsonl.zst", rotation=Rotation(max_bytes=1, keep=2))
    await rig.record(*([numbered(n)] for n in range(5)))
    await rig.recorder.close()
    assert other.exists()
    frames, _ = await read(tmp_path / "night.jsonl.zst")
    assert frames == [numbered(3), numbered(4)]


async def test_another_process_goes_on_in_a_new_file_whose_name_is_later(tmp_path):
    first, second = Rig(tmp_path), Rig(tmp_path, header=Header(1, recording="def"))
    await first.record([numbered(1, 0)])
    await first.recorder.close()
    await second.record([numbered(2, 0)])  # within the same second
    await second.recorder.close()
    assert second.told == [CaptureOpened(str(second.files[-1]))]
    frames, _ = await read(tmp_path)
    assert frames == [numbered(1, 0), numbered(2, 0)]


# -- bounds --------------------------------------------------------------------------------------


async def test_frames_for_which_there_is_no_room_are_counted_and_noted(tmp_path):
    rig = Rig(tmp_path / "night.jsonl", max_frames=4)
    for start in (0, 3, 6):
        rig.recorder.take([numbered(start + n) for n in range(3)])
    assert rig.recorder.statistics().waiting == 3
    assert rig.recorder.statistics().unrecorded[Unrecorded.FULL] == 6
    await rig.record([numbered(9)])
    assert rig.lost == [FramesUnrecorded(Unrecorded.FULL, 6)]
    await rig.recorder.close()
    frames, source = await read(rig.target)
    assert frames == [numbered(n) for n in (0, 1, 2, 9)]
    assert source.unrecorded == 6


async def test_the_room_is_bounded_in_bytes_as_well(tmp_path):
    rig = Rig(tmp_path, max_bytes=1_000)
    large = Message(T0, "main", Transport.REDIS, b"c", b"x" * 600)
    for _ in range(3):
        rig.recorder.take([large])
    assert rig.recorder.statistics().waiting_bytes == 600
    await rig.recorder.write()
    assert rig.lost == [FramesUnrecorded(Unrecorded.FULL, 2)]
    assert rig.recorder.statistics().waiting_bytes == 0


async def test_a_batch_larger_than_the_room_is_taken_where_nothing_waits(tmp_path):
    rig = Rig(tmp_path, max_frames=2)
    await rig.record([numbered(n) for n in range(1_500)])
    assert rig.recorder.statistics().recorded == 1_500


@pytest.mark.parametrize("seed", range(20))
async def test_every_frame_is_recorded_or_counted_and_what_is_read_is_in_order(tmp_path, seed):
    """Whatever comes together, and however often it is written."""
    choose = Random(seed)  # noqa: S311 - repeatable, not secret
    rig = Rig(tmp_path / "night.jsonl", max_frames=10, rotation=Rotation(max_bytes=2_000))
    taken = 0
    for _ in range(60):
        batch = [numbered(taken + n) for n in range(choose.randint(1, 6))]
        taken += len(batch)
        rig.recorder.take(batch)
        if choose.random() < 0.3:
            await rig.recorder.write()
    await rig.recorder.close()
    statistics = rig.recorder.statistics()
    frames, source = await read(rig.target)
    assert len(frames) == statistics.recorded
    assert source.unrecorded == statistics.unrecorded[Unrecorded.FULL] == taken - len(frames)
    assert frames == sorted(frames, key=lambda frame: frame.received_at)


# -- the disk ------------------------------------------------------------------------------------


async def test_a_directory_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="captures cannot be written to"):
        await Rig(tmp_path / "file" / "captures").recorder.open()


async def test_a_disk_that_takes_nothing_is_told_once_and_what_is_lost_each_time(tmp_path):
    folder = tmp_path / "captures"
    rig = Rig(folder)
    await rig.recorder.open()
    folder.rmdir()
    await rig.record([numbered(1)], [numbered(2), numbered(3)])
    assert rig.told == [
        FramesUnrecorded(Unrecorded.DISK, 1),
        CaptureFailed("No such file or directory"),
        FramesUnrecorded(Unrecorded.DISK, 2),
    ]


async def test_when_the_disk_is_back_recording_goes_on_and_notes_what_is_missing(tmp_path):
    folder = tmp_path / "captures"
    rig = Rig(folder)
    await rig.record([numbered(1)], [numbered(2)])
    folder.mkdir()
    await rig.record([numbered(3)])
    await rig.recorder.close()
    frames, source = await read(folder)
    assert frames == [numbered(3)]
    assert source.unrecorded == 2
    assert rig.told[-1] == CaptureOpened(str(rig.files[0]))


def headers_only(write):
    """`os.write` on a disk on which there is just so much room."""

    def tried(descriptor, data):
        if b'"t_recv"' in bytes(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    return tried


async def test_a_disk_that_takes_only_headers_costs_no_file_that_is_there(tmp_path, monkeypatch):
    rotation = Rotation(max_bytes=1, keep=2)
    rig = Rig(tmp_path / "night.jsonl", rotation=rotation)
    await rig.record([numbered(1)], [numbered(2)])
    before = rig.files
    with monkeypatch.context() as full:
        full.setattr(os, "write", headers_only(os.write))
        await rig.record([numbered(3)], [numbered(4)], [numbered(5)])
    assert rig.files == before
    await rig.record([numbered(6)])
    await rig.recorder.close()
    frames, source = await read(rig.target)
    assert frames == [numbered(2), numbered(6)]
    assert source.unrecorded == 3
    assert [header.part for header in source.headers] == [2, 3]


FULL_DISK = """
import resource
import signal
import sys
from pathlib import Path
import anyio
from tests.sinks.test_recorder import Rig, numbered, read
from stream.occurrences import CaptureFailed

async def main():
    rig = Rig(Path(sys.argv[1]))
    await rig.record([numbered(1)])
    written = rig.files[0].stat().st_size
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (written + 5, resource.RLIM_INFINITY))
    await rig.record([numbered(n) for n in range(2, 1_000)])
    assert isinstance(rig.told[-1], CaptureFailed), rig.told
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await rig.record([numbered(1_000)])
    await rig.recorder.close()
    frames, source = await read(Path(sys.argv[1]))
    assert frames == [numbered(1), numbered(1_000)], frames
    assert source.unrecorded == 998

anyio.run(main)
"""


async def test_a_write_that_stops_halfway_leaves_what_was_there_and_goes_on_in_a_new_file(tmp_path):
    """The limit of a process on the size of files stands for a full disk."""
    run = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    await anyio.run_process(run, stderr=None, cwd=ROOT)


KILLED = """
import os
import signal
import sys
from pathlib import Path
import anyio
from tests.sinks.test_recorder import Rig, numbered

async def main():
    rig = Rig(Path(sys.argv[1]))
    for start in range(0, 3_000, 1_000):
        await rig.record([numbered(start + n) for n in range(1_000)])
    rig.recorder.take([numbered(3_000)])
    os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


@pytest.mark.parametrize("name", ["night.jsonl.zst", "night.jsonl.gz", "night.jsonl"])
async def test_after_a_kill_all_that_was_written_is_read(tmp_path, name):
    run = [sys.executable, "-c", KILLED, str(tmp_path / name)]
    killed = await anyio.run_process(run, check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    frames, _ = await read(tmp_path / name)
    assert frames == [numbered(n) for n in range(3_000)]
