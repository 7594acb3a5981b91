"""The forms of Redis brokers, with what kombu itself writes and with servers that really end."""

import contextlib
import itertools
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from stream.backoff import Backoff
from stream.core.effects import Sent
from stream.core.engine import Engine
from stream.events import Message, QueueSample, Subscribed
from stream.sources.broker import on_replica, parse_broker
from stream.sources.queues import RedisQueues
from stream.sources.redis import RedisEvents
from stream.supervise import keep_open
from stream.wire.codec import decode
from tests.redis_forms import MASTER_NAME, authority, needs_openssl, signed, tls_proxy, watched
from tests.servers import Valkey, wait_until
from tests.sources.redis_helpers import running

pytestmark = pytest.mark.anyio

NAMED = {"master_name": MASTER_NAME}
EVERYTHING = {
    "global_keyprefix": "shop[1]:",
    "fanout_prefix": "/team-a.{db}.",
    "sep": "::",
    "priority_steps": [0, 1, 2],
    "unacked_key": "held",
    "unacked_index_key": "held_index",
    "queue_order_strategy": "sorted",
}


class Application:
    """A Celery application with a broker's transport options, which sends task-sent events.

    It works in threads: the loop has a proxy to run, and it is not ours to block.
    """

    def __init__(self, url, options):
        self._app = Celery("shop", broker=url, set_as_current=False)
        self._app.conf.update(broker_transport_options=options, task_send_sent_event=True)
        self._open = []

    async def send(self, *priorities):
        """Send a task with each priority to the queue ``mail``."""
        for priority in priorities:
            task = {"queue": "mail", "priority": priority, "ignore_result": True}
            await anyio.to_thread.run_sync(partial(self._app.send_task, "t.ok", **task))

    async def take(self):
        """Take a task as a worker does, and keep it."""
        await anyio.to_thread.run_sync(self._take)

    def _take(self):
        connection = self._app.connection_for_read()
        self._open.append(connection)
        assert connection.channel().basic_get("mail", no_ack=False) is not None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await anyio.to_thread.run_sync(self._close)

    def _close(self):
        for connection in self._open:
            connection.close()
        self._app.close()


def both(url, options):
    """The two sources of a broker."""
    broker, read = parse_broker(url, options)
    queues = RedisQueues(
        broker,
        "main",
        options=read,
        known=tuple,
        tell=lambda _: None,
        interval=0.02,
        held_interval=60.0,
    )
    return RedisEvents(broker, "main", options=read), queues


async def check_that_all_is_seen(url, options):
    """Let Celery send with *options*, and watch with the same ones."""
    events, queues = both(url, options)
    async with Application(url, options) as app:
        async with running(events) as seen:
            await wait_until(lambda: seen.of(Subscribed))
            await app.send(0, 2, 9)
            await wait_until(lambda: len(seen.of(Message)) >= 3)
        await app.take()
        async with running(queues) as polled:
            await wait_until(lambda: polled.of(QueueSample))
    assert len(seen.of(Message)) == 3
    sample = polled.of(QueueSample)[-1]
    (mail,) = [queue for queue in sample.queues if queue.name == "mail"]
    assert (sum(mail.ready.values()), mail.unacknowledged, sample.unacknowledged) == (2, 1, 1)
    assert mail.oldest_unacknowledged_at == sample.oldest_unacknowledged_at


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="none"),
        pytest.param({"global_keyprefix": "shop:"}, id="key prefix"),
        pytest.param({"fanout_prefix": False}, id="no fanout prefix"),
        pytest.param({"fanout_prefix": "/team-a.{db}."}, id="fanout prefix"),
        pytest.param({"fanout_patterns": False}, id="no fanout patterns"),
        pytest.param({"sep": ":"}, id="separator"),
        pytest.param({"priority_steps": list(range(10))}, id="steps"),
        pytest.param(EVERYTHING, id="everything"),
        pytest.param({**EVERYTHING, "fanout_prefix": False, "fanout_patterns": False}, id="less"),
    ],
)
async def test_what_celery_says_and_queues_is_seen_with_its_transport_options(valkey, options):
    await check_that_all_is_seen(f"redis://127.0.0.1:{valkey.port}/2", options)


async def test_what_is_another_applications_is_not_seen(valkey):
    url = f"redis://127.0.0.1:{valkey.port}/0"
    events, queues = both(url, {"global_keyprefix": "ours:"})
    async with running(events) as seen, running(queues) as polled:
        await wait_until(lambda: seen.of(Subscribed))
        for prefix in ("", "theirs:", "ours:"):
            async with Application(url, {"global_keyprefix": prefix}) as app:
                await app.send(0)
        await wait_until(lambda: seen.of(Message))
        samples = len(polled.of(QueueSample))
        await wait_until(lambda: len(polled.of(QueueSample)) > samples + 1)
    assert len(seen.of(Message)) == 1
    assert sum(sum(queue.ready.values()) for queue in polled.of(QueueSample)[-1].queues) == 1


async def test_a_unix_socket_as_celery_writes_it(tmp_path):
    path = str(tmp_path / "r.sock")
    with Valkey(tmp_path / "v", unixsocket=path):
        await check_that_all_is_seen(f"redis+socket://{path}?virtual_host=2", {})


