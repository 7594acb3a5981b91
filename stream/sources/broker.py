"""What a broker URL means: one server, several to fall back on, or a master that Sentinel names.

The dialect is kombu's: URLs in a list are separated by ``;``, the later ones may be a mere
``host:port``; a Sentinel broker's database, user and password are those of its first URL. Besides,
a query may hold transport options, as in ``sentinel://host:26379/0?master_name=main``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import parse_qsl

from ..errors import RefusedError
from .address import RedisAddress, parse
from .transport import NAMES, TransportOptions, read_options

_SENTINEL_PORT = 26379
# More are not asked by anybody; each is a connection at every check.
_MAX_SERVERS = 32


class Serve(StrEnum):
    """Which server of a Sentinel broker is wanted."""

    MASTER = "master"
    REPLICA = "replica"
    """One that follows the master; the master where there is none. It repeats what is published,
    and keeps what a slow reader costs off the master."""


@dataclass(frozen=True, slots=True)
class Alternates:
    """Several servers, of which the first that answers is taken, until its connection ends."""

    addresses: tuple[RedisAddress, ...]

    @property
    def redacted(self) -> str:
        """All URLs for logs, without users and passwords."""
        return ";".join(address.redacted for address in self.addresses)


@dataclass(frozen=True, slots=True)
class SentinelBroker:
    """A broker that moves: sentinels know which server is its master now."""

    sentinels: tuple[RedisAddress, ...]
    master_name: str
    server: RedisAddress
    """The database, user, password and TLS of every server; not its host and port."""
    serve: Serve = Serve.MASTER

    @property
    def redacted(self) -> str:
        """The sentinels and the database for logs, without users and passwords."""
        places = ";".join(f"sentinel://{each.place}" for each in self.sentinels)
        return f"{places}/{self.server.db}"


Broker: TypeAlias = RedisAddress | Alternates | SentinelBroker


def parse_broker(
    url: str, options: Mapping[str, object] | None = None
) -> tuple[Broker, TransportOptions]:
    """Read a broker URL and the transport options that go with it.

    Args:
        url: as Celery's ``broker_url``.
        options: as Celery's ``broker_transport_options``; they win over those in the URL.

    Raises:
        RefusedError: they are wrong, or of a broker that cannot work. The text repeats no
            credentials.
    """
    urls = [text for part in url.split(";") if (text := part.strip())] or [""]
    if len(urls) > _MAX_SERVERS:
        raise RefusedError(f"The broker URL lists more than {_MAX_SERVERS} servers.")
    read = read_options(_options_in(urls) | dict(options or {}))
    scheme = urls[0].partition("://")[0].lower()
    if scheme == "sentinel":
        return _sentinel_broker(urls, read), read
    addresses = _addresses(urls, scheme, None)
    return addresses[0] if len(addresses) == 1 else Alternates(addresses), read


def on_replica(broker: Broker) -> Broker:
    """Return the same broker, read on a replica; one without Sentinel as it is."""
    if isinstance(broker, SentinelBroker):
        return replace(broker, serve=Serve.REPLICA)
    return broker


def _sentinel_broker(urls: list[str], options: TransportOptions) -> SentinelBroker:
    if options.master_name is None:
        raise RefusedError(
            "A sentinel:// broker needs the transport option master_name, the name under which "
            "the sentinels know the master."
        )
    # Spelled as what they are underneath: redis-py's parser knows no sentinel://.
    spelled = [re.sub("^sentinel:", "redis:", text, flags=re.IGNORECASE) for text in urls]
    found = _addresses(spelled, "redis", RedisAddress(port=_SENTINEL_PORT))
    login = (options.sentinel_username, options.sentinel_password, options.sentinel_tls)
    sentinels = tuple(RedisAddress(each.host, each.port, None, 0, *login) for each in found)
    return SentinelBroker(sentinels, options.master_name, found[0])


def _addresses(
    urls: list[str], scheme: str, inherit: RedisAddress | None
) -> tuple[RedisAddress, ...]:
    """One address for each URL; later ones inherit from the one before, as kombu has it."""
    found: list[RedisAddress] = []
    for text in urls:
        first = not found
        spelled = text if first or "://" in text else f"{scheme}://{text}"
        found.append(parse(spelled, inherit=inherit if first else found[-1]))
    return tuple(found)


def _options_in(urls: list[str]) -> dict[str, object]:
    """The transport options among the parameters of all URLs."""
    pairs = (pair for url in urls for pair in parse_qsl(url.partition("?")[2]))
    return {name: value for name, value in pairs if name in NAMES}
