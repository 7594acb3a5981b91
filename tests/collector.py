"""A real OpenTelemetry collector for tests: takes OTLP/HTTP, sends on what it got over OTLP/HTTP.

::

    with Receiver() as receiver, Collector(receiver.url) as collector:
        ...  # send to collector.url
        receiver.wait(lambda: receiver.spans())

It is rotel, whose wheel brings the program; nothing is installed beside it.
"""

import os
import socket
import subprocess
from contextlib import suppress
from importlib.resources import files
from typing import Self

from tests.servers import free_port, wait_for

_PROGRAM = files("rotel") / "rotel-agent"
_TRIES = 5
_END_SECONDS = 60.0


class Collector:
    """The collector's process on free ports of the loopback, from `with` to its end.

    Args:
        forward_to: base URL of the OTLP/HTTP receiver that everything is sent on to.
    """

    def __init__(self, forward_to: str) -> None:
        self._forward_to = forward_to
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The base that `/v1/traces` and the others are appended to."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        for _ in range(_TRIES):
            if self._start():
                return self
        raise AssertionError(f"the collector did not start in {_TRIES} tries")

    def __exit__(self, *exc_info: object) -> None:
        """End it by its process id; it sends on what it still has."""
        process, self._process = self._process, None
        assert process is not None
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        process.kill()
        assert process.wait() == 0, "the collector did not end as it should"

    def _start(self) -> bool:
        """Start it and wait until it listens; False where somebody took a port in between."""
        http, grpc = free_port(), free_port()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROTEL_", "OTEL_"))}
        settings = {
            "ROTEL_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{http}",
            "ROTEL_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{grpc}",
            "ROTEL_OTLP_EXPORTER_ENDPOINT": self._forward_to,
            "ROTEL_OTLP_EXPORTER_PROTOCOL": "http",
        }
        process = subprocess.Popen(
            [str(_PROGRAM), "start"],
            env=kept | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: process.poll() is not None or _listens(http), what="the collector")
        except TimeoutError:
            process.kill()
            process.wait()
            raise
        self._process, self._port = process, http
        return process.poll() is None


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
