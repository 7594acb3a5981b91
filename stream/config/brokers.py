"""Where events come from."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .values import (
    BrokerName,
    BrokerUrl,
    Bytes,
    Count,
    ManagementUrl,
    Names,
    Options,
    Seconds,
    SecondsOrOff,
)


class RabbitmqSettings(Struct, frozen=True):
    """What concerns a RabbitMQ broker only."""

    retain: Annotated[
        Literal["none", "quorum", "stream"],
        Meta(
            description="Queue that keeps events while we are away: `quorum` (also over a restart "
            "of the broker), `stream`, or `none`",
            extra={"flag": "--retain"},
        ),
    ] = "none"
    retain_messages: Annotated[
        Count, Meta(description="Messages that our queue holds; beyond it the oldest are dropped")
    ] = 200_000
    retain_bytes: Annotated[Bytes, Meta(description="Size of our queue, likewise")] = 268_435_456
    retain_age: Annotated[
        Seconds, Meta(description="Seconds for which a retained queue keeps events")
    ] = 3600.0
    state_dir: Annotated[
        str | None,
        Meta(
            description="Directory that remembers how far a stream was read",
            extra={"phrase": "a directory"},
        ),
    ] = None
    event_queue_prefix: Annotated[str, Meta(description="As Celery's setting of this name")] = (
        "celeryev"
    )
    management: Annotated[
        ManagementUrl,
        Meta(
            description="URL of the management API, for unacknowledged messages: "
            "`http://user:password@host:15672`"
        ),
    ] = None
    management_ca: Annotated[
        str | None, Meta(description="File with the authorities that it is checked with")
    ] = None


class BrokerOptions(Struct, frozen=True):
    """What concerns one broker; of several, each may have its own."""

    broker_transport_options: Annotated[
        Options,
        Meta(description="What the application has in Celery's setting of this name (in Redis)"),
    ] = {}
    event_exchange: Annotated[str, Meta(description="As Celery's setting of this name")] = (
        "celeryev"
    )
    events_from: Annotated[
        Literal["master", "replica"],
        Meta(description="Which server of a Sentinel broker the events are read from"),
    ] = "master"
    held_interval: Annotated[
        SecondsOrOff,
        Meta(
            description="Seconds between two looks at the messages that workers hold, by queue (in "
            "Redis; costs about 10 ms for 2,000 messages); 0: never"
        ),
    ] = 0.0
    queues: Annotated[
        Names, Meta(description="Queues to measure besides those that are found")
    ] = ()
    poll_interval: Annotated[
        Seconds, Meta(description="Seconds between two looks at the queue keys")
    ] = 5.0
    peek_messages: Annotated[
        Count,
        Meta(
            description="Messages at the head of each queue that are looked at, for their age and "
            "the trace that they belong to"
        ),
    ] = 1
    enable_events: Annotated[
        bool,
        Meta(
            description="Tell workers to send task events, as if started with `-E` (by Celery's "
            "remote control): each once, and again while it sends none, at most once a minute"
        ),
    ] = False
    inspect_interval: Annotated[
        SecondsOrOff,
        Meta(
            description="Seconds, at least 60, between two questions to each worker: its pool, its "
            "queues, what it runs (by Celery's remote control); 0: none"
        ),
    ] = 0.0
    control_exchange: Annotated[str, Meta(description="As Celery's setting of this name")] = (
        "celery"
    )
    rabbitmq: RabbitmqSettings = RabbitmqSettings()


class BrokerSettings(BrokerOptions, frozen=True):
    """One of several brokers, or one that has a name."""

    url: Annotated[BrokerUrl, Meta(description="As `broker`")] = "redis://127.0.0.1:6379/0"
    name: Annotated[BrokerName, Meta(description="Tells it from the others; unset: its place")] = (
        None
    )
