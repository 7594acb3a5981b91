"""Captures: what writing them costs the run, and what reading them costs a replay.

Only ``tap`` happens on the event loop.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio

from stream import __version__
from stream.bench.measure import Measurement
from stream.bench.outlets import Outlet
from stream.bench.synthetic import Synthetic
from stream.bench.traffic import Traffic
from stream.events import Frame, Message
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

from .result import Result
from .stages import by_turns, timed
from .turns import Plan

FRAMES_PER_READ: Final = 10
CHUNK: Final = 512
_MOST_EVENTS: Final = 20_000
_SECRETS: Final = ("*password*", "*token*", "*secret*")
_ROOM: Final = 2**40


def run(plan: Plan) -> list[Result]:
    """Write and read the messages of some tasks."""
    source = Synthetic(Traffic(seed=plan.seed), min(plan.events, _MOST_EVENTS), batch=plan.batch)
    frames = [frame for read in source.reads() for frame in read]
    events = sum(len(decode(frame).events) for frame in frames)
    with TemporaryDirectory() as folder:
        anyio.run(_recorded, frames, Path(folder) / "read.jsonl.zst")
        (file,) = Path(folder).iterdir()
        sizes = {
            "frames_per_event": len(frames) / events,
            "line_bytes_per_frame": len(frame_lines(frames)) / len(frames),
            "disk_bytes_per_frame": file.stat().st_size / len(frames),
        }
        stages = _stages(frames, Path(folder), file)
        return by_turns(
            "recorder",
            stages,
            workload=Measurement(source, Outlet.NULL).run().workload,
            items=events,
            batch=plan.batch,
            unit="events",
            rounds=plan.rounds,
            sizes=dict.fromkeys(stages, sizes),
        )


def _stages(frames: list[Message], folder: Path, file: Path) -> dict[str, Callable[[], float]]:
    content = file.read_bytes()
    redact = Editor(Arguments.REDACT, Redaction(_SECRETS)).edit

    return {
        "tap": lambda: anyio.run(_tap, frames, folder),
        "render": timed(lambda: [frame_lines(part) for part in _parts(frames, CHUNK)]),
        "redact": timed(lambda: [redact(frame) for frame in frames]),
        "render, compress, write (.zst)": lambda: anyio.run(
            _recorded, frames, folder / "write.jsonl.zst"
        ),
        "render, compress, write (.gz)": lambda: anyio.run(
            _recorded, frames, folder / "write.jsonl.gz"
        ),
        "decompress (.zst)": timed(lambda: list(blocks_of("", _buffered(content)))),
        "decompress, read lines": timed(
            lambda: [read_lines(block) for block in blocks_of("", _buffered(content))]
        ),
        "decompress, read lines, merge, batch": lambda: anyio.run(_read, file),
    }


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
