"""The spans: what they are called, from when to when, and what they carry.

Each is a function of its effect and of the threshold that its trace was kept at, alone: whoever
sees the same makes the same span, byte for byte, so one that is sent twice can be recognised.
`span_table` says in words what is made here.
"""

from functools import lru_cache
from typing import Final, TypeAlias

from msgspec import Struct

from ..core.effects import AttemptEnded, Sent, WaitedLong
from ..core.failure import UNNAMED
from ..core.kinds import Kind
from ..core.states import State
from ..core.trace import TraceSource
from ..export.records import Attribute, Common, Link, Span, SpanKind, nanoseconds
from ..export.resources import Resources
from .exceptions import exception_attributes, message_of
from .identity import (
    SAMPLED,
    Origin,
    origin,
    process_span_id,
    run_span_ids,
    send_span_id,
    wait_span_id,
)
from .sampling import trace_state_of

Spanned: TypeAlias = Sent | WaitedLong | AttemptEnded
"""The effects that spans are made of."""

_ERRORS: Final = frozenset({State.FAILURE, State.RETRY, State.LOST})
# Looking up a member in its class takes 50 ns.
_PRODUCER: Final = SpanKind.PRODUCER
_CONSUMER: Final = SpanKind.CONSUMER

_IDS: Final = ("messaging.message.id", "messaging.message.conversation_id")
_MOST_COMMON: Final = 4096
"""Remembered of each operation, one kilobyte each: some for each of 2,000 tasks and queues."""


class Observed(Struct, frozen=True, eq=False):
    """What all spans of one observed cluster have in common."""

    resources: Resources
    system: str
    """``messaging.system``: the broker's name in the conventions."""
    runs: bool = True
    """Whether runs have spans, which others can have as their parent."""
    broker: str | None = None
    """Its name, where it has one to be told apart by."""
    sends: bool = True
    """Whether publishing has spans, which runs have as their parent."""


def send_span(sent: Sent, observed: Observed, *, threshold: int | None = None) -> Span:
    """Make the span of publishing one attempt: an instant, on the side of the producer.

    Args:
        sent: the effect.
        observed: whose.
        threshold: as in `sampling.Kept`, also below.
    """
    uuid, retries = sent.uuid, sent.retries
    trace = origin(sent.trace, sent.root_id, uuid)
    name, common = of_sending(observed, sent.kind, retries, trace.source)
    at = nanoseconds(sent.sent_at)
    return Span(
        resource=observed.resources.of(None),
        trace_id=trace.trace_id,
        span_id=send_span_id(uuid, retries, sent.ordinal),
        parent_span_id=_cause(sent, observed, ordinal=sent.ordinal),
        flags=trace.flags | SAMPLED,
        trace_state=trace.trace_state if threshold is None else trace_state_of(trace, threshold),
        name=name,
        kind=_PRODUCER,
        start_ns=at,
        end_ns=at,
        common=common,
        texts=(uuid, sent.root_id or uuid),
        attributes=_parent(sent),
        links=_previous(trace, sent, observed),
    )


def wait_span(waited: WaitedLong, observed: Observed, *, threshold: int | None = None) -> Span:
    """Make the span of waiting for one delivery to run: in its queue, and then at its worker."""
    uuid, retries = waited.uuid, waited.retries
    trace = origin(waited.trace, waited.root_id, uuid)
    name, common = _of_waiting(observed, waited.kind, retries, trace.source)
    end = nanoseconds(waited.started_at)
    return Span(
        resource=observed.resources.of(None),
        trace_id=trace.trace_id,
        span_id=wait_span_id(uuid, retries, waited.ordinal),
        parent_span_id=_creation(waited, trace, observed),
        flags=trace.flags | SAMPLED,
        trace_state=trace_state_of(trace, threshold),
        name=name,
        kind=SpanKind.INTERNAL,
        start_ns=min(nanoseconds(waited.since), end),
        end_ns=end,
        common=common,
        texts=(uuid, waited.root_id or uuid),
        attributes=_wait_attributes(waited),
    )


def process_span(ended: AttemptEnded, observed: Observed, *, threshold: int | None = None) -> Span:
    """Make the span of running one delivery; of length zero where it never started."""
    uuid, state = ended.uuid, ended.state
    trace = origin(ended.trace, ended.root_id, uuid)
    span_id, parent_span_id = _run_ids(ended, trace, observed)
    name, common = of_running(observed, ended.kind, ended.retries, trace.source, state)
    end, began = nanoseconds(ended.ended_at), ended.started_at
    return Span(  # in order: keywords for so many cost 0.2 us
        observed.resources.of(ended.hostname),
        trace.trace_id,
        span_id,
        parent_span_id,
        trace.flags | SAMPLED,
        trace.trace_state if threshold is None else trace_state_of(trace, threshold),
        name,
        _CONSUMER,
        nanoseconds(began) if began is not None and began < ended.ended_at else end,
        end,
        _attempt_attributes(ended),
        _previous(trace, ended, observed),
        _description(ended) if state in _ERRORS else None,
        common,
        (uuid, ended.root_id or uuid),
    )


# What spans have in common, with their name. Encoders know it again by its identity.


@lru_cache(_MOST_COMMON)
def of_sending(
    observed: Observed, kind: Kind, retries: int, source: TraceSource
) -> tuple[str, Common]:
    """Return the name of ``send`` spans, and what they have in common."""
    attributes = _message_attributes(observed, kind, retries, source, operation="send")
    attributes.append(("messaging.operation.type", "send"))
    return _named("send", kind.name), Common(tuple(attributes), _IDS)


