"""Where a RabbitMQ broker is, read from the URL that Celery was given.

The forms are kombu's: ``amqp://``, ``pyamqp://``, ``librabbitmq://`` and ``amqps://`` (TLS), each
part percent-encoded, the path a virtual host (``/`` where it is empty), several of them separated
by ``;`` for failover. TLS options are those of a Redis URL (``ssl_ca_certs`` and so on). An address
never shows its password: not in its ``repr``, not in an error, not in `AmqpAddress.redacted`.
"""

import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from ..errors import RefusedError
from .address import TlsSettings

SCHEMES = frozenset(("amqp", "amqps", "pyamqp", "librabbitmq"))
_FORMS = "amqp:// or amqps://"
_PORT, _TLS_PORT = 5672, 5671
_MAX_ADDRESSES = 32
_CERT_REQS = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}
_TLS_PATHS = {
    "ssl_ca_certs": "ca_certs",
    "ssl_ca_path": "ca_path",
    "ssl_certfile": "certfile",
    "ssl_keyfile": "keyfile",
    "ssl_password": "password",
}
_TLS_OPTIONS = frozenset((*_TLS_PATHS, "ssl_cert_reqs", "ssl_check_hostname"))
_FALSE = frozenset(("false", "0", "no", "none", ""))


@dataclass(frozen=True, slots=True)
class AmqpAddress:
    """One RabbitMQ server and virtual host, and who we are to it."""

    host: str = "127.0.0.1"
    port: int = _PORT
    vhost: str = "/"
    username: str = "guest"
    password: str = field(default="guest", repr=False)
    tls: TlsSettings | None = None
    """None: plain text."""
    external: bool = False
    """The client certificate says who we are (``login_method=EXTERNAL``)."""

    @property
    def redacted(self) -> str:
        """The address as a URL for logs, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "amqps" if self.tls else "amqp"
        return f"{scheme}://{host}:{self.port}/{quote(self.vhost, safe='')}"


def parse(urls: str) -> tuple[AmqpAddress, ...]:
    """Read a broker URL, or several separated by ``;``, of which the first is preferred.

    Raises:
        RefusedError: one is not an AMQP URL, or cannot work. The text says what to write instead
            and repeats no part of the URL but its scheme.
    """
    found = tuple(_parse_one(url.strip()) for url in urls.split(";") if url.strip())
    if not found:
        raise RefusedError(f"The broker URL must begin with {_FORMS}.")
    if len(found) > _MAX_ADDRESSES:
        raise RefusedError(f"The broker URL names more than {_MAX_ADDRESSES} servers.")
    return found


def _parse_one(url: str) -> AmqpAddress:
    scheme, mark, rest = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in SCHEMES:
        raise RefusedError(f"Each broker URL must begin with {_FORMS}.")
    parts, port = _split(rest)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls = _tls(scheme, options)
    host = unquote(parts.hostname or "") or "127.0.0.1"
    login = options.get("login_method", "PLAIN").upper()
    if login not in {"PLAIN", "AMQPLAIN", "EXTERNAL"}:
        raise RefusedError("login_method in the broker URL must be PLAIN or EXTERNAL.")
    return AmqpAddress(
        # As kombu does: a broker that listens on IPv4 only is meant.
        host="127.0.0.1" if host == "localhost" and tls is None else host,
        port=port or (_TLS_PORT if tls else _PORT),
        vhost=unquote(parts.path.removeprefix("/")) or "/",
        username=unquote(parts.username or "") or "guest",
        password=unquote(parts.password or "") or "guest",
        tls=tls,
        external=login == "EXTERNAL",
    )


def _split(rest: str) -> tuple[SplitResult, int | None]:
    """Split what follows the scheme, and read the port."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "#" in rest or ("@" in rest.partition("?")[0] and "@" not in authority):
        raise RefusedError(
            "The user or password in the broker URL has a special character that must be "
            "percent-encoded (/ as %2F, # as %23, ? as %3F, @ as %40)."
        )
    try:
        parts = urlsplit(f"//{rest}")
        port = parts.port
    except ValueError:  # its text may quote a password
        raise RefusedError(
            "The broker URL has a host or a port that cannot be read; "
            "percent-encode special characters in the password."
        ) from None
    return parts, port


def _tls(scheme: str, options: dict[str, str]) -> TlsSettings | None:
    given = {name for name in options if name.startswith("ssl_")}
    # Like kombu: an ssl option alone turns TLS on as well.
    if scheme != "amqps" and not given and options.get("ssl", "").lower() in _FALSE:
        return None
    if unknown := given - _TLS_OPTIONS:
        raise RefusedError(f"{min(unknown)} in the broker URL is not supported.")
    reqs = _CERT_REQS.get(
        options.get("ssl_cert_reqs", "required").lower().removeprefix("cert_"),
    )
    if reqs is None:
        raise RefusedError("ssl_cert_reqs in the broker URL must be required, optional or none.")
    check = options.get("ssl_check_hostname", "true").lower() not in _FALSE
    paths = {word: options.get(name) or None for name, word in _TLS_PATHS.items()}
    return TlsSettings(cert_reqs=reqs, check_hostname=check, **paths)
