import json
from contextlib import asynccontextmanager

import anyio
import pytest
from celery import Celery

from stream.events import QueueDepth, QueueSample, Waiting
from stream.occurrences import QueuesPolled
from stream.sources.address import parse
from stream.sources.queues import RedisQueues
from stream.sources.redis import RedisEvents
from stream.sources.resp import connect
from stream.sources.transport import TransportOptions
from tests.servers import wait_until
from tests.sources.redis_helpers import address_of, connections, running

pytestmark = pytest.mark.anyio


DEFAULTS = TransportOptions()


class Poller:
    """A source that polls each time it is told to."""

    def __init__(
        self,
        server,
        *,
        known=(),
        configured=(),
        peek=1,
        options=DEFAULTS,
        held_interval=0.0,
        **changes,
    ):
        self.told = []
        self.now = 500.0
        self._go = anyio.Event()
        self.source = RedisQueues(
            address_of(server, **changes),
            "main",
            known=lambda: known,
            configured=configured,
            peek=peek,
            options=options,
            held_interval=held_interval,
            tell=self.told.append,
            now=lambda: self.now,
            sleep=self._wait,
        )

    async def _wait(self, _seconds):
        await self._go.wait()
        self._go = anyio.Event()

    def again(self):
        self._go.set()


@asynccontextmanager
async def polling(server, **options):
    poller = Poller(server, **options)
    async with running(poller.source) as run:
        run.poller = poller
        yield run


async def sample_of(run, number=1):
    await wait_until(lambda: len(run.frames) >= number)
    return run.frames[number - 1]


async def one_sample(server, **options):
    async with polling(server, **options) as run:
        sample = await sample_of(run)
    (told,) = run.poller.told
    return sample, told.problems


def names(sample):
    return [queue.name for queue in sample.queues]


def message(uuid, **headers):
    return json.dumps({"body": "", "headers": {"id": uuid, **headers}, "properties": {}})


def bind(client, exchange, queue):
    client.sadd(f"_kombu.binding.{exchange}", f"{queue}\x06\x16\x06\x16{queue}")


def publish(server, *priorities, queue="celery"):
    """Publish a task at each priority as an application would; return the ids."""
    app = Celery("producer", broker=server.url, set_as_current=False)
    task = app.signature("app.task")
    with app.connection_for_write() as connection:
        sent = [
            task.apply_async(
                priority=priority, queue=queue, connection=connection, time_limit=30, retry=False
            )
            for priority in priorities
        ]
    app.close()
    return [result.id for result in sent]


async def test_messages_are_counted_at_the_step_that_kombu_put_them(valkey):
    publish(valkey, 0, 3, 5, 9)
    sample, problems = await one_sample(valkey)
    (queue,) = sample.queues
    assert (queue.name, queue.ready) == ("celery", {0: 1, 3: 2, 6: 0, 9: 1})
    assert problems == 0


async def test_the_oldest_message_gives_its_task_and_time_limit(valkey):
    first, _second = publish(valkey, 0, 0, queue="mail")
    sample, _ = await one_sample(valkey)
    (queue,) = sample.queues
    assert (queue.name, queue.oldest, queue.oldest_timelimit) == ("mail", first, 30.0)


TRACED = {"traceparent": "00-a-b-01", "tracestate": "v=1", "retries": 2}


async def waiting(server, **options):
    """The ids of the messages of the queue ``q`` that say something of a trace."""
    sample, problems = await one_sample(server, configured=("q",), **options)
    assert problems == 0
    return [message.uuid for message in sample.queues[0].waiting]


def push(server, *uuids, key="q", **headers):
    """Let messages wait, the oldest first."""
    with server.client() as client:
        for uuid in uuids:
            client.lpush(key, message(uuid, **(headers or TRACED)))


async def test_the_oldest_message_says_which_trace_it_belongs_to(valkey):
    push(valkey, "first", "second")
    sample, _ = await one_sample(valkey, configured=("q",))
    assert sample.queues[0].waiting == (Waiting("first", 2, "00-a-b-01", "v=1"),)


