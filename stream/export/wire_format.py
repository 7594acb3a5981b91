"""The protobuf wire format, as far as OTLP requests need it: tags, lengths, texts.

The rules are those of protobuf.dev/programming-guides/encoding. Total: every text and every
length has bytes. Knows no message; those are in `attributes`, `span_message`, `log_message`.
"""

from enum import IntEnum

_CONTINUES = 0x80
_SEVEN_BITS = 0x7F


class WireType(IntEnum):
    """How the value behind a tag is laid out."""

    VARINT = 0
    FIXED64 = 1
    DELIMITED = 2
    FIXED32 = 5


def varint(number: int) -> bytes:
    """Write a number that is not negative, low bits first, seven to a byte."""
    written = bytearray()
    while number > _SEVEN_BITS:
        written.append(number & _SEVEN_BITS | _CONTINUES)
        number >>= 7
    written.append(number)
    return bytes(written)


# Nearly every span and attribute is shorter: their lengths are looked up, not written each time.
_LENGTHS = tuple(varint(number) for number in range(2048))


def length(number: int) -> bytes:
    """Write the number of bytes that follow."""
    return _LENGTHS[number] if number < len(_LENGTHS) else varint(number)


def tag(field: int, wire_type: WireType) -> bytes:
    """Write what stands before the value of a field."""
    return varint(field << 3 | wire_type)


def delimited(before: bytes, body: bytes) -> bytes:
    """Write a message, text or bytes behind its tag, also when it is empty."""
    return before + length(len(body)) + body


def text(before: bytes, value: str) -> bytes:
    """Write a text field; an empty one is absent, as proto3 has it."""
    return delimited(before, utf8(value)) if value else b""


def utf8(value: str) -> bytes:
    """Return the bytes of a text; a lone surrogate, for which UTF-8 has none, becomes ``?``."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
