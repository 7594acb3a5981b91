import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from stream.export.encoding import count_points, encode_logs, encode_metrics, encode_spans
from stream.export.split import count_items, split
from stream.occurrences import Signal

from .records import RESOURCES, make_log, make_span

# Which resource each record has: groups of all sizes, in any order.
groups = st.lists(st.sampled_from(RESOURCES), max_size=12)


def spans_body(resources):
    spans = [make_span(resource=r, span_id=n) for n, r in enumerate(resources, 1)]
    return encode_spans([lambda s=s: s for s in spans])


def logs_body(resources):
    return encode_logs([make_log(resource=r, time_ns=n) for n, r in enumerate(resources, 1)])


def read_spans(body):
    """Each span with its resource and scope, in order."""
    return [
        (group.resource, scope.scope, scope.schema_url, span)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def read_logs(body):
    return [
        (group.resource, scope.scope, scope.schema_url, record)
        for group in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]


BODIES = {Signal.TRACES: spans_body, Signal.LOGS: logs_body}
READERS = {Signal.TRACES: read_spans, Signal.LOGS: read_logs}
SIGNALS = pytest.mark.parametrize("signal", BODIES)


def metrics_body():
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    meter = provider.get_meter("m")
    counter, histogram = meter.create_counter("c"), meter.create_histogram("h")
    for queue in ("a", "b", "c"):
        counter.add(1, {"queue": queue})
        histogram.record(0.5, {"queue": queue})
    metrics = reader.get_metrics_data()
    provider.shutdown()
    return encode_metrics(metrics), count_points(metrics)


@SIGNALS
@given(resources=groups)
def test_the_items_of_a_request_are_counted(signal, resources):
    assert len(resources) == count_items(BODIES[signal](resources), signal)


@SIGNALS
@given(resources=groups.filter(lambda found: len(found) >= 2))
def test_the_halves_say_together_what_the_whole_said(signal, resources):
    body = BODIES[signal](resources)
    (first_items, first), (second_items, second) = split(body, signal)
    read = READERS[signal]

    assert read(body) == read(first) + read(second)
    assert [len(read(first)), len(read(second))] == [first_items, second_items]
    assert first_items == len(resources) // 2


@given(groups.filter(lambda found: len(found) >= 2))
def test_no_half_has_a_resource_without_items(resources):
    for _, half in split(spans_body(resources), Signal.TRACES):
        for group in ExportTraceServiceRequest.FromString(half).resource_spans:
            assert [len(scope.spans) > 0 for scope in group.scope_spans] == [True]


@given(groups)
def test_halving_ends_at_single_spans_that_keep_their_bytes(resources):
    pieces, single = [spans_body(resources)], []
    while pieces:
        body = pieces.pop()
        halves = split(body, Signal.TRACES)
        if halves is None:
            single.append(body)
        else:
            pieces += [half for _, half in reversed(halves)]

    spans = read_spans(spans_body(resources))
    assert len(single) == max(len(spans), 1)
    assert spans == [span for body in single for span in read_spans(body)]
    assert all(span.SerializeToString() in body for body in single for *_, span in read_spans(body))


@SIGNALS
@pytest.mark.parametrize("resources", [[], RESOURCES[:1]], ids=["none", "one"])
def test_fewer_than_two_items_are_not_split(signal, resources):
    assert split(BODIES[signal](resources), signal) is None


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05a", spans_body(RESOURCES)[:-1]])
def test_a_body_that_cannot_be_read_has_no_items(signal, body):
    assert (count_items(body, signal), split(body, signal)) == (0, None)


def test_the_data_points_of_metrics_are_counted():
    body, points = metrics_body()
    assert (points, count_items(body, Signal.METRICS)) == (6, 6)


def test_metrics_are_not_split():
    assert split(metrics_body()[0], Signal.METRICS) is None
