"""What an event costs with ten thousand and with a million tasks in flight, and what a task takes.

Messages in memory through decoder, engine and metrics. Each measurement has a process of its own,
``python -m benchmarks.in_flight --tasks N``, and the sizes take turns, so that their ratio means
something on a machine that others use.
"""

import argparse
import gc
import os
import subprocess
import sys
import time

import msgspec
from msgspec import Struct

from stream.bench.processes import resident_bytes
from stream.channel import Channel, Overflow
from stream.core.engine import Engine, Limits
from stream.pipeline import Pipeline
from stream.sinks.aggregate import Aggregate
from stream.sinks.metrics import MetricsSink

from .crowd import Crowd
from .result import Result
from .turns import Plan

FEW, QUICK, MANY = 10_000, 100_000, 1_000_000
SAMPLES = 10
"""Of the memory, over the events."""


class Found(Struct, frozen=True):
    """What one process found."""

    in_flight: int
    events: int
    cpu_seconds: float
    """For the events, not for filling the tables."""
    filled_bytes: int
    """That the tasks in flight take."""
    resident_bytes: int
    """At the end, of the whole process."""
    growth: tuple[int, ...]
    """Resident bytes after each tenth of the events."""
    longest_read: float
    """CPU seconds of the slowest batch."""
    collections: int


def stage(tasks: int) -> str:
    """Name the measurement of a size."""
    return f"{tasks:,} in flight"


def run(plan: Plan, many: int = MANY) -> list[Result]:
    """Measure few and many in turns."""
    found: dict[int, list[Found]] = {FEW: [], many: []}
    for _ in range(plan.rounds):
        for size, each in found.items():
            each.append(measured(size, plan.events, batch=plan.batch))
    return [_result(size, each, plan.batch) for size, each in found.items()]


def measured(
    tasks: int, events: int, *, batch: int, names: int = 5, rate: float = 50_000.0
) -> Found:
    """Measure one size in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.in_flight", f"--tasks={tasks}"]
    command += [f"--events={events}", f"--batch={batch}", f"--names={names}", f"--rate={rate}"]
    return msgspec.json.decode(subprocess.check_output(command), type=Found)


def _result(tasks: int, found: list[Found], batch: int) -> Result:
    return Result(
        "in_flight",
        stage(tasks),
        f"crowd-{tasks}",
        batch,
        found[0].events,
        tuple(each.cpu_seconds for each in found),
        resident_bytes=found[-1].resident_bytes,
        sizes={
            "filled_bytes": found[-1].filled_bytes,
            "longest_read_milliseconds": max(each.longest_read for each in found) * 1e3,
        },
    )


def main() -> None:
    """Be the measured process, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_flight")
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--names", type=int, default=5)
    parser.add_argument("--rate", type=float, default=50_000.0, help="events/s of stream time")
    parser.add_argument("--random", action="store_true", help="any task ends next")
    arguments = parser.parse_args()
    crowd = Crowd(
        arguments.tasks,
        in_order=not arguments.random,
        names=arguments.names,
        rate=arguments.rate,
    )
    found = _measure(crowd, arguments.tasks, arguments.events, arguments.batch)
    print(msgspec.json.encode(found).decode())


def _measure(crowd: Crowd, tasks: int, events: int, batch: int) -> Found:
    """Fill an engine with so many tasks, and keep it there for so many events."""
    channel = Channel(1, Overflow.WAIT, tell=lambda _: None)
    engine = Engine(Limits(tasks=2 * tasks))
    sink = MetricsSink(Aggregate(started_at=0.0))
    pipeline = Pipeline(engine, [sink], channel=channel, tell=lambda _: None)
    began = resident_bytes(os.getpid())
    for read in crowd.reads(crowd.fill(), batch=batch):
        pipeline.process(read)
    filled = resident_bytes(os.getpid()) - began
    gc.collect()
    collected = _collections()
    spent = longest = 0.0
    growth = []
    for _ in range(SAMPLES):
        # Reads are made one by one: a list of them all would be most of the memory.
        for read in crowd.reads(crowd.steady(events // SAMPLES), batch=batch):
            at = time.process_time()
            pipeline.process(read)
            took = time.process_time() - at
            spent += took
            longest = max(longest, took)
        growth.append(resident_bytes(os.getpid()))
    return Found(
        in_flight=engine.view(0.0).tasks_in_flight,
        events=events // SAMPLES // 4 * 4 * SAMPLES,
        cpu_seconds=spent,
        filled_bytes=filled,
        resident_bytes=growth[-1],
        growth=tuple(growth),
        longest_read=longest,
        collections=_collections() - collected,
    )


def _collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


if __name__ == "__main__":
    main()
