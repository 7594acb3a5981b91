"""AMQP 0-9-1 frames: bytes of a connection to the messages and methods in them, and back.

No I/O and no clock. A read of a busy connection holds hundreds of messages; they come out of one
loop over the bytes, as the frames that the pipeline takes, which costs a tenth of what a
client library spends on an object, two callbacks and nine system calls per message. Arguments of
methods, which are rare, are written and read by py-amqp's serialisation.

Memory is bounded: an unfinished frame is at most ``frame_max``, and a body is kept up to a byte
beyond what the decoder takes, so that it is told as too large.
"""

from collections.abc import Sequence
from enum import Enum
from struct import Struct as Layout
from struct import error as layout_error
from typing import Final, cast

from amqp.exceptions import AMQPError  # type: ignore[import-untyped] # ships no types
from amqp.serialization import dumps, loads  # type: ignore[import-untyped] # ships no types
from msgspec import Struct

from ..events import Frame, Message, Transport
from ..wire.envelope import MAX_PAYLOAD_BYTES

GREETING: Final = b"AMQP\x00\x00\x09\x01"
MAX_NAME_BYTES: Final = 255
"""Of a queue, as of all short strings."""
FRAME_MAX: Final = 131_072
"""Bytes; RabbitMQ's own proposal."""

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_END = 0xCE
_OVERHEAD = 8  # type, channel, size, and the end octet
_head = Layout(">BHI").unpack_from
_size = Layout(">Q").unpack_from
_signature = Layout(">HH").unpack_from
_reason = Layout(">HB").unpack_from
_ack = Layout(">BHIHHQBB").pack
_content = Layout(">HHQH").pack
_BASIC = 60
_TYPES = 0xC000  # flags: a content type and a content encoding follow
_DELIVER = b"\x00\x3c\x00\x3c"
_OFFSET = b"\x0fx-stream-offset"
_MAX_TYPES = 64
_UNREADABLE = (IndexError, ValueError, layout_error, AMQPError)
_AMQP = Transport.AMQP


class Name(Enum):
    """The methods that are used: their class and number, and the layout of their arguments.

    Layouts are py-amqp's: o octet, B short, l long, L long long, s and S strings, b bit, F table.
    """

    CONNECTION_START = (10, 10, "ooFSS")
    CONNECTION_START_OK = (10, 11, "FsSs")
    CONNECTION_TUNE = (10, 30, "BlB")
    CONNECTION_TUNE_OK = (10, 31, "BlB")
    CONNECTION_OPEN = (10, 40, "ssb")
    CONNECTION_OPEN_OK = (10, 41, "")
    CONNECTION_CLOSE = (10, 50, "BsBB")
    CONNECTION_CLOSE_OK = (10, 51, "")
    CHANNEL_OPEN = (20, 10, "s")
    CHANNEL_OPEN_OK = (20, 11, "")
    CHANNEL_CLOSE = (20, 40, "BsBB")
    CHANNEL_CLOSE_OK = (20, 41, "")
    EXCHANGE_DECLARE = (40, 10, "BssbbbbbF")
    EXCHANGE_DECLARE_OK = (40, 11, "")
    QUEUE_DECLARE = (50, 10, "BsbbbbbF")
    QUEUE_DECLARE_OK = (50, 11, "sll")
    QUEUE_BIND = (50, 20, "BsssbF")
    QUEUE_BIND_OK = (50, 21, "")
    BASIC_QOS = (60, 10, "lBb")
    BASIC_QOS_OK = (60, 11, "")
    BASIC_CONSUME = (60, 20, "BssbbbbF")
    BASIC_CONSUME_OK = (60, 21, "s")
    BASIC_CANCEL = (60, 30, "sb")
    BASIC_PUBLISH = (60, 40, "Bssbb")
    QUEUE_DELETE = (50, 40, "Bsbbb")
    QUEUE_DELETE_OK = (50, 41, "l")

    def __init__(self, group: int, number: int, layout: str) -> None:
        self.signature = (group, number)
        self.layout = layout


_NAMES = {name.signature: name for name in Name}
_CLOSES = (Name.CONNECTION_CLOSE, Name.CHANNEL_CLOSE)

Argument = str | int | bool | dict[str, object]


class Method(Struct, frozen=True):
    """A method that the server sent."""

    channel: int
    name: Name | None
    """None: one that we have no use for."""
    arguments: tuple[Argument, ...] = ()


class Received(Struct):
    """What one read completed."""

    messages: list[Frame]
    methods: list[Method]
    tag: int = 0
    """The delivery tag of the last complete message; 0 where there is none."""
    first_offset: int | None = None
    """Of the first complete message of a stream."""
    offset: int | None = None
    """Of the last complete message of a stream."""

    @property
    def mean_bytes(self) -> float:
        """The mean size of the messages' bodies; 0 where there are none."""
        sizes = [len(each.payload) for each in self.messages if isinstance(each, Message)]
        return sum(sizes) / len(sizes) if sizes else 0.0


class FrameError(ValueError):
    """The bytes are not AMQP."""


def method(channel: int, name: Name, *arguments: Argument) -> bytes:
    """Write a method."""
    payload = bytes(dumps(name.layout, arguments)) if name.layout else b""
    body = b"".join(part.to_bytes(2, "big") for part in name.signature) + payload
    return _frame(_METHOD, channel, body)


def publish(channel: int, exchange: str, body: bytes) -> bytes:
    """Write a message of JSON: the method, its header and its body, which fits into one frame."""
    types = b"".join(bytes((len(word),)) + word for word in (b"application/json", b"utf-8"))
    header = _content(_BASIC, 0, len(body), _TYPES) + types
    return b"".join(
        (
            method(channel, Name.BASIC_PUBLISH, 0, exchange, "", False, False),
            _frame(_HEADER, channel, header),
            _frame(_BODY, channel, body),
        )
    )


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    head = bytes((kind,)) + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big")
    return head + payload + bytes((_END,))


