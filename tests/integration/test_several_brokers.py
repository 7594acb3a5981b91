"""Several brokers in one process: each apart, and one that fails leaves the others in sight."""

import json
from functools import partial

import pytest

from stream.reading import Reading
from tests.app_under_test import make_app
from tests.integration.service import running
from tests.integration.test_rabbitmq import send_tasks, worker
from tests.otlp import Receiver
from tests.servers import APP, Valkey, celery_worker, wait_for

TASKS = 20


@pytest.fixture
def other(tmp_path):
    with Valkey(tmp_path / "other") as server:
        yield server


def run_tasks(url, count=TASKS):
    """Send tasks and wait for their results."""
    with make_app(url) as app:
        results = [app.tasks["t.ok"].delay(number) for number in range(count)]
        wait_for(lambda: all(result.ready() for result in results))


def finished(service, broker):
    return service.total("celery_task_finished_total", broker=broker, state="SUCCESS")


def named(shop, mail):
    """The arguments for two brokers, of which the first is given as ``running`` does it."""
    return f"shop={shop.url}", "--broker", f"mail={mail.url}", "--poll-interval", "0.5"


def test_each_broker_has_its_own_series_spans_records_and_health(valkey, other, tmp_path):
    with Receiver() as receiver:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_METRIC_EXPORT_INTERVAL": "500"}
        shop, *more = named(valkey, other)
        with (
            running(tmp_path, shop, *more, "--log-records-lifecycle", env=env) as service,
            celery_worker(APP, valkey.url, name="same"),
            celery_worker(APP, other.url, name="same"),
        ):
            run_tasks(valkey.url)
            run_tasks(other.url, TASKS + 1)
            wait_for(lambda: finished(service, "shop") == TASKS)
            wait_for(lambda: finished(service, "mail") == TASKS + 1)
            for broker in ("shop", "mail"):
                assert service.total("celery_workers_active", broker=broker) == 1
                depth = partial(service.total, "celery_queue_depth", broker=broker, queue="celery")
                wait_for(lambda: depth() == 0)  # noqa: B023 - called at once
                assert service.total("stream_source_epochs", broker=broker, source=broker) == 1
            health = service.health()
            assert health["status"] == "healthy"
            assert set(health["brokers"]) == {"shop", "mail"}
            # What concerns the process is told once, and of no broker.
            (accepted,) = [
                pairs
                for pairs in service.samples("stream_export_accepted_total")
                if ("signal", "traces") in pairs
            ]
            assert "broker" not in dict(accepted)
            assert service.stop() == 0
        runs = [span for span in receiver.spans() if span.name.startswith("process ")]
        spans = [span.attributes["celery.broker.name"] for span in runs]
        assert {name: spans.count(name) for name in set(spans)} == {
            "shop": TASKS,
            "mail": TASKS + 1,
        }
        lines = [json.loads(line) for line in (tmp_path / "stream.out").read_text().splitlines()]
        ended = [line["broker"] for line in lines if line["event"] == "celery.task.completed"]
        assert (ended.count("shop"), ended.count("mail")) == (TASKS, TASKS + 1)


def test_one_may_be_redis_and_another_rabbitmq(valkey, rabbitmq, tmp_path):
    with (
        running(tmp_path, f"shop={valkey.url}", "--broker", rabbitmq.url(), ready=False) as service,
        celery_worker(APP, valkey.url),
        worker(rabbitmq.url(), tmp_path / "worker.log"),
    ):
        place = f"127.0.0.1:{rabbitmq.server.port}/{rabbitmq.name}"  # it was given no name
        wait_for(lambda: service.total("celery_workers_active") == 2)
        run_tasks(valkey.url)
        send_tasks(rabbitmq.url(), TASKS + 1)
        wait_for(lambda: finished(service, "shop") == TASKS)
        wait_for(lambda: finished(service, place) == TASKS + 1)
        received = "messaging_client_consumed_messages_total"
        assert service.total(received, broker="shop", messaging_system="redis") == TASKS
        assert service.total(received, broker=place, messaging_system="rabbitmq") == TASKS + 1
        assert service.stop() == 0


