"""Ids of traces, spans and log records, derived from what Celery says about a task.

Pure and deterministic: every process that sees the same events computes the same ids, so nothing
is shared between partitions, and what is sent twice can be recognised. Ids are ints as the trace
specification has them: 128 bits for a trace, 64 for a span, never zero.
"""

from hashlib import blake2b
from typing import Final

from msgspec import Struct

from ..core.trace import Trace, TraceSource
from ..core.traceparent import match

_UUID_HEX_DIGITS = 32
SAMPLED: Final = 0x01
"""W3C trace flag: whoever began the trace keeps it."""
RANDOM: Final = 0x02
"""W3C trace flag (level 2): the low 56 bits of the trace id are uniformly distributed."""

_VERSION_AND_VARIANT: Final = 0xF << 14 | 0b11
"""Of a UUID without its low 62 bits (RFC 9562, section 4)."""
_UNIFORM: Final = frozenset(version << 14 | 0b10 for version in (3, 4, 5, 7))
"""UUIDs whose low 62 bits are random or hashed; the others end in a MAC address or in anything."""

# Looking up a member in its class takes 50 ns.
_EVENT: Final = TraceSource.EVENT
_PEEK: Final = TraceSource.PEEK
_DERIVED: Final = TraceSource.DERIVED

_begin_span_id = blake2b(digest_size=8).copy  # takes a quarter of what the constructor does


class Origin(Struct, frozen=True, gc=False):
    """The trace that a task belongs to, and how that is known."""

    trace_id: int
    parent_span_id: int | None
    """The span that created the message; None where it is not known (PARENT, ROOT, DERIVED)."""
    flags: int
    """W3C trace flags."""
    trace_state: str
    """W3C ``tracestate`` as it came, empty where there is none."""
    source: TraceSource


def trace_id(root_id: str) -> int:
    """Return the 128 bits of a UUID; of anything else a hash of the same size."""
    return _derived(root_id).trace_id


def origin(trace: Trace | None, root_id: str | None, uuid: str) -> Origin:
    """Decide which trace a task belongs to.

    Args:
        trace: one that somebody else began; None, or a ``traceparent`` that cannot be read, where
            none is known.
        root_id: the id of the task that the whole family goes back to, which is its trace then;
            None where it is not known.
        uuid: the task's own id, the root where no other is known.
    """
    found = None if trace is None else match(trace.traceparent)
    if trace is None or found is None:
        return _derived(root_id or uuid)
    bits, creator, flags = found.groups()
    return Origin(
        int(bits, 16),
        int(creator, 16) if _tells_creator(trace.source) else None,
        int(flags, 16),
        trace.tracestate or "",
        trace.source,
    )


def has_creator(trace: Trace | None) -> bool:
    """Whether somebody else's span for publishing the message is known."""
    if trace is None or not _tells_creator(trace.source):
        return False
    return match(trace.traceparent) is not None


def _tells_creator(source: TraceSource) -> bool:
    return source is _EVENT or source is _PEEK


def _derived(root: str) -> Origin:
    """Make a trace of the root task's id: of its bits, or of a hash where it is no UUID."""
    digits = root.replace("-", "")
    try:
        bits = int(digits, 16) if len(digits) == _UUID_HEX_DIGITS else 0
    except ValueError:
        bits = 0
    if bits >> 62 & _VERSION_AND_VARIANT in _UNIFORM:
        return Origin(bits, None, SAMPLED | RANDOM, "", _DERIVED)
    if bits:
        return Origin(bits, None, SAMPLED, "", _DERIVED)
    return Origin(_hashed(root), None, SAMPLED | RANDOM, "", _DERIVED)


def attempt(retries: int, ordinal: int = 0) -> str:
    """Name one delivery of one attempt within its task: ``2``, or ``2.1`` when redelivered."""
    return f"{retries}.{ordinal}" if ordinal > 0 else str(retries)


def span_id(uuid: str, n: str | int, kind: str) -> int:
    """Return the id of a span of the attempt *n*; *kind* is ``send``, ``wait`` or ``process``."""
    return _span_id(f"{uuid}:{n}:{kind}")


def send_span_id(uuid: str, retries: int, ordinal: int = 0) -> int:
    """Return the id of the span of publishing this message of this attempt."""
    return _span_id(f"{uuid}:{attempt(retries, ordinal) if ordinal > 0 else retries}:send")


def process_span_id(uuid: str, retries: int, ordinal: int = 0) -> int:
    """Return the id of the span of running this delivery of this attempt."""
    return _span_id(f"{uuid}:{attempt(retries, ordinal) if ordinal > 0 else retries}:process")


def run_span_ids(uuid: str, retries: int, ordinal: int, sent_ordinal: int) -> tuple[int, int]:
    """Return the `process_span_id` of a delivery and the `send_span_id` of its message.

    In less time than one after the other, because nearly every span needs them.
    """
    if ordinal > 0 or sent_ordinal > 0:
        return process_span_id(uuid, retries, ordinal), send_span_id(uuid, retries, sent_ordinal)
    both = f"{uuid}:{retries}:".encode("utf-8", "surrogatepass")
    process, send = span_id_bytes(both + b"process"), span_id_bytes(both + b"send")
    return int.from_bytes(process, "big") or 1, int.from_bytes(send, "big") or 1


def wait_span_id(uuid: str, retries: int, ordinal: int = 0) -> int:
    """Return the id of the span of waiting for this delivery of this attempt."""
    return _span_id(f"{uuid}:{attempt(retries, ordinal)}:wait")


def record_uid(*parts: str | float) -> str:
    """Return a stable id for a log record, 32 hex digits."""
    return f"{_hashed(':'.join(map(str, parts))):032x}"


def span_id_bytes(name: bytes) -> bytes:
    """Return what a span's id is made of; all zero, which is none, hardly ever."""
    state = _begin_span_id()
    state.update(name)
    return state.digest()


def uuid_bytes(root: str) -> bytes | None:
    """Return the 16 bytes of a UUID of one of the versions in `_UNIFORM`; None for other ids.

    Raises:
        ValueError: it has other characters than digits.
    """
    digits = root.replace("-", "")
    if len(digits) != _UUID_HEX_DIGITS or digits[12] not in "3457" or digits[16] not in "89abAB":
        return None
    bits = bytes.fromhex(digits)  # which passes over blanks
    return bits if 2 * len(bits) == _UUID_HEX_DIGITS else None


# Zero means "no id" in the specification. surrogatepass: JSON can carry lone surrogates in an id,
# and plain UTF-8 would raise.


def _hashed(text: str) -> int:
    """Return 128 bits of any text, never zero."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return int.from_bytes(digest, "big") or 1


def _span_id(name: str) -> int:
    """Return 64 bits of any text, never zero."""
    return int.from_bytes(span_id_bytes(name.encode("utf-8", "surrogatepass")), "big") or 1
