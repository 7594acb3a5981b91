"""Messages without what tasks were called with and returned.

The body of each event is taken apart, edited and put together again, so that it says all else as
before: ``args``, ``kwargs`` and ``result`` are redacted or left out, ``exception`` and
``traceback``, which tell why a task failed, are redacted. What cannot be taken apart (pickle, YAML,
signed or compressed messages, damage) loses its whole body and keeps its content type.

Other fields are left alone, those of an application's own events among them.
"""

import base64
import binascii
import json
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from ..events import Message, Transport
from .codec import MSGPACK
from .envelope import JSON, MAX_PAYLOAD_BYTES

_VALUES: Final = ("args", "kwargs", "result")
_PROSE: Final = ("exception", "traceback")
# What reading and writing generic JSON and msgpack raises; UnicodeError is a ValueError.
_UNREADABLE: Final = (
    msgspec.MsgspecError,
    ValueError,
    OverflowError,
    RecursionError,
    TypeError,
)


class Arguments(StrEnum):
    """What becomes of arguments and results."""

    KEEP = "keep"
    REDACT = "redact"
    DROP = "drop"


class Redacts(Protocol):
    """Hides secrets in texts, as `stream.sinks.redaction` does."""

    def of_values(self, text: str) -> str:
        """Return arguments or a result without secrets."""

    def of_prose(self, text: str) -> str:
        """Return a message or traceback without secrets."""


class Editor:
    """Edits messages. One thread at a time.

    Args:
        arguments: what becomes of them.
        redaction: of what stays.
    """

    def __init__(self, arguments: Arguments, redaction: Redacts) -> None:
        self.arguments = arguments
        self._redaction = redaction
        self.emptied = 0
        """Messages that lost their body because it could not be read."""

    def edit(self, message: Message) -> Message:
        """Return the message as it may be kept. Never raises."""
        if self.arguments is Arguments.KEEP:
            return message
        payload = self._payload(message)
        if payload is None:
            self.emptied += 1
        return msgspec.structs.replace(message, payload=payload or b"")

    def _payload(self, message: Message) -> bytes | None:
        payload = message.payload
        if len(payload) > MAX_PAYLOAD_BYTES:
            return None
        if message.transport is Transport.REDIS:
            return self._envelope(payload)
        if message.transport is Transport.AMQP:
            return self._body(payload, message.content_type or JSON)
        return self._body(payload, JSON)

    def _envelope(self, payload: bytes) -> bytes | None:
        """Edit the body in kombu's envelope; None where there is no envelope."""
        try:
            envelope = _from_json(payload)
        except _UNREADABLE:
            return None
        if not isinstance(envelope, dict):
            return None
        envelope["body"] = self._wrapped_body(envelope)
        return _to_json(envelope)

    def _wrapped_body(self, envelope: dict[object, object]) -> str | None:
        """Return what stands for the body; None, which is no body, where none can be found."""
        data, content_type = _unwrapped(envelope), envelope.get("content-type")
        if data is None:
            self.emptied += 1
            return None
        edited = self._body(data, content_type if isinstance(content_type, str) else JSON)
        if edited is None:
            self.emptied += 1
            return ""
        if _is_base64(envelope):
            return base64.b64encode(edited).decode()
        return edited.decode("utf-8", "surrogatepass")

    def _body(self, data: bytes, content_type: str) -> bytes | None:
        """Edit the events of a body; None where it cannot be read."""
        try:
            if content_type == JSON:
                return _to_json(self._events(_from_json(data)))
            if content_type == MSGPACK:
                return msgspec.msgpack.encode(self._events(msgspec.msgpack.decode(data)))
        except _UNREADABLE:
            pass
        return None

    def _events(self, body: object) -> object:
        if isinstance(body, list):
            return [self._event(each) for each in body]
        return self._event(body)

    def _event(self, event: object) -> object:
        if not isinstance(event, dict):
            return None  # no event, whatever it says
        for key in _VALUES:
            if key in event:
                if self.arguments is Arguments.DROP:
                    del event[key]
                else:
                    event[key] = _hidden(event[key], self._redaction.of_values)
        for key in _PROSE:
            if key in event:
                event[key] = _hidden(event[key], self._redaction.of_prose)
        return event


def _hidden(value: object, hide: Callable[[str], str]) -> object:
    """Redact a text; what somebody else's dispatcher put in its place becomes one."""
    if isinstance(value, str):
        return hide(value)
    if value is None or isinstance(value, int | float):
        return value
    return hide(json.dumps(value, default=repr))


def _unwrapped(envelope: dict[object, object]) -> bytes | None:
    body = envelope.get("body")
    if not isinstance(body, str):
        return None
    if not _is_base64(envelope):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_base64(envelope: dict[object, object]) -> bool:
    properties = envelope.get("properties")
    return isinstance(properties, dict) and properties.get("body_encoding") == "base64"


def _from_json(data: bytes) -> object:
    """Read JSON, or what Python's ``json`` writes and JSON forbids: NaN, lone surrogates."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found: object = json.loads(data)
        return found


def _to_json(value: object) -> bytes:
    """Write JSON; what only Python's ``json`` can write as it does."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()
