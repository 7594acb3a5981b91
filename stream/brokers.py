"""What reads a broker, by the scheme of its URL: its events and its queues."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import msgspec
from msgspec import Struct

from .config import BrokerOptions, BrokerSettings, RabbitmqSettings, Settings
from .errors import ConfigError, RefusedError
from .occurrences import Tell
from .sources import amqp_address
from .sources.amqp import AmqpEvents
from .sources.amqp_control import AmqpControl
from .sources.amqp_position import Position
from .sources.amqp_queue import Bounds, Retain
from .sources.amqp_queues import RabbitMqQueues
from .sources.base import Source
from .sources.broker import on_replica, parse_broker
from .sources.control import AGAIN, Asked, Rounds
from .sources.queues import RedisQueues
from .sources.rabbitmq_management import Management
from .sources.redis import RedisEvents
from .sources.redis_control import RedisControl

REDIS = "redis"
RABBITMQ = "rabbitmq"

Known: TypeAlias = Callable[[], Iterable[str]]
Listening: TypeAlias = Callable[[], Iterable[tuple[str, int, bool]]]


class Named(Struct, frozen=True):
    """A broker of the settings, and what it is called."""

    name: str
    """The source of its frames."""
    settings: BrokerSettings
    labelled: bool
    """Whether what is told of it carries the name: not where there is one without a name, so that
    its series are what they always were."""


class Broker(Struct, frozen=True):
    """A broker that is to be read."""

    system: str
    """Its name in OpenTelemetry's conventions, ``messaging.system``."""
    url: str
    """Without user and password."""
    sources: Mapping[str, Source]
    """By what they read, in this order: its events, its queues, and its workers' answers where they
    are asked."""


def named(settings: Settings) -> tuple[Named, ...]:
    """Return the brokers of the settings, each with a name of its own.

    One without a name is called by its place, ``host:port/db``; where there is no other, simply
    by its system.

    Raises:
        ConfigError: a URL cannot be used, or two have the same name.
    """
    if not settings.brokers:
        options = {name: getattr(settings, name) for name in BrokerOptions.__struct_fields__}
        one = BrokerSettings(url=settings.broker, **options)
        return (Named(system_of(one), one, labelled=False),)
    found = [Named(each.name or _place_of(each), each, True) for each in settings.brokers]
    if len(found) == 1 and found[0].settings.name is None:
        return (
            msgspec.structs.replace(found[0], name=system_of(found[0].settings), labelled=False),
        )
    names = [each.name for each in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two brokers are called {twice}; give each a name, as in NAME=URL")
    return tuple(found)


def system_of(own: BrokerSettings) -> str:
    """Return what a broker is called in OpenTelemetry's conventions, by its URL."""
    return RABBITMQ if own.url.partition("://")[0] in amqp_address.SCHEMES else REDIS


def _place_of(own: BrokerSettings) -> str:
    """Return the first server's ``host:port/db``, or the path of its socket."""
    try:
        if system_of(own) == RABBITMQ:
            redacted = amqp_address.parse(own.url)[0].redacted
        else:
            redacted = parse_broker(own.url, own.broker_transport_options)[0].redacted
    except RefusedError as error:
        raise ConfigError(f"broker is wrong: {error}") from None
    return redacted.partition(";")[0].partition("://")[2]


def broker_of(broker: Named, *, known: Known, tell: Tell, listening: Listening = tuple) -> Broker:
    """Return what reads a broker; opens nothing.

    Args:
        broker: which.
        known: queues that events named.
        tell: hears of what the sources do.
        listening: workers whose heartbeats come, to be asked where that is wanted: hostname, pid,
            and whether it runs tasks and tells nothing of them.

    Raises:
        ConfigError: its URL or its options cannot be used.
    """
    interval = broker.settings.inspect_interval
    if 0 < interval < AGAIN:
        raise ConfigError(f"inspect_interval = {interval:g} is neither 0 nor {AGAIN:g} or more")
    read = _rabbitmq if system_of(broker.settings) == RABBITMQ else _redis
    try:
        return read(broker, known=known, listening=listening, tell=tell)
    except RefusedError as error:
        which = f"broker {broker.name}" if broker.labelled else "broker"
        raise ConfigError(f"{which} is wrong: {error}") from None


def _redis(watched: Named, *, known: Known, listening: Listening, tell: Tell) -> Broker:
    name, settings = watched.name, watched.settings
    broker, options = parse_broker(settings.url, settings.broker_transport_options)
    replica = on_replica(broker) if settings.events_from == "replica" else None
    exchange = settings.event_exchange
    events = RedisEvents(replica or broker, name, options=options, exchange=exchange)
    queues = RedisQueues(
        broker,
        name,
        known=known,
        configured=settings.queues,
        interval=settings.poll_interval,
        peek=settings.peek_messages,
        options=options,
        event_exchange=exchange,
        held_interval=settings.held_interval,
        tell=tell,
    )
    control = RedisControl(
        broker,
        name,
        workers=partial(_asked, listening),
        rounds=Rounds(enable=settings.enable_events, inspect=settings.inspect_interval),
        inspects=settings.inspect_interval > 0,
        exchange=settings.control_exchange,
        options=options,
    )
    return _broker(watched, broker.redacted, events, queues, control)


def _rabbitmq(watched: Named, *, known: Known, listening: Listening, tell: Tell) -> Broker:
    name, settings = watched.name, watched.settings
    addresses = amqp_address.parse(settings.url)
    own = settings.rabbitmq
    retain = Retain(own.retain)
    events = AmqpEvents(
        addresses,
        name,
        tell=tell,
        exchange=settings.event_exchange,
        queue_prefix=own.event_queue_prefix,
        retain=retain,
        bounds=Bounds(own.retain_messages, own.retain_bytes, own.retain_age),
        position=_position(own, name) if retain is Retain.STREAM else None,
    )
    queues = RabbitMqQueues(
        addresses,
        name,
        known=known,
        configured=settings.queues,
        management=_management(own, addresses[0].vhost),
        queue_prefix=own.event_queue_prefix,
        interval=settings.poll_interval,
        tell=tell,
    )
    control = AmqpControl(
        addresses,
        name,
        workers=partial(_asked, listening),
        rounds=Rounds(enable=settings.enable_events, inspect=settings.inspect_interval),
        exchange=settings.control_exchange,
        event_exchange=settings.event_exchange,
        queue_prefix=own.event_queue_prefix,
    )
    url = ";".join(address.redacted for address in addresses)
    return _broker(watched, url, events, queues, control)


def _position(own: RabbitmqSettings, name: str) -> Position:
    if own.state_dir is None:
        raise ConfigError("rabbitmq.retain = stream needs rabbitmq.state_dir, to remember how far")
    directory = Path(own.state_dir)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"rabbitmq.state_dir cannot be made: {exc.strerror}") from None
    return Position(directory / f"{quote(name, safe='')}.offset")


def _management(own: RabbitmqSettings, vhost: str) -> Management | None:
    if own.management is None:
        return None
    return Management(own.management, vhost, ca_certs=own.management_ca)


def _asked(listening: Listening) -> list[Asked]:
    return [Asked(*worker) for worker in listening()]


def _broker(watched: Named, url: str, events: Source, queues: Source, control: Source) -> Broker:
    name, settings = watched.name, watched.settings
    sources = {f"{name} events": events, f"{name} queues": queues}
    if settings.enable_events or settings.inspect_interval:
        sources[f"{name} control"] = control
    return Broker(system_of(watched.settings), url, sources)
