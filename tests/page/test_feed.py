"""Server-sent events: one look for all who listen, and nobody holds anything up."""

import json

import anyio
import pytest

from stream.page.feed import Feed
from tests.page.cluster import Cluster, page_of
from tests.page.site import running, served
from tests.servers import wait_until

pytestmark = pytest.mark.anyio

PARTS = ["overview", "queues", "workers", "periodic", "failures", "stuck"]


@pytest.fixture
def feeding():
    """Makes feeds, and closes them."""
    made = []

    def make(cluster=None, **options):
        made.append(Feed(page_of(cluster or Cluster()), **options))
        return made[-1]

    yield make
    for feed in made:
        feed.close()


def events(message):
    """The events of a message: (name, decoded data) of each."""
    found = []
    for event in message.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def names(message):
    return [name for name, _ in events(message)]


async def test_who_begins_to_listen_gets_everything(feeding):
    feed = feeding()
    listener = feed.listen()
    assert names(listener.receive_nowait()) == PARTS
    listener.close()


async def test_then_only_what_changed_is_sent(feeding):
    cluster = Cluster()
    feed = feeding(cluster)
    listener = feed.listen()
    listener.receive_nowait()
    feed.publish(now=1.0)
    listener.receive_nowait()
    cluster.fail("bad", at=10.0)
    feed.publish(now=2.0)
    with listener:
        assert names(listener.receive_nowait()) == ["overview", "failures"]


async def test_a_large_part_is_sent_less_often(feeding):
    cluster = Cluster()
    feed = feeding(cluster)
    listener = feed.listen()
    for number in range(200):
        cluster.fail(f"u{number}", at=number, exception=f"Error{number}('{'x' * 250}')")
    listener.receive_nowait()
    feed.publish(now=10.0)
    message = listener.receive_nowait()
    assert "failures" in names(message)
    assert len(message) > 20_000
    cluster.fail("one-more", at=1_000.0)
    feed.publish(now=11.0)
    assert "failures" not in names(listener.receive_nowait())
    feed.publish(now=20.0)
    assert "failures" in names(listener.receive_nowait())
    listener.close()


async def test_everybody_gets_the_same_message_made_once(feeding):
    feed = feeding()
    one, other = feed.listen(), feed.listen()
    one.receive_nowait(), other.receive_nowait()
    feed.publish(now=1.0)
    assert one.receive_nowait() is other.receive_nowait()
    one.close(), other.close()


async def test_who_does_not_keep_up_is_let_go_and_counted(feeding):
    cluster = Cluster()
    feed = feeding(cluster)
    slow, quick = feed.listen(), feed.listen()
    for second in range(1, 6):
        cluster.at = float(second)
        quick.receive_nowait()
        feed.publish(now=float(second))
    assert (len(feed), feed.dropped) == (1, 1)
    waiting = [message async for message in slow]
    assert len(waiting) == 4
    slow.close(), quick.close()
    feed.publish(now=9.0)
    assert len(feed) == 0


async def test_there_is_a_limit_to_how_many_listen(feeding):
    feed = feeding(most=1)
    listener = feed.listen()
    assert feed.listen() is None
    listener.close()
    feed.publish(now=1.0)
    again = feed.listen()
    assert again is not None
    again.close()


async def test_events_come_over_http_as_they_happen():
    cluster = Cluster()
    async with (
        running(page_of(cluster), interval=0.05) as (client, feed),
        client.stream("GET", "/api/events") as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        chunks = answer.aiter_text()
        assert "event: stuck" in await anext(chunks)
        cluster.fail("bad", exception="KeyError('now')")
        text = ""
        while "KeyError" not in text:
            text += await anext(chunks)
        assert len(feed) == 1


async def test_one_more_than_may_listen_is_503():
    async with (
        running(page_of(Cluster()), most=1) as (client, _),
        client.stream("GET", "/api/events") as answer,
    ):
        await anext(answer.aiter_bytes())
        refused = await client.get("/api/events")
    assert (refused.status_code, refused.json()) == (503, {"error": "Too many listen already."})


async def test_who_asks_only_for_the_head_does_not_listen():
    async with running(page_of(Cluster())) as (client, feed):
        answer = await client.head("/api/events")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        assert len(feed) == 0


async def test_a_listener_that_leaves_is_forgotten():
    async with running(page_of(Cluster()), interval=0.05) as (client, feed):
        async with client.stream("GET", "/api/events") as answer:
            await anext(answer.aiter_bytes())
            assert len(feed) == 1
        await wait_until(lambda: not len(feed), what="the listener to be forgotten")


async def test_who_takes_nothing_of_what_is_written_is_let_go():
    app, feed = served(page_of(Cluster()), patience=0.01)
    begun, never = anyio.Event(), anyio.Event()

    async def receive():
        await never.wait()

    async def send(message):
        begun.set()
        if message["type"] == "http.response.body":
            await never.wait()  # a full connection that nobody reads

    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "GET", "path": "/api/events", "headers": headers}
    with anyio.fail_after(10):
        await app({**scope, "query_string": b"", "root_path": ""}, receive, send)
    assert begun.is_set()
    feed.publish(now=1.0)
    assert len(feed) == 0


async def test_when_it_stops_the_answers_end(feeding):
    feed, stop = feeding(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        listener = feed.listen()
        tasks.start_soon(feed.run, stop)
        stop.set()
        with anyio.fail_after(10), listener:
            assert [names(message) async for message in listener] == [PARTS]
        assert feed.listen() is None