async def test_a_header_of_sentrys_is_told_as_it_is(valkey):
    push(valkey, "u", **{"sentry-trace": "a-b-1"})
    sample, _ = await one_sample(valkey, configured=("q",))
    assert sample.queues[0].waiting == (Waiting("u", sentry_trace="a-b-1"),)


async def test_more_messages_are_looked_at_where_that_is_asked_for(valkey):
    push(valkey, *"abcde")
    assert await waiting(valkey, peek=3) == ["a", "b", "c"]


async def test_a_queue_with_fewer_messages_than_are_asked_for_gives_those(valkey):
    push(valkey, "a", "b")
    assert await waiting(valkey, peek=100) == ["a", "b"]


async def test_messages_that_say_nothing_of_a_trace_are_left_out(valkey):
    push(valkey, "a", "b", eta=None)
    push(valkey, "c")
    with valkey.client() as client:
        client.lpush("q", b"\x80pickle")
    assert await waiting(valkey, peek=10) == ["c"]


async def test_the_messages_that_workers_take_next_are_looked_at_besides_the_oldest(valkey):
    push(valkey, "urgent", "next")
    push(valkey, "late", "later", key="q\x06\x169")
    assert await waiting(valkey, peek=2) == ["late", "urgent", "next"]


async def test_large_messages_are_looked_at_up_to_the_budget_of_bytes(valkey):
    push(valkey, *(f"u{number}" for number in range(20)), **TRACED, argsrepr="x" * 2_000_000)
    assert len(await waiting(valkey, peek=20)) == 7


async def test_queues_beyond_the_budget_of_messages_are_looked_at_in_the_next_poll(valkey):
    queues = [f"q{number}" for number in range(5)]
    with valkey.client() as client, client.pipeline(transaction=False) as pipe:
        for queue in queues:
            pipe.lpush(queue, *(message(f"{queue}-{each}", **TRACED) for each in range(1_500)))
        pipe.execute()
    async with polling(valkey, configured=queues, peek=1_500) as run:
        first = await sample_of(run)
        run.poller.again()
        second = await sample_of(run, 2)
    found = [[len(queue.waiting) for queue in sample.queues] for sample in (first, second)]
    assert found == [[1_500, 1_500, 1_000, 1, 1], [1_000, 1, 1, 1_500, 1_500]]


async def test_exchanges_beyond_those_that_are_read_are_counted(valkey):
    with valkey.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(503):
            bind(pipe, f"e{number}", "q")
        pipe.execute()
    sample, problems = await one_sample(valkey)
    assert (names(sample), problems) == (["q"], 3)


async def test_the_least_urgent_message_counts_as_the_oldest(valkey):
    _, late = publish(valkey, 0, 9)
    sample, _ = await one_sample(valkey)
    assert sample.queues[0].oldest == late


async def test_a_broker_without_queues_gives_an_empty_sample(valkey):
    sample, problems = await one_sample(valkey)
    assert sample == QueueSample(500.0, "main", (), unacknowledged=0)
    assert problems == 0


async def test_a_queue_that_exists_only_as_a_binding_has_depth_0(valkey):
    with valkey.client() as client:
        bind(client, "idle", "idle")
    sample, _ = await one_sample(valkey)
    assert sample.queues == (QueueDepth("idle", {0: 0, 3: 0, 6: 0, 9: 0}),)


async def test_queues_come_from_bindings_events_and_configuration(valkey):
    with valkey.client() as client:
        bind(client, "an-exchange", "bound")
    sample, _ = await one_sample(valkey, known=("seen",), configured=("wanted",))
    assert names(sample) == ["bound", "seen", "wanted"]


async def test_events_and_remote_control_are_not_queues(valkey):
    with valkey.client() as client:
        for exchange in ("celeryev", "celery.pidbox", "reply.celery.pidbox"):
            bind(client, exchange, exchange)
    sample, _ = await one_sample(valkey)
    assert names(sample) == []


