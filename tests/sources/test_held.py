import json

import anyio
import anyio.lowlevel
import pytest

from stream.events import QueueDepth, QueueSample
from stream.sources.address import parse
from stream.sources.held import Held, HeldMessages
from stream.sources.queues import RedisQueues
from stream.sources.resp import connect
from stream.sources.transport import TransportOptions
from stream.wire.keys import Layout
from tests.servers import wait_until
from tests.sources.redis_helpers import address_of, running

pytestmark = pytest.mark.anyio

NOW = 10_000.0
ROUTES = {("mail", "out"): "mail", ("news", "all"): None}


def hold(client, tag, at, *, exchange="", routing_key="celery", size=0):
    """Let a worker have fetched a message."""
    message = {"body": "x" * size, "headers": {"id": tag}}
    client.hset("unacked", tag, json.dumps([message, exchange, routing_key]))
    client.zadd("unacked_index", {tag: at})


async def look(server, *, interval=60.0, times=1, **changes):
    """Look at what is held, and return what the last look gave."""
    held = HeldMessages(Layout(), interval=interval, visibility_timeout=1000.0)
    async with connect(address_of(server, **changes), timeout=5) as connection:
        for _ in range(times):
            found = await held.look(connection, ROUTES, now=NOW)
    return found


async def test_messages_are_counted_by_queue_with_the_one_that_is_held_longest(valkey):
    with valkey.client() as client:
        hold(client, "a", NOW - 5)
        hold(client, "b", NOW - 3)
        hold(client, "c", NOW - 1, exchange="mail", routing_key="out")
    found = await look(valkey)
    assert found.queues == {"celery": Held(NOW - 5, 2), "mail": Held(NOW - 1, 1)}
    assert found.complete


async def test_messages_that_are_held_for_most_of_the_visibility_timeout_are_overdue(valkey):
    with valkey.client() as client:
        for tag, age in (("a", 1200), ("b", 801), ("c", 799)):
            hold(client, tag, NOW - age)
    assert (await look(valkey)).queues == {"celery": Held(NOW - 1200, 3, overdue=2)}


async def test_a_message_whose_queue_cannot_be_told_is_in_none(valkey):
    with valkey.client() as client:
        hold(client, "a", NOW, exchange="news", routing_key="all")
        hold(client, "b", NOW, exchange="other", routing_key="out")
        client.hset("unacked", "c", b"\x80pickle")
        client.zadd("unacked_index", {"c": NOW})
    found = await look(valkey)
    assert (found.queues, found.complete) == ({}, True)


async def test_a_message_that_is_acknowledged_meanwhile_is_left_out(valkey):
    with valkey.client() as client:
        client.zadd("unacked_index", {"gone": NOW})
    assert (await look(valkey)).queues == {}


async def test_more_messages_than_the_limit_give_the_ones_that_are_held_longest(valkey):
    with valkey.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(2_100):
            hold(pipe, f"t{number}", NOW - number)
        pipe.execute()
    found = await look(valkey)
    assert (found.queues["celery"].count, found.queues["celery"].oldest_at) == (2000, NOW - 2_099)
    assert not found.complete


async def test_large_messages_are_read_up_to_the_budget_of_bytes(valkey):
    with valkey.client() as client:
        for number in range(60):
            hold(client, f"t{number}", NOW, size=1_000_000)
    found = await look(valkey)
    assert (found.queues["celery"].count, found.complete) == (20, False)


async def test_a_refusal_is_a_problem_that_is_told_once(valkey):
    with valkey.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", "me", "on", ">pw", "~*", "-@all", "+zrange", "+ping")
        )
        hold(client, "a", NOW)
    user = {"username": "me", "password": "pw"}
    first, second = [await look(valkey, times=times, **user) for times in (1, 2)]
    assert [(each.refused is None, each.complete) for each in (first, second)] == [
        (False, False),
        (True, False),
    ]


async def test_between_two_looks_the_last_one_is_remembered(valkey):
    held = HeldMessages(Layout(), interval=600.0, visibility_timeout=1000.0)
    with valkey.client() as client:
        async with connect(parse(valkey.url), timeout=5) as connection:
            hold(client, "a", NOW)
            await held.look(connection, ROUTES, now=NOW)
            hold(client, "b", NOW)
            found = await held.look(connection, ROUTES, now=NOW)
    assert found.queues["celery"].count == 1


async def test_it_looks_again_after_the_interval(valkey):
    held = HeldMessages(Layout(), interval=0.01, visibility_timeout=1000.0)
    with valkey.client() as client:
        async with connect(parse(valkey.url), timeout=5) as connection:
            hold(client, "a", NOW)
            await held.look(connection, ROUTES, now=NOW)
            hold(client, "b", NOW)
            with anyio.fail_after(20):
                while (await held.look(connection, ROUTES, now=NOW)).queues["celery"].count < 2:
                    await anyio.lowlevel.checkpoint()


async def test_nothing_is_sent_where_nobody_asked(valkey):
    found = await look(valkey, interval=0.0)
    with valkey.client() as client:
        assert "cmdstat_zrange" not in client.info("commandstats")
    assert (found.queues, found.complete) == ({}, False)


async def sample_of(server, **options):
    source = RedisQueues(
        address_of(server),
        "main",
        known=tuple,
        configured=("celery", "idle"),
        tell=lambda _: None,
        now=lambda: NOW,
        options=TransportOptions(visibility_timeout=1000.0),
        **options,
    )
    async with running(source) as run:
        await wait_until(lambda: run.of(QueueSample))
    return run.of(QueueSample)[0].queues


def empty(name, **held):
    return QueueDepth(name, {0: 0, 3: 0, 6: 0, 9: 0}, **held)


async def test_a_sample_says_what_is_held_of_each_queue(valkey):
    with valkey.client() as client:
        hold(client, "a", NOW - 900)
    assert await sample_of(valkey, held_interval=60.0) == (
        empty("celery", unacknowledged=1, oldest_unacknowledged_at=NOW - 900, overdue=1),
        empty("idle", unacknowledged=0, overdue=0),
    )


async def test_a_sample_says_nothing_of_it_where_nobody_asked(valkey):
    with valkey.client() as client:
        hold(client, "a", NOW - 900)
    assert await sample_of(valkey) == (empty("celery"), empty("idle"))


async def test_of_more_than_could_be_read_a_sample_gives_no_count(valkey):
    with valkey.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(2_100):
            hold(pipe, f"t{number}", NOW - number)
        pipe.execute()
    celery, idle = await sample_of(valkey, held_interval=60.0)
    assert celery == empty("celery", oldest_unacknowledged_at=NOW - 2_099)
    assert idle == empty("idle")
