"""A RabbitMQ server, real workers, and the sources as the service keeps them open."""

import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest
from celery import Celery

from stream.backoff import Backoff
from stream.events import (
    Message,
    Subscribed,
    TaskReceived,
    TaskSent,
    TaskStarted,
    TaskSucceeded,
    WorkerHeartbeat,
    WorkerOnline,
)
from stream.sources.amqp_address import parse
from stream.sources.amqp_queue import Retain
from stream.sources.amqp_queues import RabbitMqQueues
from stream.sources.rabbitmq_management import Management
from stream.supervise import keep_open
from stream.wire.codec import decode
from tests.integration.service import running
from tests.otlp import Receiver
from tests.servers import APP, ROOT, wait_for, wait_until
from tests.sources.amqp_helpers import Publisher, declare_exchange, events_of, publish

pytestmark = pytest.mark.anyio


class Taken:
    """The frames of a source that is kept open."""

    def __init__(self):
        self.frames = []

    async def put(self, frames):
        self.frames += frames

    def of(self, kind):
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def payloads(self):
        return [message.payload for message in self.of(Message)]

    def events(self):
        return [event for message in self.of(Message) for event in decode(message).events]

    def kinds(self):
        return {type(event) for event in self.events()}


@asynccontextmanager
async def kept_open(*sources):
    """Run sources as the service does, for the length of the block."""
    taken = Taken()

    async def keep(source):
        backoff = Backoff(first=0.05, most=0.5)
        await keep_open(source, taken.put, backoff=backoff, tell=lambda _: None)

    async with anyio.create_task_group() as tasks:
        for source in sources:
            tasks.start_soon(keep, source)
        yield taken
        tasks.cancel_scope.cancel()


