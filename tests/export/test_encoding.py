import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from stream.export.encoding import encode_logs, encode_spans
from stream.export.records import Link, Log, Resource, Severity, Span, SpanKind
from tests.otlp import attributes_of

RESOURCE = Resource((("service.name", "celery"), ("host.name", "box")))


def make_span(**changes):
    values = {
        "resource": RESOURCE,
        "trace_id": 0xABC,
        "span_id": 0xDEF,
        "parent_span_id": None,
        "flags": 1,
        "trace_state": "",
        "name": "process shop.pay",
        "kind": SpanKind.CONSUMER,
        "start_ns": 1_700_000_000_000_000_000,
        "end_ns": 1_700_000_001_000_000_000,
        "attributes": [],
    }
    return Span(**{**values, **changes})


def make_log(**changes):
    values = {
        "resource": RESOURCE,
        "time_ns": 1_700_000_000_000_000_000,
        "event_name": "celery.task.lost",
        "severity": Severity.ERROR,
        "body": "gone",
        "trace_id": 0xABC,
        "span_id": 0xDEF,
        "flags": 1,
        "attributes": [],
    }
    return Log(**{**values, **changes})


def read_spans(*spans):
    return ExportTraceServiceRequest.FromString(encode_spans([lambda s=s: s for s in spans]))


def read_span(span):
    return read_spans(span).resource_spans[0].scope_spans[0].spans[0]


def read_log(log):
    request = ExportLogsServiceRequest.FromString(encode_logs([log]))
    return request.resource_logs[0].scope_logs[0].log_records[0]


def test_a_span_is_read_back_as_it_was():
    read = read_span(
        make_span(
            parent_span_id=0x123,
            trace_state="a=b",
            attributes=[("text", "é"), ("yes", True), ("count", 3), ("ratio", 0.5)],
            links=(Link(0xABC, 0x456),),
        )
    )

    assert int.from_bytes(read.trace_id, "big") == 0xABC
    assert int.from_bytes(read.span_id, "big") == 0xDEF
    assert int.from_bytes(read.parent_span_id, "big") == 0x123
    assert (len(read.trace_id), len(read.span_id)) == (16, 8)
    assert (read.name, read.trace_state) == ("process shop.pay", "a=b")
    assert read.kind == SpanMessage.SPAN_KIND_CONSUMER
    assert read.end_time_unix_nano - read.start_time_unix_nano == 1_000_000_000
    assert attributes_of(read.attributes) == {"text": "é", "yes": True, "count": 3, "ratio": 0.5}
    assert int.from_bytes(read.links[0].span_id, "big") == 0x456
    assert read.status == Status()


def test_the_flags_say_whether_the_parent_is_remote():
    assert read_span(make_span()).flags == 0x101
    assert read_span(make_span(parent_span_id=1)).flags == 0x301


def test_an_error_has_its_description():
    status = read_span(make_span(error="no funds")).status
    assert (status.code, status.message) == (Status.STATUS_CODE_ERROR, "no funds")


@pytest.mark.parametrize("kind", list(SpanKind))
def test_each_kind_has_its_number(kind):
    assert read_span(make_span(kind=kind)).kind == kind


def test_spans_are_grouped_by_resource_under_one_scope():
    other = Resource((("service.name", "other"),))
    request = read_spans(make_span(), make_span(resource=other), make_span())

    assert [len(group.scope_spans[0].spans) for group in request.resource_spans] == [2, 1]
    first = request.resource_spans[0]
    assert attributes_of(first.resource.attributes) == dict(RESOURCE.attributes)
    assert first.scope_spans[0].scope.name == "stream"
    assert first.scope_spans[0].schema_url.startswith("https://opentelemetry.io/schemas/")


def test_what_protobuf_cannot_hold_is_written_as_text():
    odd = [("lone", "a\ud800b"), ("huge", 2**70), ("fine", "x")]
    read = read_span(make_span(name="n\ud800", error="e\ud800", attributes=odd))

    assert attributes_of(read.attributes) == {"lone": "a?b", "huge": str(2**70), "fine": "x"}
    assert (read.name, read.status.message) == ("n?", "e?")


@given(st.text(), st.lists(st.tuples(st.text(), st.text() | st.integers() | st.floats())))
def test_encoding_is_total(text, attributes):
    # Keys are ours; anything else may come from the application.
    read_span(make_span(name=text, attributes=[("key", value) for _, value in attributes]))
    read_log(make_log(body=text, attributes=[("key", value) for _, value in attributes]))


def test_a_log_record_is_read_back_as_it_was():
    read = read_log(make_log(attributes=[("task_id", "u")]))

    assert read.event_name == "celery.task.lost"
    assert (read.severity_number, read.severity_text) == (
        SeverityNumber.SEVERITY_NUMBER_ERROR,
        "ERROR",
    )
    assert read.body.string_value == "gone"
    assert int.from_bytes(read.trace_id, "big") == 0xABC
    assert int.from_bytes(read.span_id, "big") == 0xDEF
    assert read.flags == 1
    assert attributes_of(read.attributes) == {"task_id": "u"}


def test_a_record_outside_of_a_trace_has_no_ids():
    read = read_log(make_log(trace_id=None, span_id=None))
    assert (read.trace_id, read.span_id) == (b"", b"")
