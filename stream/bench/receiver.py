"""An OTLP/HTTP receiver on loopback that takes everything and keeps nothing but counts.

``python -m stream.bench.receiver`` prints its port and serves until it is ended; ``GET /counts``
answers how many spans, log records and data points came. A process of its own, because what it
costs is not ours.
"""

import asyncio
import contextlib
import gzip
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from msgspec import Struct
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .processes import process

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
_COUNTS: Final = "/counts"


class Received(Struct, frozen=True):
    """What a receiver got since its start."""

    spans: int = 0
    log_records: int = 0
    requests: int = 0


class Receiver(Struct, frozen=True):
    """A running receiver."""

    endpoint: str

    def received(self) -> Received:
        """Ask it."""
        url = f"{self.endpoint}{_COUNTS}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http, our own
            return msgspec.json.decode(answer.read(), type=Received)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver until the end of the block."""
    with process([sys.executable, "-m", __name__]) as running:
        port = running.stdout.readline().strip() if running.stdout else ""
        yield Receiver(f"http://127.0.0.1:{port}")


def _spans(body: bytes) -> int:
    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for each in request.resource_spans for scope in each.scope_spans)


def _logs(body: bytes) -> int:
    request = ExportLogsServiceRequest.FromString(body)
    return sum(
        len(scope.log_records) for each in request.resource_logs for scope in each.scope_logs
    )


_COUNTERS: Final[dict[str, tuple[str, Callable[[bytes], int]]]] = {
    "/v1/traces": ("spans", _spans),
    "/v1/logs": ("log_records", _logs),
}


class _Server:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                body = await reader.readexactly(int(_header(head, "content-length") or "0"))
                writer.write(self._answer(head, body))
                await writer.drain()
        writer.close()

    def _answer(self, head: str, body: bytes) -> bytes:
        path = head.split(" ", 2)[1]
        if path == _COUNTS:
            content = msgspec.json.encode(self._counts)
            return _HEAD % (b"application/json", len(content)) + content
        self._counts["requests"] += 1
        if path in _COUNTERS:
            name, count = _COUNTERS[path]
            packed = _header(head, "content-encoding") == "gzip"
            self._counts[name] += count(gzip.decompress(body) if packed else body)
        return _HEAD % (b"application/x-protobuf", 0)


def _header(head: str, name: str) -> str:
    for line in head.split("\r\n"):
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return ""


async def _main() -> None:
    server = await asyncio.start_server(_Server().serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - what it is asked for
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
