"""Where telemetry goes, and where it waits."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .values import (
    Bytes,
    Count,
    OptionalCompression,
    OptionalSeconds,
    OptionalUrl,
    Pairs,
    Seconds,
    SecretPairs,
)


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