def heartbeat() -> bytes:
    """Write a heartbeat."""
    return bytes((_HEARTBEAT, 0, 0, 0, 0, 0, 0, _END))


def acknowledge(channel: int, tag: int) -> bytes:
    """Acknowledge all messages up to and with *tag*."""
    return _ack(_METHOD, channel, 13, 60, 80, tag, 1, _END)


class Reader:
    """Turns what is read into messages and methods. One consumer a connection.

    Args:
        source: goes into each message.
        offsets: whether messages come from a stream and carry their offset.
    """

    def __init__(self, source: str, *, offsets: bool = False) -> None:
        self._source = source
        self._offsets = offsets
        self._rest = b""
        # Of the message that is not complete yet.
        self._key = b""
        self._tag = 0
        self._offset: int | None = None
        self._types: tuple[str | None, str | None] = (None, None)
        self._missing = 0
        self._chunks: list[bytes] = []
        self._known: dict[bytes, tuple[str | None, str | None]] = {}

    def feed(self, data: bytes, received_at: float) -> Received:  # noqa: C901 - the hot loop, flat on purpose
        """Take in what was read and return what it completed.

        Raises:
            FrameError: it is not AMQP.
        """
        buffer = self._rest + data if self._rest else data
        found = Received([], [])
        messages, source = found.messages, self._source
        key, types, tag = self._key, self._types, self._tag
        start, end = 0, len(buffer)
        first: int | None = None
        try:
            while end - start >= _OVERHEAD:
                kind, channel, size = _head(buffer, start)
                begin = start + 7
                stop = begin + size
                if stop >= end:
                    if size > FRAME_MAX:
                        raise FrameError(f"a frame of {size} bytes")
                    break
                if buffer[stop] != _END:
                    raise FrameError("a frame does not end where it should")
                start = stop + 1
                if kind == _BODY:
                    body = self._body(buffer[begin:stop])
                    if body is not None:
                        messages.append(Message(received_at, source, _AMQP, key, body, *types))
                        found.tag, found.offset = tag, self._offset
                        first = self._offset if first is None else first
                elif kind == _HEADER:
                    types = self._header(buffer, begin, stop)
                    if not self._missing:
                        messages.append(Message(received_at, source, _AMQP, key, b"", *types))
                        found.tag, found.offset = tag, self._offset
                        first = self._offset if first is None else first
                elif kind == _METHOD:
                    if buffer.startswith(_DELIVER, begin):
                        tag_at = begin + 5 + buffer[begin + 4]
                        tag = _size(buffer, tag_at)[0]
                        key = buffer[tag_at + 11 + buffer[tag_at + 9] : stop]
                    else:
                        found.methods.append(_read(channel, buffer[begin:stop]))
        except _UNREADABLE as exc:
            raise exc if isinstance(exc, FrameError) else FrameError(str(exc)) from exc
        found.first_offset = first
        self._rest = buffer[start:]
        self._key, self._types, self._tag = key, types, tag
        return found

    def _header(self, buffer: bytes, begin: int, stop: int) -> tuple[str | None, str | None]:
        """Read size and types; what follows them in the properties is not needed."""
        self._missing = _size(buffer, begin + 4)[0]
        if self._offsets:
            self._offset = _offset(buffer, begin, stop)
        flags = buffer[begin + 12]
        at = begin + 14
        for flag in (0x80, 0x40):
            if flags & flag:
                at += 1 + buffer[at]
        words = buffer[begin + 12 : at]
        types = self._known.get(words)
        if types is None:
            types = _types(words)
            if len(self._known) < _MAX_TYPES:
                self._known[words] = types
        return types

    def _body(self, part: bytes) -> bytes | None:
        """Take in a part of a body; return the body once it is complete."""
        self._missing -= len(part)
        if self._missing <= 0 and not self._chunks:
            return part
        kept = sum(map(len, self._chunks))
        self._chunks.append(part[: max(0, MAX_PAYLOAD_BYTES + 1 - kept)])
        if self._missing > 0:
            return None
        body = b"".join(self._chunks)
        self._chunks.clear()
        return body


def _read(channel: int, payload: bytes) -> Method:
    name = _NAMES.get(_signature(payload, 0))
    if name is None or not name.layout:
        return Method(channel, name)
    if name in _CLOSES:
        return Method(channel, name, _why_closed(payload))
    arguments = cast("Sequence[Argument]", loads(name.layout, payload, 4)[0])
    return Method(channel, name, tuple(arguments))


def _why_closed(payload: bytes) -> tuple[int, str]:
    """Code and text of a close. RabbitMQ cuts the text at 255 bytes, maybe inside a character."""
    code, length = _reason(payload, 4)
    return code, payload[7 : 7 + length].decode(errors="replace")


def _types(words: bytes) -> tuple[str | None, str | None]:
    """Content type and encoding: the first two properties, each announced by a flag."""
    flags, at = words[0], 2
    found: list[str | None] = []
    for flag in (0x80, 0x40):
        text = None
        if flags & flag:
            text = words[at + 1 : at + 1 + words[at]].decode(errors="replace")
            at += 1 + words[at]
        found.append(text)
    return found[0], found[1]


def _offset(buffer: bytes, begin: int, stop: int) -> int | None:
    """The position in its stream that RabbitMQ writes into a message's headers."""
    at = buffer.rfind(_OFFSET, begin, stop)
    if at < 0:
        return None
    return cast("int", _size(buffer, at + len(_OFFSET) + 1)[0])
