"""The service is stopped for seconds under load: what it lost is what its loss metrics say."""

import signal
import threading
from contextlib import contextmanager

import anyio
import pytest

from stream.events import Message, TaskStarted
from stream.sources.capture import Capture
from stream.wire.codec import decode
from tests.app_under_test import make_app
from tests.integration.service import running
from tests.servers import APP, celery_worker, wait_for

pytestmark = pytest.mark.timeout(240)

LARGE = "x" * 900
"""An argument that makes an event large: Celery tells up to 1,024 characters of them."""
AT_ONCE = 50


def starts_in(directory):
    """uuid -> when it was started, of all that a service recorded."""
    found = {}

    async def put(frames):
        for frame in frames:
            if isinstance(frame, Message):
                found.update(starts_of(frame))

    capture = Capture([str(directory)], tell=lambda _: None)
    anyio.run(capture.run, put)
    return found


def starts_of(message):
    return {
        event.uuid: event.timestamp
        for event in decode(message).events
        if isinstance(event, TaskStarted)
    }


@contextmanager
def stopped(process):
    """Within it the process does not run."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


class Load:
    """Sends tasks and knows which."""

    def __init__(self, app):
        self._app = app
        self.results = []

    def send(self, count):
        self.results += [self._app.tasks["t.ok"].delay(LARGE) for _ in range(count)]

    def wait(self):
        """Until all of them have run."""
        wait_for(lambda: all(result.ready() for result in self.results), 90)


def subscribers(server):
    """Connections of ours that are subscribed."""
    with server.client() as client:
        rows = client.client_list()
    return [row for row in rows if row["name"] == "celery-stream" and int(row["psub"])]


def missed(service):
    return service.total("stream_events_missed_total")


def test_what_a_stopped_service_loses_on_redis_is_what_it_says(valkey, tmp_path):
    import time
    with valkey.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 262144 262144 0")
    capture = tmp_path / "capture"
    with (
        running(tmp_path, valkey.url, "--capture", str(capture)) as service,
        celery_worker(APP, valkey.url) as worker,
        make_app(valkey.url) as app,
    ):
        wait_for(lambda: service.total("celery_worker_up") == 1)
        load = Load(app)
        load.send(AT_ONCE)
        load.wait()
        wait_for(lambda: service.total("celery_task_completed_total") == AT_ONCE)
        t0=time.time()
        with stopped(service.process):
            while subscribers(valkey):
                load.send(AT_ONCE)
            load.send(AT_ONCE)
            load.wait()
        t1=time.time()
        wait_for(lambda: service.total("stream_source_epochs") == 2)
        load.send(AT_ONCE)
        load.wait()
        ran = len(load.results)
        # `processed` of the heartbeat that is compared one heartbeat later.
        wait_for(lambda: service.total("celery_worker_processed") == ran)
        told = wait_for(lambda: missed(service))
        beats = 0
        time.sleep(7)
        print(service.total("celery_worker_event_coverage_ratio"), service.total("stream_source_gap_time_seconds_total"), t1-t0, missed(service), ran)
        assert service.stop() == 0
    seen = starts_in(capture)
    print(len(seen), ran-len(seen))
    assert 0
