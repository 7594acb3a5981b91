"""The main job on a real cluster: what the result backend says is counted, traced and logged."""

import json
from collections import Counter

import celery
import pytest
from celery import chain, chord

from stream.events import Tick
from stream.wire.capture import read_line
from tests.app_under_test import make_app
from tests.integration.service import running
from tests.otlp import Receiver
from tests.servers import APP, celery_worker, wait_for

ROUNDS = 20
CELERY = tuple(int(part) for part in celery.__version__.split(".")[:2])


def submit(app):
    """200 tasks and more, of every kind; returns the name by id of those with a result."""
    task = app.tasks
    results = []
    for number in range(ROUNDS):
        results += [task["t.ok"].delay(number) for _ in range(3)]
        results.append(task["t.fail"].delay("no"))
        results.append(task["t.retry_then_ok"].delay(1))
        results.append(task["t.retry_exhausted"].delay())
        results.append(task["t.slow"].delay(0.01))
        if number % 10 == 0:
            results.append(chain(task["t.add"].s(1, 2), task["t.add"].s(3)).apply_async())
            header = [task["t.add"].s(number, each) for each in range(3)]
            results.append(chord(header)(task["t.total"].s()))
        results.append(task["t.add"].apply_async((1, 2), countdown=0.2))
    return results


def ends_in_backend(results):
    return Counter(result.state for result in results)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_counters_spans_and_logs_say_what_the_result_backend_says(valkey, tmp_path, pool):
    if pool == "threads" and CELERY < (5, 7):
        pytest.skip("this Celery's threads pool loses task-started (celery#10435)")
    with Receiver() as receiver:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_METRIC_EXPORT_INTERVAL": "500"}
        with (
            running(tmp_path, valkey.url, env=env) as service,
            celery_worker(APP, valkey.url, pool=pool),
            make_app(valkey.url) as app,
        ):
            results = submit(app)
            wait_for(lambda: all(result.ready() for result in results))
            # Chains and chords have members beside the last: all of them end as SUCCESS.
            members = 2 * (1 + 3)
            wait_for(
                lambda: service.total("celery_task_finished_total") >= len(results) + members, 30
            )
            ends = ends_in_backend(results)
            ends["SUCCESS"] += members
            for state in ("SUCCESS", "FAILURE"):
                assert service.total("celery_task_finished_total", state=state) == ends[state]
            assert service.total("celery_task_completed_total") == ends["SUCCESS"]
            assert service.total("celery_task_failed_total", error_type="ValueError") == ROUNDS
            assert service.total("celery_task_failed_total", error_type="KeyError") == ROUNDS
            retries = ROUNDS * (1 + 2)
            # One process of the pool may tell of the end before another tells of the retry.
            wait_for(lambda: service.total("celery_task_retries_total") == retries)
            wait_for(lambda: service.total("celery_task_active") == 0)
            assert service.total("stream_events_missed_total") == 0
            assert service.health()["status"] == "healthy"
            assert service.stop() == 0
            attempts = len(results) + members + retries
            check_spans(receiver, results, attempts)
            check_logs(receiver)
            check_lines(tmp_path, failures=ends["FAILURE"], retries=retries)


def check_spans(receiver, results, attempts):
    spans = [span for span in receiver.spans() if span.name.startswith("process ")]
    assert len(spans) == attempts
    assert len({span.span_id for span in spans}) == attempts
    roots = {result.id.replace("-", "") for result in results if result.parent is None}
    by_message = {span.attributes["messaging.message.id"] for span in spans}
    assert {result.id for result in results} <= by_message
    assert roots <= {span.trace_id for span in spans} | roots
    for span in spans:
        root = span.attributes["messaging.message.conversation_id"]
        assert span.trace_id == root.replace("-", "")
    failed = [span for span in spans if span.attributes["celery.task.state"] == "FAILURE"]
    assert {span.attributes["error.type"] for span in failed} == {"ValueError", "KeyError"}
    sends = {span.span_id for span in receiver.spans() if span.name.startswith("send ")}
    # Where a worker is quicker than the event of the producer, an attempt ends before it is told
    # to have been sent: then neither its wait nor its creator is known.
    told = [span for span in spans if "celery.task.wait_time" in span.attributes]
    assert len(told) > 0.9 * len(spans)
    orphans = [span for span in told if span.parent_span_id not in sends]
    assert [(span.name, span.attributes) for span in orphans] == []


def check_logs(receiver):
    spans = {span.span_id: span.trace_id for span in receiver.spans()}
    failures = [log for log in receiver.logs() if log.event_name == "messaging.process.exception"]
    assert len(failures) == 2 * ROUNDS
    for log in failures:
        assert spans[log.span_id] == log.trace_id
        assert log.attributes["exception.type"] in {"ValueError", "KeyError"}


