"""Replay of long captures: events per CPU second with the report, and memory that does not grow.

``python -m benchmarks.replay [--events N …] [--batch N …] [--rate N]`` prints JSON. Each replay is
``celery-stream replay FILE`` in a process of its own; what counts is the operating system's CPU
time and largest resident memory of all of it, start and report included.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from zstandard import ZstdCompressor

from stream import __version__
from stream.events import Frame, Message, Tick, Transport
from stream.wire.capture_lines import FORMAT, Header, frame_lines, header_line

from .workload import BEGAN_AT, Lifecycles, fingerprint, payloads

RATE: Final = 250
"""Events in a second of stream time. What ended is remembered for two minutes of it, so that the
shortest capture that is compared has to last for some more."""
IN_FLIGHT: Final = 250
"""Tasks: so that each takes four seconds."""
CHUNK: Final = 512
_TO_BYTES: Final = 1024
"""Linux tells the largest resident memory in kilobytes."""


class Replay(msgspec.Struct, frozen=True):
    """What one replay took."""

    events: int
    batch: int
    """Events in one message, at most."""
    workload: str
    """Hash of what the first messages say."""
    file_bytes: int
    cpu_seconds: float
    events_per_cpu_second: int
    resident_bytes: int
    """At the most."""


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay")
    parser.add_argument("--events", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--batch", type=int, nargs="+", default=[24, 1])
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = [
        run(events, batch=batch, rate=arguments.rate, seed=arguments.seed)
        for batch in arguments.batch
        for events in arguments.events
    ]
    print(msgspec.json.format(msgspec.json.encode(found)).decode())


def run(events: int, *, batch: int, rate: int = RATE, seed: int = 1) -> Replay:
    """Write a capture of so many events and replay it."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "capture.jsonl.zst"
        workload = write_capture(file, events, batch=batch, rate=rate, seed=seed)
        cpu_seconds, resident_bytes = replay(file)
        return Replay(
            events,
            batch,
            workload,
            file.stat().st_size,
            round(cpu_seconds, 3),
            int(events / cpu_seconds),
            resident_bytes,
        )


def write_capture(file: Path, events: int, *, batch: int, rate: int, seed: int) -> str:
    """Write what ``celery-stream record`` would have; return the hash of its first messages."""
    traffic = Lifecycles(events // 4, seed=seed, in_flight=IN_FLIGHT, rate=rate)
    first: list[tuple[str, bytes]] = []
    with file.open("wb") as opened, ZstdCompressor().stream_writer(opened) as writer:
        writer.write(header_line(Header(FORMAT, __version__, ("redis://bench",), "bench")))
        chunk: list[Frame] = []
        for frame, published in _frames(traffic, batch=batch):
            chunk.append(frame)
            if published is not None and len(first) < CHUNK:
                first.append(published)
            if len(chunk) == CHUNK:
                writer.write(frame_lines(chunk))
                chunk = []
        writer.write(frame_lines(chunk))
    return fingerprint(first)


def _frames(traffic: Lifecycles, *, batch: int) -> Iterator[tuple[Frame, tuple[str, bytes] | None]]:
    """Messages that each arrived a millisecond after they were sent, and a tick each second."""
    ticked_at = BEGAN_AT
    for key, payload in payloads(traffic.events(), batch=batch):
        at = traffic.now + 0.001
        if at >= ticked_at + 1.0:
            ticked_at = at
            yield Tick(at), None
        channel = f"/0.celeryev/{key}"
        yield Message(at, "redis", Transport.REDIS, channel.encode(), payload), (key, payload)


def replay(file: Path) -> tuple[float, int]:
    """Replay a file; return the CPU seconds and the most bytes of memory that it took."""
    command = [sys.executable, "-m", "stream", "replay", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the replay ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _TO_BYTES


if __name__ == "__main__":
    main()
