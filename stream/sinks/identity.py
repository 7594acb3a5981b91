"""Ids of traces, spans and log records, derived from what Celery says about a task.

Pure and deterministic: every process that sees the same events computes the same ids, so nothing
is shared between partitions, and what is sent twice can be recognised. Ids are ints as the trace
specification has them: 128 bits for a trace, 64 for a span, never zero.
"""

import re
from hashlib import blake2b
from typing import NamedTuple

_UUID_HEX_DIGITS = 32
_TRACEPARENT_V0_LENGTH = 55
# W3C Trace Context, section 3.2: later versions may append fields, and ff is never valid.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|\Z)"
)
_SAMPLED = 1


class TraceParent(NamedTuple):
    """A W3C ``traceparent``."""

    trace_id: int
    span_id: int
    flags: int


class Origin(NamedTuple):
    """The trace that a task belongs to, and how that is known."""

    trace_id: int
    parent_span_id: int | None
    """The span that created the message; None where no ``traceparent`` is known."""
    flags: int
    source: str
    """``event`` (a ``traceparent``), ``root`` (the root task's UUID) or ``derived`` (hashed)."""


def parse_traceparent(text: str) -> TraceParent | None:
    """Read a ``traceparent``; None where it is not a valid one."""
    match = _TRACEPARENT.match(text)
    if match is None:
        return None
    version, trace, span, flags = match.groups()
    if version == "00" and len(text) != _TRACEPARENT_V0_LENGTH:
        return None
    parsed = TraceParent(int(trace, 16), int(span, 16), int(flags, 16))
    return parsed if parsed.trace_id and parsed.span_id else None


def trace_id(root_id: str) -> int:
    """Return the 128 bits of a UUID; of anything else a hash of the same size."""
    bits = _uuid_bits(root_id)
    return bits or _digest(root_id, 16)


def origin(traceparent: str | None, root_id: str | None, uuid: str) -> Origin:
    """Decide which trace a task belongs to: its ``traceparent``'s, else its root task's."""
    parent = parse_traceparent(traceparent) if traceparent else None
    if parent is not None:
        return Origin(parent.trace_id, parent.span_id, parent.flags, "event")
    root = root_id or uuid
    bits = _uuid_bits(root)
    if bits:
        return Origin(bits, None, _SAMPLED, "root")
    return Origin(_digest(root, 16), None, _SAMPLED, "derived")


def attempt(retries: int, ordinal: int = 0) -> str:
    """Name one delivery of one attempt within its task: ``2``, or ``2.1`` when redelivered."""
    return f"{retries}.{ordinal}" if ordinal > 0 else str(retries)


def span_id(uuid: str, n: str | int, kind: str) -> int:
    """Return the id of the span *kind* (``send``, ``process``) of the attempt *n* of a task."""
    return _digest(f"{uuid}:{n}:{kind}", 8)


def send_span_id(uuid: str, retries: int) -> int:
    """Return the id of the span of publishing this attempt."""
    return _digest(f"{uuid}:{retries}:send", 8)


def process_span_id(uuid: str, retries: int, ordinal: int = 0) -> int:
    """Return the id of the span of running this delivery of this attempt."""
    return _digest(f"{uuid}:{attempt(retries, ordinal)}:process", 8)


def record_uid(*parts: str | float) -> str:
    """Return a stable id for a log record, 32 hex digits."""
    return f"{_digest(':'.join(map(str, parts)), 16):032x}"


def _uuid_bits(text: str) -> int:
    digits = text.replace("-", "")
    if len(digits) != _UUID_HEX_DIGITS:
        return 0
    try:
        return int(digits, 16)
    except ValueError:
        return 0


def _digest(text: str, size_bytes: int) -> int:
    # surrogatepass: JSON can carry lone surrogates in an id, and plain UTF-8 would raise.
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size_bytes).digest()
    return int.from_bytes(digest, "big") or 1  # zero means "no id" in the specification
