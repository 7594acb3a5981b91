from contextlib import asynccontextmanager

import anyio
import pytest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from stream.config import OtlpSettings
from stream.export.records import Log, Severity, Span, SpanKind
from stream.export.telemetry import Telemetry
from stream.occurrences import Drop, Exported, ExportFailed, Signal
from tests.otlp import LOGS, METRICS, TRACES, Answer, Receiver
from tests.servers import free_port

pytestmark = pytest.mark.anyio

SECONDS = 20.0


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def settings(endpoint, **changes):
    values = {"endpoint": endpoint, "batch_age": 0.01, "metric_interval": 0.01, "timeout": SECONDS}
    return OtlpSettings(**{**values, **changes})


def draft(resource):
    return lambda: Span(
        resource=resource,
        trace_id=1,
        span_id=2,
        parent_span_id=None,
        flags=1,
        trace_state="",
        name="process x",
        kind=SpanKind.CONSUMER,
        start_ns=1,
        end_ns=2,
        attributes=[],
    )


def log(resource):
    return Log(
        resource=resource,
        time_ns=1,
        event_name="celery.task.lost",
        severity=Severity.WARN,
        body="b",
        trace_id=1,
        span_id=2,
        flags=1,
        attributes=[],
    )


def metrics(value=1):
    points = [
        NumberDataPoint(attributes={"n": n}, start_time_unix_nano=1, time_unix_nano=2, value=value)
        for n in range(3)
    ]
    total = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    metric = Metric("celery.task.started", "", "1", total)
    scope = ScopeMetrics(InstrumentationScope("stream"), [metric], "")
    return MetricsData([ResourceMetrics(SdkResource({}), [scope], "")])


@asynccontextmanager
async def running(telemetry, collect=None):
    async with anyio.create_task_group() as tasks:
        await tasks.start(telemetry.run, collect)
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


def telling():
    told = []
    return told, told.append


async def test_each_signal_arrives_at_its_own_path(receiver):
    telemetry = Telemetry(settings(receiver.url), telling()[1])
    async with running(telemetry, metrics):
        telemetry.spans.extend([draft(telemetry.resources.of("w@h"))])
        telemetry.logs.extend([log(telemetry.resources.of("w@h"))])
        await receiver.until(
            lambda: {r.path for r in receiver.requests()} == {TRACES, METRICS, LOGS}
        )
        left = await telemetry.flush(SECONDS)

    assert left == {Signal.TRACES: 0, Signal.METRICS: 0, Signal.LOGS: 0}
    assert receiver.spans()[0].resource["host.name"] == "h"
    assert receiver.logs()[0].event_name == "celery.task.lost"
    assert receiver.metrics()[0].name == "celery.task.started"
    assert all(ledger.balanced for ledger in telemetry.statistics().values())
    assert all(health.ok for health in telemetry.health().values())


async def test_running_ends_after_the_flush(receiver):
    telemetry = Telemetry(settings(receiver.url), telling()[1])
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            await tasks.start(telemetry.run, metrics)
            await telemetry.flush(SECONDS)


async def test_without_an_endpoint_there_is_nothing_to_fill_and_nothing_to_run():
    telemetry = Telemetry(OtlpSettings(), telling()[1])

    assert (telemetry.spans, telemetry.logs, telemetry.active) == (None, None, False)
    assert telemetry.statistics() == telemetry.health() == {}
    with anyio.fail_after(SECONDS):
        await telemetry.run(metrics)
        assert await telemetry.flush(SECONDS) == {}


async def test_signals_may_have_endpoints_of_their_own(receiver):
    only = OtlpSettings(logs_endpoint=f"{receiver.url}/otlp/v1/logs", batch_age=0.01)
    telemetry = Telemetry(only, telling()[1])
    async with running(telemetry):
        telemetry.logs.extend([log(telemetry.resources.of(None))])
        await receiver.until(receiver.requests)

    assert telemetry.spans is None
    assert receiver.requests()[0].path == "/otlp/v1/logs"


async def test_a_receiver_that_is_down_does_not_keep_the_service_from_starting():
    telemetry = Telemetry(settings(f"http://127.0.0.1:{free_port()}"), telling()[1])
    with anyio.fail_after(SECONDS):
        async with running(telemetry, metrics):
            pass


async def test_a_failed_export_of_metrics_is_healed_by_the_next(receiver):
    receiver.script(Answer(503), Answer(400), path=METRICS)
    told, tell = telling()
    telemetry = Telemetry(settings(receiver.url), tell)
    async with running(telemetry, metrics):
        await receiver.until(receiver.metrics)
        await telemetry.flush(SECONDS)

    failed = [o for o in told if isinstance(o, ExportFailed)]
    assert [o.count for o in failed] == [3, 3]
    assert all(o.retry_in is not None for o in failed)
    ledger = telemetry.statistics()[Signal.METRICS]
    assert ledger.dropped[Drop.SUPERSEDED] == 6
    assert ledger.sent >= 3
    assert ledger.balanced
    assert telemetry.health()[Signal.METRICS].ok


async def test_metrics_wait_as_long_as_the_receiver_asks(receiver):
    receiver.script(Answer(429, retry_after="1000"), path=METRICS)
    told, failed = [], anyio.Event()

    def tell(occurrence):
        told.append(occurrence)
        failed.set()

    telemetry = Telemetry(settings(receiver.url), tell)
    async with running(telemetry, metrics):
        with anyio.fail_after(SECONDS):
            await failed.wait()
        await anyio.wait_all_tasks_blocked()
        assert await telemetry.flush(SECONDS) == dict.fromkeys(Signal, 0)

    assert told[0].retry_in == 1000
    assert told[-1] == Exported(Signal.METRICS, 3, 0)
    assert len(receiver.requests(METRICS)) == 2, "the second by the flush"


async def test_rejected_data_points_are_counted(receiver):
    receiver.script(Answer(rejected=2), path=METRICS)
    told, tell = telling()
    telemetry = Telemetry(settings(receiver.url, metric_interval=1000), tell)
    async with running(telemetry, metrics):
        await telemetry.flush(SECONDS)

    assert told == [Exported(Signal.METRICS, 3, 2)]


async def test_flushing_exports_the_last_metrics(receiver):
    values = iter(range(100))
    telemetry = Telemetry(settings(receiver.url, metric_interval=1000), telling()[1])
    async with running(telemetry, lambda: metrics(next(values))):
        await telemetry.flush(SECONDS)

    (metric,) = receiver.metrics()
    assert metric.points()[0][1].as_int == 0


async def test_flushing_leaves_metrics_that_hang_behind(receiver):
    receiver.script(Answer(hang=True), path=METRICS)
    telemetry = Telemetry(settings(receiver.url), telling()[1])
    async with running(telemetry, metrics):
        await receiver.until(receiver.requests)
        with anyio.fail_after(SECONDS / 2):
            left = await telemetry.flush(0.05)
        receiver.release()

    assert left[Signal.METRICS] == 3
    assert telemetry.statistics()[Signal.METRICS].balanced


async def test_nothing_to_collect_sends_nothing(receiver):
    telemetry = Telemetry(settings(receiver.url), telling()[1])
    async with running(telemetry, lambda: None):
        await telemetry.flush(SECONDS)

    assert receiver.requests() == []
