"""The service is stopped for seconds under load: what it lost is what its loss metrics say."""

import json
import signal
import time
from contextlib import contextmanager

import anyio
import pytest

from stream.events import Message, Subscribed, TaskStarted, Transport
from stream.sources.capture import Capture
from stream.wire.codec import decode
from tests.app_under_test import make_app
from tests.integration.service import running
from tests.integration.test_rabbitmq import send_tasks, worker
from tests.servers import APP, celery_worker, wait_for
from tests.sources.amqp_helpers import publish

LARGE = "x" * 900
"""An argument that makes an event large: Celery tells up to 1,024 characters of them."""
AT_ONCE = 50
LEEWAY = 3.0
"""Seconds that an event may wait in a worker on a machine that is busy."""


class Recorded:
    """What a service recorded: the executions of which it saw the start, and its subscriptions."""

    def __init__(self, directory):
        self.started = set()
        self.subscribed = []
        anyio.run(Capture([str(directory)], tell=lambda _: None).run, self._put)

    async def _put(self, frames):
        for frame in frames:
            if isinstance(frame, Message):
                self.started |= started_in(frame)
            elif isinstance(frame, Subscribed):
                self.subscribed.append(frame)


def started_in(message):
    """The tasks that an event of a message says were started."""
    return {event.uuid for event in decode(message).events if isinstance(event, TaskStarted)}


@contextmanager
def stopped(process):
    """Within it the process does not run."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


class Told:
    """What the loss metrics of a service say now."""

    def __init__(self, service):
        self.missed = service.total("stream_events_missed_total")
        self.coverage = service.total("celery_worker_event_coverage_ratio")
        self.gaps = service.total("stream_source_gaps_total")
        self.gap_seconds = service.total("stream_source_gap_time_seconds_total")

    @property
    def compared(self):
        """Executions that were compared with what was seen: a heartbeat's, when the next comes."""
        return round(self.missed / (1 - self.coverage)) if self.coverage < 1 else 0

    def check(self, *, lost, ran):
        """It is what was lost, to the last one."""
        assert 0 < lost < ran
        assert (self.missed, self.gaps) == (lost, 1)
        assert self.coverage == pytest.approx(1 - lost / ran, abs=1e-6)


def told_of(service, ran):
    """What it says once all executions were compared."""
    wait_for(lambda: Told(service).compared == ran, 40, what="all executions to be compared")
    return Told(service)


# -- Redis ---------------------------------------------------------------------------------------


class Load:
    """Sends tasks, and knows which and when each was done."""

    def __init__(self, app):
        self._app = app
        self.results = []

    def send(self, count):
        self.results += [self._app.tasks["t.ok"].delay(LARGE) for _ in range(count)]

    def wait(self):
        """Until all of them have run."""
        wait_for(lambda: all(result.ready() for result in self.results), 90)

    def done_at(self, uuids):
        """When each of these was done, epoch seconds."""
        return [each.date_done.timestamp() for each in self.results if each.id in uuids]


def subscriptions(server):
    """Connections of ours that are subscribed."""
    with server.client() as client:
        rows = client.client_list()
    return [row for row in rows if row["name"] == "celery-stream" and int(row["psub"])]


def test_what_a_stopped_service_loses_on_redis_is_what_it_says(valkey, tmp_path):
    with valkey.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 262144 262144 0")
    capture = tmp_path / "capture"
    with (
        running(tmp_path, valkey.url, "--capture", str(capture)) as service,
        celery_worker(APP, valkey.url),
        make_app(valkey.url) as app,
    ):
        wait_for(lambda: service.total("celery_worker_up") == 1)
        load = Load(app)
        load.send(AT_ONCE)
        load.wait()
        wait_for(lambda: service.total("celery_task_completed_total") == AT_ONCE)
        stopped_at = time.time()
        with stopped(service.process):
            while subscriptions(valkey):
                load.send(AT_ONCE)
            load.send(AT_ONCE)
            load.wait()
        wait_for(lambda: service.total("stream_source_epochs") == 2)
        load.send(AT_ONCE)
        load.wait()
        ran = {result.id for result in load.results}
        told = told_of(service, len(ran))
        assert service.stop() == 0
        recorded = Recorded(capture)
        lost = ran - recorded.started
        told.check(lost=len(lost), ran=len(ran))
        lost_at = load.done_at(lost)

    # The gap that is told is when it was lost.
    _, again = recorded.subscribed
    assert stopped_at - LEEWAY < again.received_at - told.gap_seconds < min(lost_at) + LEEWAY
    assert max(lost_at) < again.received_at + LEEWAY


# -- RabbitMQ ------------------------------------------------------------------------------------

HOLDS = 100
"""Messages in our queue."""
PREFETCHED = 2_000
"""Messages that RabbitMQ sends ahead of our acknowledgement."""


class Truth:
    """A queue of the test's own that gets every event."""

    def __init__(self, channel):
        self._channel = channel
        self.started = set()
        channel.queue_declare("truth", durable=False, auto_delete=False)
        channel.queue_bind("truth", "celeryev", "#")

    def take(self):
        """The tasks that were started so far."""
        while (message := self._channel.basic_get("truth", no_ack=True)) is not None:
            body = message.body.encode() if isinstance(message.body, str) else message.body
            self.started |= started_in(Message(0.0, "", Transport.AMQP, b"", body))
        return self.started


def publish_others(channel, count):
    """Custom events of an application: they fill what RabbitMQ sends ahead."""
    for number in range(count):
        event = {"type": "app-progress", "hostname": "app@h", "pid": 1, "clock": number}
        publish(channel, json.dumps(event | {"timestamp": time.time()}).encode(), "app.progress")


def test_what_a_stopped_service_loses_on_rabbitmq_is_what_it_says(rabbitmq, tmp_path):
    url, capture = rabbitmq.url(), tmp_path / "capture"
    bounded = ("--rabbitmq-retain-messages", str(HOLDS))
    with (
        worker(url, tmp_path / "worker.log"),
        running(tmp_path, url, *bounded, "--capture", str(capture)) as service,
        rabbitmq.channel() as channel,
    ):
        wait_for(lambda: service.total("celery_worker_up") == 1)
        truth = Truth(channel)
        send_tasks(url, AT_ONCE)
        wait_for(lambda: service.total("celery_task_completed_total") == AT_ONCE)
        ran = AT_ONCE
        with stopped(service.process):
            stopped_at = time.time()
            publish_others(channel, PREFETCHED)
            send_tasks(url, 4 * AT_ONCE)
            ran += 4 * AT_ONCE
            wait_for(lambda: len(truth.take()) == ran)
        wait_for(lambda: service.total("stream_source_epochs") == 2)
        send_tasks(url, AT_ONCE)
        ran += AT_ONCE
        wait_for(lambda: len(truth.take()) == ran)
        told = told_of(service, ran)
        assert service.stop() == 0
    recorded = Recorded(capture)
    told.check(lost=len(truth.started - recorded.started), ran=ran)
    # How many messages were dropped RabbitMQ tells nobody; since when some may have been, it does.
    _, again = recorded.subscribed
    assert again.received_at - told.gap_seconds < stopped_at + LEEWAY
