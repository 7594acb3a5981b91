"""Bodies of event messages to typed events.

`decode` is total: whatever the bytes, it returns events and rejections and raises nothing. A body
is one event or a list of them (``task.multi``), which may be empty; one bad element does not cost
the rest. Only JSON and msgpack are read: pickle would execute what a stranger sent, YAML and
signed messages need packages and keys that are not here.
"""

import json
import math
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from ..events import Event, KnownEvent, Message, OtherEvent, Reason, Rejected
from .envelope import JSON, unwrap

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


_known: Final = msgspec.json.Decoder(KnownEvent | list[KnownEvent]).decode
_elements: Final[dict[str, Callable[[bytes], list[msgspec.Raw]]]] = {
    JSON: msgspec.json.Decoder(list[msgspec.Raw]).decode,
    MSGPACK: msgspec.msgpack.Decoder(list[msgspec.Raw]).decode,
}
_one_known: Final[dict[str, Callable[[bytes], KnownEvent]]] = {
    JSON: msgspec.json.Decoder(KnownEvent).decode,
    MSGPACK: msgspec.msgpack.Decoder(KnownEvent).decode,
}
_one_other: Final[dict[str, Callable[[bytes], OtherEvent]]] = {
    JSON: msgspec.json.Decoder(OtherEvent).decode,
    MSGPACK: msgspec.msgpack.Decoder(OtherEvent).decode,
}
_KNOWN_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in KnownEvent.__args__)
# What msgspec raises; the last two are no MsgspecError.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode(message: Message) -> Decoded:
    """Read the events of one message. Never raises."""
    body = unwrap(message)
    if isinstance(body, Rejected):
        return Decoded([], (body,))
    if body.content_type == JSON:
        try:
            events = _known(body.data)
        except _UNREADABLE:
            return _decode_one_by_one(body.data, JSON)
        return Decoded(events if isinstance(events, list) else [events])
    if body.content_type == MSGPACK:
        return _decode_one_by_one(body.data, MSGPACK)
    return Decoded([], (Rejected(Reason.CONTENT_TYPE, body.content_type[:_DETAIL_CHARACTERS]),))


def _decode_one_by_one(data: bytes, content_type: str) -> Decoded:
    """Read a body that is not all known events: custom ones, faults, other formats."""
    try:
        raws = _elements[content_type](data)
    except msgspec.ValidationError:
        raws = [msgspec.Raw(data)]  # well-formed and no list: one event
    except _UNREADABLE as error:
        return _collect(_decode_oddly(data, content_type, str(error)))
    results: list[Event | Rejected] = []
    for raw in raws:
        results += _decode_element(bytes(raw), content_type)
    return _collect(results)


def _collect(results: list[Event | Rejected]) -> Decoded:
    events = [result for result in results if not isinstance(result, Rejected)]
    rejected = tuple(result for result in results if isinstance(result, Rejected))
    return Decoded(events, rejected)


def _decode_element(data: bytes, content_type: str) -> list[Event | Rejected]:
    try:
        return [_one_known[content_type](data)]
    except msgspec.ValidationError as error:
        detail = str(error)
    except _UNREADABLE as error:
        return _decode_oddly(data, content_type, str(error))
    try:
        other = _one_other[content_type](data)
    except msgspec.ValidationError:
        return [_invalid(detail)]
    except _UNREADABLE as error:
        return _decode_oddly(data, content_type, str(error))
    return [_invalid(detail) if other.type in _KNOWN_TYPES else other]


def _decode_oddly(data: bytes, content_type: str, detail: str) -> list[Event | Rejected]:
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
            return [_convert(element) for element in elements]
    return [Rejected(Reason.MALFORMED, detail[:_DETAIL_CHARACTERS])]


def _convert(element: object) -> Event | Rejected:
    try:
        known: KnownEvent = msgspec.convert(element, KnownEvent)
    except (msgspec.ValidationError, RecursionError) as error:
        detail = str(error)
    else:
        return known
    try:
        other = msgspec.convert(element, OtherEvent)
    except (msgspec.ValidationError, RecursionError):
        return _invalid(detail)
    return _invalid(detail) if other.type in _KNOWN_TYPES else other


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
