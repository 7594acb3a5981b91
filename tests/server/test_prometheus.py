"""The page that Prometheus reads, read back by the client's own parsers."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from stream.server.prometheus import name_of, page
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate, Family, Number
from stream.sinks.instruments import TABLE, Type

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
def families():
    aggregate = Aggregate(started_at=0.0)
    aggregate.counter(table.TASK_STARTED).add(3, "shop.pay", "payments")
    histogram = aggregate.histogram(table.PROCESS_DURATION)
    histogram.record(0.3, "redis", "payments", "process", "shop.pay", "")
    histogram.record(9999.0, "redis", "payments", "process", "shop.pay", "")
    aggregate.counter(table.SOURCE_GAP_TIME).add(1.5, "redis")
    return (*aggregate.collect(), Family(table.QUEUE_DEPTH, (Number(("celery",), 4),)))


def lines(families, accept=""):
    return page(families, accept).body.decode().splitlines()


def test_names_are_translated_the_usual_way():
    assert {i.name: name_of(i) for i in TABLE if i in NAMES} == {
        instrument.name: name for instrument, name in NAMES.items()
    }


NAMES = {
    table.TASK_STARTED: "celery_task_started",
    table.TASK_DURATION: "celery_task_duration_milliseconds",
    table.TASK_WAIT_TIME: "celery_task_wait_time_seconds",
    table.QUEUE_DEPTH: "celery_queue_depth",
    table.QUEUE_OLDEST_AGE: "celery_queue_oldest_age_seconds",
    table.WORKER_UP: "celery_worker_up",
    table.WORKER_COVERAGE: "celery_worker_event_coverage_ratio",
    table.PROCESS_DURATION: "messaging_process_duration_seconds",
}


def test_no_two_instruments_have_the_same_name_on_the_page():
    names = [name_of(i) + "_total" * (i.type is Type.COUNTER) for i in TABLE]
    assert sorted(set(names)) == sorted(names)


def test_counters_and_gauges_have_one_line_each(families):
    text = lines(families)
    assert 'celery_task_started_total{queue="payments",task="shop.pay"} 3.0' in text
    assert 'celery_queue_depth{queue="celery"} 4.0' in text
    assert 'stream_source_gap_time_seconds_total{source="redis"} 1.5' in text


def test_buckets_are_cumulative_and_an_empty_label_is_left_out(families):
    samples = [
        sample
        for family in read_text("\n".join(lines(families)))
        if family.name == "messaging_process_duration_seconds"
        for sample in family.samples
    ]
    buckets = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert (buckets["0.25"], buckets["0.5"], buckets["3600.0"], buckets["+Inf"]) == (0, 1, 1, 2)
    assert all("error_type" not in sample.labels for sample in samples)
    assert {s.value for s in samples if s.name.endswith("_sum")} == {9999.3}


@pytest.mark.parametrize("accept", [OPENMETRICS, PROMETHEUS_3])
def test_openmetrics_is_written_where_it_is_asked_for(families, accept):
    written = page(families, accept)
    assert written.content_type.startswith("application/openmetrics-text; version=1.0.0")
    read = {family.name: family for family in read_openmetrics(written.body.decode())}
    assert read["messaging_process_duration_seconds"].unit == "seconds"
    assert read["celery_task_started"].type == "counter"


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html", "application/openmetrics-text;version=x"]
)
def test_anything_else_gets_plain_text(families, accept):
    written = page(families, accept)
    assert written.content_type.startswith("text/plain")
    assert {family.name for family in read_text(written.body.decode())} >= {"celery_task_started"}


def test_label_values_are_escaped():
    family = Family(table.QUEUE_DEPTH, (Number(('a"b\\c\nd',), 1),))
    (read,) = read_text("\n".join(lines([family])) + "\n")
    assert read.samples[0].labels == {"queue": 'a"b\\c\nd'}


def test_nothing_is_an_empty_page():
    assert page(()).body == b""


def test_every_instrument_can_be_on_one_page():
    aggregate = Aggregate(started_at=0.0)
    gauges = []
    for instrument in TABLE:
        labels = [f"l{n}" for n in range(len(instrument.attributes))]
        match instrument.type:
            case Type.COUNTER:
                aggregate.counter(instrument).add(1, *labels)
            case Type.HISTOGRAM:
                aggregate.histogram(instrument).record(1.0, *labels)
            case Type.GAUGE:
                gauges.append(Family(instrument, (Number(tuple(labels), 1),)))
    written = page((*aggregate.collect(), *gauges), OPENMETRICS).body.decode()
    assert {family.name for family in read_openmetrics(written)} == {name_of(i) for i in TABLE}
