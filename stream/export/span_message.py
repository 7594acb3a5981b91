"""One span as the bytes of a protobuf ``Span`` (opentelemetry/proto/trace/v1/trace.proto).

What is in capitals here is also for who writes a whole span in one go (`sinks.span_bytes`).

The fields are in the order of their numbers, as the generated classes write them, so that a body
that is parsed and written again keeps its bytes. Ids and times have fixed places in prepared
layouts. Total: an id or a time that does not fit is cut to what does.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache

from msgspec import structs

from .attributes import MOST_KEYS, Attributes, Heads
from .records import NOTHING, Common, Link, Span, SpanKind
from .wire_format import WireType, delimited, length, tag, text, varint

# trace.proto, SpanFlags: bits 8 and 9. A message's creator is another process as a rule.
_HAS_REMOTE = 0x100
_IS_REMOTE = 0x200
_TRACE_FLAGS = 0xFF
_STATUS_CODE_ERROR = 2

_MOST_COMMON = 4096
"""Remembered encoded names and common attributes, half a kilobyte each: some for each task."""
_LONGEST_NAME = 256
"""Characters of a name that is remembered."""

_UINT64 = 2**64 - 1
_TRACE_ID_BYTES = length(16)
_SPAN_ID_BYTES = length(8)

_SPAN = tag(2, WireType.DELIMITED)  # in ScopeSpans
TRACE_ID = tag(1, WireType.DELIMITED) + _TRACE_ID_BYTES
SPAN_ID = tag(2, WireType.DELIMITED) + _SPAN_ID_BYTES
_TRACE_STATE = tag(3, WireType.DELIMITED)
PARENT_SPAN_ID = tag(4, WireType.DELIMITED) + _SPAN_ID_BYTES
_NAME = tag(5, WireType.DELIMITED)
_KIND = tag(6, WireType.VARINT)
START = tag(7, WireType.FIXED64)
END = tag(8, WireType.FIXED64)
ATTRIBUTES = Attributes(9)
_LINK = tag(13, WireType.DELIMITED)
_STATUS = tag(15, WireType.DELIMITED)
_STATUS_MESSAGE = tag(2, WireType.DELIMITED)
_STATUS_ERROR = tag(3, WireType.VARINT) + varint(_STATUS_CODE_ERROR)
_FLAGS = tag(16, WireType.FIXED32)

# Ids are big-endian, as text would be; numbers are little-endian, as protobuf has them.
_pack_ids = struct.Struct(">2sQQ2sQ").pack
_pack_id = struct.Struct(">Q").pack
pack_times = struct.Struct("<1sQ1sQ").pack
_pack_flags = struct.Struct("<I").pack

LOCAL = tuple(_FLAGS + _pack_flags(flags | _HAS_REMOTE) for flags in range(_TRACE_FLAGS + 1))
REMOTE = tuple(
    _FLAGS + _pack_flags(flags | _HAS_REMOTE | _IS_REMOTE) for flags in range(_TRACE_FLAGS + 1)
)
_LINK_FLAGS = tag(6, WireType.FIXED32) + _pack_flags(_HAS_REMOTE | _IS_REMOTE)


def span_message(span: Span) -> bytes:
    """Encode one element of ``ScopeSpans.spans``, with its tag and length. Never raises."""
    try:
        return _encode(span)
    except (struct.error, UnicodeEncodeError, IndexError):
        return _encode(_fitting(span))


def _encode(span: Span) -> bytes:
    # Loops, because in Python 3.11 a comprehension is a call and takes twice the time of a few.
    name = span.name
    known = _known if len(name) <= _LONGEST_NAME else prepared
    start, common, heads = known(name, span.kind, span.common)
    trace_id, parent = span.trace_id, span.parent_span_id
    ids = _pack_ids(TRACE_ID, trace_id >> 64, trace_id & _UINT64, SPAN_ID, span.span_id)
    if span.trace_state:
        ids += text(_TRACE_STATE, span.trace_state)
    if parent is not None:
        ids += PARENT_SPAN_ID + _pack_id(parent)
    parts = [ids, start, pack_times(START, span.start_ns, END, span.end_ns), common]
    add = parts.append
    for head, own in zip(heads, span.texts):  # noqa: B905 - a keyword costs 0.1 us
        written = own.encode()
        add(head[len(written)])
        add(written)
    encoders = ATTRIBUTES
    for key, value in span.attributes:
        add(encoders[key](value))
    if span.links:
        parts += map(_link, span.links)
    if span.error is not None:
        add(_status(span.error))
    add((LOCAL if parent is None else REMOTE)[span.flags & _TRACE_FLAGS])
    return enclosed(parts)


def enclosed(parts: Iterable[bytes]) -> bytes:
    """Join the fields of a span, behind its tag and length in ``ScopeSpans``."""
    body = b"".join(parts)
    return _SPAN + length(len(body)) + body


def prepared(name: str, kind: SpanKind, common: Common) -> tuple[bytes, bytes, tuple[Heads, ...]]:
    """Encode the fields 5 and 6, the common attributes, and what stands before the texts."""
    start = text(_NAME, name) + _KIND + varint(kind)
    encode = ATTRIBUTES.encode
    said = b"".join(encode(key, value) for key, value in common.attributes)
    return start, said, tuple(_heads(key) for key in common.keys)


_known = lru_cache(_MOST_COMMON)(prepared)
_heads = lru_cache(MOST_KEYS)(ATTRIBUTES.heads)


def _link(link: Link) -> bytes:
    trace_id = link.trace_id
    ids = _pack_ids(TRACE_ID, trace_id >> 64, trace_id & _UINT64, SPAN_ID, link.span_id)
    return delimited(_LINK, ids + _LINK_FLAGS)


def _status(error: str) -> bytes:
    return delimited(_STATUS, text(_STATUS_MESSAGE, error) + _STATUS_ERROR)


def _fitting(span: Span) -> Span:
    """Cut ids to their low bits, and times to the range that a receiver can read.

    Its texts become ordinary attributes, which can be of any length.
    """
    parent = span.parent_span_id
    return structs.replace(
        span,
        trace_id=span.trace_id & 2**128 - 1,
        span_id=span.span_id & _UINT64,
        parent_span_id=None if parent is None else parent & _UINT64,
        start_ns=min(max(span.start_ns, 0), _UINT64),
        end_ns=min(max(span.end_ns, 0), _UINT64),
        links=tuple(
            Link(link.trace_id & 2**128 - 1, link.span_id & _UINT64) for link in span.links
        ),
        common=NOTHING,
        texts=(),
        attributes=span.all_attributes(),
    )
