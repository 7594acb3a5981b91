"""Lines of a capture file to frames; `capture_lines` writes them and shows the format.

Two kinds of lines are read: frames as they are written there (and as others write them: without
``source``), and decoded events (``type`` and the rest, ``_t_recv`` where it is known). Lines with
``control`` or ``_control`` are notes. Reading never raises: what cannot be read is a `Rejected`.
"""

import json
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from ..events import (
    Frame,
    Inspected,
    Message,
    QueueDepth,
    QueueSample,
    Reason,
    Rejected,
    Subscribed,
    Tick,
    Timestamp,
    Transport,
)
from .capture_lines import NO_PROPERTIES, DeliveryInfo, Gap, Header, InspectedLine, Properties

SOURCE: Final = "capture"
"""The source of frames that name none."""
_DETAIL_CHARACTERS: Final = 200
"""Enough to recognise a fault; a rejection must not carry a whole line around."""
_NO_DELIVERY: Final = DeliveryInfo()


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
    source: str = SOURCE
    deaf: bool = False
    channel: str = ""
    data: str | None = None
    channel_b64: bytes | None = None
    data_b64: bytes | None = None
    delivery_info: DeliveryInfo = _NO_DELIVERY
    properties: Properties = NO_PROPERTIES
    body: str | None = None
    body_b64: bytes | None = None
    queues: tuple[QueueDepth, ...] = ()
    unacknowledged: int | None = None
    oldest_unacknowledged_at: float | None = None
    delayed: int | None = None
    epoch: int = 1
    silent_since: float | None = None
    frame: str | None = None
    control: object = None
    count: object = None
    capture: object = None


Read: TypeAlias = Frame | Header | Gap | Rejected | None

_INSPECTED: Final = "inspected"
# An access to a member costs 50 ns on Python 3.11.
_REDIS: Final = Transport.REDIS
_EVENT: Final = Transport.EVENT
_decoder: Final = msgspec.json.Decoder(_Line)
_decode: Final = _decoder.decode
_decode_lines: Final = _decoder.decode_lines
_decode_event: Final = msgspec.json.Decoder(_EventLine).decode
# What msgspec raises; the last two are no MsgspecError.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_lines(block: bytes) -> list[Read]:
    """Read lines, one result for each, None for a note.

    Frames are decoded in one go: of what a line costs, a fifth were calls and copies. A decoded
    event holds its line, which has to be cut out anyway.
    """
    first = read_line(block.partition(b"\n")[0])
    if isinstance(first, Message) and first.transport is _EVENT:
        return _read_one_by_one(block)
    try:
        found = _decode_lines(block)
    except _UNREADABLE:
        return _read_one_by_one(block)
    if len(found) != _line_ends(block) + 1:  # empty lines; a value over several; two on one
        return _read_one_by_one(block)
    read: list[Read] = [_usual(each) for each in found]
    return read if None not in read else _with_odd_ones(read, found, block)


def _line_ends(block: bytes) -> int:
    """Count them, for lines of some hundred bytes in a third of the time of ``bytes.count``.

    That compares byte by byte; looking for the next is the C library's, which does not.
    """
    find, count, at = block.find, 0, block.find(b"\n")
    while at >= 0:
        count += 1
        at = find(b"\n", at + 1)
    return count


def _with_odd_ones(read: list[Read], found: list[_Line], block: bytes) -> list[Read]:
    """Fill in what is no usual message. The lines are cut out only where one of them is asked for.

    A tick is in nearly every block, and cutting costs as much as reading.
    """
    lines: list[bytes] = []
    for number, (each, one) in enumerate(zip(read, found, strict=True)):
        if each is not None:
            continue
        if _is_frame(one) and one.frame != _INSPECTED:  # which is read from the line itself
            read[number] = _frame(one)
            continue
        lines = lines or block.split(b"\n")
        read[number] = _read(one, lines[number])
    return read


def _read_one_by_one(block: bytes) -> list[Read]:
    return list(map(read_line, block.split(b"\n")))


def read_line(line: bytes) -> Read:
    """Read one line; None for a note."""
    try:
        found = _decode(line)
    except msgspec.ValidationError as error:
        return _read_event(line, str(error))
    except _UNREADABLE as error:
        return _read_oddly(line, str(error))
    return _read(found, line)


