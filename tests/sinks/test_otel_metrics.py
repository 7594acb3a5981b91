"""Families as OTLP: encoded by the exporter's own encoder and read back."""

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from stream.core.states import State
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate, Family, Number
from stream.sinks.exemplars import Exemplar
from stream.sinks.metrics import MetricsSink
from stream.sinks.otel_metrics import metrics_data
from tests.sinks.counted import attempt, finished

RESOURCE = Resource({"service.name": "celery-stream"})


@pytest.fixture
def aggregate():
    return Aggregate(started_at=1_700_000_000.25)


def encoded(families):
    request = encode_metrics(metrics_data(families, RESOURCE, 1_700_000_060.5))
    return type(request).FromString(request.SerializeToString())


def metrics(families):
    (resource,) = encoded(families).resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def attributes(point):
    return {pair.key: pair.value.string_value for pair in point.attributes}


def test_there_is_one_resource_and_one_scope(aggregate):
    aggregate.counter(table.TASK_STARTED).add(1, "a", "q")
    aggregate.histogram(table.TASK_WAIT_TIME).record(1.0, "a", "q")
    (resource,) = encoded(aggregate.collect()).resource_metrics
    (scope,) = resource.scope_metrics
    assert resource.resource.attributes[0].value.string_value == "celery-stream"
    assert (scope.scope.name, len(scope.metrics)) == ("stream", 2)
    assert scope.schema_url.startswith("https://opentelemetry.io/schemas/")


def test_a_counter_is_a_cumulative_monotonic_sum(aggregate):
    aggregate.counter(table.TASK_FINISHED).add(3, "a", "q", State.SUCCESS)
    metric = metrics(aggregate.collect())["celery.task.finished"]
    (point,) = metric.sum.data_points
    assert (metric.unit, metric.sum.is_monotonic) == ("{task}", True)
    assert metric.sum.aggregation_temporality == (
        AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    assert attributes(point) == {"task": "a", "queue": "q", "state": "SUCCESS"}
    assert point.as_int == 3
    assert point.start_time_unix_nano == 1_700_000_000_250_000_000
    assert point.time_unix_nano == 1_700_000_060_500_000_000


def test_a_histogram_keeps_its_buckets(aggregate):
    histogram = aggregate.histogram(table.ATTEMPTS_PER_TASK)
    for attempts in (1, 1, 4):
        histogram.record(attempts, "a", "SUCCESS")
    metric = metrics(aggregate.collect())["celery.task.attempts_per_task"]
    (point,) = metric.histogram.data_points
    assert list(point.explicit_bounds) == [1, 2, 3, 5, 10, 20]
    assert list(point.bucket_counts) == [2, 0, 0, 1, 0, 0, 0]
    assert (point.count, point.sum) == (3, 6.0)
    assert not point.HasField("min")
    assert not point.HasField("max")


def test_a_gauge_is_a_gauge():
    family = Family(table.QUEUE_OLDEST_AGE, (Number(("q",), 2.5),))
    (point,) = metrics([family])["celery.queue.oldest.age"].gauge.data_points
    assert (attributes(point), point.as_double) == ({"queue": "q"}, 2.5)


def test_an_empty_label_is_an_absent_attribute(aggregate):
    aggregate.histogram(table.PROCESS_DURATION).record(1.0, "redis", "q", "process", "a", "")
    metric = metrics(aggregate.collect())["messaging.process.duration"]
    (point,) = metric.histogram.data_points
    assert "error.type" not in attributes(point)
    assert attributes(point)["messaging.destination.name"] == "q"


def test_a_duration_goes_out_in_exponential_buckets_where_it_has_them():
    aggregate = Aggregate(started_at=1_700_000_000.25, exponential=True)
    histogram = aggregate.histogram(table.TASK_WAIT_TIME)
    for value in (0.0, 1.0, 2.0, 2.0, 1024.0):
        histogram.record(value, "a", "q")
    metric = metrics(aggregate.collect())["celery.task.wait_time"]
    (point,) = metric.exponential_histogram.data_points
    assert (point.count, point.sum, point.zero_count) == (5, 1029.0, 1)
    assert point.scale == 3  # ten octaves of eight buckets; sixteen would be one too many
    assert (point.positive.offset, sum(point.positive.bucket_counts)) == (-1, 4)
    assert {n: c for n, c in enumerate(point.positive.bucket_counts) if c} == {0: 1, 8: 2, 80: 1}
    assert not point.negative.bucket_counts
    assert not point.HasField("min")
    assert point.start_time_unix_nano == 1_700_000_000_250_000_000
    assert metric.exponential_histogram.aggregation_temporality == (
        AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    )


def test_a_number_of_attempts_keeps_its_explicit_buckets():
    aggregate = Aggregate(started_at=0.0, exponential=True)
    aggregate.histogram(table.ATTEMPTS_PER_TASK).record(2, "a", "SUCCESS")
    metric = metrics(aggregate.collect())["celery.task.attempts_per_task"]
    assert len(metric.histogram.data_points) == 1


@pytest.mark.parametrize("exponential", [False, True])
def test_an_exemplar_of_a_duration_goes_out_with_its_ids_and_time(exponential):
    aggregate = Aggregate(started_at=0.0, exponential=exponential)
    MetricsSink(aggregate).accept([attempt(state=State.FAILURE, run=0.25)])
    metric = metrics(aggregate.collect())["messaging.process.duration"]
    (point,) = (metric.exponential_histogram if exponential else metric.histogram).data_points
    (exemplar,) = point.exemplars
    expected = next(
        point.exemplar
        for family in aggregate.collect()
        if family.instrument is table.PROCESS_DURATION
        for point in family.points
    )
    assert exemplar.trace_id == expected.trace_id.to_bytes(16, "big")
    assert exemplar.span_id == expected.span_id.to_bytes(8, "big")
    assert (exemplar.as_double, exemplar.time_unix_nano) == (0.25, 2_000_000_000)
    assert not exemplar.filtered_attributes


def test_an_exemplar_of_a_counter_goes_out_as_one_of_what_it_counts():
    aggregate = Aggregate(started_at=0.0)
    MetricsSink(aggregate).accept([attempt(state=State.FAILURE), finished(state=State.FAILURE)])
    (point,) = metrics(aggregate.collect())["celery.task.failed"].sum.data_points
    (exemplar,) = point.exemplars
    assert exemplar.as_int == 1


def test_without_an_exemplar_a_point_has_none():
    family = Family(table.TASK_STARTED, (Number(("a", "q"), 1),), 0.0)
    (point,) = metrics([family])["celery.task.started"].sum.data_points
    assert not point.exemplars


def test_ids_of_an_exemplar_keep_their_leading_zeros():
    number = Number(("a", "q", "E"), 1, Exemplar(1, 2.0, trace_id=5, span_id=7))
    (point,) = metrics([Family(table.TASK_FAILED, (number,), 0.0)])[
        "celery.task.failed"
    ].sum.data_points
    (exemplar,) = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (bytes(15) + b"\5", bytes(7) + b"\7")