async def test_keys_are_those_of_the_transport_options(valkey):
    options = TransportOptions(
        global_keyprefix="a*:", sep="::", priority_steps=(0, 5), unacked_index_key="held"
    )
    with valkey.client() as client:
        for prefix in ("a*:", "ab:", ""):
            client.sadd(f"{prefix}_kombu.binding.x", f"rk::::mail-of-{prefix}")
        client.lpush("a*:mail-of-a*:", message("u"))
        client.lpush("a*:mail-of-a*:::5", message("v"), message("w"))
        client.zadd("a*:held", {"tag": 1.0})
    sample, problems = await one_sample(valkey, options=options)
    assert sample.queues == (QueueDepth("mail-of-a*:", {0: 1, 5: 2}, "v"),)
    assert (sample.unacknowledged, problems) == (1, 0)


async def test_a_queue_that_is_bound_no_more_is_measured_no_more(valkey):
    with valkey.client() as client:
        bind(client, "mail", "mail")
        async with polling(valkey) as run:
            assert names(await sample_of(run)) == ["mail"]
            client.delete("_kombu.binding.mail")
            run.poller.again()
            assert names(await sample_of(run, 2)) == []


async def test_a_queue_that_only_events_told_of_is_left_out_once_it_was_empty_for_an_hour(valkey):
    with valkey.client() as client:
        bind(client, "bound", "bound")
        client.lpush("filled", message("u"))
    every = ["bound", "filled", "seen", "wanted"]
    known = ("bound", "filled", "seen")
    async with polling(valkey, known=known, configured=("wanted",)) as run:
        assert names(await sample_of(run)) == every
        run.poller.now += 3600.0
        run.poller.again()
        assert names(await sample_of(run, 2)) == every
        run.poller.now += 1.0
        run.poller.again()
        assert names(await sample_of(run, 3)) == ["bound", "filled", "wanted"]
        with valkey.client() as client:
            client.lpush("seen", message("v"))
        run.poller.again()
        assert names(await sample_of(run, 4)) == every


async def test_bindings_among_many_keys_are_found_over_several_polls(valkey):
    with valkey.client() as client:
        with client.pipeline(transaction=False) as pipe:
            for number in range(25_000):
                pipe.set(f"celery-task-meta-{number}", "x")
            pipe.execute()
        for number in range(30):
            bind(client, f"exchange{number}", f"queue{number:02}")
    async with polling(valkey) as run:
        for number in range(1, 5):
            sample = await sample_of(run, number)
            run.poller.again()
    assert len(names(sample)) == 30


async def test_unacknowledged_messages_are_counted_and_the_oldest_is_dated(valkey):
    with valkey.client() as client:
        client.zadd("unacked_index", {"b": 1700000002.5, "a": 1700000001.25})
    sample, _ = await one_sample(valkey)
    assert (sample.unacknowledged, sample.oldest_unacknowledged_at) == (2, 1700000001.25)


async def test_a_key_of_the_wrong_type_is_counted_and_left_out(valkey):
    with valkey.client() as client:
        client.set("odd", "text")
        client.set("unacked_index", "text")
        client.set("_kombu.binding.text", "text")
    sample, problems = await one_sample(valkey, configured=("odd", "fine"))
    assert names(sample) == ["fine"]
    assert (sample.unacknowledged, sample.oldest_unacknowledged_at) == (None, None)
    assert problems == 4


async def test_a_message_that_cannot_be_read_still_counts(valkey):
    with valkey.client() as client:
        client.lpush("q", b"\x80pickle")
    sample, _ = await one_sample(valkey, configured=("q",))
    assert sample.queues == (QueueDepth("q", {0: 1, 3: 0, 6: 0, 9: 0}),)


async def test_only_the_keys_of_the_database_are_read(valkey):
    with valkey.client(db=4) as client:
        client.lpush("q", message("u"))
    sample, _ = await one_sample(valkey, configured=("q",), db=4)
    assert sample.queues[0].oldest == "u"


async def test_each_poll_is_told_and_sees_what_changed(valkey):
    async with polling(valkey, configured=("q",)) as run:
        await sample_of(run)
        with valkey.client() as client:
            client.lpush("q", message("u"))
        run.poller.again()
        second = await sample_of(run, 2)
    assert second.queues[0].ready[0] == 1
    assert [type(told) for told in run.poller.told] == [QueuesPolled] * 2
    assert all(told.seconds >= 0 for told in run.poller.told)


