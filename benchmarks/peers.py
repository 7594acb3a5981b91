"""What else people watch Celery with, each in an environment of its own, on the same server.

The environments are made once, in the user's cache, with the versions that are named here. A peer
has taken everything in when its CPU time stands still; whether it lost something is then asked of
its own page.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from tempfile import gettempdir

import redis
from msgspec import Struct

from stream.bench.processes import Page, cpu_seconds, process, resident_bytes, samples_in, wait_for
from tests.servers import free_port

from .servers import Measured, Workload, to_redis, wait_for_subscriber

PACE = 15_000.0
"""Events a second: more than any of them takes, so that none of them waits. The server keeps the
rest."""
_LOOK = 0.4
_LOOKS = 2
_STILL = 0.02
"""CPU seconds in one look that are nothing."""
_INSTALL_SECONDS = 600


class Peer(Struct, frozen=True):
    """One of them."""

    name: str
    requirements: tuple[str, ...]
    command: Callable[[str, int], Sequence[str]]
    """Arguments of its interpreter, from the broker's URL and a free port."""
    counted: Callable[[str], float] | None
    """Events of tasks that its page says it had; None: it has no page, and prints the number."""


def _receiver(url: str, _port: int) -> Sequence[str]:
    return (str(Path(__file__).with_name("baseline.py")), url)


def _flower(url: str, port: int) -> Sequence[str]:
    options = (f"--port={port}", "--address=127.0.0.1", "--logging=error")
    return ("-m", "celery", "--broker", url, "flower", *options)


def _exporter(url: str, port: int) -> Sequence[str]:
    start = "from src.cli import cli; cli()"
    # Else it forgets workers whose last heartbeat is old, and the workload is always of one day.
    ages = ("--worker-timeout", "0", "--purge-offline-worker-metrics", "0")
    options = ("--port", str(port), "--host", "127.0.0.1", "--log-level", "ERROR", *ages)
    return ("-c", start, "--broker-url", url, *options)


def _flower_counted(page: str) -> float:
    found = samples_in(page, "flower_events_total").items()
    return sum(count for labels, count in found if dict(labels)["type"].startswith("task-"))


def _exporter_counted(page: str) -> float:
    kinds = ("sent", "received", "started", "succeeded")
    return sum(sum(samples_in(page, f"celery_task_{kind}_total").values()) for kind in kinds)


RECEIVER = Peer(
    "celery.events Receiver and State",
    ("celery==5.7.0", "kombu==5.7.0", "redis==8.1.0", "packaging"),
    _receiver,
    None,
)
FLOWER = Peer(
    "flower 2.2.0",
    ("flower==2.2.0", "celery==5.7.0", "kombu==5.7.0", "redis==8.1.0", "packaging"),
    _flower,
    _flower_counted,
)
EXPORTER = Peer(
    "prometheus-exporter-celery 0.11.2",
    (
        "prometheus-exporter-celery==0.11.2",
        "celery==5.5.3",
        "kombu==5.5.4",
        "redis==5.3.1",
        "packaging",
        "setuptools",
    ),
    _exporter,
    _exporter_counted,
)
PEERS = (RECEIVER, FLOWER, EXPORTER)


def environment(peer: Peer) -> Path:
    """Return the interpreter of a peer's environment, which is made where it is missing.

    Raises:
        RuntimeError: its packages cannot be installed.
    """
    wanted = "\n".join((sys.version, *peer.requirements))
    folder = _cache() / blake2b(wanted.encode(), digest_size=8).hexdigest()
    interpreter = folder / "bin" / "python"
    complete = folder / "complete"
    if complete.exists():
        return interpreter
    print(f"making an environment for {peer.name} in {folder}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    done = subprocess.run(
        [interpreter, "-m", "pip", "install", "-q", *peer.requirements],
        check=False,
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"{peer.name} cannot be installed: {done.stderr.strip()[-500:]}")
    complete.touch()
    return interpreter


def measure(peer: Peer, url: str, load: Workload, *, interpreter: str | None = None) -> Measured:
    """Measure a peer on a Redis server.

    Args:
        peer: which.
        url: of the server.
        load: what is published.
        interpreter: of an environment that has it; None: of one that is made for it.

    Raises:
        RuntimeError: it did not count all events that were published.
    """
    port = free_port()
    command = [interpreter or str(environment(peer)), *peer.command(url, port)]
    with process(command) as running:
        wait_for_subscriber(url)
        wait_until_still(running.pid, url)
        before = cpu_seconds(running.pid)
        to_redis(url, load, PACE)
        wait_until_still(running.pid, url)
        spent = Measured(cpu_seconds(running.pid) - before, resident_bytes(running.pid))
        counted = _counted(peer, running, Page(f"127.0.0.1:{port}"))
    if counted != _countable(load):
        raise RuntimeError(f"{peer.name} had {counted:.0f} of {_countable(load)} events")
    return spent


def _counted(peer: Peer, running: "subprocess.Popen[str]", page: Page) -> float:
    if peer.counted is not None:
        return peer.counted(page.get() or "")
    running.terminate()  # then it prints what it had
    return float(running.communicate(timeout=30)[0])


def _countable(load: Workload) -> int:
    """Events of tasks: not all peers count heartbeats."""
    return sum(each.events for each in load.messages if not each.key.startswith("worker."))


def wait_until_still(pid: int, url: str) -> None:
    """Wait until the server keeps nothing for a process, and that does nothing any more.

    Both, and for a while: on a busy machine a process may do nothing because it is not let.
    """
    last, still = [cpu_seconds(pid)], [0]

    def rests() -> bool:
        time.sleep(_LOOK)  # the distance of two looks
        now = cpu_seconds(pid)
        spent, last[0] = now - last[0], now
        still[0] = still[0] + 1 if spent <= _STILL and not _kept(url) else 0
        return still[0] >= _LOOKS

    wait_for(rests, every=0.0, what="a peer to come to rest")


def _kept(url: str) -> int:
    """Return the bytes that the server keeps for clients that have not read them yet."""
    with redis.Redis.from_url(url) as client:
        return sum(int(each["omem"]) for each in client.client_list())


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    try:
        folder = Path(base) / "celery-stream" / "benchmarks"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(gettempdir()) / "celery-stream-benchmarks"
        folder.mkdir(parents=True, exist_ok=True)
    return folder
