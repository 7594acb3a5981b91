"""Halves of an encoded request, for a receiver that finds it too large.

Works on bodies, because what is sent again or comes from disk has no records any more. The halves
say together what the whole said, in the same order. Total: a body that cannot be read counts as
having no items, and is not split. Not for the hot path: it reads the whole body.
"""

from collections.abc import Iterator
from typing import Protocol, TypeAlias, TypeVar

from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # has no stubs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from ..occurrences import Signal

_Request: TypeAlias = ExportTraceServiceRequest | ExportLogsServiceRequest
_Group: TypeAlias = ResourceSpans | ResourceLogs
_Scope: TypeAlias = ScopeSpans | ScopeLogs
T_co = TypeVar("T_co", covariant=True)


class _Repeated(Protocol[T_co]):
    """A repeated field of a message."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[T_co]: ...
    def __delitem__(self, index: int | slice) -> None: ...


def split(body: bytes, signal: Signal) -> tuple[tuple[int, bytes], tuple[int, bytes]] | None:
    """Return both halves of a request of traces or logs, each as (items, body).

    None where it has fewer than two items, and for metrics, which are few and go out whole.
    """
    items = 0 if signal is Signal.METRICS else count_items(body, signal)
    if items < 2:  # noqa: PLR2004 - a half is at least one
        return None
    half = items // 2
    return (half, _part(body, signal, 0, half)), (items - half, _part(body, signal, half, items))


def count_items(body: bytes, signal: Signal) -> int:
    """Count the spans, log records or data points in a request; 0 where it cannot be read."""
    try:
        if signal is Signal.METRICS:
            return _count_points(ExportMetricsServiceRequest.FromString(body))
        groups = _groups(_read(body, signal))
    except DecodeError:
        return 0
    return sum(len(_records(scope)) for group in groups for scope in _scopes(group))


def _part(body: bytes, signal: Signal, start: int, stop: int) -> bytes:
    """Return the request with only the items from *start* to before *stop*."""
    request = _read(body, signal)
    groups = _groups(request)
    position = 0
    for group in groups:
        scopes = _scopes(group)
        for scope in scopes:
            records = _records(scope)
            following = position + len(records)
            del records[max(stop - position, 0) :]
            del records[: max(start - position, 0)]
            position = following
        _prune(scopes, [len(_records(scope)) for scope in scopes])
    _prune(groups, [len(_scopes(group)) for group in groups])
    part: bytes = request.SerializeToString()
    return part


def _prune(messages: _Repeated[object], sizes: list[int]) -> None:
    """Take out the messages that have nothing in them any more."""
    for index in reversed(range(len(messages))):
        if sizes[index] == 0:
            del messages[index]


def _read(body: bytes, signal: Signal) -> _Request:
    kind = ExportTraceServiceRequest if signal is Signal.TRACES else ExportLogsServiceRequest
    request: _Request = kind.FromString(body)
    return request


def _groups(request: _Request) -> _Repeated[_Group]:
    traces = isinstance(request, ExportTraceServiceRequest)
    groups: _Repeated[_Group] = request.resource_spans if traces else request.resource_logs
    return groups


def _scopes(group: _Group) -> _Repeated[_Scope]:
    traces = isinstance(group, ResourceSpans)
    scopes: _Repeated[_Scope] = group.scope_spans if traces else group.scope_logs
    return scopes


def _records(scope: _Scope) -> _Repeated[Span | LogRecord]:
    traces = isinstance(scope, ScopeSpans)
    records: _Repeated[Span | LogRecord] = scope.spans if traces else scope.log_records
    return records


def _count_points(request: ExportMetricsServiceRequest) -> int:
    return sum(
        _points(metric)
        for group in request.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
    )


def _points(metric: Metric) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0
