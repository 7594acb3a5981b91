"""The plainest encoder of records: the generated protobuf classes, one field after the other.

What it says is what the wire bytes of `stream.export.encoding` have to say.
"""

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from stream import __version__

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
HAS_REMOTE, IS_REMOTE, TRACE_FLAGS = 0x100, 0x200, 0xFF


def spans_request(spans):
    request = ExportTraceServiceRequest()
    scopes = {}
    for span in spans:
        scope = scopes.get(span.resource)
        if scope is None:
            group = request.resource_spans.add()
            write_attributes(group.resource.attributes, span.resource.attributes)
            scope = scopes[span.resource] = group.scope_spans.add(schema_url=SCHEMA_URL)
            write_scope(scope.scope)
        write_span(scope.spans.add(), span)
    return request


def logs_request(logs):
    request = ExportLogsServiceRequest()
    scopes = {}
    for log in logs:
        scope = scopes.get(log.resource)
        if scope is None:
            group = request.resource_logs.add()
            write_attributes(group.resource.attributes, log.resource.attributes)
            scope = scopes[log.resource] = group.scope_logs.add(schema_url=SCHEMA_URL)
            write_scope(scope.scope)
        write_log(scope.log_records.add(), log)
    return request


def write_span(message, span):
    message.trace_id = span.trace_id.to_bytes(16, "big")
    message.span_id = span.span_id.to_bytes(8, "big")
    message.trace_state = clean(span.trace_state)
    message.flags = span.flags & TRACE_FLAGS | HAS_REMOTE
    if span.parent_span_id is not None:
        message.parent_span_id = span.parent_span_id.to_bytes(8, "big")
        message.flags |= IS_REMOTE
    message.name = clean(span.name)
    message.kind = int(span.kind)
    message.start_time_unix_nano = span.start_ns
    message.end_time_unix_nano = span.end_ns
    write_attributes(message.attributes, span.all_attributes())
    for link in span.links:
        message.links.add(
            trace_id=link.trace_id.to_bytes(16, "big"),
            span_id=link.span_id.to_bytes(8, "big"),
            flags=HAS_REMOTE | IS_REMOTE,
        )
    if span.error is not None:
        message.status.code = Status.StatusCode.STATUS_CODE_ERROR
        message.status.message = clean(span.error)


def write_log(message, log):
    message.time_unix_nano = log.time_ns
    message.observed_time_unix_nano = log.time_ns
    message.event_name = clean(log.event_name)
    message.severity_number = int(log.severity)
    message.severity_text = log.severity.name
    message.body.string_value = clean(log.body)
    if log.trace_id is not None and log.span_id is not None:
        message.trace_id = log.trace_id.to_bytes(16, "big")
        message.span_id = log.span_id.to_bytes(8, "big")
        message.flags = log.flags & TRACE_FLAGS
    write_attributes(message.attributes, log.attributes)


def write_scope(scope):
    scope.name = "stream"
    scope.version = __version__


def write_attributes(target, attributes):
    for key, value in attributes:
        write_value(target.add(key=clean(key)).value, value)


def write_value(holder, value):
    match value:
        case str():
            holder.string_value = clean(value)
        case bool():
            holder.bool_value = value
        case int() if -(2**63) <= value < 2**63:
            holder.int_value = value
        case int():
            holder.string_value = str(value)
        case float():
            holder.double_value = value


def clean(text):
    return text.encode("utf-8", "replace").decode()
