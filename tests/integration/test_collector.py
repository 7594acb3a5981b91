"""Through a real collector: what the service says it sent is what comes out at the other end."""

import gzip
from collections import Counter
from contextlib import contextmanager

import pytest
import requests
from celery import chain, chord

from tests.app_under_test import make_app
from tests.collector import Collector
from tests.integration.service import running
from tests.otlp import LOGS, METRICS, TRACES, Answer, Receiver
from tests.servers import APP, celery_worker, wait_for

ROUNDS = 5
ATTEMPTS = ROUNDS * (1 + 1 + 2 + 3 + 4)


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def collector(receiver):
    with Collector(receiver.url) as collector:
        yield collector


class Witness(Receiver):
    """Keeps every request, and answers as the one does that it posts it on to."""

    def __init__(self, forward_to):
        super().__init__()
        self._forward_to = forward_to

    def answer_to(self, path, headers, body):
        super().answer_to(path, headers, body)
        kept = {name: headers[name] for name in ("content-type", "content-encoding")}
        answer = requests.post(
            self._forward_to + path, data=gzip.compress(body), headers=kept, timeout=10
        )
        return Answer(answer.status_code, body=answer.content)


@contextmanager
def finished_run(tmp_path, valkey, endpoint):
    """Run every kind of task under a service that exports there; yields its ledgers at the end."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    with (
        running(tmp_path, valkey.url, env=env) as service,
        celery_worker(APP, valkey.url),
        make_app(valkey.url) as app,
    ):
        results = submit(app.tasks)
        wait_for(lambda: all(result.ready() for result in results), what="results")
        wait_for(lambda: service.total("celery_task_attempts_total") == ATTEMPTS)
        wait_for(lambda: service.total("celery_task_active") == 0)
        assert service.stop() == 0
        (stopped,) = [line for line in service.log() if line["event"] == "service.stopped"]
        yield stopped["ledgers"]


def submit(tasks):
    results = []
    for number in range(ROUNDS):
        results.append(tasks["t.ok"].delay(number))
        results.append(tasks["t.fail"].delay("a message of several words; äöü → 字"))
        results.append(tasks["t.retry_then_ok"].delay(1))
        results.append(chain(tasks["t.add"].si(1, 2) for _ in range(3)).apply_async())
        header = [tasks["t.add"].s(number, each) for each in range(3)]
        results.append(chord(header)(tasks["t.total"].s()))
    return results


def items(receiver, path):
    """How often each item came, each as (resource, scope, item) in OTLP's own bytes."""
    of_resource, of_scope, of_item = {
        TRACES: ("resource_spans", "scope_spans", "spans"),
        METRICS: ("resource_metrics", "scope_metrics", "metrics"),
        LOGS: ("resource_logs", "scope_logs", "log_records"),
    }[path]
    return Counter(
        (
            resource.resource.SerializeToString(deterministic=True),
            (scope.scope.SerializeToString(deterministic=True), scope.schema_url),
            item.SerializeToString(deterministic=True),
        )
        for request in receiver.requests(path)
        for resource in getattr(request.message, of_resource)
        for scope in getattr(resource, of_scope)
        for item in getattr(scope, of_item)
    )


def points(receiver):
    return sum(len(metric.points()) for metric in receiver.metrics())


def test_what_the_ledger_calls_sent_comes_out_of_the_collector(
    valkey, tmp_path, receiver, collector
):
    with finished_run(tmp_path, valkey, collector.url) as ledgers:
        arrived = {
            "traces": lambda: len(receiver.spans()),
            "logs": lambda: len(receiver.logs()),
            "metrics": lambda: points(receiver),
        }
        for signal, count in arrived.items():
            assert ledgers[signal]["sent"] == ledgers[signal]["accepted"] > 0
            wait_for(lambda: count() >= ledgers[signal]["sent"], what=signal)  # noqa: B023 - at once
            assert count() == ledgers[signal]["sent"]


def test_a_collector_sees_each_run_once_under_the_service_that_ran_it(
    valkey, tmp_path, receiver, collector
):
    with finished_run(tmp_path, valkey, collector.url) as ledgers:
        receiver.wait(lambda: len(receiver.spans()) == ledgers["traces"]["sent"])
    process = [span for span in receiver.spans() if span.name.startswith("process ")]
    assert len(process) == len({span.span_id for span in process}) == ATTEMPTS
    names = Counter(span.name for span in process)
    assert names["process t.retry_then_ok"] == 2 * ROUNDS
    assert names["process t.add"] == 6 * ROUNDS
    common = {"service.name": "shop", "deployment.environment.name": "test"}
    for each in (*receiver.spans(), *receiver.logs(), *receiver.metrics()):
        assert common.items() <= each.resource.items()
        assert each.scope == "stream"


def test_a_collector_takes_every_field_as_it_was_sent(valkey, tmp_path, receiver, collector):
    with (
        Witness(collector.url) as witness,
        finished_run(tmp_path, valkey, witness.url) as ledgers,
    ):
        sent = {path: items(witness, path) for path in (TRACES, METRICS, LOGS)}
        assert sent[TRACES].total() == ledgers["traces"]["sent"]
        assert sent[LOGS].total() == ledgers["logs"]["sent"]
    for path, expected in sent.items():
        receiver.wait(lambda: items(receiver, path).total() >= expected.total())  # noqa: B023 - at once
        assert items(receiver, path) == expected
