"""Which trace a message belongs to, and how that is known."""

from enum import StrEnum

from msgspec import Struct


class TraceSource(StrEnum):
    """How the trace of a task is known, from the best to the last resort."""

    EVENT = "event"
    """The event says so: the plugin runs in the producer or the worker."""
    PEEK = "peek"
    """The message was seen while it waited in the broker."""
    PARENT = "parent"
    """It is its parent task's, or that of an earlier attempt."""
    ROOT = "root"
    """It is its root task's."""
    DERIVED = "derived"
    """Made of the root task's id: nothing that is instrumented was seen."""


class Trace(Struct, frozen=True, gc=False):
    """A trace that somebody else began. Nothing that is derived from ids has one."""

    traceparent: str
    """W3C; not validated. Its span is the message's creator where the source is EVENT or PEEK, and
    means nothing to this task otherwise."""
    tracestate: str | None
    source: TraceSource
