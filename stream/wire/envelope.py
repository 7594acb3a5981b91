"""kombu's envelope: from a message frame to the body of the event and its content type.

Total: what cannot be read is a `Rejected`. Never unpickles, never decompresses, never imports a
name that came over the wire.
"""

import base64
import binascii
import json
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field
from pybase64 import b64decode

from ..events import Message, Reason, Rejected, Transport

JSON: Final = "application/json"
MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
"""Far above any event (arguments are cut at 1 kB each, 24 events a batch); bounds the memory."""


class Body(Struct, frozen=True, gc=False):
    """What was published, unwrapped."""

    content_type: str
    data: bytes


class _Properties(Struct, gc=False):
    body_encoding: str | None = None


class _Envelope(Struct, gc=False):
    body: bytes  # msgspec reads base64 into bytes
    properties: _Properties
    content_type: str | None = field(name="content-type", default=None)


class _UsualProperties(Struct, gc=False):
    body_encoding: Literal["base64"]


class _UsualEnvelope(Struct, gc=False):
    """The envelope of nearly every message: JSON in base64, and says so."""

    body: bytes
    properties: _UsualProperties
    content_type: Literal["application/json"] = field(name="content-type")


class _UsualRest(Struct, gc=False):
    """The same without its body."""

    properties: _UsualProperties
    content_type: Literal["application/json"] = field(name="content-type")
    body: UnsetType = UNSET  # a second one, which JSON allows and which would count, is an error


class _LooseProperties(Struct, gc=False):
    body_encoding: object = None


class _LooseEnvelope(Struct, gc=False):
    body: object
    properties: _LooseProperties = field(default_factory=_LooseProperties)
    content_type: object = field(name="content-type", default=None)
    content_encoding: object = field(name="content-encoding", default=None)


LONG_BYTES: Final = 1500
"""From here on cutting the body out is quicker than reading the payload as one JSON text."""
_BEFORE: Final = b'{"body": "'
_AT: Final = len(_BEFORE)
_INSTEAD: Final = b'{"":0'
read_short = msgspec.json.Decoder(_UsualEnvelope).decode
"""What `read_usual` does with a payload below `LONG_BYTES`, for who saves the call."""
_check_rest = msgspec.json.Decoder(_UsualRest).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def read_usual(payload: bytes) -> bytes:
    """Return the body of a Redis payload in its usual envelope.

    Raises:
        ValueError: the envelope is another one. Also what msgspec raises.
    """
    if len(payload) < LONG_BYTES:
        return read_short(payload).body
    # A batch of events is nearly all base64, which is decoded many bytes at once: a quarter of the
    # time that reading it as JSON takes. What is around it is read as JSON all the same.
    end = payload.find(b'"', _AT)
    if not payload.startswith(_BEFORE):
        raise ValueError("kombu writes the body first")
    _check_rest(_INSTEAD + payload[end + 1 :])
    return b64decode(payload[_AT:end], None, True)


def unwrap(message: Message) -> Body | Rejected:
    """Take the envelope off a message. Never raises."""
    payload = message.payload
    if len(payload) > MAX_PAYLOAD_BYTES:
        return Rejected(Reason.TOO_LARGE, f"{len(payload)} bytes")
    if message.transport is Transport.EVENT:
        return Body(JSON, payload)
    if message.transport is Transport.AMQP:
        return Body(message.content_type or JSON, payload)
    try:
        envelope = _decode_envelope(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _unwrap_loosely(payload)
    if envelope.properties.body_encoding != "base64":
        return _unwrap_loosely(payload)
    return Body(envelope.content_type or JSON, envelope.body)


def _unwrap_loosely(payload: bytes) -> Body | Rejected:
    """Read the envelopes that are rare: a body in plain text, numbers that are no JSON."""
    try:
        envelope = msgspec.convert(json.loads(payload), _LooseEnvelope)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        return Rejected(Reason.ENVELOPE, str(error))
    body, encoding = envelope.body, envelope.properties.body_encoding
    if not isinstance(body, str):
        return Rejected(Reason.ENVELOPE, f"body is a {type(body).__name__}")
    content_type = envelope.content_type if isinstance(envelope.content_type, str) else JSON
    if encoding != "base64":
        return Body(content_type, body.encode("utf-8", "surrogatepass"))
    try:
        return Body(content_type, base64.b64decode(body, validate=True))
    except (binascii.Error, ValueError) as error:
        return Rejected(Reason.ENVELOPE, f"body is not base64: {error}")
