"""Attributes as protobuf ``KeyValue`` fields, most of them encoded once and then only looked up.

More than half of what a span says comes from small sets: the task, its queue, its worker, its
state. Which keys are of that sort shows by itself. The values of a key are remembered until there
are too many (ids), or one is long (a traceback) or no text (a duration); from then on each is
written anew. So every key has a bound of its own, and none can push out the values of another.

Total: what protobuf cannot hold (a lone surrogate, an integer beyond 64 bits) is written as
readable text. Safe to use from several threads: at worst a value is encoded twice.
"""

import struct
from collections.abc import Callable
from typing import TypeAlias

from .records import Value
from .wire_format import WireType, delimited, length, tag, text, utf8, varint

Encode: TypeAlias = Callable[[Value], bytes]
"""Encodes the attributes of one key."""

Heads: TypeAlias = tuple[bytes, ...]
"""What comes before a text, by its length in bytes."""

MOST_KEYS = 256
"""Keys that are remembered; there are about fifty, and they come from code, not from events."""
MOST_VALUES = 1024
"""Of one key: above the number of tasks, queues and workers of nearly every cluster."""
MOST_CHARACTERS = 256
"""Of a value that is remembered; names are shorter."""

_KEY = tag(1, WireType.DELIMITED)
_VALUE = tag(2, WireType.DELIMITED)
_TEXT = tag(1, WireType.DELIMITED)
_BOOL = tag(2, WireType.VARINT)
_INTEGER = tag(3, WireType.VARINT)
_DOUBLE = tag(4, WireType.FIXED64)

_LEAST, _MOST = -(2**63), 2**63 - 1
_UINT64 = 2**64 - 1
_SHORT = 128
"""Texts of fewer bytes are most (ids); what stands before them is looked up by their length."""
_FEW = 128
"""Integers from 0 to below this are most: numbers of tries."""
pack_double = struct.Struct("<d").pack


class Attributes(dict[str, Encode]):
    """The attributes of one kind of message: ``attributes[key](value)`` is the encoded field.

    A lookup and for most keys no call of Python, because a dozen of them make a span.

    Args:
        field: number of the repeated ``KeyValue`` field in the message.
    """

    def __init__(self, field: int) -> None:
        super().__init__()
        self._tag = tag(field, WireType.DELIMITED)

    def __missing__(self, key: str) -> Encode:
        if len(self) >= MOST_KEYS:
            return lambda value: self.encode(key, value)
        encode = self[key] = _Remembered(self, key).__getitem__
        return encode

    def encode(self, key: str, value: Value) -> bytes:
        """Encode one attribute, remembering nothing."""
        return delimited(self._tag, text(_KEY, key) + delimited(_VALUE, any_value(value)))

    def give_up(self, key: str, value: Value) -> Encode:
        """Write the values of *key* anew from now on; most will be like *value*."""
        encode = self[key] = self._writer(key, value)
        return encode

    def _writer(self, key: str, value: Value) -> Encode:
        if isinstance(value, str):
            return self._text_writer(key)
        if isinstance(value, float):
            return self._double_writer(key)
        return self._integer_writer(key)

    def heads(self, key: str) -> Heads:
        """Write what comes before the text of *key*, for each number of its bytes that is short."""
        return tuple(self._head(key, _TEXT + length(size), size) for size in range(_SHORT))

    def double_head(self, key: str) -> bytes:
        """Write what comes before a float of *key*, whose bytes `pack_double` returns."""
        return self._head(key, _DOUBLE, 8)

    def _text_writer(self, key: str) -> Encode:
        heads = self.heads(key)

        def write(value: Value) -> bytes:
            if isinstance(value, str):
                try:
                    written = value.encode()
                    return heads[len(written)] + written
                except (UnicodeEncodeError, IndexError):
                    pass  # a lone surrogate, or a long text
            return self.encode(key, value)

        return write

    def _double_writer(self, key: str) -> Encode:
        head = self.double_head(key)

        def write(value: Value) -> bytes:
            if isinstance(value, float):
                return head + pack_double(value)
            return self.encode(key, value)

        return write

    def _integer_writer(self, key: str) -> Encode:
        few = tuple(self.encode(key, number) for number in range(_FEW))

        def write(value: Value) -> bytes:
            if type(value) is int and 0 <= value < _FEW:
                return few[value]
            return self.encode(key, value)

        return write

    def _head(self, key: str, before: bytes, size_bytes: int) -> bytes:
        """Write what comes before a value of *size_bytes*, which itself comes after *before*."""
        value = _VALUE + length(len(before) + size_bytes) + before
        head = text(_KEY, key) + value
        return self._tag + length(len(head) + size_bytes) + head


class _Remembered(dict[Value, bytes]):
    """Encoded attributes of a key that has few values, as far as is known."""

    def __init__(self, attributes: Attributes, key: str) -> None:
        super().__init__()
        self._attributes = attributes
        self._key = key

    def __missing__(self, value: Value) -> bytes:
        # Texts only: 1, 1.0 and True are one key to a dict and three values to a receiver.
        short = isinstance(value, str) and len(value) <= MOST_CHARACTERS
        if not short or len(self) >= MOST_VALUES:
            return self._attributes.give_up(self._key, value)(value)
        encoded = self[value] = self._attributes.encode(self._key, value)
        return encoded


def any_value(value: Value) -> bytes:
    """Encode the fields of an ``AnyValue``."""
    if isinstance(value, str):
        return delimited(_TEXT, utf8(value))
    if isinstance(value, float):
        return _DOUBLE + pack_double(value)
    if isinstance(value, bool):
        return _BOOL + varint(value)
    if _LEAST <= value <= _MOST:
        return _INTEGER + varint(value & _UINT64)
    return delimited(_TEXT, utf8(_digits(value)))


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # beyond sys.get_int_max_str_digits()
        return hex(value)
