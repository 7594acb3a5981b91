"""The settings: what there is to set, each declared once.

A field's type, default and description are all that is written down; `configure` derives from
them the key in the file, the environment variable, the flag, the validation and the reference
table. Constructing these classes in code validates nothing: `configure.load` is the door.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

# Above any sensible value and far below where adding it to an epoch instant loses precision;
# it also refuses infinity.
_MOST_SECONDS = 1e9
_MOST_ITEMS = 100_000_000
_PORT = r"(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])"

Seconds: TypeAlias = Annotated[
    float, Meta(gt=0, le=_MOST_SECONDS, extra={"phrase": "a number of seconds above 0"})
]
SecondsOrOff: TypeAlias = Annotated[
    float, Meta(ge=0, le=_MOST_SECONDS, extra={"phrase": "a number of seconds, 0 for off"})
]
OptionalLimit: TypeAlias = Annotated[
    SecondsOrOff | None, Meta(extra={"phrase": "a number of seconds, 0 for off"})
]
Count: TypeAlias = Annotated[
    int, Meta(ge=1, le=_MOST_ITEMS, extra={"phrase": "a whole number above 0"})
]
HostPort: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]@]+):{_PORT}$",
        extra={"phrase": "HOST:PORT with a port up to 65535"},
    ),
]
OptionalUrl: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+")] | None,
    Meta(extra={"phrase": "an http:// or https:// URL"}),
]
BrokerUrl: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(rediss?|unix|redis\+socket)://\S+$",
        # Shown nowhere, not even when it is wrong: it may hold a password in any position.
        extra={"phrase": "a redis://, rediss://, unix:// or redis+socket:// URL", "secret": True},
    ),
]
Pairs: TypeAlias = Annotated[
    dict[str, str], Meta(extra={"phrase": "a table of texts (key=value,key=value)"})
]
# Headers carry tokens.
SecretPairs: TypeAlias = Annotated[Pairs, Meta(extra={"secret": True})]


class StuckLimits(Struct, frozen=True):
    """After how many seconds in a phase a task is called stuck; 0 turns the phase off."""

    queued: Annotated[
        SecondsOrOff,
        Meta(description="Seconds in a queue, beyond its ETA, after which a task is stuck; 0: off"),
    ] = 300.0
    prefetched: Annotated[
        SecondsOrOff, Meta(description="Seconds at a worker, not started; 0: off")
    ] = 300.0
    running: Annotated[SecondsOrOff, Meta(description="Seconds in one run; 0: off")] = 600.0
    retrying: Annotated[
        SecondsOrOff, Meta(description="Seconds beyond the retry's own countdown; 0: off")
    ] = 300.0


class StuckRule(Struct, frozen=True):
    """Limits of its own for the tasks whose name and queue match patterns (``fnmatch``).

    None takes the limit of `StuckLimits`. The first rule that matches decides.
    """

    task: Annotated[str, Meta(description="Pattern of task names, like `reports.*`")] = "*"
    queue: Annotated[
        str | None, Meta(description="Pattern of queue names; unset: any, and those not known")
    ] = None
    queued: OptionalLimit = None
    prefetched: OptionalLimit = None
    running: OptionalLimit = None
    retrying: OptionalLimit = None


class Graces(Struct, frozen=True):
    """How long to wait before a worker or a task is given up. All but the first are rarely set."""

    suspect: Annotated[
        Seconds,
        Meta(description="Seconds without heartbeat that make a worker suspect; at least three"),
    ] = 10.0
    # A solo pool sends no heartbeat while it works, so this bounds how long its tasks may run.
    lost: Annotated[
        Seconds, Meta(description="Seconds without heartbeat after which its work is lost")
    ] = 300.0
    replaced: Annotated[
        Seconds,
        Meta(description="Instead, where another process of its node name has come since"),
    ] = 60.0
    offline: Annotated[
        Seconds, Meta(description="Seconds after a worker's goodbye that its events may still come")
    ] = 10.0
    excess: Annotated[
        Seconds,
        Meta(description="Seconds for which a worker must report less work than we count"),
    ] = 60.0
    sent: Annotated[
        Seconds,
        Meta(description="Seconds until a task that is in no queue and at no worker is unknown"),
    ] = 30.0
    redelivery: Annotated[
        Seconds,
        Meta(description="Seconds for a lost worker's message to come again: Redis' visibility"),
    ] = 3600.0
    silent: Annotated[
        Seconds, Meta(description="Seconds after which a task that nothing is heard of is unknown")
    ] = 86_400.0
    remembered: Annotated[
        Seconds, Meta(description="Seconds for which an ended task is recognised")
    ] = 120.0

    @property
    def longest(self) -> float:
        """After this much time without any event nothing is open any more."""
        return self.silent + self.redelivery + self.lost + self.remembered + 2 * self.suspect


class OtlpSettings(Struct, frozen=True):
    """Where telemetry goes. No endpoint for a signal: it is counted and shown, not sent."""

    endpoint: Annotated[
        OptionalUrl, Meta(description="Base URL of the receiver; `/v1/traces` … are appended")
    ] = None
    traces_endpoint: Annotated[
        OptionalUrl, Meta(description="Full URL for traces; wins over `otlp.endpoint`")
    ] = None
    metrics_endpoint: Annotated[
        OptionalUrl, Meta(description="Full URL for metrics; wins over `otlp.endpoint`")
    ] = None
    logs_endpoint: Annotated[
        OptionalUrl, Meta(description="Full URL for logs; wins over `otlp.endpoint`")
    ] = None
    headers: Annotated[SecretPairs, Meta(description="Headers of each request")] = {}
    traces_headers: Annotated[
        SecretPairs, Meta(description="Instead of `otlp.headers`, for traces")
    ] = {}
    metrics_headers: Annotated[
        SecretPairs, Meta(description="Instead of `otlp.headers`, for metrics")
    ] = {}
    logs_headers: Annotated[
        SecretPairs, Meta(description="Instead of `otlp.headers`, for logs")
    ] = {}
    protocol: Annotated[
        Literal["http/protobuf"], Meta(description="The only one that is spoken")
    ] = "http/protobuf"
    timeout: Annotated[Seconds, Meta(description="Seconds for one request")] = 10.0
    compression: Annotated[
        Literal["gzip", "none"], Meta(description="Of the request bodies: `gzip` or `none`")
    ] = "gzip"
    certificate: Annotated[
        str | None, Meta(description="File with the authorities that the receiver is checked with")
    ] = None
    client_certificate: Annotated[
        str | None, Meta(description="File with our certificate, for mutual TLS")
    ] = None
    client_key: Annotated[str | None, Meta(description="File with our private key")] = None
    traces: Annotated[bool, Meta(description="Send traces")] = True
    metrics: Annotated[bool, Meta(description="Send metrics")] = True
    logs: Annotated[bool, Meta(description="Send logs")] = True
    disabled: Annotated[bool, Meta(description="Send nothing at all")] = False
    metric_interval: Annotated[
        Seconds, Meta(description="Seconds between two exports of metrics")
    ] = 15.0
    # Larger batches hold the interpreter for longer: 512 spans are about 11 ms.
    batch_items: Annotated[Count, Meta(description="Spans, or records, in one request")] = 512
    batch_age: Annotated[
        Seconds, Meta(description="Seconds that an item waits for its batch to fill")
    ] = 2.0
    # About 50 MB of spans: an outage of some minutes at a hundred tasks a second.
    buffer_items: Annotated[
        Count, Meta(description="Spans, and records, that wait while the receiver is away")
    ] = 50_000
    service_name: Annotated[
        str | None,
        Meta(description="`service.name`; unset: `celery-stream` for metrics, `celery` for tasks"),
    ] = None
    resource_attributes: Annotated[
        Pairs, Meta(description="Added to the resource of everything sent")
    ] = {}


class Settings(Struct, frozen=True):
    """All settings of ``celery-stream run``."""

    broker: Annotated[BrokerUrl, Meta(description="URL of the broker whose events are read")] = (
        "redis://127.0.0.1:6379/0"
    )
    listen: Annotated[
        HostPort, Meta(description="Where `/metrics` and `/health` are served; port 0: any free")
    ] = "127.0.0.1:9540"
    queues: Annotated[
        tuple[str, ...],
        Meta(
            description="Queues to measure besides those that are found",
            extra={"phrase": "a list of names"},
        ),
    ] = ()
    poll_interval: Annotated[
        Seconds, Meta(description="Seconds between two looks at the queue keys")
    ] = 5.0
    grace: Annotated[
        Seconds, Meta(description="Seconds for draining and flushing after SIGTERM")
    ] = 10.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Of the service's own log: `debug`, `info`, `warning` or `error`"),
    ] = "info"
    records: Annotated[
        bool, Meta(description="Also write the log records as JSON lines to stdout")
    ] = True
    max_tasks: Annotated[Count, Meta(description="Tasks in flight that are followed at once")] = (
        1_000_000
    )
    max_kinds: Annotated[
        Count,
        Meta(description="Pairs of task name and queue; further ones are counted as `other`"),
    ] = 2_000
    channel_frames: Annotated[
        Count,
        Meta(description="Messages that wait for the engine before the oldest are shed"),
    ] = 20_000
    stuck: StuckLimits = StuckLimits()
    stuck_rules: tuple[StuckRule, ...] = ()
    graces: Graces = Graces()
    otlp: OtlpSettings = OtlpSettings()


def host_and_port(listen: str) -> tuple[str, int]:
    """Split a valid ``HOST:PORT``; the brackets of an IPv6 address are taken off."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
