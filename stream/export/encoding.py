"""Records to OTLP protobuf, as one request body. Runs in the export threads.

Spans and log records are written as wire bytes (`span_message`, `log_message`) and grouped here by
resource, under one scope. Deterministic: equal records in the same order are equal bytes. Total:
nothing that a record can hold makes it raise. Metrics go through the SDK's encoder; they are few.
"""

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import (
    encode_metrics as encode_sdk_metrics,
)
from opentelemetry.sdk.metrics.export import MetricsData

from .. import __version__
from .attributes import Attributes
from .log_message import log_message
from .records import Draft, Log, Resource, SpanDraft
from .span_message import span_message
from .wire_format import WireType, delimited, length, tag, text

T = TypeVar("T")

SCOPE = "stream"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

_AT_ONCE = 512
"""Records after which the event loop gets its turn: about two milliseconds of work."""
_PAUSE = 50e-6
"""Seconds: long enough for a thread that waits for the interpreter lock to take it."""
_MOST_RESOURCES = 1024
"""Remembered encoded resources; as many as `Resources` remembers."""

# The requests of traces and of logs, with all that is in them but the records, have the same field
# numbers (trace.proto, logs.proto), so one set of tags does for both.
_GROUP = tag(1, WireType.DELIMITED)
_RESOURCE = tag(1, WireType.DELIMITED)
_RESOURCE_ATTRIBUTES = Attributes(1)
_SCOPE_GROUP = tag(2, WireType.DELIMITED)
_SCOPE = delimited(
    tag(1, WireType.DELIMITED),
    text(tag(1, WireType.DELIMITED), SCOPE) + text(tag(2, WireType.DELIMITED), __version__),
)
_SCHEMA_URL = text(tag(3, WireType.DELIMITED), SCHEMA_URL)


def encode_spans(drafts: Sequence[SpanDraft]) -> bytes:
    """Encode an ``ExportTraceServiceRequest``."""
    groups: dict[Resource, list[bytes]] = {}
    for draft in _by_turns(drafts):
        resource, message = (draft.write() if isinstance(draft, Draft) else None) or _made(draft)
        messages = groups.get(resource)
        if messages is None:
            messages = groups[resource] = []
        messages.append(message)
    return _request(groups)


def _made(draft: SpanDraft) -> tuple[Resource, bytes]:
    span = draft()
    return span.resource, span_message(span)


def encode_logs(logs: Sequence[Log]) -> bytes:
    """Encode an ``ExportLogsServiceRequest``."""
    groups: dict[Resource, list[bytes]] = {}
    for log in _by_turns(logs):
        groups.setdefault(log.resource, []).append(log_message(log))
    return _request(groups)


def encode_metrics(metrics: MetricsData) -> bytes:
    """Encode an ``ExportMetricsServiceRequest``."""
    body: bytes = encode_sdk_metrics(metrics).SerializeToString()
    return body


def count_points(metrics: MetricsData) -> int:
    """Count the data points: what a receiver accepts or rejects."""
    return sum(
        len(metric.data.data_points)
        for resource in metrics.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _by_turns(records: Sequence[T]) -> Iterator[T]:
    """Yield the records, and let go of the interpreter lock between them now and then.

    Otherwise the event loop waits 5 ms for it (``sys.getswitchinterval``) each time that it wakes
    up while a batch is encoded.
    """
    for start in range(0, len(records), _AT_ONCE):
        if start > 0:
            time.sleep(_PAUSE)
        yield from records[start : start + _AT_ONCE]


def _request(groups: dict[Resource, list[bytes]]) -> bytes:
    parts: list[bytes] = []
    for resource, messages in groups.items():
        parts += _group(resource, messages)
    return b"".join(parts)  # at once: they are copied but once


def _group(resource: Resource, messages: list[bytes]) -> list[bytes]:
    """Encode a ``ResourceSpans`` or ``ResourceLogs`` with its only scope."""
    about, size = _resource(resource), sum(map(len, messages)) + len(_SCOPE) + len(_SCHEMA_URL)
    scope = _SCOPE_GROUP + length(size) + _SCOPE
    size += len(about) + len(scope) - len(_SCOPE)
    return [_GROUP, length(size), about, scope, *messages, _SCHEMA_URL]


@lru_cache(_MOST_RESOURCES)
def _resource(resource: Resource) -> bytes:
    """Encode a ``Resource``; one without attributes is not known, and absent."""
    encode = _RESOURCE_ATTRIBUTES.encode
    attributes = b"".join(encode(key, value) for key, value in resource.attributes)
    return delimited(_RESOURCE, attributes) if attributes else b""
