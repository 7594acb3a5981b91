"""Effects become spans: one for publishing each attempt, one for running each delivery of it.

A function of the effect alone: whoever sees the same effect makes the same span, byte for byte, so
a span that is sent twice can be recognised. Nothing is remembered between effects.
"""

from collections.abc import Sequence
from functools import partial

from msgspec import Struct, structs

from ..core.effects import AttemptEnded, Effect, Sent
from ..core.states import State
from ..export.buffer import Buffer
from ..export.records import Attribute, Link, Span, SpanDraft, SpanKind, nanoseconds
from ..export.resources import Resources
from .identity import Origin, origin, parse_traceparent, process_span_id, send_span_id
from .redaction import without_credentials

MAX_TEXT = 16_384
"""Characters of an exception or traceback that are kept, its beginning and its end."""

_ERRORS = frozenset({State.FAILURE, State.RETRY, State.LOST})
_ERROR_TYPE_UNKNOWN = "_OTHER"  # the conventions' word for an error without a known class


class Observed(Struct, frozen=True, eq=False):
    """What all spans of one observed cluster have in common."""

    resources: Resources
    system: str
    """``messaging.system``: the broker's name in the conventions."""


class SpanSink:
    """Hands spans to the export.

    Args:
        buffer: where they wait; None makes none.
        resources: the resource of each worker.
        system: the broker, as ``messaging.system`` has it.
    """

    def __init__(
        self, buffer: Buffer[SpanDraft] | None, resources: Resources, *, system: str = "redis"
    ) -> None:
        self._buffer = buffer
        self._observed = Observed(resources, system)

    def accept(self, effects: Sequence[Effect]) -> None:
        """Keep what spans are made of; they are made in the export thread."""
        if self._buffer is None:
            return
        observed = self._observed
        drafts: list[SpanDraft] = []
        for effect in effects:
            if isinstance(effect, AttemptEnded):
                drafts.append(partial(process_span, trimmed(effect), observed))
            elif isinstance(effect, Sent) and not _has_creator(effect):
                drafts.append(partial(send_span, effect, observed))
        if drafts:
            self._buffer.extend(drafts)


def _has_creator(sent: Sent) -> bool:
    """Whether the producer has a span of its own for publishing this."""
    return sent.traceparent is not None and parse_traceparent(sent.traceparent) is not None


def trimmed(ended: AttemptEnded) -> AttemptEnded:
    """Return the effect with texts that may leave, and that a full buffer has the memory for."""
    exception, traceback = _trim(ended.exception), _trim(ended.traceback)
    if exception is ended.exception and traceback is ended.traceback:
        return ended
    return structs.replace(ended, exception=exception, traceback=traceback)


def send_span(sent: Sent, observed: Observed) -> Span:
    """Make the span of publishing one attempt: an instant, on the side of the producer."""
    trace = origin(None, sent.root_id, sent.uuid)
    at = nanoseconds(sent.sent_at)
    name = sent.kind.name
    attributes = _message_attributes(sent, observed, operation="send")
    attributes.append(("celery.trace.source", trace.source))
    return Span(
        resource=observed.resources.of(None),
        trace_id=trace.trace_id,
        span_id=send_span_id(sent.uuid, sent.retries),
        parent_span_id=_cause(sent),
        flags=trace.flags,
        trace_state="",
        name=f"send {name}" if name else "send",
        kind=SpanKind.PRODUCER,
        start_ns=at,
        end_ns=at,
        attributes=attributes,
        links=_previous(trace, sent.uuid, sent.retries, ordinal=0),
    )


def process_span(ended: AttemptEnded, observed: Observed) -> Span:
    """Make the span of running one delivery; of length zero where it never started."""
    trace = origin(ended.traceparent, ended.root_id, ended.uuid)
    end = nanoseconds(ended.ended_at)
    start = end if ended.started_at is None else min(nanoseconds(ended.started_at), end)
    name = ended.kind.name
    attributes = _message_attributes(ended, observed, operation="process")
    attributes += _attempt_attributes(ended)
    attributes.append(("celery.trace.source", trace.source))
    error = None
    if ended.state in _ERRORS:
        attributes += exception_attributes(ended)
        attributes.append(("error.type", ended.error_type or _ERROR_TYPE_UNKNOWN))
        error = message_of(ended.exception) or ended.reason or ""
    return Span(
        resource=observed.resources.of(ended.hostname),
        trace_id=trace.trace_id,
        span_id=process_span_id(ended.uuid, ended.retries, ended.ordinal),
        parent_span_id=_creation(ended, trace),
        flags=trace.flags,
        trace_state=(ended.tracestate or "") if trace.source == "event" else "",
        name=f"process {name}" if name else "process",
        kind=SpanKind.CONSUMER,
        start_ns=start,
        end_ns=end,
        attributes=attributes,
        links=_previous(trace, ended.uuid, ended.retries, ordinal=ended.ordinal),
        error=error,
    )


