import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as encode_sdk_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link as SdkLink
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags, TraceState
from opentelemetry.trace import SpanKind as SdkSpanKind
from opentelemetry.trace import Status as SdkStatus

from stream import __version__
from stream.export.encoding import SCHEMA_URL, SCOPE, encode_logs, encode_spans
from stream.export.records import NOTHING, Common, Link, Resource, Severity, SpanKind
from tests.otlp import attributes_of

from .records import RESOURCE, any_text, logs, make_log, make_span, spans
from .reference_encoding import logs_request, spans_request

SDK_SCOPE = InstrumentationScope(SCOPE, __version__, SCHEMA_URL)
SDK_KIND = {
    SpanKind.INTERNAL: SdkSpanKind.INTERNAL,
    SpanKind.PRODUCER: SdkSpanKind.PRODUCER,
    SpanKind.CONSUMER: SdkSpanKind.CONSUMER,
}

# What a store can hold and the SDK has classes for; a task has no two attributes of one name.
ordinary_values = (
    st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
)
ordinary_spans = spans(
    resources=st.just(RESOURCE),
    trace_ids=st.integers(1, 2**128 - 1),
    numbers=st.integers(1, 2**63),
    flags=st.just(1),
    texts=st.text(min_size=1),
    trace_states=st.sampled_from(["", "a=b", "ot=th:8;rv:00ff,vendor=x:1"]),
    attributes=st.dictionaries(st.text(min_size=1), ordinary_values).map(lambda a: [*a.items()]),
    commons=st.sampled_from([NOTHING, Common((("celery.task", "x"),), ("celery.id",))]),
)


def body_of(*spans):
    return encode_spans([lambda s=s: s for s in spans])


def read_spans(*spans):
    return ExportTraceServiceRequest.FromString(body_of(*spans))


def read_span(span):
    return read_spans(span).resource_spans[0].scope_spans[0].spans[0]


def read_log(log):
    request = ExportLogsServiceRequest.FromString(encode_logs([log]))
    return request.resource_logs[0].scope_logs[0].log_records[0]


def written(request):
    """The bytes of a message, in which a NaN equals itself and unknown fields are seen."""
    return request.SerializeToString(deterministic=True)


def sdk_context(trace_id, span_id):
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))


def sdk_span(span):
    parent = span.parent_span_id
    return ReadableSpan(
        name=span.name,
        context=SpanContext(
            span.trace_id,
            span.span_id,
            is_remote=False,
            trace_state=TraceState.from_header([span.trace_state]),
        ),
        parent=None if parent is None else sdk_context(span.trace_id, parent),
        resource=SdkResource(dict(span.resource.attributes)),
        attributes=dict(span.all_attributes()),
        links=[SdkLink(sdk_context(link.trace_id, link.span_id)) for link in span.links],
        kind=SDK_KIND[span.kind],
        status=SdkStatus(StatusCode.UNSET)
        if span.error is None
        else SdkStatus(StatusCode.ERROR, span.error),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=SDK_SCOPE,
    )


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


def test_a_number_that_has_too_many_digits_for_python_is_written_as_text():
    number = 10 ** (sys.get_int_max_str_digits() + 1)
    read = read_span(make_span(attributes=[("huge", number)]))
    assert attributes_of(read.attributes) == {"huge": hex(number)}


@given(st.lists(spans(), max_size=5))
def test_spans_say_what_the_generated_classes_say(records):
    assert written(spans_request(records)) == written(read_spans(*records))


@given(st.lists(logs(), max_size=5))
def test_records_say_what_the_generated_classes_say(records):
    read = ExportLogsServiceRequest.FromString(encode_logs(records))
    assert written(logs_request(records)) == written(read)


@pytest.mark.parametrize("count", [63, 64, 65, 200])
def test_a_large_batch_has_every_record_once_and_in_order(count):
    records = [make_span(span_id=number) for number in range(1, count + 1)]
    assert written(spans_request(records)) == written(read_spans(*records))


