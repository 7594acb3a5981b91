"""Processes that are measured from outside: their CPU seconds, their memory, their pages.

What the operating system counts for another process is known on Linux only.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from msgspec import Struct

from ..configure import inherited_environment
from ..errors import StreamError

PATIENCE: Final = 120.0
"""Seconds for anything to get where it should."""
_GRACE: Final = 30.0
_LABEL: Final = re.compile(r'([a-z_]+)="([^"]*)"')
_SETTINGS: Final = ("STREAM_", "OTEL_", "ONEUPTIME_")
_CPU_CLOCK: Final = 2
"""Of Linux: the clock of what the scheduler counts, for all threads (``CPUCLOCK_SCHED``)."""
_LISTENING: Final = "service.listening"

Labels: TypeAlias = frozenset[tuple[str, str]]


@contextmanager
def process(
    command: Sequence[str], env: Mapping[str, str] | None = None, *, log: Path | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run a command until the end of the block; standard output is a pipe.

    Args:
        command: and its arguments.
        env: added to the environment.
        log: where standard error goes; None: nowhere.
    """
    with (
        Path(os.devnull if log is None else log).open("ab") as errors,
        subprocess.Popen(  # noqa: S603 - commands of our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=_environment(env or {}),
        ) as running,
    ):
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.communicate(timeout=_GRACE)
            except subprocess.TimeoutExpired:
                running.kill()


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """Return ours without settings: made-up traffic must not go where real telemetry goes."""
    inherited = inherited_environment().items()
    return {name: text for name, text in inherited if not name.startswith(_SETTINGS)} | dict(added)


class Page(Struct, frozen=True):
    """The ``/metrics`` of a process."""

    address: str
    """``host:port``."""

    def get(self, path: str = "/metrics") -> str | None:
        """Read a page; None where it cannot be had."""
        try:
            url = f"http://{self.address}{path}"
            with urllib.request.urlopen(url, timeout=20) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    def samples(self, name: str) -> dict[Labels, float]:
        """Return the samples of a metric, by their labels."""
        return samples_in(self.get() or "", name)

    def sample(self, name: str, **labels: str) -> float:
        """Sum the samples of a metric that have these labels."""
        wanted = set(labels.items())
        return sum(value for found, value in self.samples(name).items() if wanted <= found)


def samples_in(page: str, name: str) -> dict[Labels, float]:
    """Return the samples of a metric on a page, by their labels."""
    found = {}
    for line in page.splitlines():
        if line.startswith((f"{name} ", f"{name}{{")):
            labels, _, value = line.removeprefix(name).rpartition(" ")
            found[frozenset(_LABEL.findall(labels))] = float(value)
    return found


class Watched(Struct, frozen=True):
    """A running ``celery-stream run``."""

    pid: int
    page: Page

    def cpu_seconds(self) -> float:
        """Return what it has taken so far."""
        return cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        """Return the memory that it has."""
        return resident_bytes(self.pid)

    def decoded(self) -> float:
        """Return how many events it has read from messages."""
        return self.page.sample("stream_events_decoded_total")

    def shed(self) -> float:
        """Return how many messages it gave up because it could not keep up."""
        return self.page.sample("stream_frames_shed_total")

    def lost(self) -> float:
        """Return how often it lost a connection."""
        return self.page.sample("stream_source_lost_total")


@contextmanager
def watched(url: str, arguments: Sequence[str] = ()) -> Iterator[Watched]:
    """Run the service on a broker until the end of the block; it is connected.

    Raises:
        StreamError: it ended before that.
    """
    command = [sys.executable, "-m", "stream", "run", "--listen", "127.0.0.1:0", "--no-records"]
    with TemporaryDirectory(prefix="celery-stream-bench-") as folder:
        log = Path(folder) / "log"
        # Not an argument: others could read its password in the list of processes.
        with process([*command, *arguments], {"STREAM_BROKER": url}, log=log) as running:
            service = Watched(running.pid, Page(_address(running, log)))
            wait_for(
                lambda: running.poll() is not None or service.page.get("/ready") is not None,
                what="the service to be connected",
            )
            if running.poll() is not None:
                raise StreamError(f"The service ended: {_last_words(log)}")
            yield service


def _address(running: "subprocess.Popen[str]", log: Path) -> str:
    """Read the address that the service says it listens on."""
    found: list[str] = []

    def listens() -> bool:
        if running.poll() is not None:
            raise StreamError(f"The service ended: {_last_words(log)}")
        for line in log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and record.get("event") == _LISTENING:
                    found.append(str(record["address"]))
        return bool(found)

    wait_for(listens, what="the service to listen")
    return found[0]


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("celery-stream: ") if lines else "it said nothing"


def wait_for(
    condition: Callable[[], bool], *, every: float = 0.1, patience: float = PATIENCE, what: str = ""
) -> None:
    """Look again each so many seconds until *condition* holds.

    Raises:
        StreamError: it did not within *patience* seconds.
    """
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise StreamError(f"Waited {patience:.0f} s in vain for {what or condition}")
        time.sleep(every)  # between two looks


def cpu_seconds(pid: int) -> float:
    """Return what the operating system counts for a process, all its threads together.

    By its CPU clock, whose number follows from the process id (``clock_getcpuclockid(3)``): it
    counts nanoseconds, where ``/proc`` has hundredths of a second.
    """
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
