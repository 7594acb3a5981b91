"""Who may ask, under which name, and what browsers are told about every answer.

One ASGI layer around everything that is served. A request is refused before anything reads it;
credentials are compared in constant time. Probes (`/live`, `/ready`) are always answered: they tell
nothing, and an orchestrator has no credentials.
"""

import base64
import binascii
import hmac
import ipaddress
import ssl
from fnmatch import fnmatchcase
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..config import AccessSettings
from ..errors import ConfigError

OPEN: Final = frozenset({"/live", "/ready"})

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",  # browsers that know no frame-ancestors
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_CHALLENGE: Final = {"www-authenticate": 'Basic realm="celery-stream", charset="UTF-8"'}


class Access:
    """Wraps what is served.

    Args:
        app: answers those who may ask.
        settings: who may.
        loopback: whether it listens on this machine only. Then a name that is not this machine's
            is a page of somebody else's that a browser here was led to (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, settings: AccessSettings, *, loopback: bool) -> None:
        self._app = app
        self._basic = _bytes(settings.basic)
        self._token = _bytes(settings.token)
        self._hosts = tuple(name.lower() for name in settings.hosts)
        self._any_host = not settings.hosts and not loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._refusal(scope) or self._app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if scope["path"] in OPEN:
            return None
        headers = Headers(scope=scope)
        if not self._is_known(headers.get("host", "")):
            sentence = "This name is not one of access.hosts.\n"
            return PlainTextResponse(sentence, 403)
        if not self._may_ask(headers.get("authorization", "")):
            return PlainTextResponse("Who are you?\n", 401, headers=_CHALLENGE)
        return None

    def _is_known(self, host: str) -> bool:
        if self._any_host:
            return True
        name = _name_in(host)
        return _is_ours(name) or any(fnmatchcase(name, pattern) for pattern in self._hosts)

    def _may_ask(self, authorization: str) -> bool:
        if self._basic is None and self._token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        match scheme.lower():
            case "bearer":
                return _same(given.strip().encode(), self._token)
            case "basic":
                pair = _decoded(given.strip())
                # Both are compared in any case, so that how long it takes tells nothing.
                right_pair = _same(pair, self._basic)
                right_token = _same(pair.partition(b":")[2], self._token)
                return right_pair or right_token
            case _:
                return False


def tls(settings: AccessSettings) -> ssl.SSLContext | None:
    """Load the certificate; None where none is set.

    Raises:
        ConfigError: it, or its key, cannot be used.
    """
    if settings.certificate is None:
        if settings.key is not None:
            raise ConfigError("access.key is set without access.certificate")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A key with a password would ask for it on the terminal.
        context.load_cert_chain(settings.certificate, settings.key, password=lambda: b"")
    except (OSError, ssl.SSLError) as problem:
        raise ConfigError(
            f"access.certificate = {settings.certificate} cannot be used with its key "
            f"({settings.key or 'in the same file'}): {problem}"
        ) from problem
    return context


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine only."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def is_open(settings: AccessSettings) -> bool:
    """Whether anybody may ask who can connect."""
    return settings.basic is None and settings.token is None


def _name_in(host: str) -> str:
    """Return a ``Host`` header's name or address, without port and brackets."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def _is_ours(name: str) -> bool:
    """Whether no name server can have led a browser here: an address, or this machine's name."""
    name = name.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _same(given: bytes, expected: bytes | None) -> bool:
    return expected is not None and hmac.compare_digest(given, expected)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
