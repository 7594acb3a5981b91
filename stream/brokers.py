"""What reads a broker, by the scheme of its URL: its events and its queues."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from .config import RabbitmqSettings, Settings
from .errors import ConfigError, RefusedError
from .occurrences import Tell
from .sources import amqp_address
from .sources.amqp import AmqpEvents
from .sources.amqp_position import Position
from .sources.amqp_queue import Bounds, Retain
from .sources.amqp_queues import RabbitMqQueues
from .sources.base import Source
from .sources.broker import on_replica, parse_broker
from .sources.queues import RedisQueues
from .sources.rabbitmq_management import Management
from .sources.redis import RedisEvents

REDIS = "redis"
RABBITMQ = "rabbitmq"


class Broker(Struct, frozen=True):
    """A broker that is to be read."""

    system: str
    """Its name in OpenTelemetry's conventions, ``messaging.system``."""
    url: str
    """Without user and password."""
    sources: Mapping[str, Source]
    """By what they read: its events and its queues."""


def broker_of(settings: Settings, *, known: Callable[[], Iterable[str]], tell: Tell) -> Broker:
    """Return what reads the broker that is configured; opens nothing.

    Args:
        settings: all of them.
        known: queues that events named.
        tell: hears of what the sources do.

    Raises:
        ConfigError: its URL or its options cannot be used.
    """
    scheme = settings.broker.partition("://")[0]
    read = _rabbitmq if scheme in amqp_address.SCHEMES else _redis
    try:
        return read(settings, known=known, tell=tell)
    except RefusedError as error:
        raise ConfigError(f"broker is wrong: {error}") from None


def _redis(settings: Settings, *, known: Callable[[], Iterable[str]], tell: Tell) -> Broker:
    broker, options = parse_broker(settings.broker, settings.broker_transport_options)
    replica = on_replica(broker) if settings.events_from == "replica" else None
    exchange = settings.event_exchange
    events = RedisEvents(replica or broker, REDIS, options=options, exchange=exchange)
    queues = RedisQueues(
        broker,
        REDIS,
        known=known,
        configured=settings.queues,
        interval=settings.poll_interval,
        peek=settings.peek_messages,
        options=options,
        event_exchange=exchange,
        held_interval=settings.held_interval,
        tell=tell,
    )
    return _broker(REDIS, broker.redacted, events, queues)


def _rabbitmq(settings: Settings, *, known: Callable[[], Iterable[str]], tell: Tell) -> Broker:
    addresses = amqp_address.parse(settings.broker)
    own = settings.rabbitmq
    retain = Retain(own.retain)
    events = AmqpEvents(
        addresses,
        RABBITMQ,
        tell=tell,
        exchange=settings.event_exchange,
        queue_prefix=own.event_queue_prefix,
        retain=retain,
        bounds=Bounds(own.retain_messages, own.retain_bytes, own.retain_age),
        position=_position(own) if retain is Retain.STREAM else None,
    )
    queues = RabbitMqQueues(
        addresses,
        RABBITMQ,
        known=known,
        configured=settings.queues,
        management=_management(own, addresses[0].vhost),
        queue_prefix=own.event_queue_prefix,
        interval=settings.poll_interval,
        tell=tell,
    )
    url = ";".join(address.redacted for address in addresses)
    return _broker(RABBITMQ, url, events, queues)


def _position(own: RabbitmqSettings) -> Position:
    if own.state_dir is None:
        raise ConfigError("rabbitmq.retain = stream needs rabbitmq.state_dir, to remember how far")
    directory = Path(own.state_dir)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"rabbitmq.state_dir cannot be made: {exc.strerror}") from None
    return Position(directory / f"{RABBITMQ}.offset")


def _management(own: RabbitmqSettings, vhost: str) -> Management | None:
    if own.management is None:
        return None
    return Management(own.management, vhost, ca_certs=own.management_ca)


def _broker(system: str, url: str, events: Source, queues: Source) -> Broker:
    return Broker(system, url, {f"{system} events": events, f"{system} queues": queues})