@lru_cache(_MOST_COMMON)
def _of_waiting(
    observed: Observed, kind: Kind, retries: int, source: TraceSource
) -> tuple[str, Common]:
    # Waiting is no operation type of the conventions.
    attributes = _message_attributes(observed, kind, retries, source, operation="wait")
    return _named("wait", kind.queue), Common(tuple(attributes), _IDS)


@lru_cache(_MOST_COMMON)
def of_running(
    observed: Observed, kind: Kind, retries: int, source: TraceSource, state: State
) -> tuple[str, Common]:
    """Return the name of ``process`` spans, and what they have in common."""
    attributes = _message_attributes(observed, kind, retries, source, operation="process")
    attributes.append(("messaging.operation.type", "process"))
    attributes.append(("celery.task.state", state.value))
    return _named("process", kind.name), Common(tuple(attributes), _IDS)


def _named(operation: str, target: str | None) -> str:
    return f"{operation} {target}" if target else operation


def _message_attributes(
    observed: Observed, kind: Kind, retries: int, source: TraceSource, *, operation: str
) -> list[Attribute]:
    """Return what describes the message and its task, but for their ids."""
    attributes: list[Attribute] = [
        ("messaging.system", observed.system),
        ("messaging.operation.name", operation),
        ("celery.task.retries", retries),
        ("celery.trace.source", source.value),
    ]
    if kind.queue is not None:
        attributes.append(("messaging.destination.name", kind.queue))
    if kind.name is not None:
        attributes.append(("celery.task.name", kind.name))
    if observed.broker is not None:
        attributes.append(("celery.broker.name", observed.broker))
    return attributes


def _parent(effect: Spanned) -> list[Attribute]:
    """Return the id of the task that sent this one."""
    parent = effect.parent_id
    if parent is None or parent == effect.uuid:
        return []
    return [("celery.task.parent_id", parent)]


def _wait_attributes(waited: WaitedLong) -> list[Attribute]:
    """Return what describes one delivery."""
    attributes = _parent(waited)
    if waited.hostname is not None:
        attributes.append(("celery.worker.name", waited.hostname))
    if waited.ordinal > 0:
        attributes.append(("celery.task.redelivered", True))
    return attributes


def _attempt_attributes(ended: AttemptEnded) -> list[Attribute]:
    """Return what describes one delivery and its end."""
    attributes = [] if ended.parent_id is None else _parent(ended)
    if ended.hostname is not None:
        attributes.append(("celery.worker.name", ended.hostname))
    if ended.wait is not None:
        attributes.append(("celery.task.wait_time", ended.wait))
    if ended.redelivered or ended.ordinal > 0:
        attributes.append(("celery.task.redelivered", True))
    if ended.inferred:
        attributes.append(("celery.end.inferred", True))
    if ended.state in _ERRORS:
        attributes += exception_attributes(ended)
        attributes.append(("error.type", ended.error_type or UNNAMED))
    return attributes


def _description(ended: AttemptEnded) -> str:
    return message_of(ended.exception) or ended.reason or ""


def _run_ids(ended: AttemptEnded, trace: Origin, observed: Observed) -> tuple[int, int | None]:
    """Return the ids of the ``process`` span and of the one that `_creation` returns."""
    uuid, retries, ordinal = ended.uuid, ended.retries, ended.ordinal
    if trace.parent_span_id is None and ended.sent_at is not None and observed.sends:
        return run_span_ids(uuid, retries, ordinal, ended.sent_ordinal)
    return process_span_id(uuid, retries, ordinal), _creation(ended, trace, observed)


def _creation(effect: WaitedLong | AttemptEnded, trace: Origin, observed: Observed) -> int | None:
    """Return the span that created the message; None where no such span is known."""
    if trace.parent_span_id is not None:
        return trace.parent_span_id
    if effect.sent_at is None:  # which message of its attempt it is can only be guessed
        return _cause(effect, observed)
    if observed.sends:
        return send_span_id(effect.uuid, effect.retries, effect.sent_ordinal)
    return _cause(effect, observed, ordinal=effect.sent_ordinal)


def _cause(effect: Spanned, observed: Observed, *, ordinal: int = 0) -> int | None:
    """Return the ``process`` span that published the message; None where it is not known.

    Args:
        effect: of the message.
        observed: whose.
        ordinal: which message of its attempt it is, as in `Sent`.
    """
    if not observed.runs:
        return None
    uuid, retries, parent = effect.uuid, effect.retries, effect.parent_id
    if ordinal > 0:  # the task replaced itself while it ran
        return process_span_id(uuid, retries, ordinal - 1)
    if retries > 0:
        return process_span_id(uuid, retries - 1)
    # A retry's parent_id is its own uuid (celery/app/task.py): its parent would be itself.
    if parent is not None and parent != uuid:
        return process_span_id(parent, *effect.parent_attempt)
    return None


def _previous(trace: Origin, effect: Sent | AttemptEnded, observed: Observed) -> tuple[Link, ...]:
    """Link to the delivery or attempt before this one."""
    uuid, retries, ordinal = effect.uuid, effect.retries, effect.ordinal
    if not observed.runs or (ordinal <= 0 and retries <= 0):
        return ()
    before = (retries, ordinal - 1) if ordinal > 0 else (retries - 1, 0)
    return (Link(trace.trace_id, process_span_id(uuid, *before)),)
