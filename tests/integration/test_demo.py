"""``celery-stream demo`` as a user runs it: a process that starts, shows numbers, and ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import ROOT, wait_for

_END = 60.0


class Demo:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.output = directory / "output"
        (directory / "tmp").mkdir()
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream", "demo", "--listen", "127.0.0.1:0"],
                cwd=ROOT,
                # Everything that it leaves behind would lie here, and bear this mark.
                env=_environment() | {"TMPDIR": str(directory / "tmp"), "DEMO": str(directory)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self, pattern: str) -> "re.Match[str] | None":
        assert self.process.poll() is None, self.output.read_text()
        return re.search(pattern, self.output.read_text())

    def page(self, path: str) -> str:
        match = wait_for(lambda: self.said(r"http://[\d.]+:\d+"))
        return httpx.get(f"{match[0]}{path}", timeout=60).text

    def children(self) -> list[int]:
        """Processes with our mark in their environment, the demo itself apart."""
        mark = f"DEMO={self.directory}\0".encode()
        return [pid for pid in _pids() if pid != self.process.pid and mark in _environment_of(pid)]


def _environment() -> dict[str, str]:
    """Our own, without what configures the service."""
    prefixes = ("STREAM_", "OTEL_", "ONEUPTIME_")
    return {name: text for name, text in os.environ.items() if not name.startswith(prefixes)}


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _environment_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # ended meanwhile, or not ours
        return b""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    yield demo
    demo.process.kill()
    demo.process.wait()
    for pid in demo.children():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_the_demo_shows_numbers_soon_and_leaves_nothing_behind(demo: Demo) -> None:
    wait_for(lambda: demo.said(r"finished [1-9]"))
    assert demo.said("No OTLP endpoint: counting and showing only")
    wait_for(lambda: _series(demo.page("/metrics"), "reports.daily", state="STARTED"))
    wait_for(lambda: '"status":"healthy"' in demo.page("/health"))
    assert len(demo.children()) > 3  # broker, worker and its pool, customers

    demo.process.send_signal(signal.SIGINT)

    assert demo.process.wait(_END) == 0
    assert demo.output.read_text().endswith("Stopped.\n")
    assert demo.children() == []
    assert list((demo.directory / "tmp").iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_a_dead_worker_ends_the_demo_with_a_sentence(demo: Demo) -> None:
    wait_for(lambda: demo.said(r"finished [1-9]"))
    command = b"celery\0-A\0stream.demo.shop\0worker"
    leaders = [
        pid
        for pid in demo.children()
        if command in Path(f"/proc/{pid}/cmdline").read_bytes() and os.getpgid(pid) == pid
    ]
    os.kill(leaders[0], signal.SIGKILL)
    assert demo.process.wait(_END) == 1
    assert "celery-stream: The demo's worker ended with code -9" in demo.output.read_text()
    assert demo.children() == []


def _series(page: str, task: str, *, state: str) -> bool:
    return re.search(rf'celery_task_active{{[^}}]*"{state}"[^}}]*"{task}"', page) is not None
