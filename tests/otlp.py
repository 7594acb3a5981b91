"""A real OTLP/HTTP receiver for tests: keeps what it is sent, answers as it is told.

::

    with Receiver() as receiver:
        receiver.script(Answer(503, retry_after="1"), Answer(rejected=2))
        ...  # send to receiver.url
        receiver.wait(lambda: len(receiver.spans()) == 3)

Answers are used up in order, over all signals or over one path; then everything gets 200.
"""

import gzip
import http.server
import socket
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from anyio import to_thread
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACES, METRICS, LOGS = "/v1/traces", "/v1/metrics", "/v1/logs"

Message: TypeAlias = (
    ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
)
Response: TypeAlias = (
    ExportTraceServiceResponse | ExportMetricsServiceResponse | ExportLogsServiceResponse
)
Attributes: TypeAlias = dict[str, Any]

_REQUESTS: dict[str, type[Message]] = {
    TRACES: ExportTraceServiceRequest,
    METRICS: ExportMetricsServiceRequest,
    LOGS: ExportLogsServiceRequest,
}
_RESPONSES: dict[str, tuple[type[Response], str]] = {
    TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}


@dataclass(frozen=True)
class Answer:
    """What one request gets."""

    status: int = 200
    retry_after: str | None = None
    rejected: int = 0
    """Items that a 200 says were refused."""
    hang: bool = False
    """No answer until `Receiver.release` or the end."""
    reset: bool = False
    """The connection is reset instead."""
    location: str | None = None
    body: bytes | None = None
    """Instead of the one that belongs to it."""


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    """Uncompressed."""
    message: Message
    answer: Answer

    @property
    def taken(self) -> bool:
        return self.answer.status == 200 and not (self.answer.hang or self.answer.reset)


@dataclass(frozen=True)
class ReceivedSpan:
    """A span with what stands around it in the request."""

    resource: Attributes
    scope: str
    attributes: Attributes
    span: Span = field(repr=False)

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def trace_id(self) -> str:
        return self.span.trace_id.hex()

    @property
    def span_id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent_span_id(self) -> str:
        """Empty for none."""
        return self.span.parent_span_id.hex()


@dataclass(frozen=True)
class ReceivedLog:
    """A log record with what stands around it in the request."""

    resource: Attributes
    scope: str
    attributes: Attributes
    record: LogRecord = field(repr=False)

    @property
    def event_name(self) -> str:
        return self.record.event_name

    @property
    def body(self) -> str:
        return self.record.body.string_value

    @property
    def trace_id(self) -> str:
        return self.record.trace_id.hex()

    @property
    def span_id(self) -> str:
        return self.record.span_id.hex()


@dataclass(frozen=True)
class ReceivedMetric:
    """A metric with what stands around it in the request."""

    resource: Attributes
    scope: str
    metric: Metric = field(repr=False)

    @property
    def name(self) -> str:
        return self.metric.name

    def points(self) -> list[tuple[Attributes, Any]]:
        """Attributes and data point of each point, whatever its kind."""
        kind = self.metric.WhichOneof("data")
        assert kind is not None
        found = getattr(self.metric, kind).data_points
        return [(attributes_of(point.attributes), point) for point in found]


