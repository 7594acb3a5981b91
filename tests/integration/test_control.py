"""Asking and enabling real workers: through our own connection, and never through kombu."""

import pytest

from tests.app_under_test import make_app
from tests.integration.service import running
from tests.servers import APP, celery_worker, wait_for

ENABLE = ("--enable-events",)
INSPECT = ("--inspect-interval", "60")


def run_tasks(url, count=10):
    with make_app(url) as app:
        results = [app.tasks["t.ok"].delay(number) for number in range(count)]
        wait_for(lambda: all(result.ready() for result in results), 60)


def done(service):
    return service.total("celery_task_finished_total", state="SUCCESS")


@pytest.fixture
def commands(valkey):
    """What clients send, as ``MONITOR`` tells it: called, the commands so far."""
    with valkey.client() as client, client.monitor() as monitor:
        seen = []

        def so_far():
            while monitor.connection.can_read(timeout=0):
                seen.append(monitor.next_command())
            return seen

        yield so_far


def test_a_worker_without_events_is_told_to_send_them(valkey, tmp_path):
    with (
        running(tmp_path, valkey.url, *ENABLE) as service,
        celery_worker(APP, valkey.url, events=False) as worker,
    ):
        wait_for(lambda: service.total("celery_worker_up", worker=worker.hostname) == 1)
        wait_for(lambda: run_tasks(valkey.url) or done(service) >= 10, 30)
        assert service.stop() == 0


def test_without_the_flag_workers_are_left_as_they_are(valkey, tmp_path):
    with (
        running(tmp_path, valkey.url) as service,
        celery_worker(APP, valkey.url, events=False) as worker,
    ):
        wait_for(lambda: service.total("celery_worker_up", worker=worker.hostname) == 1)
        run_tasks(valkey.url)
        processed = service.total("celery_worker_processed", worker=worker.hostname)
        wait_for(lambda: service.total("celery_worker_processed", worker=worker.hostname) >= 10)
        assert processed <= 10
        assert service.total("celery_task_started_total") == 0
        assert not any(b"pidbox" in channel for channel in _published(valkey))


def _published(valkey):
    with valkey.client() as client:
        return client.pubsub_channels("*celery-stream*")


def test_an_inspection_tells_pool_and_queues(valkey, tmp_path):
    with (
        running(tmp_path, valkey.url, *INSPECT, "--poll-interval", "0.5") as service,
        celery_worker(APP, valkey.url, concurrency=3, queues=("celery", "mail")) as worker,
    ):
        wait_for(lambda: service.total("celery_worker_pool_size", worker=worker.hostname) == 3)
        wait_for(lambda: service.total("celery_queue_workers", queue="mail") == 1)
        wait_for(lambda: ("queue", "mail") in dict.fromkeys(_queues(service)))
        with make_app(valkey.url) as app:
            app.tasks["t.slow"].delay(6)
            wait_for(lambda: service.total("celery_worker_utilization_ratio") == 1 / 3)
        assert service.health()["checks"]["broker"]
        assert service.stop() == 0


def _queues(service):
    return [pair for pairs in service.samples("celery_queue_depth") for pair in pairs]
