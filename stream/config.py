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
OptionalSeconds: TypeAlias = Annotated[
    Seconds | None, Meta(extra={"phrase": "a number of seconds above 0"})
]
OptionalCompression: TypeAlias = Annotated[
    Literal["gzip", "none"] | None, Meta(extra={"phrase": "gzip or none"})
]
Count: TypeAlias = Annotated[
    int, Meta(ge=1, le=_MOST_ITEMS, extra={"phrase": "a whole number above 0"})
]
Bytes: TypeAlias = Annotated[
    int, Meta(ge=1, le=2**62, extra={"phrase": "a number of bytes above 0"})
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
OptionalTraceUrl: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+\S*\{trace_id\}\S*$")] | None,
    Meta(extra={"phrase": "an http:// or https:// URL with {trace_id} in it"}),
]
_BROKER_URL = r"(rediss?|unix|redis\+socket|sentinel|amqps?|pyamqp)://\S*"
BROKER_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_NAMED_URL = rf"({BROKER_NAME}=)?{_BROKER_URL}"
_URL_PHRASE = (
    "a redis://, rediss://, redis+socket://, unix://, sentinel://, amqp:// or amqps:// URL"
)
# Shown nowhere, not even when they are wrong: they may hold a password in any position.
BrokerUrl: TypeAlias = Annotated[
    str, Meta(pattern=rf"^{_BROKER_URL}$", extra={"phrase": _URL_PHRASE, "secret": True})
]
# White space is in no URL, so it cannot be taken for the ; between the servers of one broker;
# beside such a ; it is a slip.
BrokerUrls: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{_NAMED_URL}((?<!;)\s+{_NAMED_URL})*$",
        extra={"phrase": _URL_PHRASE, "secret": True, "repeated": True},
    ),
]
BrokerName: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=rf"^{BROKER_NAME}$")] | None,
    Meta(extra={"phrase": "a name of letters, digits, and . _ -"}),
]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1, extra={"phrase": "a number from 0 to 1"})]
Compats: TypeAlias = Annotated[
    tuple[Literal["celery-exporter", "flower"], ...],
    Meta(extra={"phrase": "celery-exporter, flower or both"}),
]
Names: TypeAlias = Annotated[tuple[str, ...], Meta(extra={"phrase": "a list of names"})]
ManagementUrl: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+")] | None,
    Meta(extra={"phrase": "an http:// or https:// URL", "secret": True}),
]
# Both are sent as one header: no line may end within.
BasicCredentials: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=r"^[^:\x00-\x1f]+:[^\x00-\x1f]+$")] | None,
    Meta(extra={"phrase": "USER:PASSWORD", "secret": True}),
]
Token: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=r"^[!-~]+$")] | None,
    Meta(extra={"phrase": "a text of printable ASCII characters without spaces", "secret": True}),
]
Pairs: TypeAlias = Annotated[
    dict[str, str], Meta(extra={"phrase": "a table of texts (key=value,key=value)"})
]
# Sentinel's password is among them.
Options: TypeAlias = Annotated[
    dict[str, object], Meta(extra={"phrase": "a table (as JSON)", "json": True, "secret": True})
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


class BeatRule(Struct, frozen=True):
    """How often the tasks are sent whose name and queue match patterns (``fnmatch``).

    The first rule that matches decides.
    """

    task: Annotated[str, Meta(description="Pattern of task names, like `reports.nightly`")] = "*"
    queue: Annotated[
        str | None, Meta(description="Pattern of queue names; unset: any, and those not known")
    ] = None
    every: SecondsOrOff = 0.0
    """Seconds between two sendings; 0: not to be judged."""
    slack: OptionalLimit = None
    """Seconds that one may be late; None: a tenth of the interval, 2 s to a minute."""


class BeatSettings(Struct, frozen=True):
    """What is expected of Celery Beat."""

    learn: Annotated[
        bool,
        Meta(
            description="Also expect tasks that were sent five times at one interval, not only "
            "those that `[[beat_rules]]` declare"
        ),
    ] = True


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


class SpanSettings(Struct, frozen=True):
    """Which spans are made. Metrics are counted before, so none of this changes them."""

    process: Annotated[
        Literal["always", "anomalies", "never"],
        Meta(
            description="Spans of runs: `always`; `anomalies`: only failed, lost, retried, "
            "redelivered and slow ones, for workers that are instrumented themselves; `never`"
        ),
    ] = "always"
    send: Annotated[
        Literal["always", "never"],
        Meta(
            description="Spans of publishing, where producers tell of it: `always`; `never`: runs "
            "hang on the run that sent them"
        ),
    ] = "always"
    wait: Annotated[
        SecondsOrOff,
        Meta(description="Seconds of waiting from which a wait is a span of its own; 0: never"),
    ] = 1.0
    slow: Annotated[
        SecondsOrOff, Meta(description="Seconds of running from which a run is slow; 0: never")
    ] = 30.0
    sampler: Annotated[
        Literal[
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ],
        Meta(
            description="Which traces are kept, by OpenTelemetry's names; failed, lost, retried "
            "and slow runs are kept always"
        ),
    ] = "parentbased_always_on"
    ratio: Annotated[
        Share, Meta(description="Share of traces that the `traceidratio` samplers keep")
    ] = 1.0
    budget: Annotated[
        SecondsOrOff,
        Meta(
            description="Spans per second above which a smaller share of traces is kept; 0: none",
            extra={"phrase": "a number of spans per second, 0 for none"},
        ),
    ] = 0.0


class RecordSettings(Struct, frozen=True):
    """What the log records tell."""

    lifecycle: Annotated[
        bool, Meta(description="Also a record for each run that starts and each that completes")
    ] = False
    arguments: Annotated[
        bool, Meta(description="Tell the arguments of tasks, as far as events have them")
    ] = False
    results: Annotated[bool, Meta(description="Tell the results of tasks")] = False
    redact: Annotated[
        Names,
        Meta(description="Patterns of argument names, and keys in them, whose values are hidden"),
    ] = (
        *("*password*", "*passwd*", "*secret*", "*token*", "*api*key*", "*credential*"),
        *(
            "auth",
            "authoriz*",
            "*_auth",
            "*cookie*",
            "*session*",
            "*private*key*",
            "*card*number*",
            "cvv",
            "cvc",
        ),
    )
    argument_characters: Annotated[
        Count, Meta(description="Characters of arguments, and of a result, that are told")
    ] = 1_024


class CaptureSettings(Struct, frozen=True):
    """Recording what comes in, for `celery-stream replay`."""

    dir: Annotated[
        str | None,
        Meta(
            description="Directory, or `DIR/NAME.jsonl.zst` (`.gz`, or plain), that all messages "
            "are recorded in",
            extra={"flag": "--capture", "phrase": "a directory"},
        ),
    ] = None
    arguments: Annotated[
        Literal["keep", "redact", "drop"],
        Meta(description="What becomes of the arguments and results of tasks in it"),
    ] = "redact"
    max_bytes: Annotated[Bytes, Meta(description="Size of a file before the next begins")] = (
        268_435_456
    )
    max_age: Annotated[Seconds, Meta(description="Seconds in a file before the next begins")] = (
        3600.0
    )
    keep: Annotated[Count, Meta(description="Files that are kept; the oldest go")] = 48
    buffer_frames: Annotated[
        Count, Meta(description="Messages that wait to be written; further ones are left out")
    ] = 100_000
    buffer_bytes: Annotated[Bytes, Meta(description="Memory that those take")] = 67_108_864


class PageSettings(Struct, frozen=True):
    """The live page."""

    enabled: Annotated[
        bool,
        Meta(description="Serve the live page and its API", extra={"flag": "--page"}),
    ] = True
    history: Annotated[
        Count,
        Meta(
            description="Ended tasks that it can show, about 1 kB each; of those that failed a "
            "tenth as many"
        ),
    ] = 10_000
    arguments: Annotated[
        bool,
        Meta(
            description="Show the arguments and results of tasks, redacted like in log records; "
            "`log_records.arguments` and `log_records.results` show them too"
        ),
    ] = False
    trace_url: Annotated[
        OptionalTraceUrl,
        Meta(
            description="Where traces can be looked at, with `{trace_id}` (and `{span_id}`) in it: "
            "`https://jaeger.example/trace/{trace_id}`"
        ),
    ] = None


class AccessSettings(Struct, frozen=True):
    """Who may ask. `/live` and `/ready` are always answered, for probes."""

    basic: Annotated[
        BasicCredentials,
        Meta(description="`user:password` that requests must have (HTTP Basic); unset: none"),
    ] = None
    token: Annotated[
        Token,
        Meta(
            description="Token that requests must have (`Authorization: Bearer`, or the password "
            "of HTTP Basic); with `access.basic`, either will do"
        ),
    ] = None
    certificate: Annotated[
        str | None, Meta(description="File with our certificate chain: serve HTTPS")
    ] = None
    key: Annotated[
        str | None, Meta(description="File with its private key; unset: in the same file")
    ] = None
    hosts: Annotated[
        Names,
        Meta(
            description="Names under which it may be asked for (`Host` header; patterns), besides "
            "addresses and `localhost`; unset: none on loopback, else any"
        ),
    ] = ()


class SpoolSettings(Struct, frozen=True):
    """Where spans and log records wait that the receiver does not take."""

    dir: Annotated[
        str | None,
        Meta(
            description="Directory in which they wait on disk; unset: only in memory",
            extra={"flag": "--spool", "phrase": "a directory"},
        ),
    ] = None
    max_bytes: Annotated[
        Bytes,
        Meta(
            description="Size of all files in it; beyond it the oldest are given up",
        ),
    ] = 1_000_000_000
    after: Annotated[
        Seconds,
        Meta(description="Seconds without an acknowledgement after which a batch goes there"),
    ] = 10.0


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
    traces_timeout: Annotated[
        OptionalSeconds, Meta(description="Instead of `otlp.timeout`, for traces")
    ] = None
    traces_compression: Annotated[
        OptionalCompression, Meta(description="Instead of `otlp.compression`, for traces")
    ] = None
    traces_certificate: Annotated[
        str | None, Meta(description="Instead of `otlp.certificate`, for traces")
    ] = None
    traces_client_certificate: Annotated[
        str | None, Meta(description="Instead of `otlp.client_certificate`, for traces")
    ] = None
    traces_client_key: Annotated[
        str | None, Meta(description="Instead of `otlp.client_key`, for traces")
    ] = None
    metrics_timeout: Annotated[
        OptionalSeconds, Meta(description="Instead of `otlp.timeout`, for metrics")
    ] = None
    metrics_compression: Annotated[
        OptionalCompression, Meta(description="Instead of `otlp.compression`, for metrics")
    ] = None
    metrics_certificate: Annotated[
        str | None, Meta(description="Instead of `otlp.certificate`, for metrics")
    ] = None
    metrics_client_certificate: Annotated[
        str | None, Meta(description="Instead of `otlp.client_certificate`, for metrics")
    ] = None
    metrics_client_key: Annotated[
        str | None, Meta(description="Instead of `otlp.client_key`, for metrics")
    ] = None
    logs_timeout: Annotated[
        OptionalSeconds, Meta(description="Instead of `otlp.timeout`, for logs")
    ] = None
    logs_compression: Annotated[
        OptionalCompression, Meta(description="Instead of `otlp.compression`, for logs")
    ] = None
    logs_certificate: Annotated[
        str | None, Meta(description="Instead of `otlp.certificate`, for logs")
    ] = None
    logs_client_certificate: Annotated[
        str | None, Meta(description="Instead of `otlp.client_certificate`, for logs")
    ] = None
    logs_client_key: Annotated[
        str | None, Meta(description="Instead of `otlp.client_key`, for logs")
    ] = None
    traces: Annotated[bool, Meta(description="Send traces")] = True
    metrics: Annotated[bool, Meta(description="Send metrics")] = True
    logs: Annotated[bool, Meta(description="Send logs")] = True
    disabled: Annotated[bool, Meta(description="Send nothing at all")] = False
    metric_interval: Annotated[
        Seconds, Meta(description="Seconds between two exports of metrics")
    ] = 15.0
    # Larger batches hold the interpreter for longer: 512 spans are about 11 ms.
    batch_items: Annotated[Count, Meta(description="Spans, or records, in one request")] = 2_000
    batch_age: Annotated[
        Seconds, Meta(description="Seconds that an item waits for its batch to fill")
    ] = 2.0
    # About 50 MB of spans: an outage of some minutes at a hundred tasks a second.
    buffer_items: Annotated[
        Count, Meta(description="Spans, and records, that wait while the receiver is away")
    ] = 50_000
    buffer_bytes: Annotated[
        Bytes,
        Meta(
            description="Memory that those take, about",
        ),
    ] = 100_000_000
    histograms: Annotated[
        Literal["explicit_bucket_histogram", "base2_exponential_bucket_histogram"],
        Meta(description="How durations are sent; the page always has explicit buckets"),
    ] = "explicit_bucket_histogram"
    exemplars: Annotated[
        Literal["always_on", "trace_based", "always_off"],
        Meta(description="`always_off`: metrics name no failed or slow run as an example"),
    ] = "trace_based"
    service_name: Annotated[
        str | None,
        Meta(description="`service.name`; unset: `celery-stream` for metrics, `celery` for tasks"),
    ] = None
    resource_attributes: Annotated[
        Pairs, Meta(description="Added to the resource of everything sent")
    ] = {}


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


class Settings(BrokerOptions, frozen=True):
    """All settings of ``celery-stream run``."""

    broker: Annotated[
        BrokerUrls,
        Meta(
            description="URL of the broker whose events are read. Several: the flag repeated, "
            "white space between them, or `[[broker]]` tables; each may be `NAME=URL`"
        ),
    ] = "redis://127.0.0.1:6379/0"
    brokers: tuple[BrokerSettings, ...] = ()
    """Where there are several, or one has a name; `broker` and the options of its own else."""
    listen: Annotated[
        HostPort,
        Meta(description="Where the page, `/metrics` and `/health` are served; port 0: any free"),
    ] = "127.0.0.1:9540"
    compat: Annotated[
        Compats,
        Meta(
            description="Whose metrics `/metrics` tells instead of ours: `celery-exporter`, "
            "`flower` or both; `/metrics?compat=…` asks for one page, `compat=none` for ours"
        ),
    ] = ()
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
    beat: BeatSettings = BeatSettings()
    beat_rules: tuple[BeatRule, ...] = ()
    graces: Graces = Graces()
    spans: SpanSettings = SpanSettings()
    log_records: RecordSettings = RecordSettings()
    page: PageSettings = PageSettings()
    access: AccessSettings = AccessSettings()
    capture: CaptureSettings = CaptureSettings()
    spool: SpoolSettings = SpoolSettings()
    otlp: OtlpSettings = OtlpSettings()


def host_and_port(listen: str) -> tuple[str, int]:
    """Split a valid ``HOST:PORT``; the brackets of an IPv6 address are taken off."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
