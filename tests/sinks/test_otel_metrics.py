"""Families as OTLP: encoded by the exporter's own encoder and read back."""

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from stream.core.states import State
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate, Family, Number
from stream.sinks.otel_metrics import metrics_data

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
