"""Send each signal's receiver a test export.

It is a request with a resource and nothing in it: "a request that does not carry any telemetry
data", which the receiver should answer with success (opentelemetry.io/docs/specs/otlp). So it shows
that address, path, certificates, compression and credentials are right, and leaves nothing behind.
"""

from functools import partial
from typing import TypeAlias

import anyio
import anyio.to_thread
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ..config import OtlpSettings
from ..export.batch import Batch
from ..export.post import Outcome, Poster
from ..export.target import Target, target_for
from ..occurrences import Signal
from ..sources.address import redact
from .judge_export import Posted

Request: TypeAlias = (
    ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
)


def targets_of(settings: OtlpSettings) -> tuple[Target, ...]:
    """Where the signals go that go anywhere."""
    found = [target_for(settings, signal) for signal in Signal]
    return tuple(target for target in found if target is not None)


async def look_at_export(targets: tuple[Target, ...]) -> tuple[Posted, ...]:
    """Send one request to each, all at once."""
    outcomes: dict[Signal, Outcome] = {}

    async def send(target: Target) -> None:
        outcomes[target.signal] = await anyio.to_thread.run_sync(partial(_post, target))

    async with anyio.create_task_group() as tasks:
        for target in targets:
            tasks.start_soon(send, target, name=f"test {target.signal}")
    return tuple(Posted(each.signal, redact(each.url), outcomes[each.signal]) for each in targets)


def _post(target: Target) -> Outcome:
    poster = Poster(target)
    try:
        body = Batch.of(1, _message(target.signal), gzip=target.gzip).body
        return poster.post(body, timeout=target.timeout)
    finally:
        poster.close()


def _message(signal: Signal) -> bytes:
    name = KeyValue(key="service.name", value=AnyValue(string_value="celery-stream"))
    return bytes(_request(signal, Resource(attributes=[name])).SerializeToString())


def _request(signal: Signal, resource: Resource) -> Request:
    match signal:
        case Signal.TRACES:
            return ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource)])
        case Signal.METRICS:
            metrics = [ResourceMetrics(resource=resource)]
            return ExportMetricsServiceRequest(resource_metrics=metrics)
        case Signal.LOGS:
            return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource)])
