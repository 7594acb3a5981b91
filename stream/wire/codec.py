"""Bodies of event messages to typed events.

`decode`, and `decode_in_full` for the arguments and results besides, are total: whatever the
bytes, they return events and rejections and raise nothing. A body
is one event or a list of them (``task.multi``), which may be empty; one bad element does not cost
the rest. Only JSON and msgpack are read: pickle would execute what a stranger sent, YAML and
signed messages need packages and keys that are not here.
"""

import json
import math
from collections.abc import Callable
from types import UnionType
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from ..events import (
    Event,
    KnownEvent,
    KnownEventInFull,
    Message,
    OtherEvent,
    Reason,
    Rejected,
    Transport,
)
from .envelope import JSON, LONG_BYTES, MAX_PAYLOAD_BYTES, read_short, read_usual, unwrap

MSGPACK: Final = "application/x-msgpack"
_DETAIL_CHARACTERS: Final = 200
"""Enough to recognise a fault; a rejection must not carry a whole body around."""


class Decoded(Struct, frozen=True, gc=False):
    """What one message said.

    ``gc=False``: it forms no cycles, and one more tracked object a message had the collector walk
    all tables a fifth of the time.
    """

    events: list[Event]
    rejected: tuple[Rejected, ...] = ()


_elements: Final[dict[str, Callable[[bytes], list[msgspec.Raw]]]] = {
    JSON: msgspec.json.Decoder(list[msgspec.Raw]).decode,
    MSGPACK: msgspec.msgpack.Decoder(list[msgspec.Raw]).decode,
}
_one_other: Final[dict[str, Callable[[bytes], OtherEvent]]] = {
    JSON: msgspec.json.Decoder(OtherEvent).decode,
    MSGPACK: msgspec.msgpack.Decoder(OtherEvent).decode,
}
_KNOWN_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in KnownEvent.__args__)
_REDIS: Final = Transport.REDIS  # an access to the member costs 50 ns on Python 3.11
# What msgspec raises; the last two are no MsgspecError.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_UNUSUAL: Final = (msgspec.MsgspecError, ValueError, RecursionError)


_OneType: TypeAlias = tuple[bytes, Callable[[bytes], Event]]
"""How the JSON of an event of one type ends as Celery writes it, and what reads it."""
_NO_TYPE: Final[_OneType] = (b"no event ends like this", msgspec.json.Decoder(OtherEvent).decode)
_MAX_CHANNELS: Final = 1_000
"""There are a dozen."""


class _ByChannel(dict[bytes, _OneType]):
    """How bodies end on a channel whose events are all of one type, and what reads them."""

    def __init__(self, known: UnionType) -> None:
        super().__init__()
        self._by_routing_key: dict[bytes, _OneType] = {}
        for kind in known.__args__:
            tag = str(kind.__struct_config__.tag)
            end = f', "type": "{tag}"}}'.encode()
            reader = (end, msgspec.json.Decoder(kind).decode)
            self._by_routing_key[tag.replace("-", ".").encode()] = reader

    def __missing__(self, channel: bytes) -> _OneType:
        if len(self) >= _MAX_CHANNELS:
            self.clear()
        routing_key = channel.rpartition(b"/")[2]
        found = self[channel] = self._by_routing_key.get(routing_key, _NO_TYPE)
        return found


