"""A real Prometheus scrapes the service: each query of each dashboard and rule has an answer."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
from celery import Celery

from stream.deploy.boards import dashboards
from stream.deploy.names import Names
from stream.deploy.panels import written as written_dashboard
from stream.deploy.rules import Thresholds
from stream.deploy.rules import written as written_rules
from stream.server.prometheus import page
from stream.sinks import instruments as table
from stream.sinks.aggregate import Distribution, Family, Number
from stream.sinks.instruments import TABLE, Type
from tests.app_under_test import make_app
from tests.integration.service import running
from tests.otlp import Receiver
from tests.prometheus import Prometheus, job, require_prometheus
from tests.servers import Valkey, celery_worker, wait_for

FILLED = {"__rate_interval": "10s", "__range": "1m"}
NEVER_HERE = {
    "celery_beat_",  # there is no beat
    "celery_queue_drain_time_seconds",  # needs a queue that is consumed while it is full
    "celery_queue_stalled_ratio",
    "celery_task_lost_total",  # needs five minutes
    "celery_task_redelivered_total",
    "celery_task_revoked_total",
    "celery_task_unknown_total",
    "stream_spool_bytes",
}
"""What this traffic does not show: asked for by the page that has everything."""

HIGH_FAIL_RATE = """
sum by (job, namespace, queue_name, name) (increase(celery_task_failed_total{{{0}}}[10m]))
/ (
  sum by (job, namespace, queue_name, name) (increase(celery_task_failed_total{{{0}}}[10m]))
  + sum by (job, namespace, queue_name, name) (increase(celery_task_succeeded_total{{{0}}}[10m]))
) * 100 > 5
""".format('job=~".*celery.*",queue_name!~"None",name!~"None"')
HIGH_QUEUE_LENGTH = """
sum by (job, namespace, queue_name) (celery_queue_length{job=~".*celery.*",queue_name!~"None"}) > 10
"""
WORKER_DOWN = 'celery_worker_up{job=~".*celery.*"} == 0'

OF_THEIR_DASHBOARDS = {
    "celery-exporter": [
        "count(celery_worker_up == 1)",
        "sum(celery_worker_tasks_active)",
        "sum by (queue_name) (celery_queue_length)",
        "sum(rate(celery_task_sent_total[10s]))",
        "sum by (name) (rate(celery_task_received_total[10s])) > 0",
        "sum(rate(celery_task_retried_total[10s]))",
        "sum(rate(celery_task_rejected_total[10s]))",
        "sum(rate(celery_task_revoked_total[10s]))",
        "sum by (name, exception) (celery_task_failed_total) > 0",
        "histogram_quantile(0.95, sum by (le) (rate(celery_task_runtime_bucket[10s])))",
        "sum(celery_task_runtime_sum) / sum(celery_task_runtime_count) > 0",
        "histogram_quantile(0.95, sum by (le) (rate(celery_task_queue_wait_time_bucket[10s])))",
        'sum(celery_active_worker_count{queue_name="celery"}) > 0',
        'sum(celery_active_process_count{queue_name="celery"})',
        'sum(celery_active_consumer_count{queue_name="celery"}) > 0',
    ],
    "flower": [
        "flower_worker_online == 1",
        "flower_worker_number_of_currently_executing_tasks",
        "sum by (task, worker) (avg_over_time(flower_task_prefetch_time_seconds[1m]))",
        "flower_worker_prefetched_tasks",
        'sum by (task) (flower_events_total{type="task-succeeded"})',
        'sum by (task) (flower_events_total{type=~"task-failed|task-succeeded"})',
        'sum by (task) (flower_events_total{type="task-failed"})',
        "histogram_quantile(0.95, sum by (le) (rate(flower_task_runtime_seconds_bucket[10s])))",
    ],
}


def filled(expr):
    """Fill in a dashboard's variables as Grafana does, all being chosen."""
    for name, value in FILLED.items():
        expr = expr.replace(f"${name}", value)
    return re.sub(r"\$\w+", ".*", expr)


def queries():
    """{(dashboard, panel, its number): expression}, of all dashboards."""
    return {
        (name, panel["title"], target["refId"]): filled(target["expr"])
        for name, dashboard in dashboards(Names.PROMETHEUS).items()
        for panel in written_dashboard(dashboard)["panels"]
        for target in panel.get("targets", ())
    }