async def test_heads_beyond_the_budget_are_read_at_the_next_poll(valkey):
    queues = [f"q{number:03}" for number in range(250)]
    with valkey.client() as client, client.pipeline(transaction=False) as pipe:
        for queue in queues:
            pipe.lpush(queue, message(queue))
        pipe.execute()
    async with polling(valkey, configured=queues) as run:
        first = await sample_of(run)
        run.poller.again()
        second = await sample_of(run, 2)
    read = [{queue.name for queue in sample.queues if queue.oldest} for sample in (first, second)]
    assert [len(found) for found in read] == [200, 200]
    assert read[0] | read[1] == set(queues)


async def test_large_messages_end_the_reading_of_heads_early(valkey):
    queues = [f"q{number:02}" for number in range(30)]
    with valkey.client() as client:
        for queue in queues:
            client.lpush(queue, message(queue, argsrepr="x" * 2_000_000))
    sample, _ = await one_sample(valkey, configured=queues)
    assert sum(queue.oldest is not None for queue in sample.queues) == 10


async def test_more_queues_than_the_limit_are_a_problem_that_is_told(valkey):
    sample, problems = await one_sample(
        valkey, known=[f"q{n:04}" for n in range(1010)], configured=("z",)
    )
    assert (len(sample.queues), problems) == (1000, 11)
    assert names(sample)[-1] == "z"


WATCHER = (
    *("on", ">pw", "resetkeys", "resetchannels", "-@all", "&/0.celeryev/*"),
    *("%R~_kombu.binding.*", "%R~unacked", "%R~unacked_index", "%R~celery*"),
    *("+psubscribe", "+punsubscribe", "+ping", "+hello", "+auth", "+select", "+llen", "+lindex"),
    *("+lrange", "+zcard", "+zcount", "+zrange", "+smembers", "+hlen", "+hmget", "+hscan"),
    *("+client|setname", "+client|id"),
)
READING = {
    *("auth", "select", "client", "ping", "psubscribe"),
    *("scan", "smembers", "llen", "lindex", "lrange", "zcard", "zrange", "hmget"),
}


async def test_the_least_privileges_find_queues_with_an_exchange_of_their_name(valkey):
    publish(valkey, 0)
    publish(valkey, 0, queue="celery.mail")
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "watcher", *WATCHER)
    sample, problems = await one_sample(
        valkey, known=("celery.mail", "private"), username="watcher", password="pw"
    )
    assert names(sample) == ["celery", "celery.mail"]
    assert sample.unacknowledged == 0
    assert problems == 4  # the four steps of the queue that is not granted


async def test_a_queue_source_that_is_cancelled_leaves_no_connection(valkey):
    with valkey.client() as client:
        async with polling(valkey) as run:
            await sample_of(run)
            assert connections(client) == 1
        await wait_until(lambda: connections(client) == 0)


async def test_no_command_that_is_sent_writes(valkey):
    publish(valkey, 0, 9)
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "me", "on", ">pw", "+@all", "~*", "&*")
        client.zadd("unacked_index", {"tag": 1.0})
    user = {"username": "me", "password": "pw"}
    async with connect(parse(valkey.url), timeout=5) as monitor:
        await monitor.call("MONITOR", doing="monitor", grant="+monitor")
        events = RedisEvents(address_of(valkey, **user), "main", idle=0.01)
        async with (
            polling(valkey, peek=2, held_interval=60.0, **user) as run,
            running(events) as other,
        ):
            await sample_of(run)
            run.poller.again()
            await sample_of(run, 2)
            await wait_until(lambda: other.frames)
            sent: set[str] = set()
            with anyio.fail_after(15):
                while not {"ping", "zrange", "lindex", "lrange", "hmget"} <= sent:
                    sent |= {command_in(line) for line in await monitor.receive()}
    assert sent <= READING
    assert {"set"} == writing(valkey, {"set"})
    assert writing(valkey, sent) == set()


def writing(server, commands):
    """Those of *commands* that the server itself says are writing."""
    with server.client() as client:
        known = client.command()
    return {name for name in commands if "write" in known[name]["flags"]}


def command_in(line):
    """The command in a line of MONITOR: ``time [db client] "command" "argument" …``."""
    return line.decode(errors="replace").split('"')[1].lower()
