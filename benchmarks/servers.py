"""What a benchmark of whole processes needs: a process, its CPU seconds, a paced publisher."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import redis
from msgspec import Struct

PATIENCE = 120.0
"""Seconds for anything to get where it should."""
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
_SLICES = 50
"""A second is published in so many parts."""


class Measured(Struct, frozen=True):
    """What a process took for a workload."""

    cpu_seconds: float
    """Of the operating system, from idle to the last event counted."""
    resident_bytes: int
    """At the end."""


@contextmanager
def process(
    command: Sequence[str], env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a command until the end of the block."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    ) as running:
        try:
            yield running
        finally:
            running.terminate()
            running.communicate(timeout=30)


class Watched(Struct, frozen=True):
    """A running ``celery-stream run``."""

    pid: int
    address: str
    """``host:port`` of its pages."""

    def cpu_seconds(self) -> float:
        """Return what it has taken so far."""
        return cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        """Return the memory that it has."""
        return resident_bytes(self.pid)


@contextmanager
def watched(url: str, arguments: Sequence[str] = ()) -> Iterator[Watched]:
    """Run the service on a broker until the end of the block; it is ready."""
    command = [sys.executable, "-m", "stream", "run", "--broker", url, "--listen", "127.0.0.1:0"]
    with process([*command, "--no-records", *arguments]) as running:
        service = Watched(running.pid, _address(running))
        wait_for(lambda: get(service.address, "/ready") is not None)
        yield service


def service(
    url: str,
    published: list[tuple[str, bytes]],
    *,
    events: int,
    pace: int,
    arguments: Sequence[str] = (),
    delivered: Callable[[str], bool] = lambda _: True,
) -> Measured:
    """Measure ``celery-stream run``.

    Args:
        url: of the broker.
        published: keys and payloads.
        events: how many they hold.
        pace: events a second.
        arguments: further ones of the command.
        delivered: whether what was made of the events has left, by the service's address.
    """
    with watched(url, arguments) as running:
        before = running.cpu_seconds()
        publish(url, published, pace=pace, events=events)
        wait_for(lambda: sample(running.address, "stream_events_decoded_total") >= events)
        wait_for(lambda: delivered(running.address))
        return Measured(running.cpu_seconds() - before, running.resident_bytes())


def publish(url: str, published: list[tuple[str, bytes]], *, pace: int, events: int) -> None:
    """Publish at a steady rate, in slices of a fiftieth of a second."""
    with redis.Redis.from_url(url) as client:
        began = time.monotonic()
        per_slice = max(1, len(published) * pace // events // _SLICES)
        for number, start in enumerate(range(0, len(published), per_slice), 1):
            pipe = client.pipeline(transaction=False)
            for key, payload in published[start : start + per_slice]:
                pipe.publish(f"/0.celeryev/{key}", payload)
            pipe.execute()
            time.sleep(
                max(0.0, began + number / _SLICES - time.monotonic())
            )  # the pace, not a wait


Labels: TypeAlias = frozenset[tuple[str, str]]


def samples(address: str, name: str) -> dict[Labels, float]:
    """Return the samples of a metric on the page, by their labels."""
    found = {}
    for line in (get(address, "/metrics") or "").splitlines():
        if line.startswith((f"{name} ", f"{name}{{")):
            labels, _, value = line.removeprefix(name).rpartition(" ")
            found[frozenset(_LABEL.findall(labels))] = float(value)
    return found


def sample(address: str, name: str, **labels: str) -> float:
    """Sum the samples of a metric that have these labels."""
    wanted = set(labels.items())
    return sum(value for found, value in samples(address, name).items() if wanted <= found)


def get(address: str, path: str) -> str | None:
    """Read a page; None where it cannot be had."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def wait_for(condition: Callable[[], bool], *, every: float = 0.2) -> None:
    """Look again each so many seconds until *condition* holds.

    Raises:
        RuntimeError: it did not within `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the process did not get there in time")
        time.sleep(every)  # between two looks


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """Return what the operating system counts for a process, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _address(running: subprocess.Popen[str]) -> str:
    """Read the address that the service says it listens on."""
    for line in running.stderr or ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if record.get("event") == "service.listening":
            return str(record["address"])
    raise RuntimeError("the service ended before it listened")
