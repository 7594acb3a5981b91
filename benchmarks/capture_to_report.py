"""``celery-stream replay`` of a compressed capture, a whole process from its start to its end."""

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
FACTOR = 4
"""As many events as elsewhere, so that starting the process does not count for much."""


def run(plan: Plan) -> list[Result]:
    """Measure it as often as is asked for."""
    events = plan.events * FACTOR
    with TemporaryDirectory() as folder:
        file = Path(folder) / "capture.jsonl.zst"
        source = Synthetic(Traffic(seed=plan.seed), events, batch=plan.batch)
        name = anyio.run(write, source, file)
        contestant = Contestant(name, events, partial(_replay, file))
        return take_turns("capture_to_report", {STAGE: contestant}, plan)


async def write(source: Synthetic, file: Path) -> str:
    """Record a source as the service would, ticks included; return the workload's hash."""
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


def _replay(file: Path) -> Measured:
    """Run it, and ask the operating system what it took."""
    command = [sys.executable, "-m", "stream", "replay", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise RuntimeError(f"replay ended with code {running.returncode}")
    return Measured(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