def exception_attributes(ended: AttemptEnded) -> list[Attribute]:
    """Return ``exception.*`` as far as they are known."""
    attributes: list[Attribute] = []
    if ended.error_type is not None:
        attributes.append(("exception.type", ended.error_type))
    message = message_of(ended.exception)
    if message is not None:
        attributes.append(("exception.message", message))
    if ended.traceback:
        attributes.append(("exception.stacktrace", ended.traceback))
    return attributes


def message_of(exception: str | None) -> str | None:
    """Return what stands between the outer parentheses of an exception's ``repr``.

    A single text loses its quotes: ``ValueError('no funds')`` says ``no funds``. What is no
    ``repr`` is returned as it is; None stays None.
    """
    if exception is None:
        return None
    before, opened, rest = exception.partition("(")
    inside, closed, _ = rest.rpartition(")")
    if not (opened and closed and before.strip()):
        return exception
    inside = inside.removesuffix(",")  # Python 3.6 wrote one
    return _unquoted(inside)


def _unquoted(literal: str) -> str:
    """Take the quotes off one Python string; anything else comes back as it is."""
    quote = literal[:1]
    if len(literal) < len("''") or quote not in "'\"" or literal[-1] != quote:
        return literal
    text = literal[1:-1]
    if quote in text.replace("\\\\", "").replace("\\" + quote, ""):
        return literal  # several arguments
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\\'", "'").replace("\0", "\\")


def _message_attributes(
    effect: Sent | AttemptEnded, observed: Observed, *, operation: str
) -> list[Attribute]:
    """Return what describes the message and its task."""
    attributes: list[Attribute] = [
        ("messaging.system", observed.system),
        ("messaging.operation.name", operation),
        ("messaging.operation.type", operation),
        ("messaging.message.id", effect.uuid),
        ("messaging.message.conversation_id", effect.root_id or effect.uuid),
        ("celery.task.retries", effect.retries),
    ]
    kind = effect.kind
    if kind.queue is not None:
        attributes.append(("messaging.destination.name", kind.queue))
    if kind.name is not None:
        attributes.append(("celery.task.name", kind.name))
    if effect.parent_id is not None and effect.parent_id != effect.uuid:
        attributes.append(("celery.task.parent_id", effect.parent_id))
    return attributes


def _attempt_attributes(ended: AttemptEnded) -> list[Attribute]:
    """Return what describes one delivery."""
    attributes: list[Attribute] = [("celery.task.state", ended.state.value)]
    if ended.hostname is not None:
        attributes.append(("celery.worker.name", ended.hostname))
    if ended.wait is not None:
        attributes.append(("celery.task.wait_time", ended.wait))
    if ended.ordinal > 0:
        attributes.append(("celery.task.redelivered", True))
    if ended.inferred:
        attributes.append(("celery.end.inferred", True))
    return attributes


def _creation(ended: AttemptEnded, trace: Origin) -> int | None:
    """Return the span that created the message; None where no such span is known."""
    if trace.parent_span_id is not None:
        return trace.parent_span_id
    if ended.sent_at is not None:
        return send_span_id(ended.uuid, ended.retries)
    return _cause(ended)


def _cause(sent: Sent | AttemptEnded) -> int | None:
    """Return the ``process`` span that published the message; None where it is not known."""
    if sent.retries > 0:
        return process_span_id(sent.uuid, sent.retries - 1)
    # A retry's parent_id is its own uuid (celery/app/task.py): its parent would be itself.
    if sent.parent_id is not None and sent.parent_id != sent.uuid:
        return process_span_id(sent.parent_id, *sent.parent_attempt)
    return None


def _previous(trace: Origin, uuid: str, retries: int, *, ordinal: int) -> tuple[Link, ...]:
    """Link to the delivery or attempt before this one."""
    if ordinal > 0:
        return (Link(trace.trace_id, process_span_id(uuid, retries, ordinal - 1)),)
    if retries > 0:
        return (Link(trace.trace_id, process_span_id(uuid, retries - 1)),)
    return ()


def _trim(text: str | None) -> str | None:
    """Take out credentials, and the middle of a long text: a traceback says most at its end."""
    if text is None:
        return None
    text = without_credentials(text)
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]}\n…\n{text[-half:]}"
