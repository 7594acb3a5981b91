"""Spans and log records as OTLP has them, before encoding.

Plain values in OpenTelemetry's words; they know nothing of Celery. The sinks make them, `encoding`
writes them. The SDK's own classes cost several times as much and hide their ids behind a tracer.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, TypeAlias

from msgspec import Struct

Value: TypeAlias = str | bool | int | float
Attribute: TypeAlias = tuple[str, Value]

_MOST_SECONDS = 9_223_372_036.0
"""Within 2**63 nanoseconds: what stores keep in a signed integer."""
_MOST_NANOSECONDS = 9_223_372_036_000_000_000


class SpanKind(IntEnum):
    """The numbers of ``opentelemetry.proto.trace.v1.Span.SpanKind``."""

    INTERNAL = 1
    PRODUCER = 4
    CONSUMER = 5


class Severity(IntEnum):
    """The numbers of ``opentelemetry.proto.logs.v1.SeverityNumber``."""

    INFO = 9
    WARN = 13
    ERROR = 17


class Resource(Struct, frozen=True, eq=False):
    """What emitted a span or record. Compared by identity: `Resources` hands out one for each."""

    attributes: tuple[Attribute, ...]


class Common(Struct, frozen=True, eq=False):
    """What many spans say alike. Compared by identity, and encoded once."""

    attributes: tuple[Attribute, ...]
    keys: tuple[str, ...] = ()
    """Of attributes that each of them has, with a text of its own."""


NOTHING: Final = Common(())


class Link(Struct, frozen=True, gc=False):
    """A span that is related and not the parent."""

    trace_id: int
    span_id: int


class Span(Struct, frozen=True, gc=False):
    """One ended span. Nothing in it can lead back to it, so it costs no garbage collection."""

    resource: Resource
    trace_id: int
    span_id: int
    parent_span_id: int | None
    flags: int
    """W3C trace flags."""
    trace_state: str
    name: str
    kind: SpanKind
    start_ns: int
    """Epoch nanoseconds, like ``end_ns``."""
    end_ns: int
    attributes: Sequence[Attribute]
    """Those that it has beside ``common`` and ``texts``."""
    links: tuple[Link, ...] = ()
    error: str | None = None
    """Description of the status ERROR; None leaves the status unset."""
    common: Common = NOTHING
    texts: tuple[str, ...] = ()
    """One for each of the keys in ``common``."""

    def all_attributes(self) -> list[Attribute]:
        """Return what a receiver reads, in that order."""
        own = zip(self.common.keys, self.texts, strict=True)
        return [*self.common.attributes, *own, *self.attributes]


class Log(Struct, frozen=True):
    """One log record."""

    resource: Resource
    time_ns: int
    event_name: str
    severity: Severity
    body: str
    trace_id: int | None
    span_id: int | None
    flags: int
    attributes: list[Attribute]


SpanDraft: TypeAlias = Callable[[], Span]
"""Makes a span when called, the same each time.

Drafts wait in the buffer instead of spans: the work is done in the export thread, and not at all
for those that an absent receiver makes us drop.
"""


class Draft(Struct, frozen=True, eq=False, gc=False):
    """A `SpanDraft` that may know a quicker way to the bytes than through a span."""

    def __call__(self) -> Span:
        """Make the span, the same each time."""
        raise NotImplementedError

    def write(self) -> tuple[Resource, bytes] | None:
        """Return its resource and its message at once; None where it has to be made first."""
        return None


def nanoseconds(at: float) -> int:
    """Convert epoch seconds to epoch nanoseconds; what no store can hold is clamped.

    Exact to the microsecond, which is what a float of this size holds.
    """
    if 0.0 <= at <= _MOST_SECONDS:
        return round(at * 1e6) * 1000
    return _MOST_NANOSECONDS if at > _MOST_SECONDS else 0
