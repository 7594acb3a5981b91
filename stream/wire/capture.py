"""Lines of a capture file to frames.

A capture is JSON Lines. Two kinds of lines are read: frames (``t_recv``, ``transport``, and
``channel``/``data`` from Redis or ``delivery_info``/``properties``/``body`` or ``body_b64`` from
AMQP), and decoded events (``type`` and the rest, ``_t_recv`` where it is known). Lines with
``control`` or ``_control`` are notes.
"""

import json
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from ..events import Message, Reason, Rejected, Timestamp, Transport

SOURCE: Final = "capture"
_DETAIL_CHARACTERS: Final = 200
"""Enough to recognise a fault; a rejection must not carry a whole line around."""


class _DeliveryInfo(Struct, frozen=True, gc=False):
    routing_key: str = ""


class _Properties(Struct, frozen=True, gc=False):
    content_type: str | None = None
    content_encoding: str | None = None


class _EventLine(Struct, gc=False):
    """What is needed of a decoded event; its payload is the line itself."""

    type: str | None = None
    timestamp: Timestamp | None = None
    arrived_at: Timestamp | None = msgspec.field(name="_t_recv", default=None)
    undecoded: object = msgspec.field(name="_undecoded", default=None)
    note: object = msgspec.field(name="_control", default=None)


class _Line(_EventLine, gc=False):
    """Whatever a line may be."""

    t_recv: Timestamp | None = None
    transport: Transport | None = None
    channel: str = ""
    data: str | None = None
    delivery_info: _DeliveryInfo = _DeliveryInfo()
    properties: _Properties = _Properties()
    body: str | None = None
    body_b64: bytes | None = None
    control: object = None


Read: TypeAlias = Message | Rejected | None

_decode: Final = msgspec.json.Decoder(_Line).decode
_decode_event: Final = msgspec.json.Decoder(_EventLine).decode


def read_line(line: bytes) -> Read:
    """Read one line; None for a note. Never raises."""
    try:
        found = _decode(line)
    except msgspec.ValidationError as error:
        return _read_event(line, str(error))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _read_oddly(line, str(error))
    at = found.arrived_at
    if at is not None and found.type is not None and found.t_recv is None:  # nearly always
        return Message(at, SOURCE, Transport.EVENT, b"", line)
    return _frame(found, line)


def _read_event(line: bytes, fault: str) -> Read:
    """Read an event of the application's own, some field of which is called like one of ours."""
    try:
        found = _decode_event(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _invalid(fault)
    return _invalid(fault) if found.type is None else _event(found, line)


def _read_oddly(line: bytes, fault: str) -> Read:
    """Read what Python's ``json`` writes and JSON forbids: NaN, Infinity, lone surrogates."""
    try:
        found = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return Rejected(Reason.MALFORMED, fault[:_DETAIL_CHARACTERS])
    for shape in (_Line, _EventLine):
        try:
            return _frame(msgspec.convert(found, shape), line)
        except (msgspec.ValidationError, RecursionError):
            continue
    return _invalid(fault)


def _frame(found: _EventLine, line: bytes) -> Read:
    if not isinstance(found, _Line):
        return _event(found, line)
    if found.control is not None and (found.type is None or found.t_recv is not None):
        return None
    if found.type is not None or found.transport is None:
        return _event(found, line)
    if found.t_recv is None:
        return _invalid("a frame without t_recv")
    if found.transport is Transport.REDIS:
        return _redis(found, found.t_recv)
    return _amqp(found, found.t_recv)


def _event(found: _EventLine, line: bytes) -> Read:
    if found.type is None:
        if found.note is not None:
            return None
        if found.undecoded is not None:
            return Rejected(Reason.CONTENT_TYPE, str(found.undecoded)[:_DETAIL_CHARACTERS])
        return _invalid("neither a frame nor an event")
    at = found.timestamp if found.arrived_at is None else found.arrived_at
    if at is None:
        return _invalid("an event without timestamp")
    return Message(at, SOURCE, Transport.EVENT, b"", line)


def _redis(found: _Line, at: float) -> Read:
    if found.data is None:
        return _invalid("a frame without data")
    payload = found.data.encode("utf-8", "surrogatepass")
    channel = found.channel.encode("utf-8", "surrogatepass")
    return Message(at, SOURCE, Transport.REDIS, channel, payload)


def _amqp(found: _Line, at: float) -> Read:
    if found.body_b64 is not None:
        payload = found.body_b64
    elif found.body is not None:
        payload = found.body.encode("utf-8", "surrogatepass")
    else:
        return _invalid("a frame without body")
    return Message(
        at,
        SOURCE,
        Transport.AMQP,
        found.delivery_info.routing_key.encode("utf-8", "surrogatepass"),
        payload,
        found.properties.content_type,
        found.properties.content_encoding,
    )


def _invalid(detail: str) -> Rejected:
    return Rejected(Reason.INVALID, detail[:_DETAIL_CHARACTERS])
