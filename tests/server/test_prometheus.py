"""The page that Prometheus reads, read back by the client's own parsers."""

import math
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.utils import floatToGoString

from stream.server.prometheus import name_of, page
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate, Family, Number
from stream.sinks.exemplars import Exemplar
from stream.sinks.instruments import TABLE, Type
from stream.sinks.metrics import MetricsSink
from tests.sinks.counted import attempt, finished

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


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
@pytest.mark.parametrize(
    ("value", "expected"),
    [(math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (3, "3.0"), (1e-05, "1e-05")],
)
def test_a_number_is_written_as_prometheus_writes_it(accept, value, expected):
    family = Family(table.QUEUE_DEPTH, (Number(("celery",), value),))
    assert f'celery_queue_depth{{queue="celery"}} {expected}' in lines([family], accept)


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


# Anything that a name in an application may be; the aggregate's labels can always be encoded.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    '\\"\n{},=# \r\0\1', max_size=20
)
numbers = st.integers(0, 10**15) | st.floats()
exemplars = st.none() | st.builds(
    Exemplar,
    st.just(1),
    st.floats(0, 4e9),
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
)


def as_read(value):
    """A value that equals itself."""
    return "NaN" if math.isnan(value) else float(value)


def present(labels):
    """An empty label is an absent one."""
    return {name: value for name, value in labels.items() if value}


@pytest.mark.parametrize(("accept", "read"), [("", read_text), (OPENMETRICS, read_openmetrics)])
@settings(deadline=None)  # a machine may be busy
@given(st.dictionaries(st.tuples(texts, texts, texts), numbers, min_size=1, max_size=5))
def test_any_label_and_any_number_is_read_back(accept, read, series):
    family = Family(table.TASK_ACTIVE, tuple(Number(*item) for item in series.items()))
    (found,) = read(page([family], accept).body.decode())
    expected = [
        (present(dict(zip(("task", "queue", "state"), labels, strict=True))), as_read(value))
        for labels, value in series.items()
    ]
    assert [(sample.labels, as_read(sample.value)) for sample in found.samples] == expected


@pytest.mark.parametrize(("accept", "read"), [("", read_text), (OPENMETRICS, read_openmetrics)])
@settings(deadline=None)  # a machine may be busy
@given(
    st.dictionaries(
        st.tuples(texts, texts),
        st.lists(st.floats(0, 1e5), min_size=1, max_size=5),
        max_size=3,
    )
)
def test_any_histogram_is_read_back(accept, read, series):
    histogram = (aggregate := Aggregate(started_at=0.0)).histogram(table.TASK_WAIT_TIME)
    for labels, values in series.items():
        for value in values:
            histogram.record(value, *labels)
    found = [
        (sample.name.rpartition("_")[2], tuple(sorted(sample.labels.items())), sample.value)
        for family in read(page(aggregate.collect(), accept).body.decode())
        for sample in family.samples
    ]
    expected = []
    for labels, values in series.items():
        plain = present({"task": labels[0], "queue": labels[1]})
        for bound in (*table.WAIT_BOUNDS, math.inf):
            with_bound = {**plain, "le": "+Inf" if bound == math.inf else str(bound)}
            count = sum(value <= bound for value in values)
            expected.append(("bucket", tuple(sorted(with_bound.items())), count))
        expected.append(("count", tuple(sorted(plain.items())), len(values)))
        expected.append(("sum", tuple(sorted(plain.items())), sum(values, 0.0)))
    assert found == expected


@given(texts, exemplars)
def test_the_exemplar_of_a_counter_is_read_back(name, exemplar):
    family = Family(table.TASK_FAILED, (Number((name, "q", "E"), 3, exemplar),), 0.0)
    (found,) = read_openmetrics(page([family], OPENMETRICS).body.decode())
    (sample,) = found.samples
    assert (sample.labels.get("task", ""), sample.value) == (name, 3)
    if exemplar is None:
        assert sample.exemplar is None
    else:
        assert sample.exemplar.labels == {
            "trace_id": f"{exemplar.trace_id:032x}",
            "span_id": f"{exemplar.span_id:016x}",
        }
        assert sample.exemplar.value == 1
        assert float(sample.exemplar.timestamp) == pytest.approx(exemplar.at, abs=0.001)


@pytest.fixture
def slow():
    """A run in the bucket up to 60 s is the example among quicker ones."""
    aggregate = Aggregate(started_at=0.0)
    MetricsSink(aggregate, slow=30.0).accept([attempt(run=0.3), attempt(run=45.5)])
    return aggregate.collect()


def test_the_exemplar_of_a_duration_is_at_its_bucket(slow):
    found = next(
        family
        for family in read_openmetrics(page(slow, OPENMETRICS).body.decode())
        if family.name == "messaging_process_duration_seconds"
    )
    examples = {s.labels.get("le"): s.exemplar for s in found.samples if s.exemplar is not None}
    assert {bound: exemplar.value for bound, exemplar in examples.items()} == {"60.0": 45.5}


def test_plain_text_has_no_exemplars(slow):
    assert not [line for line in lines(slow) if "trace_id" in line]


def test_a_duration_beyond_all_bounds_has_its_exemplar_at_infinity():
    aggregate = Aggregate(started_at=0.0)
    MetricsSink(aggregate, slow=30.0).accept([attempt(run=1e6)])
    (line,) = [line for line in lines(aggregate.collect(), OPENMETRICS) if "trace_id" in line]
    assert 'le="+Inf"' in line


def test_exponential_buckets_are_not_on_the_page():
    pages = []
    for exponential in (False, True):
        aggregate = Aggregate(started_at=0.0, exponential=exponential)
        MetricsSink(aggregate).accept([attempt(run=0.3), finished()])
        pages.append(lines(aggregate.collect()))
    assert pages[0] == pages[1]


def test_a_lone_surrogate_costs_no_page():
    assert 'celery_queue_depth{queue="?"} 1.0' in lines(
        [Family(table.QUEUE_DEPTH, (Number(("\ud800",), 1),))]
    )


class Collected(CollectorRegistry):
    """Families as the client library's own writers ask for them."""

    def __init__(self, families):
        super().__init__()
        self._families = families

    def collect(self):
        for family in self._families:
            name, instrument = name_of(family.instrument), family.instrument
            unit = next((u for u in ("seconds", "milliseconds") if name.endswith(u)), "")
            metric = Metric(name, instrument.about, instrument.type, unit)
            for point in family.points:
                self._add(metric, instrument, point)
            yield metric

    def _add(self, metric, instrument, point):
        names = [attribute.replace(".", "_") for attribute in instrument.attributes]
        labels = present(dict(zip(names, point.labels, strict=True)))
        if isinstance(point, Number):
            suffix = "_total" * (instrument.type is Type.COUNTER)
            metric.add_sample(metric.name + suffix, labels, point.value)
            return
        bounds = [floatToGoString(bound) for bound in (*instrument.bounds, math.inf)]
        for bound, count in zip(bounds, accumulate(point.counts), strict=True):
            metric.add_sample(f"{metric.name}_bucket", {**labels, "le": bound}, count)
        metric.add_sample(f"{metric.name}_count", labels, point.count)
        metric.add_sample(f"{metric.name}_sum", labels, point.sum)


@pytest.mark.parametrize(("accept", "read"), [("", read_text), (OPENMETRICS, read_openmetrics)])
def test_the_page_reads_like_the_one_that_the_client_library_writes(families, accept, read):
    encode, _ = choose_encoder(accept)
    theirs = encode(Collected(families)).decode()
    assert list(read(page(families, accept).body.decode())) == list(read(theirs))