class Decoder:
    """Reads messages as one vocabulary of known events.

    Args:
        known: the union of their types.
        from_json: reads one of them, or a list, from JSON.
        less: reads an event in which a field is at fault that it leaves out; None: nothing does.
    """

    def __init__(
        self,
        known: UnionType,
        from_json: Callable[[bytes], Event | list[Event]],
        less: "Decoder | None" = None,
    ) -> None:
        self._from_json = from_json
        self._one_known: dict[str, Callable[[bytes], KnownEvent]] = {
            JSON: msgspec.json.Decoder(known).decode,
            MSGPACK: msgspec.msgpack.Decoder(known).decode,
        }
        self._known = known
        self._less = less
        self._by_channel = _ByChannel(known)

    def decode(self, message: Message) -> Decoded:
        """Read the events of one message. Never raises."""
        events: list[Event] = []
        rejected = self.read(message, events)
        return Decoded(events, rejected)

    def read(self, message: Message, events: list[Event]) -> tuple[Rejected, ...]:
        """Append the events of one message; return what could not be read. Never raises."""
        payload = message.payload
        if message.transport is _REDIS and len(payload) <= MAX_PAYLOAD_BYTES:
            # Nearly always, and so in one go: a third of what reading a message costs is calls.
            end, read_one = self._by_channel[message.channel]
            try:
                short = len(payload) < LONG_BYTES
                data = read_short(payload).body if short else read_usual(payload)
                # Of which type an event is it says last. Where the channel says it too, and is
                # right, it is read once, and not before for its type: a third of the time less.
                body = (read_one if data.endswith(end) else self._from_json)(data)
            except _UNUSUAL:
                pass
            else:
                if isinstance(body, list):
                    events += body
                else:
                    events.append(body)
                return ()
        decoded = self._decode_unusual(message)
        events += decoded.events
        return decoded.rejected

    def _decode_unusual(self, message: Message) -> Decoded:
        body = unwrap(message)
        if isinstance(body, Rejected):
            return Decoded([], (body,))
        if body.content_type == JSON:
            end, read_one = self._by_channel[message.channel]
            try:
                read = read_one if body.data.endswith(end) else self._from_json
                events = read(body.data)
            except _UNREADABLE:
                return self._decode_one_by_one(body.data, JSON)
            return Decoded(events if isinstance(events, list) else [events])
        if body.content_type == MSGPACK:
            return self._decode_one_by_one(body.data, MSGPACK)
        return Decoded([], (Rejected(Reason.CONTENT_TYPE, body.content_type[:_DETAIL_CHARACTERS]),))

    def _decode_one_by_one(self, data: bytes, content_type: str) -> Decoded:
        """Read a body that is not all known events: custom ones, faults, other formats."""
        try:
            raws = _elements[content_type](data)
        except msgspec.ValidationError:
            raws = [msgspec.Raw(data)]  # well-formed and no list: one event
        except _UNREADABLE as error:
            return _collect(self._decode_oddly(data, content_type, str(error)))
        results: list[Event | Rejected] = []
        for raw in raws:
            results += self.decode_element(bytes(raw), content_type)
        return _collect(results)

    def decode_element(self, data: bytes, content_type: str) -> list[Event | Rejected]:
        """Read one event of a body. What is at fault in it may make it a list, as in a body."""
        found = self._decode_element(data, content_type)
        if self._less is not None and any(isinstance(each, Rejected) for each in found):
            return self._less.decode_element(data, content_type)
        return found

    def _decode_element(self, data: bytes, content_type: str) -> list[Event | Rejected]:
        try:
            return [self._one_known[content_type](data)]
        except msgspec.ValidationError as error:
            detail = str(error)
        except _UNREADABLE as error:
            return self._decode_oddly(data, content_type, str(error))
        try:
            other = _one_other[content_type](data)
        except msgspec.ValidationError:
            return [_invalid(detail)]
        except _UNREADABLE as error:
            return self._decode_oddly(data, content_type, str(error))
        return [_invalid(detail) if other.type in _KNOWN_TYPES else other]

    def _decode_oddly(self, data: bytes, content_type: str, detail: str) -> list[Event | Rejected]:
        """Read what Python's ``json`` writes and JSON forbids: NaN, Infinity, lone surrogates."""
        if content_type == JSON:
            try:
                found = json.loads(
                    data,
                    parse_constant=lambda _: None,
                    parse_float=_finite,
                    object_hook=_printable,
                )
            except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
                detail = str(error)
            else:
                elements = found if isinstance(found, list) else [found]
                return [self._convert(element) for element in elements]
        return [Rejected(Reason.MALFORMED, detail[:_DETAIL_CHARACTERS])]

    def _convert(self, element: object) -> Event | Rejected:
        try:
            known: KnownEvent = msgspec.convert(element, self._known)
        except (msgspec.ValidationError, RecursionError) as error:
            detail = str(error)
        else:
            return known
        try:
            other = msgspec.convert(element, OtherEvent)
        except (msgspec.ValidationError, RecursionError):
            return _invalid(detail)
        return _invalid(detail) if other.type in _KNOWN_TYPES else other


plain: Final = Decoder(KnownEvent, msgspec.json.Decoder(KnownEvent | list[KnownEvent]).decode)
"""Reads events without arguments and results."""
decode: Final = plain.decode
"""Read the events of one message, without arguments and results. Never raises."""

in_full: Final = Decoder(
    KnownEventInFull,
    msgspec.json.Decoder(KnownEventInFull | list[KnownEventInFull]).decode,
    less=plain,
)
"""Reads them with what they have of these."""
decode_in_full: Final = in_full.decode
"""Read the events of one message, with arguments and results. Never raises.

Where those cannot be read, the event comes without them.
"""


def _collect(results: list[Event | Rejected]) -> Decoded:
    events = [result for result in results if not isinstance(result, Rejected)]
    rejected = tuple(result for result in results if isinstance(result, Rejected))
    return Decoded(events, rejected)


def _invalid(detail: str) -> Rejected:
    return Rejected(Reason.INVALID, detail[:_DETAIL_CHARACTERS])


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _printable(fields: dict[str, object]) -> dict[str, object]:
    """Replace lone surrogates, which no UTF-8 output could carry."""
    return {
        _scrub(key): _scrub(value) if isinstance(value, str) else value
        for key, value in fields.items()
    }


def _scrub(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