def check_lines(tmp_path, *, failures, retries):
    lines = [json.loads(line) for line in (tmp_path / "stream.out").read_text().splitlines()]
    found = Counter(line["event"] for line in lines)
    assert found["messaging.process.exception"] == failures
    assert found["celery.task.retried"] == retries


def test_a_backlog_is_measured_by_priority_step(valkey, tmp_path):
    """Celery puts priority 5 on step 3: priorities 0, 3, 5, 9 are 1, 2, 0, 1 by step."""
    with make_app(valkey.url) as app:
        for priority in (0, 3, 5, 9):
            app.tasks["t.ok"].apply_async(priority=priority)
    with running(tmp_path, valkey.url, "--poll-interval", "0.2") as service:
        wait_for(lambda: service.total("celery_queue_depth", queue="celery") == 4)
        by_step = {
            dict(labels)["priority"]: value
            for labels, value in service.samples("celery_queue_priority_depth").items()
        }
    assert by_step == {"0": 1, "3": 2, "6": 0, "9": 1}


READ_ONLY = {
    *("HELLO", "AUTH", "SELECT", "CLIENT", "PING", "PSUBSCRIBE", "SUBSCRIBE", "SCAN", "SMEMBERS"),
    *("LLEN", "LINDEX", "ZCARD", "ZRANGE"),
}


def test_nothing_that_is_sent_to_the_broker_writes(valkey, tmp_path):
    with valkey.client() as client, client.monitor() as monitor:
        with make_app(valkey.url) as app:
            app.tasks["t.ok"].delay(1)
        seen = []
        with running(tmp_path, valkey.url, "--poll-interval", "0.1") as service:
            wait_for(lambda: service.total("celery_queue_depth", queue="celery") == 1)
            wait_for(lambda: service.total("stream_queues_poll_duration_seconds_count") > 5)
            with client.client() as other:
                names = {each["addr"]: each["name"] for each in other.client_list()}
            other_end = [address for address, name in names.items() if "celery-stream" in name]
        client.echo("that is all")
        for command in monitor.listen():
            if "that is all" in command["command"]:
                break
            address = f"{command['client_address']}:{command['client_port']}"
            if address in other_end:
                seen.append(command["command"].split(" ")[0].upper())
    assert len(other_end) == 2
    assert {"PSUBSCRIBE", "LLEN"} <= set(seen)
    assert set(seen) <= READ_ONLY


def test_a_broker_that_restarts_leaves_a_gap_and_is_found_again(valkey, tmp_path):
    with running(tmp_path, valkey.url, "--capture", str(tmp_path / "c" / "x.jsonl")) as service:
        valkey.kill()
        wait_for(lambda: service.get("/ready")[0] == 503)
        wait_for(lambda: any(tick.deaf for tick in ticks_in(tmp_path / "c")))
        assert service.get("/live")[0] == 200
        assert service.health()["checks"]["broker"] is False
        valkey.start()
        wait_for(lambda: service.get("/ready")[0] == 200)
        wait_for(lambda: service.total("stream_source_opened_total", source="redis events") == 2)
        wait_for(lambda: not ticks_in(tmp_path / "c")[-1].deaf)
        assert service.stop() == 0
    assert [line["source"] for line in service_log(tmp_path, "source.lost")]


def ticks_in(directory):
    files = sorted(directory.glob("*"))
    lines = b"".join(path.read_bytes() for path in files).splitlines()
    return [found for found in map(read_line, lines) if isinstance(found, Tick)]


def service_log(tmp_path, event):
    lines = (tmp_path / "stream.err").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def test_a_broker_that_is_down_at_the_start_is_waited_for(valkey, tmp_path):
    url = valkey.url
    valkey.stop()
    with running(tmp_path, url, ready=False) as service:
        wait_for(lambda: service_log(tmp_path, "source.lost"))
        assert service.get("/ready")[0] == 503
        valkey.start()
        wait_for(lambda: service.get("/ready")[0] == 200)


def test_a_receiver_that_is_down_blocks_nothing_and_what_is_left_is_told(valkey, tmp_path):
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with (
        running(tmp_path, valkey.url, "--grace", "2", env=env) as service,
        celery_worker(APP, valkey.url, pool="solo"),
        make_app(valkey.url) as app,
    ):
        results = [app.tasks["t.ok"].delay(number) for number in range(20)]
        wait_for(lambda: all(result.ready() for result in results))
        wait_for(lambda: service.total("celery_task_completed_total") == 20)
        wait_for(lambda: service.health()["checks"]["export"] is False)
        assert service.stop() == 0
    (stopped,) = service_log(tmp_path, "service.stopped")
    assert stopped["items_left"]["traces"] == 40  # a send and a process span each
    ledger = stopped["ledgers"]["traces"]
    assert ledger["accepted"] == sum(ledger["dropped"].values()) == 40