@contextmanager
def worker(url, log, *, events=True, name="w@test"):
    """A real worker on RabbitMQ. It says itself, by an event, when it is there."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("CELERY_")}
    command = [sys.executable, "-m", "celery", "-A", APP, "worker", "-c", "2"]
    command += ["-E"] if events else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--without-mingle", "--hostname", name],
            cwd=ROOT,
            env=kept | {"CELERY_BROKER_URL": url},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def send_tasks(url, count):
    with Celery("producer", broker=url, set_as_current=False) as app:
        app.conf.update(task_send_sent_event=True)
        for number in range(count):
            app.send_task("t.ok", (number,), ignore_result=True)


def queues_of(vhost):
    return RabbitMqQueues(
        parse(vhost.url()),
        "main",
        known=tuple,
        tell=lambda _: None,
        management=Management(vhost.server.management, vhost.name),
        interval=0.05,
    )


async def test_events_of_a_real_worker_arrive_single_and_batched(rabbitmq, tmp_path):
    with worker(rabbitmq.url(), tmp_path / "worker.log"):
        async with kept_open(events_of(rabbitmq.url())) as taken:
            await wait_until(
                lambda: taken.kinds() & {WorkerOnline, WorkerHeartbeat},
                60,
                what=(tmp_path / "worker.log").read_text(),
            )
            await anyio.to_thread.run_sync(send_tasks, rabbitmq.url(), 20)

            def all_ended():
                return sum(isinstance(event, TaskSucceeded) for event in taken.events()) == 20

            await wait_until(all_ended)
    assert {TaskSent, TaskReceived, TaskStarted, TaskSucceeded} <= taken.kinds()
    keys = {message.channel for message in taken.of(Message)}
    assert {b"task.sent", b"task.multi"} <= keys


async def test_nothing_but_our_own_queue_is_consumed_and_nothing_is_published(rabbitmq):
    with rabbitmq.channel() as channel:
        declare_exchange(channel)
        channel.queue_declare("celery", durable=True, auto_delete=False)
        # Everything that is published or delivered on this virtual host comes here as well.
        channel.queue_declare("firehose", durable=False, auto_delete=False)
        channel.queue_bind("firehose", "amq.rabbitmq.trace", "#")
        rabbitmq.server.api("PUT", f"vhosts/{rabbitmq.name}", {"tracing": True})
        async with kept_open(events_of(rabbitmq.url()), queues_of(rabbitmq)) as taken:
            await wait_until(lambda: taken.of(Subscribed))
            publish(channel, b"one", "task.sent")
            await wait_until(lambda: taken.of(Message))
            consumers = await wait_until(
                lambda: rabbitmq.server.api("GET", f"consumers/{rabbitmq.name}")
            )
            await wait_until(lambda: len(taken.frames) > 20)
        traced = []
        while (message := channel.basic_get("firehose", no_ack=True)) is not None:
            traced.append(message.delivery_info["routing_key"])
    (consumer,) = consumers
    ours = consumer["queue"]["name"]
    assert ours.startswith("celeryev.")
    assert sorted(traced) == [f"deliver.{ours}", "publish.celeryev"]


async def test_a_quorum_queue_loses_nothing_while_the_broker_is_away(own_rabbitmq):
    with own_rabbitmq.channel() as channel:
        declare_exchange(channel)
    source = events_of(own_rabbitmq.url(), retain=Retain.QUORUM)
    publisher = Publisher(own_rabbitmq)
    async with kept_open(source) as taken:
        await wait_until(lambda: taken.of(Subscribed))
        with publisher.running():
            await wait_until(lambda: len(taken.of(Message)) > 200)
            await anyio.to_thread.run_sync(own_rabbitmq.stop)
            before = publisher.confirmed
            await anyio.to_thread.run_sync(own_rabbitmq.start)
            await wait_until(lambda: publisher.confirmed > before + 200)
        published = {str(number).encode() for number in range(publisher.confirmed)}
        await wait_until(lambda: published <= set(taken.payloads()))
    assert not [mark for mark in taken.of(Subscribed) if mark.silent_since is not None]


async def test_without_it_the_gap_is_marked(own_rabbitmq):
    with own_rabbitmq.channel() as channel:
        declare_exchange(channel)
    publisher = Publisher(own_rabbitmq)
    async with kept_open(events_of(own_rabbitmq.url())) as taken:
        await wait_until(lambda: taken.of(Subscribed))
        with publisher.running():
            await wait_until(lambda: len(taken.of(Message)) > 200)
            await anyio.to_thread.run_sync(own_rabbitmq.kill)
            await anyio.to_thread.run_sync(own_rabbitmq.start)
            await wait_until(lambda: len(taken.of(Subscribed)) > 1)
            last = taken.of(Subscribed)[-1]
            await wait_until(lambda: taken.frames[-1] is not last)
    first, second = taken.of(Subscribed)
    assert (first.epoch, first.silent_since) == (1, None)
    assert second.epoch == 2
    assert first.received_at <= second.silent_since <= second.received_at


def test_the_service_tells_of_a_cluster_on_rabbitmq(rabbitmq, tmp_path):
    url = rabbitmq.url()
    with (
        worker(url, tmp_path / "worker.log"),
        Receiver() as receiver,
        running(tmp_path, url, "--otlp-endpoint", receiver.url) as service,
    ):
        wait_for(lambda: service.total("celery_workers_active") == 1)
        send_tasks(url, 30)
        wait_for(lambda: service.total("celery_task_completed_total", queue="celery") == 30)
        wait_for(lambda: service.samples("celery_queue_depth"))
        assert service.health()["status"] == "healthy"
        assert service.total("messaging_client_sent_messages_total") == 30
        assert service.stop() == 0

    (system,) = {span.attributes["messaging.system"] for span in receiver.spans()}
    assert system == "rabbitmq"
    assert len([span for span in receiver.spans() if span.name == "process t.ok"]) == 30


def test_a_login_that_rabbitmq_refuses_ends_the_start_with_a_sentence(rabbitmq):
    ended = subprocess.run(
        [sys.executable, "-m", "stream", "run", "--listen", "127.0.0.1:0"],
        cwd=ROOT,
        env=os.environ | {"STREAM_BROKER": rabbitmq.url(password="wrong")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    (sentence,) = [line for line in ended.stderr.splitlines() if line.startswith("celery-stream:")]
    assert "wrong" not in sentence
    assert "Traceback" not in ended.stderr
