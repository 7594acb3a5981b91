"""kombu's transport options, as far as they decide where a Redis broker keeps and says things.

What Celery has in ``broker_transport_options`` can be given here as it is: options that change
nothing for a reader are accepted and ignored, names that kombu does not know are refused, because
a misspelt prefix would show an empty cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from ..errors import RefusedError
from ..wire.keys import PRIORITY_STEPS, SEPARATOR, Layout
from .address import TlsSettings, tls_settings

_FANOUT_PREFIX = "/{db}."
# What would show nothing of the broker: how a client connects, waits, retries and writes.
_IGNORED = frozenset(
    (
        *("ack_emulation", "body_encoding", "callback", "client_name", "confirm_publish"),
        *("connect_retries_timeout", "connect_timeout", "deadletter_queue", "errback"),
        *("health_check_interval", "interval_max", "interval_start", "interval_step"),
        *("max_connections", "max_retries", "min_other_sentinels", "polling_interval"),
        *("queue_order_strategy", "reauth_check_interval", "retry_on_timeout", "retry_policy"),
        *("sentinel_fanout_compat", "socket_connect_timeout", "socket_keepalive"),
        *("socket_keepalive_options", "socket_timeout", "unacked_mutex_expire"),
        *("unacked_mutex_key", "unacked_restore_interval", "unacked_restore_limit"),
        *("unacked_restore_throttle",),
    )
)


_Prefix: TypeAlias = bool | str
_Text: TypeAlias = Annotated[str, Meta(min_length=1)]
_Steps: TypeAlias = Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """The options that matter to a reader, with kombu's defaults."""

    global_keyprefix: str = ""
    """Before every key and channel."""
    fanout_prefix: str = _FANOUT_PREFIX
    """Before an exchange in a channel; ``{db}`` stands for the database. Empty: no prefix."""
    fanout_patterns: bool = True
    """Whether channels end in the routing key."""
    sep: str = SEPARATOR
    priority_steps: tuple[int, ...] = PRIORITY_STEPS
    unacked_key: str = "unacked"
    unacked_index_key: str = "unacked_index"
    visibility_timeout: float = 3600.0
    """Seconds after which a message that a worker holds is given to another one."""
    master_name: str | None = None
    """Under which the sentinels know the broker."""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    sentinel_tls: TlsSettings | None = None

    @property
    def layout(self) -> Layout:
        """The keys that these options lead to."""
        return Layout(
            prefix=self.global_keyprefix,
            separator=self.sep,
            steps=self.priority_steps,
            unacknowledged=self.unacked_key,
            unacknowledged_index=self.unacked_index_key,
        )

    def topic(self, exchange: str, db: int) -> str:
        """The channel of an exchange, without the routing key.

        Raises:
            RefusedError: ``fanout_prefix`` is no template for a database.
        """
        try:
            prefix = self.fanout_prefix.format(db=db)
        except (ValueError, LookupError, AttributeError):
            raise RefusedError(
                "fanout_prefix in the transport options must be like /{db}. with no other braces."
            ) from None
        return f"{self.global_keyprefix}{prefix}{exchange}"

    def unformatted_topic(self, exchange: str) -> str:
        """The channel that kombu before 5.4 uses on Sentinel: it left ``{db}`` as it is."""
        return f"{self.global_keyprefix}{self.fanout_prefix}{exchange}"


class _Given(Struct):
    """The options as they may be written, once `_plain` has read what was written as text."""

    global_keyprefix: str = ""
    fanout_prefix: _Prefix = True
    fanout_patterns: bool = True
    sep: _Text = SEPARATOR
    priority_steps: _Steps = PRIORITY_STEPS
    unacked_key: _Text = "unacked"
    unacked_index_key: _Text = "unacked_index"
    visibility_timeout: Annotated[float, Meta(gt=0)] = 3600.0
    master_name: _Text | None = None
    sentinel_kwargs: "_SentinelKwargs | None" = None


class _SentinelKwargs(Struct):
    """How to log in to the sentinels; the further words of redis-py do not matter here."""

    username: str | None = None
    password: str | None = None
    ssl: bool = False
    ssl_cert_reqs: str | int | None = None
    ssl_check_hostname: bool | None = None
    ssl_ca_certs: str | None = None
    ssl_ca_path: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: str | None = None


NAMES = frozenset(_Given.__struct_fields__)
"""Of the options that are not ignored."""


def read_options(given: Mapping[str, object]) -> TransportOptions:
    """Read transport options; values may be written as text, as in a URL or the environment.

    Args:
        given: by name; ``priority_steps`` also as ``0,3,6,9``, ``sentinel_kwargs`` also as JSON.

    Raises:
        RefusedError: kombu has no such option, or the value is of the wrong kind.
    """
    if unknown := sorted(set(given) - NAMES - _IGNORED):
        raise RefusedError(f"{unknown[0]!r} is not a transport option of kombu for Redis.")
    for name in sorted(NAMES & set(given)):
        _check(name, given[name])
    read = _convert({name: given[name] for name in NAMES & set(given)})
    login = read.sentinel_kwargs or _SentinelKwargs()
    options = TransportOptions(
        global_keyprefix=read.global_keyprefix,
        fanout_prefix=_prefix(read.fanout_prefix),
        fanout_patterns=read.fanout_patterns,
        sep=read.sep,
        priority_steps=read.priority_steps,
        unacked_key=read.unacked_key,
        unacked_index_key=read.unacked_index_key,
        visibility_timeout=read.visibility_timeout,
        master_name=read.master_name,
        sentinel_username=login.username,
        sentinel_password=login.password,
        sentinel_tls=_tls(login),
    )
    options.topic("", 0)  # a template that is wrong is refused here and not when it is used
    return options


def _check(name: str, value: object) -> None:
    """Refuse a value by the name of its option, and without repeating it: it may be a password."""
    try:
        _convert({name: value})
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RefusedError(f"The transport option {name} has a value of the wrong kind.") from None


def _convert(given: Mapping[str, object]) -> _Given:
    plain = {name: _plain(name, value) for name, value in given.items()}
    return msgspec.convert(plain, _Given, strict=False)


def _plain(name: str, value: object) -> object:
    """What a text stands for, where msgspec cannot know."""
    if not isinstance(value, str):
        return value
    match name:
        case "fanout_prefix":
            return {"true": True, "false": False}.get(value.lower(), value)
        case "priority_steps":
            return [int(step) for step in value.strip("[]").split(",")]
        case "sentinel_kwargs":
            return msgspec.json.decode(value)
        case _:
            return value


def _prefix(given: _Prefix) -> str:
    """Like kombu: a text replaces the default; False, or no text, means none."""
    if isinstance(given, str):
        return given
    return _FANOUT_PREFIX if given else ""


def _tls(login: _SentinelKwargs) -> TlsSettings | None:
    given = {
        name: value
        for name in _SentinelKwargs.__struct_fields__
        if name.startswith("ssl_") and (value := getattr(login, name)) is not None
    }
    return tls_settings(given) if login.ssl else None
