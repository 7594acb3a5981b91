"""Where a Redis server is, read from the URL that Celery was given; and `redact` for any URL.

The forms are those of kombu and redis-py: ``redis://``, ``rediss://`` (TLS), ``unix://`` and
``redis+socket://`` (kombu's, with ``?virtual_host=N``). An address never shows its password: not
in its ``repr``, not in an error, not in `RedisAddress.redacted`. A list of URLs, and Sentinel, are
read in `broker`.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import parse_url as parse_redis_url

from ..errors import RefusedError

_DEFAULT_PORT = 6379
_FORMS = "redis://, rediss://, unix://, redis+socket:// or sentinel://"
_MASK = "***"
# What may be shown of a query: every other value could be a token.
_HARMLESS = frozenset(
    ("db", "virtual_host", "ssl_cert_reqs", "ssl_check_hostname", "timeout", "protocol")
)
_CERT_REQS = {
    "cert_required": ssl.CERT_REQUIRED,
    "required": ssl.CERT_REQUIRED,
    "cert_optional": ssl.CERT_OPTIONAL,
    "optional": ssl.CERT_OPTIONAL,
    "cert_none": ssl.CERT_NONE,
    "none": ssl.CERT_NONE,
    # Python's own numbers, where options come from code.
    "2": ssl.CERT_REQUIRED,
    "1": ssl.CERT_OPTIONAL,
    "0": ssl.CERT_NONE,
}
_TLS_OPTIONS = frozenset(
    (
        "ssl_cert_reqs",
        "ssl_check_hostname",
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_password",
    )
)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to speak TLS, in redis-py's words. None of a path: not given."""

    cert_reqs: ssl.VerifyMode = ssl.CERT_REQUIRED
    check_hostname: bool = True
    ca_certs: str | None = None
    ca_path: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    password: str | None = field(default=None, repr=False)
    """Of the key file."""

    def context(self) -> ssl.SSLContext:
        """A context as redis-py would make it: the system's authorities and those given.

        Raises:
            RefusedError: a certificate or key file cannot be read.
        """
        context = ssl.create_default_context()
        context.check_hostname = self.check_hostname and self.cert_reqs is not ssl.CERT_NONE
        context.verify_mode = self.cert_reqs
        try:
            if self.ca_certs or self.ca_path:
                context.load_verify_locations(self.ca_certs, self.ca_path)
            if self.certfile:
                # A callable, because None would make OpenSSL ask on the terminal.
                context.load_cert_chain(self.certfile, self.keyfile, lambda: self.password or "")
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise RefusedError(
                "A certificate or key file of the broker URL (ssl_ca_certs, ssl_certfile, "
                f"ssl_keyfile) cannot be used: {type(exc).__name__}."
            ) from exc
        return context


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis server and database. Either ``path`` (a unix socket) or host and port count."""

    host: str = "127.0.0.1"
    port: int = _DEFAULT_PORT
    path: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsSettings | None = None
    """None: plain text."""

    @property
    def redacted(self) -> str:
        """The address as a URL for logs, without user and password."""
        if self.path is not None:
            return f"unix://{self.path}?db={self.db}"
        return f"{'rediss' if self.tls else 'redis'}://{self.place}/{self.db}"

    @property
    def place(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(url: str, *, inherit: RedisAddress | None = None) -> RedisAddress:
    """Read the URL of one server.

    Args:
        url: of the server.
        inherit: whose port, database and TLS hold where the URL names none, as kombu does it
            with the URLs of a list; None: the defaults.

    Raises:
        RefusedError: it is not a Redis URL, or one that cannot work. The text says what to write
            instead and repeats no part of the URL but its scheme.
    """
    scheme, inherit = _scheme(url), inherit or RedisAddress()
    _check_escapes(url, scheme)
    # redis-py knows kombu's socket form under another name.
    spelled = "unix" if scheme == "redis+socket" else scheme
    try:
        options = cast("dict[str, object]", dict(parse_redis_url(spelled + url[len(scheme) :])))
    except ValueError:  # its text may quote a password
        raise RefusedError(
            "The broker URL has a port or an option that cannot be read; "
            "percent-encode special characters in the password."
        ) from None
    if "credential_provider" in options:
        raise RefusedError("credential_provider in the broker URL is not supported yet.")
    path = _text(options, "path")
    if spelled == "unix" and not path:
        raise RefusedError("The broker URL names no socket: write unix:///path/to/redis.sock.")
    return RedisAddress(
        host=_text(options, "host") or "127.0.0.1",
        port=cast("int", options.get("port", inherit.port)),
        path=path,
        db=_database(url, spelled, options, inherit.db),
        username=_text(options, "username"),
        password=_text(options, "password"),
        tls=_tls(scheme, options) or inherit.tls,
    )


def tls_settings(options: Mapping[str, object]) -> TlsSettings:
    """Read redis-py's ``ssl_`` options, values as in a URL or as in Python.

    Raises:
        RefusedError: an option is unknown or its value cannot be read.
    """
    if unknown := set(options) - _TLS_OPTIONS:
        raise RefusedError(f"{min(unknown)} in the broker URL is not supported.")
    reqs = _CERT_REQS.get(str(options.get("ssl_cert_reqs", "required")).lower())
    if reqs is None:
        raise RefusedError("ssl_cert_reqs in the broker URL must be required, optional or none.")
    return TlsSettings(
        cert_reqs=reqs,
        check_hostname=options.get("ssl_check_hostname") is not False,
        ca_certs=_text(options, "ssl_ca_certs"),
        ca_path=_text(options, "ssl_ca_path"),
        certfile=_text(options, "ssl_certfile"),
        keyfile=_text(options, "ssl_keyfile"),
        password=_text(options, "ssl_password"),
    )


def redact(url: str) -> str:
    """Return *url* fit for a log: no user, password, or query value that could be a secret.

    Total: what does not look like a URL comes back as ``***`` rather than as it was.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return _MASK
    # The last @: a password may hold unescaped @, / or #.
    secret, at, rest = rest.rpartition("@")
    place, _, query = rest.partition("#")[0].partition("?")
    authority, slash, path = place.partition("/")
    if not re.fullmatch(r"[\w.%-]*(:\d+)?|\[[0-9a-fA-F:.%\w]+\](:\d+)?", authority):
        return f"{scheme}://{_MASK}"
    shown = [(k, v if k in _HARMLESS else _MASK) for k, v in parse_qsl(query)]
    tail = "?" + urlencode(shown, safe="*") if shown else ""
    return f"{scheme}://{_MASK + at if secret else ''}{authority}{slash}{path}{tail}"