@needs_openssl
async def test_tls_as_celery_writes_it(valkey, tmp_path):
    ca = authority(tmp_path)
    ours = signed(tmp_path, "ours", ca)
    files = f"ssl_ca_certs={ca.cert}&ssl_certfile={ours.cert}&ssl_keyfile={ours.key}"
    async with tls_proxy(valkey.port, signed(tmp_path, "localhost", ca), clients=ca) as port:
        url = f"rediss://localhost:{port}/2?ssl_cert_reqs=CERT_REQUIRED&{files}"
        await check_that_all_is_seen(url, {})


async def test_sentinel_as_celery_writes_it(tmp_path):
    with watched(tmp_path) as found:
        await check_that_all_is_seen(found.url, NAMED)
        await check_that_all_is_seen(found.url, {**EVERYTHING, **NAMED})


async def test_events_of_old_applications_on_sentinel_are_seen(tmp_path):
    """kombu before 5.4 leaves {db} in the channel as it is."""
    with watched(tmp_path, sentinels=1, replicas=0) as found:
        broker, options = parse_broker(found.url, NAMED)
        async with running(RedisEvents(broker, "main", options=options)) as seen:
            await wait_until(lambda: seen.of(Subscribed))
            with found.master.client() as client:
                client.publish("/{db}.celeryev/task.multi", "old")
            await wait_until(lambda: seen.of(Message))
    assert [message.payload for message in seen.of(Message)] == [b"old"]


async def test_what_is_said_on_both_channels_of_a_rolling_upgrade_counts_once(tmp_path):
    options = {**NAMED, "sentinel_fanout_compat": True}
    with watched(tmp_path, sentinels=1, replicas=0) as found:
        events, _ = both(found.url, options)
        async with running(events) as seen, Application(found.url, options) as app:
            await wait_until(lambda: seen.of(Subscribed))
            await app.send(0)
            await wait_until(lambda: len(seen.of(Message)) == 2)
    engine = Engine()
    effects = [
        effect
        for message in seen.of(Message)
        for effect in engine.feed(decode(message).events, message.received_at)
    ]
    assert sum(isinstance(effect, Sent) for effect in effects) == 1


# -- failover ------------------------------------------------------------------------------------


class Publisher:
    """Publishes numbers on whatever server takes them, and remembers which were taken."""

    def __init__(self, servers):
        self.published = []
        self._servers = servers
        self._numbers = itertools.count()

    async def run(self):
        with contextlib.ExitStack() as stack:
            once = Retry(NoBackoff(), 0)  # else it sleeps in the middle of our loop
            clients = [stack.enter_context(each.client(retry=once)) for each in self._servers]
            while True:
                self._publish(next(self._numbers), clients)
                await anyio.lowlevel.checkpoint()

    def _publish(self, number, clients):
        """To the master only: on a replica nobody publishes who writes as well."""
        for client in clients:
            with contextlib.suppress(redis.RedisError):
                if client.execute_command("ROLE")[0] == b"master":
                    client.publish("/0.celeryev/task.multi", str(number))
                    self.published.append(number)
                    return


@pytest.mark.parametrize("place", [lambda broker: broker, on_replica], ids=["master", "replica"])
async def test_after_a_failover_under_load_only_the_marked_gap_is_missing(tmp_path, place):
    clock = partial(next, itertools.count(1.0))
    with watched(tmp_path, failover=True) as found:
        broker, options = parse_broker(found.url, NAMED)
        events = RedisEvents(place(broker), "main", options=options, now=clock, timeout=1.0)
        publisher = Publisher([found.master, *found.replicas])
        frames = []

        async def put(some):
            frames.extend(some)

        def of(kind):
            return [frame for frame in frames if isinstance(frame, kind)]

        async with anyio.create_task_group() as tasks:
            backoff = Backoff(first=0.05, most=0.2)
            keep = partial(keep_open, events, put, backoff=backoff, tell=lambda _: None)
            tasks.start_soon(keep)
            await wait_until(lambda: of(Subscribed))
            tasks.start_soon(publisher.run)
            await wait_until(lambda: len(of(Message)) > 100)
            found.master.kill()
            await anyio.to_thread.run_sync(found.wait_for_failover)
            seen = len(of(Message))
            await wait_until(lambda: len(of(Message)) > seen + 100)
            tasks.cancel_scope.cancel()
    first, *later = spells_of(frames)
    assert later
    for spell in (first, *later):
        numbers = [int(message.payload) for message in spell]
        assert numbers == sorted(set(numbers))
        published = {each for each in publisher.published if numbers[0] <= each <= numbers[-1]}
        assert published <= set(numbers)
    gap = of(Subscribed)[1]
    assert first[-1].received_at <= gap.silent_since < gap.received_at


def spells_of(frames):
    """The messages of each subscription that had some."""
    spells = []
    for frame in frames:
        if isinstance(frame, Subscribed):
            spells.append([])
        elif isinstance(frame, Message):
            spells[-1].append(frame)
    return [spell for spell in spells if spell]