class Receiver:
    """A threaded HTTP server on a free port of the loopback, from `with` to its end.

    Args:
        port: one that `free_port` gave, for a receiver that comes later or comes back; 0: any.
    """

    def __init__(self, port: int = 0) -> None:
        self._requests: list[Request] = []
        self._answers: deque[tuple[str | None, Answer]] = deque()
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._serve, name="otlp receiver")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The base that `/v1/traces` and the others are appended to."""
        return f"http://127.0.0.1:{self.port}"

    def script(self, *answers: Answer, path: str | None = None) -> None:
        """Answer the next requests so; with *path*, the next ones to it."""
        with self._changed:
            self._answers.extend((path, answer) for answer in answers)

    def release(self) -> None:
        """Let every request that hangs go, with its connection closed."""
        self._released.set()

    def wait(self, until: Callable[[], object], *, seconds: float = 20.0) -> None:
        """Block until the condition holds; it is looked at after each request."""
        give_up_at = time.monotonic() + seconds
        with self._changed:
            while not until():
                left = give_up_at - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    paths = [(r.path, r.answer.status) for r in self._requests]
                    raise AssertionError(f"not within {seconds} s; requests so far: {paths}")

    async def until(self, condition: Callable[[], object], *, seconds: float = 20.0) -> None:
        """Wait like `wait`, in a thread."""
        await to_thread.run_sync(lambda: self.wait(condition, seconds=seconds))

    def requests(self, path: str | None = None) -> list[Request]:
        """Every request so far, whatever became of it."""
        with self._changed:
            return [r for r in self._requests if path is None or r.path.endswith(path)]

    def spans(self) -> list[ReceivedSpan]:
        """The spans of all requests that were taken."""
        return [
            ReceivedSpan(resource, scope, attributes_of(span.attributes), span)
            for resource, scope, span in self._items(TRACES, "spans")
        ]

    def logs(self) -> list[ReceivedLog]:
        """The log records of all requests that were taken."""
        return [
            ReceivedLog(resource, scope, attributes_of(record.attributes), record)
            for resource, scope, record in self._items(LOGS, "logs")
        ]

    def metrics(self) -> list[ReceivedMetric]:
        """The metrics of all requests that were taken, oldest first."""
        return [
            ReceivedMetric(resource, scope, metric)
            for resource, scope, metric in self._items(METRICS, "metrics")
        ]

    def answer_to(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Keep a request and decide; called by its thread."""
        message = _REQUESTS[_signal(path)]()
        message.ParseFromString(body)
        with self._changed:
            answer = self._next_answer(path)
            self._requests.append(Request(path, headers, body, message, answer))
            self._changed.notify_all()
        if answer.hang:
            self._released.wait()
        return answer

    def _next_answer(self, path: str) -> Answer:
        for entry in self._answers:
            wanted, answer = entry
            if wanted is None or path.endswith(wanted):
                self._answers.remove(entry)
                return answer
        return Answer()

    def _items(self, path: str, signal: str) -> Iterator[tuple[Attributes, str, Any]]:
        resources, scopes, items = {
            "spans": ("resource_spans", "scope_spans", "spans"),
            "logs": ("resource_logs", "scope_logs", "log_records"),
            "metrics": ("resource_metrics", "scope_metrics", "metrics"),
        }[signal]
        for request in self.requests(path):
            if not request.taken:
                continue
            for of_resource in getattr(request.message, resources):
                resource = attributes_of(of_resource.resource.attributes)
                for of_scope in getattr(of_resource, scopes):
                    for item in getattr(of_scope, items):
                        yield resource, of_scope.scope.name, item

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)


class _Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = False  # joined at the end: a test leaves nothing behind
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Connection)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # without a FIN first: a reset shall be one

    def close_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of the test."""

    def hang_up(self) -> None:
        """End the connections that clients keep alive."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = _decompressed(
            self.rfile.read(int(self.headers["Content-Length"])),
            self.headers.get("Content-Encoding", ""),
        )
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.receiver.answer_to(self.path, headers, body)
        self.close_connection = answer.hang or answer.reset
        if answer.reset:
            # With linger 0, close() sends a reset.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif not answer.hang:
            self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        body = answer.body if answer.body is not None else _response(self.path, answer)
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        if answer.retry_after is not None:
            self.send_header("Retry-After", answer.retry_after)
        if answer.location is not None:
            self.send_header("Location", answer.location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def attributes_of(pairs: Any) -> Attributes:
    """Repeated key-values as a dict."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind)


def _signal(path: str) -> str:
    return next(known for known in _REQUESTS if path.endswith(known))


def _response(path: str, answer: Answer) -> bytes:
    response_type, rejected = _RESPONSES[_signal(path)]
    response = response_type()
    if answer.rejected:
        setattr(response.partial_success, rejected, answer.rejected)
        response.partial_success.error_message = "some were refused"
    serialized: bytes = response.SerializeToString()
    return serialized


def _decompressed(body: bytes, encoding: str) -> bytes:
    match encoding:
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case _:
            return body


__all__ = [
    "LOGS",
    "METRICS",
    "TRACES",
    "Answer",
    "ReceivedLog",
    "ReceivedMetric",
    "ReceivedSpan",
    "Receiver",
    "Request",
    "attributes_of",
]
