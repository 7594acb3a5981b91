"""The pages of celery-exporter and flower, of the service as users run it."""

import json

import msgspec

from tests.builders import Process, producer
from tests.integration.service import running
from tests.servers import Valkey, wait_for

EXPORTER = "/metrics?compat=celery-exporter"


def publish(valkey, *events):
    """Publish events as Celery does on Redis."""
    with valkey.client() as client:
        for event in events:
            kind = type(event).__struct_config__.tag
            body = json.dumps({"type": kind, **msgspec.to_builtins(event)})
            envelope = {"body": body, "content-type": "application/json", "properties": {}}
            client.publish(f"/0.celeryev/{kind.replace('-', '.', 1)}", json.dumps(envelope))


def one_task(uuid):
    web, main = producer(), Process("w1@box")
    return (
        web.sent(uuid, name="shop.pay", queue="payments"),
        main.received(uuid, name="shop.pay"),
        main.started(uuid),
        main.succeeded(uuid, runtime=0.5),
    )


def succeeded(service, path, more=""):
    labels = f'{more}hostname="box",name="shop.pay",queue_name="payments"'
    begin = f"celery_task_succeeded_total{{{labels}}} "
    lines = service.get(path)[1].splitlines()
    return next((float(line[len(begin) :]) for line in lines if line.startswith(begin)), None)


def test_what_is_configured_is_counted_from_the_start_and_told_by_default(valkey, tmp_path):
    with running(tmp_path, valkey.url, "--compat", "celery-exporter") as service:
        publish(valkey, *one_task("1"))
        wait_for(lambda: succeeded(service, "/metrics") == 1)
        assert "celery_task_completed_total" not in service.get("/metrics")[1]
        assert service.total("celery_task_completed_total") == 0
        ours = service.get("/metrics?compat=none")[1]
        assert 'celery_task_completed_total{queue="payments",task="shop.pay"} 1.0' in ours
        assert "flower_events_total" in service.get("/metrics?compat=flower")[1]


def test_what_is_not_configured_is_counted_from_the_first_request(valkey, tmp_path):
    with running(tmp_path, valkey.url) as service:
        publish(valkey, *one_task("1"))
        wait_for(lambda: service.total("celery_task_completed_total") == 1)
        assert succeeded(service, EXPORTER) is None
        publish(valkey, *one_task("2"))
        wait_for(lambda: succeeded(service, EXPORTER) == 1)
        assert service.get("/metrics?compat=leek")[0] == 400


def is_heard(broker):
    return broker["checks"]["broker"]


def test_of_several_brokers_each_is_told_apart(tmp_path):
    with Valkey(tmp_path / "a") as a, Valkey(tmp_path / "b") as b:
        url = f"a={a.url}"
        with running(tmp_path, url, "--broker", f"b={b.url}", "--compat", "flower") as service:
            # It is ready as soon as one of them is.
            wait_for(lambda: all(map(is_heard, service.health()["brokers"].values())))
            publish(a, *one_task("1"))
            publish(b, *one_task("1"), *one_task("2"))
            wait_for(lambda: succeeded(service, EXPORTER, 'broker="a",') == 1)
            wait_for(lambda: succeeded(service, EXPORTER, 'broker="b",') == 2)
