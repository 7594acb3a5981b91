"""What a measurement reads of its own process while it works: time, memory, collector.

Only between `go` and `halt` does anything count, so that making or reading the input is not
measured.
"""

import gc
import resource
import sys
import time
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from ..analysis.sketch import Sketch

_RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024
"""Bytes in what ``getrusage`` calls one."""


class Reading(Struct, frozen=True):
    """What was read. Durations are seconds."""

    cpu: float
    """Of all threads."""
    wall: float
    batch_p50: float
    """Of what a batch of messages that arrived together took; within 1 %, like `batch_p99`."""
    batch_p99: float
    batch_max: float
    batches: int
    peak_bytes: int
    """The most memory that the process had, ever."""
    began_bytes: int
    """The most that it had had before."""
    collections: int
    """Of the garbage collector."""
    collecting: float
    """CPU seconds of the collector, part of `cpu`."""
    longest_collection: float


class Meter:
    """A context, outside of which nothing is read."""

    def __init__(self) -> None:
        self._cpu = self._wall = 0.0
        self._cpu_from = self._wall_from = 0.0
        self._counts = False
        self._batches = Sketch()
        self._began_bytes = 0
        self._collections = 0
        self._collecting = self._longest = self._collecting_from = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        self._began_bytes = _peak_bytes()
        gc.callbacks.append(self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gc.callbacks.remove(self._hear)

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        return self._cpu

    def go(self) -> None:
        """Count from now on."""
        self._counts = True
        self._wall_from, self._cpu_from = time.perf_counter(), time.process_time()

    def halt(self) -> None:
        """Count no more."""
        self._cpu += time.process_time() - self._cpu_from
        self._wall += time.perf_counter() - self._wall_from
        self._counts = False

    def batch(self, seconds: float) -> None:
        """A batch took so long."""
        self._batches.add(seconds)

    def read(self) -> Reading:
        """Tell what was counted; halted."""
        batches = self._batches.read()
        return Reading(
            cpu=self._cpu,
            wall=self._wall,
            batch_p50=batches.p50 or 0.0,
            batch_p99=batches.p99 or 0.0,
            batch_max=batches.max or 0.0,
            batches=batches.count,
            peak_bytes=_peak_bytes(),
            began_bytes=self._began_bytes,
            collections=self._collections,
            collecting=self._collecting,
            longest_collection=self._longest,
        )

    def _hear(self, phase: str, _: dict[str, int]) -> None:
        if not self._counts:
            return
        # Of this thread: others compress and send meanwhile.
        if phase == "start":
            self._collecting_from = time.thread_time()
            return
        took = time.thread_time() - self._collecting_from
        self._collections += 1
        self._collecting += took
        self._longest = max(self._longest, took)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
