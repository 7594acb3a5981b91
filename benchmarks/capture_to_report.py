"""``celery-stream replay`` of a compressed capture, a whole process from its start to its end.

CPU time and largest resident memory are the operating system's of all of it, start and report
included.
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import zstandard

from stream import __version__
from stream.bench.messages import Fingerprint
from stream.bench.synthetic import Synthetic
from stream.bench.traffic import Traffic
from stream.events import Frame, Message
from stream.wire.capture_lines import FORMAT, Header, frame_lines, header_line

from .result import Result
from .servers import Measured
from .turns import Contestant, Plan, take_turns

STAGE = "celery-stream replay, .zst to report"
FACTOR = 10
"""Times as many events as elsewhere: starting the process is a twentieth of what they take then."""


def run(plan: Plan) -> list[Result]:
    """Measure it as often as is asked for."""
    events = plan.events * FACTOR
    with TemporaryDirectory() as folder:
        file = Path(folder) / "capture.jsonl.zst"
        name = write_capture(file, Traffic(seed=plan.seed), events, batch=plan.batch)
        contestant = Contestant(name, events, partial(replay, file))
        return take_turns("capture_to_report", {STAGE: contestant}, plan)


def write_capture(file: Path, traffic: Traffic, events: int, *, batch: int) -> str:
    """Write what ``celery-stream record`` would have; return the workload's hash."""
    return anyio.run(_write, Synthetic(traffic, events, batch=batch), file)


async def _write(source: Synthetic, file: Path) -> str:
    fingerprint = Fingerprint()
    with file.open("wb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as writer:
        writer.write(header_line(Header(FORMAT, __version__, recording="bench")))

        async def put(frames: list[Frame]) -> None:
            writer.write(frame_lines(frames))
            for frame in frames:
                if isinstance(frame, Message):
                    fingerprint.add(frame.channel, frame.payload)

        await source.run(put)
    return fingerprint.name


def replay(file: Path) -> Measured:
    """Replay a capture, and ask the operating system what it took."""
    command = [sys.executable, "-m", "stream", "replay", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise RuntimeError(f"replay ended with code {running.returncode}")
    return Measured(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