def test_a_broker_that_goes_away_and_comes_back_leaves_the_other_in_sight(valkey, other, tmp_path):
    shop, *more = named(valkey, other)
    with running(tmp_path, shop, *more) as service, celery_worker(APP, valkey.url):
        wait_for(lambda: service.health()["brokers"]["mail"]["checks"]["broker"])
        other.kill()
        wait_for(lambda: not service.health()["brokers"]["mail"]["checks"]["broker"])
        run_tasks(valkey.url)
        wait_for(lambda: finished(service, "shop") == TASKS)
        health = service.health()
        assert (health["status"], health["brokers"]["shop"]["status"]) == ("unhealthy", "healthy")
        assert service.get("/ready")[0] == 200
        other.start()
        wait_for(lambda: service.health()["brokers"]["mail"]["checks"]["broker"])
        wait_for(lambda: service.total("stream_source_gaps_total", broker="mail") == 1)
        assert service.total("stream_source_gaps_total", broker="shop") == 0
        assert service.total("stream_source_lost_total", broker="shop") == 0
        assert service.stop() == 0


def test_a_broker_that_refuses_us_is_told_and_leaves_the_other_in_sight(valkey, other, tmp_path):
    with other.client() as client:
        client.config_set("requirepass", "secret")
    shop, *more = named(valkey, other)
    with running(tmp_path, shop, *more) as service, celery_worker(APP, valkey.url):
        run_tasks(valkey.url)
        wait_for(lambda: finished(service, "shop") == TASKS)
        mail = service.health()["brokers"]["mail"]
        assert not mail["checks"]["broker"]
        assert "password" in mail["details"]["broker"]
        assert service.health()["brokers"]["shop"]["status"] == "healthy"
        refused = [line for line in service.log() if line["event"] == "source.refused"]
        assert {line["source"] for line in refused} == {"mail events", "mail queues"}
        assert {(line["broker"], line["retry_in"]) for line in refused} == {("mail", 60.0)}
        assert service.stop() == 0


def test_where_no_broker_is_connected_nothing_is_ready(valkey, other, tmp_path):
    shop, *more = named(valkey, other)
    with running(tmp_path, shop, *more) as service:
        valkey.kill()
        other.kill()
        wait_for(lambda: service.get("/ready")[0] == 503)


def test_a_single_broker_with_a_name_tells_it(valkey, tmp_path):
    with running(tmp_path, f"shop={valkey.url}") as service:
        wait_for(lambda: service.total("stream_source_epochs", broker="shop", source="shop") == 1)
        assert list(service.health()["brokers"]) == ["shop"]


def test_a_flood_on_one_broker_sheds_nothing_of_another(valkey, other, tmp_path):
    shop, *more = named(valkey, other)
    with (
        running(tmp_path, shop, *more, "--channel-frames", "50") as service,
        celery_worker(APP, valkey.url),
        other.client() as flood,
    ):
        for number in range(TASKS):
            with flood.pipeline(transaction=False) as together:
                for _ in range(500):
                    together.publish("/0.celeryev/task.multi", b"[]")
                together.execute()
            run_tasks(valkey.url, 1)
            wait_for(lambda: finished(service, "shop") > number)  # noqa: B023 - waits in this round
        wait_for(
            lambda: service.total("stream_frames_received_total", broker="mail") >= 500 * TASKS
        )
        assert service.total("stream_frames_shed_total", broker="mail") > 0
        assert service.total("stream_frames_shed_total", broker="shop") == 0
        wait_for(lambda: finished(service, "shop") == TASKS)


def test_what_was_recorded_of_several_brokers_is_replayed_apart(valkey, other, tmp_path):
    shop, *more = named(valkey, other)
    capture = tmp_path / "captured"
    with (
        running(tmp_path, shop, *more, "--capture", str(capture)) as service,
        celery_worker(APP, valkey.url, name="same"),
        celery_worker(APP, other.url, name="same"),
    ):
        run_tasks(valkey.url)
        run_tasks(other.url, TASKS + 1)
        wait_for(lambda: finished(service, "shop") == TASKS)
        wait_for(lambda: finished(service, "mail") == TASKS + 1)
        live = {
            broker: service.total("celery_task_started_total", broker=broker)
            for broker in ("shop", "mail")
        }
        assert service.stop() == 0
    reading = Reading([str(capture)])
    reading.read()
    report = reading.report()
    assert report.states == {"SUCCESS": 2 * TASKS + 1}
    assert sum(live.values()) == 2 * TASKS + 1
    assert report.coverage.damaged_lines == 0