@given(st.lists(ordinary_spans, min_size=1, max_size=3))
def test_spans_say_what_the_encoder_of_the_sdk_says(records):
    theirs = encode_sdk_spans([sdk_span(record) for record in records])
    for span in theirs.resource_spans[0].scope_spans[0].spans:
        span.flags |= TraceFlags.SAMPLED  # it leaves out the flags of the context,
        if span.status == Status():
            span.ClearField("status")  # and writes a status that says nothing

    assert written(theirs) == written(read_spans(*records))


@given(st.lists(ordinary_spans, max_size=3))
def test_spans_that_are_read_and_written_again_keep_their_bytes(records):
    body = body_of(*records)
    assert body == ExportTraceServiceRequest.FromString(body).SerializeToString()


@given(st.lists(logs(numbers=st.integers(1, 2**63), flags=st.integers(0, 255)), max_size=3))
def test_records_that_are_read_and_written_again_keep_their_bytes(records):
    body = encode_logs(records)
    assert body == ExportLogsServiceRequest.FromString(body).SerializeToString()


@given(spans(), spans())
def test_the_bytes_of_a_span_do_not_depend_on_what_was_encoded_before(first, second):
    before = body_of(second)
    body_of(first)
    assert before == body_of(second)


@given(spans())
def test_what_a_span_shares_with_others_is_encoded_like_its_own(span):
    alone = structs.replace(span, common=NOTHING, texts=(), attributes=span.all_attributes())

    assert body_of(alone) == body_of(span)


@pytest.mark.parametrize("text", ["x" * 127, "x" * 128, "é" * 64, "x" * 70_000, "a\ud800"])
def test_a_text_of_a_shared_key_may_be_any(text):
    span = make_span(common=Common((), ("id", "more")), texts=("before", text))

    (_, read) = read_span(span).attributes
    assert (read.key, read.value.string_value) == ("more", text.encode("utf-8", "replace").decode())


@given(spans(trace_ids=st.integers(), numbers=st.integers(), flags=st.integers()))
def test_a_span_with_impossible_numbers_is_encoded(span):
    read = read_span(span)
    assert len(read.trace_id) == 16
    assert int.from_bytes(read.span_id, "big") == span.span_id % 2**64


@given(logs(trace_ids=st.integers(), numbers=st.integers()))
def test_a_record_with_impossible_numbers_is_encoded(log):
    assert read_log(log).severity_number == log.severity


def test_a_time_that_does_not_fit_is_cut_to_the_nearest_that_does():
    read = read_span(make_span(start_ns=-1, end_ns=2**70))
    assert (read.start_time_unix_nano, read.end_time_unix_nano) == (0, 2**64 - 1)


@given(any_text)
def test_a_name_of_any_length_is_written_in_full(name):
    assert read_span(make_span(name=name)).name == name.encode("utf-8", "replace").decode()


def test_a_log_record_is_read_back_as_it_was():
    read = read_log(make_log(attributes=[("task_id", "u")]))

    assert read.event_name == "celery.task.lost"
    assert (read.severity_number, read.severity_text) == (
        SeverityNumber.SEVERITY_NUMBER_ERROR,
        "ERROR",
    )
    assert read.observed_time_unix_nano == read.time_unix_nano > 0
    assert read.body.string_value == "gone"
    assert int.from_bytes(read.trace_id, "big") == 0xABC
    assert int.from_bytes(read.span_id, "big") == 0xDEF
    assert read.flags == 1
    assert attributes_of(read.attributes) == {"task_id": "u"}


@pytest.mark.parametrize("severity", list(Severity))
def test_each_severity_has_its_number_and_name(severity):
    read = read_log(make_log(severity=severity))
    assert (read.severity_number, read.severity_text) == (severity, severity.name)


def test_a_record_outside_of_a_trace_has_no_ids():
    read = read_log(make_log(trace_id=None, span_id=None))
    assert (read.trace_id, read.span_id) == (b"", b"")


def test_no_records_are_an_empty_request():
    assert (encode_spans([]), encode_logs([])) == (b"", b"")
