"""Frames to lines of a capture file; `capture` reads them back.

A capture is JSON Lines, UTF-8, one frame a line::

    {"capture": 1, "version", "origin", "recording", "part", "started_at", …}
    {"t_recv", "transport": "redis", "source", "channel", "data"}
    {"t_recv", "transport": "amqp", "source", "delivery_info", "properties", "body"}
    {"t_recv", "transport": "event", "source", "channel", "data"}
    {"t_recv", "frame": "tick", "source", "deaf"}
    {"t_recv", "frame": "queues", "source", "queues", …}
    {"t_recv", "frame": "subscribed", "source", "epoch", "silent_since"}
    {"t_recv", "frame": "inspected", "source", "hostname", "asked_at", "pid", "pool", …}
    {"control": "unrecorded", "count"}

Bytes that are no UTF-8 stand in base64 under the same name with ``_b64``. Every frame is read back
equal to what it was, whatever its bytes. What a default says is left out.
"""

import json
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, assert_never

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..events import Frame, Inspected, Message, QueueDepth, QueueSample, Subscribed, Tick, Transport

FORMAT: Final = 1
"""Raised when a reader of the format before would read something wrong, not when a field is new."""


class Header(Struct, frozen=True, gc=False, rename={"format": "capture"}):
    """The first line of each file: what it is and which others belong to it."""

    format: int
    """`FORMAT` of its day."""
    version: str = ""
    """Of celery-stream."""
    origin: tuple[str, ...] = ()
    """The brokers, as URLs without credentials."""
    recording: str = ""
    """The same in all files that one process wrote."""
    part: int = 1
    """Which of those files, from 1. Read in this order they are what the process saw."""
    started_at: float = 0.0
    """Of the first frame, epoch seconds."""
    brokers: tuple[str, ...] = ()
    """Where there were several: the sources whose frames are each for an engine of their own."""
    arguments: str = "keep"
    """What became of arguments and results: ``keep``, ``redact`` or ``drop``."""


class Gap(Struct, gc=False):
    """Frames that were processed and could not be recorded, at this place."""

    count: int


class DeliveryInfo(Struct, frozen=True, gc=False, omit_defaults=True):
    """Of an AMQP message, as far as it is used."""

    routing_key: str = ""
    routing_key_b64: bytes | None = None


class Properties(Struct, frozen=True, gc=False, omit_defaults=True):
    """Of a message that came with some, as far as they are used."""

    content_type: str | None = None
    content_encoding: str | None = None


NO_PROPERTIES: Final = Properties()


class _Plain(Struct, frozen=True, gc=False, omit_defaults=True):
    """A message from Redis, or an event that came decoded."""

    t_recv: float
    transport: Transport
    source: str | None = None
    channel: str = ""
    data: str | None = None
    channel_b64: bytes | None = None
    data_b64: bytes | None = None
    properties: Properties = NO_PROPERTIES


class _Amqp(Struct, frozen=True, gc=False, omit_defaults=True):
    t_recv: float
    transport: Transport
    source: str
    delivery_info: DeliveryInfo
    properties: Properties = NO_PROPERTIES
    body: str | None = None
    body_b64: bytes | None = None


class _Tick(Struct, frozen=True, gc=False):
    t_recv: float
    frame: str = "tick"
    source: str | UnsetType = UNSET
    deaf: bool | UnsetType = UNSET


class _Queues(Struct, frozen=True, gc=False):
    t_recv: float
    source: str
    queues: tuple[QueueDepth, ...]
    unacknowledged: int | None
    oldest_unacknowledged_at: float | None
    frame: str = "queues"
    delayed: int | UnsetType = UNSET


class _Subscribed(Struct, frozen=True, gc=False):
    t_recv: float
    source: str
    epoch: int
    silent_since: float | None
    frame: str = "subscribed"


class InspectedLine(Struct, frozen=True, gc=False, omit_defaults=True):
    """An answer of a worker; its fields are called like none of the other lines'."""

    t_recv: float
    source: str
    hostname: str
    asked_at: float
    frame: Literal["inspected"]
    pid: int | None = None
    pool: int | None = None
    consumes: tuple[str, ...] | None = None
    active: tuple[str, ...] | None = None


class _Gap(Struct, frozen=True, gc=False):
    count: int
    control: str = "unrecorded"


_Line: TypeAlias = _Plain | _Amqp | _Tick | _Queues | _Subscribed | InspectedLine | _Gap | Header

_REDIS: Final = Transport.REDIS  # an access to the member costs 50 ns on Python 3.11
_encode_lines: Final = msgspec.json.Encoder().encode_lines


def frame_lines(frames: Iterable[Frame]) -> bytes:
    """Return frames as lines, each with its end."""
    return _encoded([_line(frame) for frame in frames])


def header_line(header: Header) -> bytes:
    """Return the first line of a file."""
    return _encoded([header])


def gap_line(gap: Gap) -> bytes:
    """Return the note that frames are missing here."""
    return _encoded([_Gap(gap.count)])


def _encoded(lines: list[_Line]) -> bytes:
    try:
        return _encode_lines(lines)
    except UnicodeEncodeError:  # lone surrogates in the name of a queue
        return b"".join(map(_encode_oddly, lines))


def _encode_oddly(line: _Line) -> bytes:
    """Write what is no Unicode as Python's ``json`` does, with escapes."""
    return json.dumps(msgspec.to_builtins(line)).encode() + b"\n"


def _line(frame: Frame) -> _Line:
    match frame:
        case Message(transport=Transport.AMQP):
            return _amqp(frame)
        case Message():
            return _plain(frame)
        case Tick():
            source = frame.source or UNSET
            return _Tick(frame.received_at, source=source, deaf=frame.deaf or UNSET)
        case QueueSample():
            return _Queues(
                frame.received_at,
                frame.source,
                frame.queues,
                frame.unacknowledged,
                frame.oldest_unacknowledged_at,
                delayed=UNSET if frame.delayed is None else frame.delayed,
            )
        case Subscribed():
            return _Subscribed(frame.received_at, frame.source, frame.epoch, frame.silent_since)
        case Inspected():
            return _inspected(frame)
        case _:
            assert_never(frame)


def _inspected(frame: Inspected) -> InspectedLine:
    return InspectedLine(
        frame.received_at,
        frame.source,
        frame.hostname,
        frame.asked_at,
        "inspected",
        frame.pid,
        frame.pool,
        frame.queues,
        frame.active,
    )


def _plain(frame: Message) -> _Plain:
    at, source, transport = frame.received_at, frame.source, frame.transport
    if frame.content_type is None and frame.content_encoding is None:
        try:  # nearly always
            return _Plain(at, transport, source, frame.channel.decode(), frame.payload.decode())
        except UnicodeDecodeError:
            pass
    channel, channel_b64 = _text(frame.channel)
    data, data_b64 = _text(frame.payload)
    properties = Properties(frame.content_type, frame.content_encoding)
    return _Plain(at, transport, source, channel or "", data, channel_b64, data_b64, properties)


def _amqp(frame: Message) -> _Amqp:
    key, key_b64 = _text(frame.channel)
    body, body_b64 = _text(frame.payload)
    return _Amqp(
        frame.received_at,
        frame.transport,
        frame.source,
        DeliveryInfo(key or "", key_b64),
        Properties(frame.content_type, frame.content_encoding),
        body,
        body_b64,
    )


def _text(data: bytes) -> tuple[str | None, bytes | None]:
    """Return bytes as text, or as bytes where they are none."""
    try:
        return data.decode(), None
    except UnicodeDecodeError:
        return None, data