QUERIES = queries()


def wait_for_answers(prometheus, expressions):
    """Wait until each expression yields a series; say which do not."""
    left = expressions

    def answered():
        nonlocal left
        left = {key: expr for key, expr in left.items() if not prometheus.query(expr)}
        return not left

    try:
        wait_for(answered)
    except TimeoutError:
        pytest.fail("\n".join(f"{key}: {expr}" for key, expr in left.items()))


def send(app):
    """A bit of everything, and a queue that nobody serves."""
    for name in ("t.ok", "t.ok", "t.fail", "t.retry_then_ok", "t.retry_exhausted", "t.reject"):
        app.send_task(name)
    app.send_task("t.slow", (0.3,))
    app.send_task("t.ok", queue="unserved", priority=3)


@contextmanager
def traffic(app):
    """Within it, tasks are sent a few times a second."""
    stop = threading.Event()

    def send_until_told():
        while not stop.wait(0.5):
            send(app)

    thread = threading.Thread(target=send_until_told)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Watched(NamedTuple):
    prometheus: Prometheus
    app: Celery
    url: str
    receiver: Receiver


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A Prometheus that scrapes a service that watches a real worker, under three names."""
    require_prometheus()
    directory = tmp_path_factory.mktemp("watched")
    rules = directory / "celery-stream.rules.yml"
    rules.write_text(written_rules(Names.PROMETHEUS, Thresholds()))
    options = (
        *("--poll-interval", "0.2", "--held-interval", "0.5"),
        *("--stuck-queued", "1", "--no-records", "--otlp-metric-interval", "0.5"),
    )
    with Valkey(directory / "valkey") as valkey, Receiver() as receiver:
        options = (*options, "--otlp-endpoint", receiver.url)
        with (
            running(directory, valkey.url, *options, ready=False) as service,
            celery_worker("tests.app_under_test", valkey.url),
            make_app(valkey.url) as app,
            traffic(app),
            Prometheus(
                directory / "prometheus",
                job("celery-stream", service.address),
                *(
                    job(name, service.address, params={"compat": [name]})
                    for name in OF_THEIR_DASHBOARDS
                ),
                rules=(rules,),
            ) as prometheus,
        ):
            yield Watched(prometheus, app, valkey.url, receiver)


def test_every_query_of_every_dashboard_has_an_answer_for_real_traffic(watched):
    prometheus = watched.prometheus
    expected = {
        key: expr
        for key, expr in QUERIES.items()
        if "or vector(" in expr or not any(name in expr for name in NEVER_HERE)
    }
    assert len(expected) > len(QUERIES) - 2 * len(NEVER_HERE)
    wait_for_answers(prometheus, expected)


def test_every_rule_is_evaluated_and_what_it_computes_is_there(watched):
    prometheus = watched.prometheus

    def evaluated():
        rules = prometheus.rules()
        return all(rule["health"] == "ok" for rule in rules) and rules

    rules = wait_for(evaluated)
    assert not [rule for rule in rules if rule.get("lastError")]
    recorded = {rule["name"]: rule["name"] for rule in rules if rule["type"] == "recording"}
    assert len(recorded) == 4
    wait_for_answers(prometheus, recorded)


def test_alerts_made_for_celery_exporter_go_on_working(watched):
    prometheus, app, url, _ = watched
    for _ in range(12):
        app.send_task("t.ok", queue="unserved", priority=9)
    fails = {"job": "celery-exporter", "name": "t.fail", "queue_name": "celery"}

    def failing():
        labels = [series["metric"] for series in prometheus.query(HIGH_FAIL_RATE)]
        return fails in labels and labels

    assert not [each for each in wait_for(failing) if each["name"] == "t.ok"]

    def unserved():
        lengths = prometheus.query(HIGH_QUEUE_LENGTH)
        found = [each for each in lengths if each["metric"]["queue_name"] == "unserved"]
        # The sum over its priorities: among the least urgent alone there are 12.
        return found and float(found[0]["value"][1]) > 12

    wait_for(unserved)
    assert prometheus.query(WORKER_DOWN) == []
    wait_for(lambda: prometheus.query(WORKER_DOWN.replace("== 0", "== 1")))
    with celery_worker("tests.app_under_test", url, pool="solo", name="other") as worker:
        wait_for(
            lambda: prometheus.query(f'flower_worker_online{{worker="{worker.hostname}"}} == 1')
        )
    assert worker.process.returncode == 0, "it said goodbye"
    # Our own page has a metric of this name too, under its own labels and job.
    of_theirs = f'({WORKER_DOWN}) and {{job="celery-exporter"}}'
    (down,) = wait_for(lambda: prometheus.query(of_theirs))
    assert down["metric"]["hostname"] == worker.hostname.partition("@")[2]


@pytest.mark.parametrize("whose", OF_THEIR_DASHBOARDS)
def test_the_queries_of_their_dashboards_have_an_answer(watched, whose):
    prometheus = watched.prometheus
    wait_for_answers(prometheus, {expr: expr for expr in OF_THEIR_DASHBOARDS[whose]})


def test_all_three_pages_are_scraped_without_complaint(watched):
    prometheus = watched.prometheus

    def scraped():
        targets = prometheus.targets()
        known = all(each["health"] != "unknown" for each in targets)
        # Of a busy machine; at the next scrape it is over.
        slow = any("deadline exceeded" in each["lastError"] for each in targets)
        return targets if known and not slow else []

    targets = wait_for(scraped)
    assert {each["labels"]["job"]: each["lastError"] for each in targets} == {
        "celery-stream": "",
        "celery-exporter": "",
        "flower": "",
    }


def test_what_is_sent_over_otlp_has_the_names_that_the_dashboards_for_it_use(watched):
    """Whatever this traffic shows at all."""
    receiver = watched.receiver
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for dashboard in dashboards(Names.OTLP).values()
        for panel in written_dashboard(dashboard)["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r'__name__="([^"]+)"', target["expr"])
    }
    absent = {
        *("celery.beat.overdue", "celery.beat.late", "celery.beat.missed", "celery.beat.interval"),
        *("celery.queue.stalled", "celery.queue.drain_time", "celery.task.lost"),
        "celery.task.rejected",  # Celery 5.7 tells Reject as a failure
        *("celery.task.redelivered", "celery.task.revoked", "celery.task.unknown"),
        *("stream.spool.bytes", "stream.events.rejected", "stream.export.dropped"),
        *("stream.export.failures", "stream.export.rejected", "stream.source.gap.time"),
        *("stream.source.lost", "stream.spans.unsampled", "stream.spans.ratio"),
    }

    missing = asked - absent

    def told():
        nonlocal missing
        missing -= {metric.name for metric in receiver.metrics()}
        return not missing

    try:
        wait_for(told)
    except TimeoutError:
        pytest.fail(f"not sent: {missing}")


@pytest.fixture
def everything():
    """A page on which each instrument has a value that grows, and its address."""
    require_prometheus()
    scrapes = iter(range(1, 1_000_000))

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            body = page(every_family(next(scrapes))).body
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "{}:{}".format(*server.server_address)
        server.shutdown()
        thread.join()


STATES = {
    table.TASK_FINISHED: ("SUCCESS", "FAILURE", "LOST"),
    table.TASK_DURATION: ("SUCCESS", "FAILURE"),
    table.QUEUE_SIZE: ("ready", "unacknowledged"),
    table.WORKERS_CHANGED: ("online", "lost"),
}
LABELS = {"queue": "payments", "worker": "w@box", "priority": "3"}


def every_family(scrape):
    """Each instrument, with labels as the service gives them."""
    for instrument in TABLE:
        labels = [
            tuple(state if name == "state" else LABELS.get(name, "x") for name in names)
            for state in STATES.get(instrument, ("STARTED",))
            for names in (instrument.attributes,)
        ]
        if "queue" in instrument.attributes and instrument.type is Type.GAUGE:
            labels.append(tuple("*" if value == "payments" else value for value in labels[-1]))
        if instrument.type is Type.HISTOGRAM:
            counts = (scrape,) * (len(instrument.bounds) + 1)
            count, total = sum(counts), float(scrape)
            points = tuple(Distribution(each, counts, total, count) for each in labels)
        else:
            points = tuple(Number(each, float(scrape)) for each in labels)
        yield Family(instrument, points)


def test_every_query_of_every_dashboard_has_an_answer_where_everything_happened(
    everything, tmp_path
):
    with Prometheus(tmp_path / "prometheus", job("celery-stream", everything)) as prometheus:
        wait_for_answers(prometheus, QUERIES)
