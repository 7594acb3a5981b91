"""Captures: what writing them costs the run, and what reading them costs a replay.

``python -m benchmarks.recorder [--tasks N] [--seed S] [--batch N]`` prints JSON. The workload is
that of the other benchmarks, one event a message unless asked otherwise. Times are CPU microseconds
per frame and per event, each the least of several rounds that go by turns, so that a noisy machine
hurts all stages alike. Only ``tap`` happens on the event loop.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
import msgspec

from stream import __version__
from stream.events import Frame, Message, Transport
from stream.occurrences import Occurrence
from stream.sinks.capture_set import CaptureSet, Rotation
from stream.sinks.recorder import Recorder
from stream.sinks.redaction import Redaction
from stream.sources.capture import Capture
from stream.sources.lines import blocks_of
from stream.wire.arguments import Arguments, Editor
from stream.wire.capture import read_lines
from stream.wire.capture_lines import FORMAT, Header, frame_lines
from stream.wire.codec import decode

from .workload import BEGAN_AT, Lifecycles, fingerprint, payloads

ROUNDS: Final = 7
FRAMES_PER_READ: Final = 10
CHUNK: Final = 512
_SECRETS: Final = ("*password*", "*token*", "*secret*")
_ROOM: Final = 2**40


class Stage(msgspec.Struct, frozen=True):
    """What one step costs."""

    stage: str
    microseconds_per_frame: float
    microseconds_per_event: float
    events_per_second: int


class Report(msgspec.Struct, frozen=True):
    """What was measured on what."""

    benchmark: str
    workload: str
    """Hash of what was published."""
    frames: int
    events: int
    line_bytes_per_frame: float
    disk_bytes_per_frame: float
    stages: list[Stage]


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorder")
    parser.add_argument("--tasks", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    report = run(arguments.tasks, seed=arguments.seed, batch=arguments.batch)
    print(msgspec.json.format(msgspec.json.encode(report)).decode())


def run(tasks: int, *, seed: int, batch: int) -> Report:
    """Write and read the messages of *tasks* tasks."""
    published = list(payloads(Lifecycles(tasks, seed=seed).events(), batch=batch))
    frames = [
        Message(
            BEGAN_AT + number // FRAMES_PER_READ * 0.001,
            "redis",
            Transport.REDIS,
            f"/0.celeryev/{key}".encode(),
            body,
        )
        for number, (key, body) in enumerate(published)
    ]
    events = sum(len(decode(frame).events) for frame in frames)
    with TemporaryDirectory() as folder:
        target = Path(folder) / "read.jsonl.zst"
        anyio.run(_recorded, frames, target)
        (file,) = Path(folder).iterdir()
        return Report(
            benchmark="recorder",
            workload=fingerprint(published),
            frames=len(frames),
            events=events,
            line_bytes_per_frame=round(len(frame_lines(frames)) / len(frames), 1),
            disk_bytes_per_frame=round(file.stat().st_size / len(frames), 1),
            stages=_measure(_stages(frames, Path(folder), file), len(frames), events),
        )


def _stages(frames: list[Message], folder: Path, file: Path) -> dict[str, Callable[[], float]]:
    content = file.read_bytes()
    redact = Editor(Arguments.REDACT, Redaction(_SECRETS)).edit

    def on(work: Callable[[], object]) -> Callable[[], float]:
        def measured() -> float:
            began = time.process_time()
            work()
            return time.process_time() - began

        return measured

    return {
        "tap": lambda: anyio.run(_tap, frames, folder),
        "render": on(lambda: [frame_lines(part) for part in _parts(frames, CHUNK)]),
        "redact": on(lambda: [redact(frame) for frame in frames]),
        "render, compress, write (.zst)": lambda: anyio.run(
            _recorded, frames, folder / "write.jsonl.zst"
        ),
        "render, compress, write (.gz)": lambda: anyio.run(
            _recorded, frames, folder / "write.jsonl.gz"
        ),
        "decompress (.zst)": on(lambda: list(blocks_of("", _buffered(content)))),
        "decompress, read lines": on(
            lambda: [read_lines(block) for block in blocks_of("", _buffered(content))]
        ),
        "decompress, read lines, merge, batch": lambda: anyio.run(_read, file),
    }


def _measure(stages: dict[str, Callable[[], float]], frames: int, events: int) -> list[Stage]:
    seconds = dict.fromkeys(stages, float("inf"))
    for _ in range(ROUNDS):
        for name, work in stages.items():
            seconds[name] = min(seconds[name], work())
    return [
        Stage(
            name,
            round(least / frames * 1e6, 3),
            round(least / events * 1e6, 3),
            int(events / least),
        )
        for name, least in seconds.items()
    ]


async def _tap(frames: list[Message], folder: Path) -> float:
    """Take all frames, as they are read from a socket, and write none."""
    recorder = _recorder(folder / "tap.jsonl.zst")
    batches = _parts(frames, FRAMES_PER_READ)
    began = time.process_time()
    for batch in batches:
        recorder.take(batch)
    return time.process_time() - began


async def _recorded(frames: list[Message], target: Path) -> float:
    recorder = _recorder(target)
    for batch in _parts(frames, FRAMES_PER_READ):
        recorder.take(batch)
    began = time.process_time()
    await recorder.close()
    return time.process_time() - began


async def _read(file: Path) -> float:
    async def put(_: list[Frame]) -> None:
        """Nobody takes them."""

    began = time.process_time()
    await Capture([str(file)], tell=_ignore).run(put)
    return time.process_time() - began


def _recorder(target: Path) -> Recorder:
    captures = CaptureSet(target, Header(FORMAT, __version__), Rotation(keep=1))
    editor = Editor(Arguments.KEEP, Redaction(_SECRETS))
    return Recorder(captures, editor=editor, tell=_ignore, max_frames=_ROOM, max_bytes=_ROOM)


def _ignore(_: Occurrence) -> None:
    """Nobody is told."""


def _buffered(content: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(content))


def _parts(frames: list[Message], size: int) -> list[list[Frame]]:
    return [list(frames[start : start + size]) for start in range(0, len(frames), size)]


if __name__ == "__main__":
    main()
