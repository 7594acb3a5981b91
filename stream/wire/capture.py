"""Lines of a capture file to frames.

A capture is JSON Lines. Two kinds of lines are read: frames (``t_recv``, ``transport``, and
``channel``/``data`` from Redis or ``delivery_info``/``properties``/``body`` or ``body_b64`` from
AMQP), and decoded events (``type`` and the rest, ``_t_recv`` where it is known). Lines with
``control`` are notes.
"""

from typing import Final

import msgspec
from msgspec import Struct

from ..events import Message, Reason, Rejected, Transport

SOURCE: Final = "capture"


class _DeliveryInfo(Struct, frozen=True, gc=False):
    routing_key: str = ""


class _Properties(Struct, frozen=True, gc=False):
    content_type: str | None = None
    content_encoding: str | None = None


class _Line(Struct, gc=False):
    t_recv: float | None = None
    transport: Transport | None = None
    channel: str = ""
    data: str | None = None
    delivery_info: _DeliveryInfo = _DeliveryInfo()
    properties: _Properties = _Properties()
    body: str | None = None
    body_b64: bytes | None = None
    control: str | None = None
    # of decoded events:
    type: str | None = None
    timestamp: float | None = None
    arrived_at: float | None = msgspec.field(name="_t_recv", default=None)
    undecoded: object = msgspec.field(name="_undecoded", default=None)


_decode: Final = msgspec.json.Decoder(_Line).decode


def read_line(line: bytes) -> Message | Rejected | None:
    """Read one line; None for a note. Never raises."""
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(Reason.MALFORMED, str(error))
    if found.control is not None:
        return None
    if found.transport is None:
        return _event(found, line)
    if found.t_recv is None:
        return Rejected(Reason.INVALID, "a frame without t_recv")
    if found.transport is Transport.REDIS:
        return _redis(found, found.t_recv)
    return _amqp(found, found.t_recv)


def _event(found: _Line, line: bytes) -> Message | Rejected:
    at = found.timestamp if found.arrived_at is None else found.arrived_at
    if found.type is None and found.undecoded is None:
        return Rejected(Reason.INVALID, "neither a frame nor an event")
    if found.undecoded is not None:
        return Rejected(Reason.CONTENT_TYPE, str(found.undecoded)[:80])
    if at is None:
        return Rejected(Reason.INVALID, "an event without timestamp")
    return Message(at, SOURCE, Transport.EVENT, b"", line)


def _redis(found: _Line, at: float) -> Message | Rejected:
    if found.data is None:
        return Rejected(Reason.INVALID, "a frame without data")
    payload = found.data.encode("utf-8", "surrogatepass")
    return Message(at, SOURCE, Transport.REDIS, found.channel.encode(), payload)


def _amqp(found: _Line, at: float) -> Message | Rejected:
    if found.body_b64 is not None:
        payload = found.body_b64
    elif found.body is not None:
        payload = found.body.encode("utf-8", "surrogatepass")
    else:
        return Rejected(Reason.INVALID, "a frame without body")
    return Message(
        at,
        SOURCE,
        Transport.AMQP,
        found.delivery_info.routing_key.encode(),
        payload,
        found.properties.content_type,
        found.properties.content_encoding,
    )
