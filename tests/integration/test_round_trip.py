"""`replay --export` of what `run --capture` recorded sends what the run sent."""

import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

from celery import chain, chord

from tests.app_under_test import make_app
from tests.integration.service import running
from tests.integration.test_rabbitmq import send_tasks, worker
from tests.otlp import LOGS, TRACES, Receiver
from tests.servers import APP, ROOT, celery_worker, wait_for

ROUNDS = 5
ATTEMPTS = ROUNDS * (1 + 1 + 2 + 3 + 4)
OPTIONS = ("--export", "--log-records-lifecycle")
OF_THE_SERVICE = ("stream.",)
"""What the service says of itself: a replay is another process."""


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


@contextmanager
def recording(tmp_path, url, *more):
    """Run a service that exports and records until the end of the block; it and its receiver."""
    with Receiver() as receiver:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "shop"}
        arguments = ("--capture", str(tmp_path / "capture"), "--log-records-lifecycle", *more)
        with running(tmp_path, url, *arguments, env=env) as service:
            yield service, receiver


def replay(tmp_path):
    """Replay what was recorded; what was sent, and what was said."""
    with Receiver() as receiver:
        ended = subprocess.run(
            [sys.executable, "-m", "stream", "replay", str(tmp_path / "capture"), *OPTIONS],
            cwd=ROOT,
            env={name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
            | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "shop"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        return sent(receiver), ended.stderr


def sent(receiver):
    return {
        "spans": items(receiver, TRACES),
        "records": items(receiver, LOGS),
        "counters": counters(receiver),
        "spans by name": Counter(span.name for span in receiver.spans()),
        "records by name": Counter(log.event_name for log in receiver.logs()),
    }


def items(receiver, path):
    """How often each item came, each as (resource, item) in OTLP's own bytes."""
    of_resource, of_scope, of_item = {
        TRACES: ("resource_spans", "scope_spans", "spans"),
        LOGS: ("resource_logs", "scope_logs", "log_records"),
    }[path]
    return Counter(
        (
            resource.resource.SerializeToString(deterministic=True),
            item.SerializeToString(deterministic=True),
        )
        for request in receiver.requests(path)
        for resource in getattr(request.message, of_resource)
        for scope in getattr(resource, of_scope)
        for item in getattr(scope, of_item)
    )


def counters(receiver):
    """The last value of each series that adds up: counts, and the buckets of durations."""
    found = {}
    for metric in receiver.metrics():
        if metric.name.startswith(OF_THE_SERVICE):
            continue
        for attributes, point in metric.points():
            key = metric.name, tuple(sorted(attributes.items()))
            match metric.metric.WhichOneof("data"):
                case "sum":
                    found[key] = point.as_int or point.as_double
                case "histogram":
                    found[key] = point.count, point.sum, tuple(point.bucket_counts)
    return found


def test_a_replay_sends_what_the_run_sent(tmp_path, valkey):
    url = valkey.url
    with recording(tmp_path, url) as (service, receiver):
        with celery_worker(APP, url), make_app(url) as app:
            results = submit(app.tasks)
            wait_for(lambda: all(result.ready() for result in results), what="results")
            wait_for(lambda: service.total("celery_task_attempts_total") == ATTEMPTS)
            wait_for(lambda: service.total("celery_task_active") == 0)
        assert service.stop() == 0
        told = sent(receiver)
    again, said = replay(tmp_path)
    assert told["spans by name"]["process t.add"] == 6 * ROUNDS
    assert_same(again, told)
    assert f"exported traces: {told['spans'].total():,} sent, 0 rejected" in said


def test_a_replay_of_rabbitmq_sends_what_the_run_sent(tmp_path, rabbitmq):
    url = rabbitmq.url()
    with (  # the worker first: it makes the exchange that the service waits for
        worker(url, tmp_path / "worker.log"),
        recording(tmp_path, url) as (service, receiver),
    ):
        wait_for(lambda: service.total("celery_workers_active") == 1)
        send_tasks(url, 30)
        wait_for(lambda: service.total("celery_task_completed_total") == 30)
        assert service.stop() == 0
        told = sent(receiver)
    again, _ = replay(tmp_path)
    assert told["spans by name"]["process t.ok"] == 30
    assert_same(again, told)


def test_a_replay_of_several_brokers_tells_them_apart_as_the_run_did(tmp_path, valkey):
    shop, mail = valkey.url, valkey.url.replace("/0", "/2")
    with recording(tmp_path, f"shop={shop}", "--broker", f"mail={mail}") as (service, receiver):
        for url, count in ((shop, 3), (mail, 5)):
            with celery_worker(APP, url, pool="solo"), make_app(url) as app:
                results = [app.tasks["t.ok"].delay(number) for number in range(count)]
                wait_for(lambda: all(each.ready() for each in results), what="results")  # noqa: B023 - at once
        completed = "celery_task_completed_total"
        wait_for(lambda: service.total(completed, broker="shop") == 3)
        wait_for(lambda: service.total(completed, broker="mail") == 5)
        assert service.stop() == 0
        told = sent(receiver)
    again, _ = replay(tmp_path)
    assert told["spans by name"]["process t.ok"] == 8
    assert_same(again, told)


def assert_same(again, told):
    for what, sent_before in told.items():
        assert again[what] == sent_before, what