def _usual(found: _Line) -> Message | None:
    """Make the message that nearly every line is; None for any other, looked at once more."""
    at, data = found.t_recv, found.data
    if (
        found.transport is not _REDIS
        or at is None
        or data is None
        or found.type is not None
        or found.control is not None
        or found.channel_b64 is not None
        or found.properties is not NO_PROPERTIES
    ):
        return None
    return Message(at, found.source, _REDIS, found.channel.encode(), data.encode())


def _read_event(line: bytes, fault: str) -> Read:
    """Read an event of the application's own, some field of which is called like one of ours."""
    try:
        found = _decode_event(line)
    except _UNREADABLE:
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
            return _read(msgspec.convert(found, shape, str_keys=True), line)
        except (msgspec.ValidationError, RecursionError):
            continue
    return _invalid(fault)


def _read(found: _EventLine, line: bytes) -> Read:
    if not isinstance(found, _Line):
        return _event(found, line)
    at = found.arrived_at
    if at is not None and found.type is not None and found.t_recv is None:  # nearly always
        return Message(at, SOURCE, _EVENT, b"", line)
    if _is_note(found):
        return _note(found)
    if _is_frame(found):
        return _inspected(line) if found.frame == _INSPECTED else _frame(found)
    is_header = found.capture is not None and found.type is None
    return _header(line) if is_header else _event(found, line)


def _is_note(found: _Line) -> bool:
    return found.control is not None and (found.type is None or found.t_recv is not None)


def _is_frame(found: _Line) -> bool:
    is_named = found.transport is not None or found.frame is not None
    return is_named and found.type is None and found.control is None


def _frame(found: _Line) -> Read:
    if found.t_recv is None:
        return _invalid("a frame without t_recv")
    if found.transport is None:
        return _told(found, found.t_recv)
    return _message(found, found.t_recv, found.transport)


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
    return Message(at, SOURCE, _EVENT, b"", line)


def _note(found: _Line) -> Gap | None:
    if found.control == "unrecorded" and isinstance(found.count, int):
        return Gap(found.count)
    return None


def _header(line: bytes) -> Header | Rejected:
    try:
        return msgspec.json.decode(line, type=Header)
    except _UNREADABLE as error:
        return _invalid(str(error))


def _told(found: _Line, at: float) -> Read:
    """Make a frame that is no message."""
    match found.frame:
        case "tick":
            return Tick(at, "" if found.source == SOURCE else found.source, found.deaf)
        case "queues":
            held, oldest = found.unacknowledged, found.oldest_unacknowledged_at
            return QueueSample(at, found.source, found.queues, held, oldest, found.delayed)
        case "subscribed":
            return Subscribed(at, found.source, found.epoch, found.silent_since)
        case _:
            return _invalid("a frame of an unknown kind")


def _inspected(line: bytes) -> Inspected | Rejected:
    try:
        found = msgspec.json.decode(line, type=InspectedLine)
    except _UNREADABLE as error:
        return _invalid(str(error))
    return Inspected(
        found.t_recv,
        found.source,
        found.hostname,
        found.asked_at,
        found.pid,
        found.pool,
        found.consumes,
        found.active,
    )


def _message(found: _Line, at: float, transport: Transport) -> Message | Rejected:
    if transport is Transport.AMQP:
        info = found.delivery_info
        name, payload = "body", _bytes(found.body, found.body_b64)
        channel = _bytes(info.routing_key, info.routing_key_b64)
    else:
        name, payload = "data", _bytes(found.data, found.data_b64)
        channel = _bytes(found.channel, found.channel_b64)
    if payload is None:
        return _invalid(f"a frame without {name}")
    properties = found.properties
    return Message(
        at,
        found.source,
        transport,
        channel or b"",
        payload,
        properties.content_type,
        properties.content_encoding,
    )


def _bytes(text: str | None, data: bytes | None) -> bytes | None:
    """Return what stands there as text or in base64; None where neither does."""
    if data is not None:
        return data
    return None if text is None else text.encode("utf-8", "surrogatepass")


def _invalid(detail: str) -> Rejected:
    return Rejected(Reason.INVALID, detail[:_DETAIL_CHARACTERS])
