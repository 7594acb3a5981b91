"""What we tell: spans, log records, recordings and the page."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .values import (
    BasicCredentials,
    Bytes,
    Count,
    Names,
    OptionalTraceUrl,
    Seconds,
    SecondsOrOff,
    Share,
    Token,
)


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
