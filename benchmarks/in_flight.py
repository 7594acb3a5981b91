"""What an event costs with ten thousand and with a million tasks in flight, and what a task takes.

Messages in memory through decoder, engine and metrics. Each measurement has a process of its own,
and the two sizes take turns, so that their ratio means something on a machine that others use.
"""

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from stream.channel import Channel, Overflow
from stream.core.engine import Engine, Limits
from stream.events import Message, Tick, Transport
from stream.pipeline import Pipeline
from stream.sinks.aggregate import Aggregate
from stream.sinks.metrics import MetricsSink

from .workload import BEGAN_AT, NAMES, QUEUES, WORKERS, Event, payloads

SIZES = (10_000, 1_000_000)
BATCH = 24
READ = 50
"""Messages that arrive together."""
RATE = 50_000
"""Events in a second of stream time."""


def main() -> None:
    """Print as JSON what was measured in a process for each size, or in this one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_flight")
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3, help="the quickest of each counts")
    parser.add_argument("--tasks", type=int, help="measure this size only, in this process")
    parser.add_argument("--order", choices=("oldest", "random"), default="oldest")
    arguments = parser.parse_args()
    print(json.dumps(_measure(arguments) if arguments.tasks else _compare(arguments)))


def _compare(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure all sizes in turn, and set the largest against the smallest."""
    best: dict[int, dict[str, float]] = {}
    for _ in range(arguments.rounds):
        for size in SIZES:
            command = [sys.executable, "-m", "benchmarks.in_flight", f"--tasks={size}"]
            command += [f"--events={arguments.events}", f"--order={arguments.order}"]
            found = json.loads(subprocess.check_output(command))
            if size not in best or found["microseconds"] < best[size]["microseconds"]:
                best[size] = found
    few, many = best[SIZES[0]], best[SIZES[-1]]
    return {
        "sizes": list(best.values()),
        "ratio": many["microseconds"] / few["microseconds"],
        "bytes_per_task": (many["resident_bytes"] - few["resident_bytes"])
        / (many["tasks"] - few["tasks"]),
    }


def _measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Fill an engine with so many tasks that workers hold, and keep it there for so many events."""
    tasks, events = arguments.tasks, arguments.events
    traffic = _Traffic(tasks, in_order=arguments.order == "oldest")
    channel = Channel(1, Overflow.WAIT, tell=lambda _: None)
    sink = MetricsSink(Aggregate(started_at=0.0))
    engine = Engine(Limits(tasks=2 * tasks))
    pipeline = Pipeline(engine, [sink], channel=channel, tell=lambda _: None)
    before = _resident_bytes()
    for read in _reads(traffic, traffic.fill()):
        pipeline.process(read)
    filled = _resident_bytes() - before
    reads = list(_reads(traffic, traffic.steady(events)))
    gc.collect()
    collections = _Collections()
    slowest, began = 0.0, time.process_time()
    for read in reads:
        at = time.process_time()
        pipeline.process(read)
        slowest = max(slowest, time.process_time() - at)
    spent = time.process_time() - began
    return {
        "tasks": tasks,
        "in_flight": engine.view(0.0).tasks_in_flight,
        "microseconds": spent / events * 1e6,
        "slowest_read_milliseconds": slowest * 1e3,
        "collections": collections.count,
        "collecting_share": collections.seconds / spent,
        "longest_collection_milliseconds": collections.longest * 1e3,
        "resident_bytes": filled,
    }


class _Traffic:
    """Events of tasks of which always the same number is in flight.

    The one that ends next is the one that was sent first, as queues have it, or any, which is the
    worst for the processor's caches.
    """

    def __init__(self, tasks: int, *, in_order: bool) -> None:
        self._in_order = in_order
        self._random = random.Random(1)  # noqa: S311 - repeatable, not secret
        self._held = array("q", range(tasks))
        self._begun = tasks
        self._clock = 0

    @property
    def now(self) -> float:
        """When the latest event was sent."""
        return BEGAN_AT + self._clock / RATE

    def fill(self) -> Iterator[Event]:
        """Have every task sent and received."""
        for number in self._held:
            yield from self._begin(number)

    def steady(self, events: int) -> Iterator[Event]:
        """Run tasks to their end, and begin another one for each."""
        for step in range(events // 4):
            held = len(self._held)
            place = step % held if self._in_order else self._random.randrange(held)
            number, self._held[place] = self._held[place], self._begun
            yield self._event("task-started", number)
            yield self._event("task-succeeded", number, runtime=0.1, result="None")
            yield from self._begin(self._begun)
            self._begun += 1

    def _begin(self, number: int) -> Iterator[Event]:
        message = {"name": NAMES[number % len(NAMES)], "retries": 0, "root_id": _uuid(number)}
        yield self._event("task-sent", number, queue=QUEUES[number % len(QUEUES)], **message)
        yield self._event("task-received", number, **message)

    def _event(self, kind: str, number: int, **fields: object) -> Event:
        self._clock += 1
        sender = WORKERS if kind == "task-sent" else number % WORKERS
        return {
            "hostname": f"celery@host-{sender}",
            "pid": 100 + sender,
            "clock": self._clock,
            "uuid": _uuid(number),
            **fields,
            "timestamp": self.now,
            "type": kind,
        }


def _uuid(number: int) -> str:
    return str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))


def _reads(traffic: _Traffic, events: Iterator[Event]) -> Iterator[list[Message | Tick]]:
    """The messages as they arrive, with a tick where a second has passed."""
    read: list[Message | Tick] = []
    at = ticked_at = traffic.now
    for _, payload in payloads(events, batch=BATCH):
        if len(read) >= READ:
            yield read
            read, at = [], traffic.now
            if at >= ticked_at + 1.0:
                ticked_at = at
                read.append(Tick(at))
        read.append(Message(at, "bench", Transport.REDIS, b"", payload))
    yield read


class _Collections:
    """What the collector does."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = self.longest = self._began = 0.0
        gc.callbacks.append(self._hear)

    def _hear(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.process_time()
            return
        took = time.process_time() - self._began
        self.count += 1
        self.seconds += took
        self.longest = max(self.longest, took)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
