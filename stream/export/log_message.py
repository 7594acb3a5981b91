"""One log record as the bytes of a protobuf ``LogRecord`` (opentelemetry/proto/logs/v1/logs.proto).

Written as `span_message` writes spans, and as total.
"""

import struct
from functools import lru_cache

from msgspec import structs

from .attributes import Attributes, any_value
from .records import Log, Severity
from .wire_format import WireType, delimited, length, tag, text, varint

_TRACE_FLAGS = 0xFF
_MOST_EVENT_NAMES = 256
"""Remembered encoded names; they come from code."""

_UINT64 = 2**64 - 1

_RECORD = tag(2, WireType.DELIMITED)  # in ScopeLogs
_TIME = tag(1, WireType.FIXED64)
_SEVERITY_NUMBER = tag(2, WireType.VARINT)
_SEVERITY_TEXT = tag(3, WireType.DELIMITED)
_BODY = tag(5, WireType.DELIMITED)
_ATTRIBUTES = Attributes(6)
_FLAGS = tag(8, WireType.FIXED32)
_TRACE_ID = tag(9, WireType.DELIMITED) + length(16)
_SPAN_ID = tag(10, WireType.DELIMITED) + length(8)
_OBSERVED = tag(11, WireType.FIXED64)
_EVENT_NAME = tag(12, WireType.DELIMITED)

_pack_ids = struct.Struct(">2sQQ2sQ").pack
_pack_time = struct.Struct("<1sQ").pack
_pack_flags = struct.Struct("<1sI").pack

_SEVERITY = {
    severity: _SEVERITY_NUMBER + varint(severity) + text(_SEVERITY_TEXT, severity.name)
    for severity in Severity
}


def log_message(log: Log) -> bytes:
    """Encode one element of ``ScopeLogs.log_records``, with its tag and length. Never raises."""
    try:
        return _encode(log)
    except struct.error:
        return _encode(_fitting(log))


def _encode(log: Log) -> bytes:
    encoders = _ATTRIBUTES
    parts = [
        _pack_time(_TIME, log.time_ns),
        _SEVERITY[log.severity],
        delimited(_BODY, any_value(log.body)),
        *[encoders[key](value) for key, value in log.attributes],
        _span_context(log.trace_id, log.span_id, log.flags),
        # Not the time of encoding: a record is the same bytes each time.
        _pack_time(_OBSERVED, log.time_ns),
        _event_name(log.event_name),
    ]
    body = b"".join(parts)
    return _RECORD + length(len(body)) + body


def _span_context(trace_id: int | None, span_id: int | None, flags: int) -> bytes:
    """Encode the span that the record belongs to; nothing where that is not known."""
    if trace_id is None or span_id is None:
        return b""
    ids = _pack_ids(_TRACE_ID, trace_id >> 64, trace_id & _UINT64, _SPAN_ID, span_id)
    flags &= _TRACE_FLAGS
    return _pack_flags(_FLAGS, flags) + ids if flags else ids


@lru_cache(_MOST_EVENT_NAMES)
def _event_name(name: str) -> bytes:
    return text(_EVENT_NAME, name)


def _fitting(log: Log) -> Log:
    """Cut ids to their low bits, and the time to the range that a receiver can read."""
    return structs.replace(
        log,
        time_ns=min(max(log.time_ns, 0), _UINT64),
        trace_id=None if log.trace_id is None else log.trace_id & 2**128 - 1,
        span_id=None if log.span_id is None else log.span_id & _UINT64,
    )