def _scheme(url: str) -> str:
    scheme, mark, _ = url.partition("://")
    scheme = scheme.lower()
    if not mark or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        raise RefusedError(f"The broker URL must begin with {_FORMS}.")
    if "cluster" in scheme:
        raise RefusedError("Celery has no Redis Cluster transport: give the broker that it uses.")
    if scheme == "sentinel":
        raise RefusedError("sentinel:// must begin all URLs of the broker, or none.")
    if scheme in {"valkey", "valkeys"}:
        spelled = "rediss" if scheme == "valkeys" else "redis"
        raise RefusedError(f"Celery knows no {scheme}://: write {spelled}://, it is the same.")
    if scheme not in {"redis", "rediss", "unix", "redis+socket"}:
        raise RefusedError(f"{scheme}:// is not a broker that can be read: use {_FORMS}.")
    return scheme


def _check_escapes(url: str, scheme: str) -> None:
    """Refuse a password whose special characters would silently change the host."""
    rest = url[len(scheme) + 3 :]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    strayed = "@" in rest and "@" not in authority and scheme in {"redis", "rediss"}
    if "#" in rest or strayed:
        raise RefusedError(
            "The user or password in the broker URL has a special character that must be "
            "percent-encoded (/ as %2F, # as %23, ? as %3F, @ as %40, ; as %3B)."
        )


def _database(url: str, scheme: str, options: Mapping[str, object], default: int) -> int:
    """The database: ``?virtual_host=`` (kombu), ``?db=`` (redis-py), or the path."""
    given = options.get("virtual_host", options.get("db"))
    if given is None and scheme != "unix":
        given = unquote(urlsplit(url).path).strip("/")
    text = str(default if given in {None, ""} else given)
    if not (text.isascii() and text.isdigit()):
        raise RefusedError("The database in the broker URL must be a number, as in redis://host/0.")
    return int(text)


def _tls(scheme: str, options: Mapping[str, object]) -> TlsSettings | None:
    given = {name: value for name, value in options.items() if name.startswith("ssl_")}
    # Like kombu: an ssl_ option alone turns TLS on as well.
    return tls_settings(given) if scheme == "rediss" or given else None


def _text(options: Mapping[str, object], name: str) -> str | None:
    value = options.get(name)
    return str(value) if value not in {None, ""} else None
