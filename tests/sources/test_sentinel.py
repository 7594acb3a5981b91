"""Finding a broker that moves, and noticing that it did; with real servers and sentinels."""

import contextlib
import itertools
from dataclasses import replace
from functools import partial

import anyio
import pytest

from stream.errors import LostError, RefusedError
from stream.events import Message, QueueSample, Subscribed
from stream.sources.address import RedisAddress
from stream.sources.broker import Alternates, on_replica, parse_broker
from stream.sources.queues import RedisQueues
from stream.sources.reach import reach
from stream.sources.redis import RedisEvents
from stream.sources.sentinel import Place, Topology, locate
from tests.redis_forms import (
    MASTER_NAME,
    authority,
    needs_openssl,
    replica_of,
    role,
    signed,
    tls_proxy,
    watched,
)
from tests.servers import Valkey, free_port, wait_until
from tests.sources.redis_helpers import address_of, running

pytestmark = pytest.mark.anyio

CHANNEL = "/0.celeryev/task.multi"


@pytest.fixture
def broker(tmp_path):
    """A master and a replica, with three sentinels."""
    with watched(tmp_path / "servers") as found:
        yield found


def broker_of(url, **options):
    return parse_broker(url, {"master_name": MASTER_NAME, **options})[0]


async def port_reached(broker):
    """The port that a broker is reached at."""
    async with reach(broker, timeout=5) as connection:
        return connection.address.port


# -- several servers in a list -------------------------------------------------------------------


async def test_of_several_servers_the_first_that_answers_is_taken(valkey, tmp_path):
    with Valkey(tmp_path / "second") as second:
        gone = RedisAddress(port=free_port())
        addresses = (gone, address_of(second), address_of(valkey))
        assert await port_reached(Alternates(addresses)) == second.port


async def test_servers_of_which_none_answers_are_lost():
    ports = [free_port(), free_port()]
    broker = Alternates(tuple(RedisAddress(port=port) for port in ports))
    with pytest.raises(LostError, match=rf":{ports[0]}/0: .*:{ports[1]}/0: "):
        await port_reached(broker)


# -- who is the master ---------------------------------------------------------------------------


async def test_the_master_is_the_one_that_the_sentinels_name(broker):
    assert await port_reached(broker_of(broker.url)) == broker.master.port


async def test_a_sentinel_that_is_down_is_skipped(broker):
    broker.sentinels[0].kill()
    assert await port_reached(broker_of(broker.url)) == broker.master.port


async def test_a_sentinel_that_hangs_holds_nobody_up_where_the_others_agree(broker):
    broker.sentinels[0].freeze()
    with anyio.fail_after(20):  # far less than its own minute
        found = await locate(broker_of(broker.url), timeout=60)
    assert found[0].master == Place("127.0.0.1", broker.master.port)


async def test_no_sentinel_that_answers_is_lost(broker):
    for sentinel in broker.sentinels:
        sentinel.kill()
    with pytest.raises(LostError, match="No sentinel names the master; one of them: Redis at"):
        await port_reached(broker_of(broker.url))


async def test_a_name_that_no_sentinel_knows_is_refused(broker):
    with pytest.raises(RefusedError, match=r"know no master 'other': correct .*master_name\.$"):
        await port_reached(broker_of(broker.url, master_name="other"))


async def test_a_sentinel_that_forgot_the_master_is_no_reason_to_give_up(broker):
    with broker.sentinels[0].client() as client:
        client.sentinel_remove(MASTER_NAME)
    for sentinel in broker.sentinels[1:]:
        sentinel.kill()
    with pytest.raises(LostError, match="No sentinel names the master"):
        await port_reached(broker_of(broker.url))


async def test_a_server_that_is_no_sentinel_is_refused(valkey):
    with pytest.raises(RefusedError, match="is no sentinel: give redis://"):
        await port_reached(broker_of(f"sentinel://127.0.0.1:{valkey.port}"))


async def test_the_sentinels_have_a_password_of_their_own(tmp_path):
    with watched(tmp_path, sentinels=1, replicas=0, password="s3cret") as found:
        url = f"sentinel://:s3cret@127.0.0.1:{found.sentinels[0].port}/0"
        login = {"password": "s3cret"}
        assert await port_reached(broker_of(url, sentinel_kwargs=login)) == found.master.port
        with pytest.raises(RefusedError, match="refused the user name or password"):
            await port_reached(broker_of(url, sentinel_kwargs={"password": "hidden"}))


@needs_openssl
async def test_the_sentinels_may_speak_tls(broker, tmp_path):
    ca = authority(tmp_path)
    sentinel = broker.sentinels[0]
    async with tls_proxy(sentinel.port, signed(tmp_path, "localhost", ca)) as port:
        tls = {"ssl": True, "ssl_ca_certs": ca.cert}
        found = broker_of(f"sentinel://localhost:{port}/0", sentinel_kwargs=tls)
        assert await port_reached(found) == broker.master.port


@contextlib.asynccontextmanager
async def naming(*servers):
    """As many sentinels as *servers*, of which each takes its server for the master."""
    async with contextlib.AsyncExitStack() as stack:
        listeners = [
            await stack.enter_async_context(await anyio.create_tcp_listener(local_host="127.0.0.1"))
            for _ in servers
        ]
        tasks = await stack.enter_async_context(anyio.create_task_group())
        for listener, server in zip(listeners, servers, strict=True):
            tasks.start_soon(listener.serve, partial(answer, lambda server=server: server))
        sentinels = tuple(RedisAddress(port=port_of(listener)) for listener in listeners)
        yield replace(broker_of("sentinel://h"), sentinels=sentinels)
        tasks.cancel_scope.cancel()


def port_of(listener):
    return listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django's extra


async def answer(named, stream, *, link=lambda: ""):
    """Talk like a sentinel that takes the server that *named* returns for the master.

    Where *link* returns something, that is the state of the replication of one replica, which is
    the server that *named* returns.
    """
    async with stream:
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while data := await stream.receive():
                if b"SETNAME" in data:
                    await stream.send(b"+OK\r\n")
                if b"GET-MASTER-ADDR-BY-NAME" in data:
                    port = str(named().port)
                    master = "1" if link() else port
                    await stream.send(array("127.0.0.1", master))
                if b"REPLICAS" in data:
                    fields = {"ip": "127.0.0.1", "port": port, "master-link-status": link()}
                    words = itertools.chain(*fields.items(), ("flags", "slave"))
                    await stream.send(b"*1\r\n" + array(*words))


def array(*words):
    """An array of texts as Redis sends it."""
    texts = [f"${len(word)}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(texts)}".encode()


async def test_what_most_sentinels_say_counts(valkey, tmp_path):
    with Valkey(tmp_path / "former") as former:
        async with naming(former, valkey, valkey) as broker:
            assert await port_reached(broker) == valkey.port


async def test_of_two_sentinels_that_disagree_the_first_counts(valkey, tmp_path):
    with Valkey(tmp_path / "other") as other:
        async with naming(valkey, other) as broker:
            for _ in range(5):
                found = await locate(broker, timeout=5)
                assert [each.master.port for each in found] == [valkey.port, other.port]


async def test_a_server_that_is_named_and_is_no_master_is_passed_over(valkey, tmp_path):
    with replica_of(valkey, tmp_path / "replica") as replica:
        async with naming(replica, valkey) as broker:
            assert await port_reached(broker) == valkey.port


async def test_a_server_that_is_named_and_was_not_promoted_yet_is_lost(valkey, tmp_path):
    with replica_of(valkey, tmp_path / "replica") as replica:
        async with naming(replica) as broker:
            with pytest.raises(LostError, match="is no working master now"):
                await port_reached(broker)


async def test_where_a_server_may_not_be_asked_for_its_role_the_sentinels_are_believed(tmp_path):
    with watched(tmp_path, sentinels=1, replicas=0) as found:
        with found.master.client() as client:
            client.acl_setuser("me", enabled=True, passwords=["+pw"], commands=["+ping"])
        url = f"sentinel://me:pw@127.0.0.1:{found.sentinels[0].port}/0"
        assert await port_reached(broker_of(url)) == found.master.port


def test_a_topology_offers_replicas_before_the_master_where_one_is_wanted():
    master, replica = Place("a", 1), Place("b", 2)
    topology = Topology(master, (replica,))
    plain = broker_of("sentinel://h")
    assert topology.candidates(plain.serve) == (master,)
    assert topology.candidates(on_replica(plain).serve) == (replica, master)


# -- a replica -----------------------------------------------------------------------------------


async def test_a_replica_is_used_where_one_is_wanted(broker):
    found = on_replica(broker_of(broker.url))
    assert await port_reached(found) == broker.replicas[0].port


async def test_the_master_serves_where_no_replica_works(tmp_path):
    with watched(tmp_path, sentinels=1, replicas=0) as found:
        assert await port_reached(on_replica(broker_of(found.url))) == found.master.port


@pytest.mark.parametrize("form", ["sentinel", "plain"])
async def test_what_is_published_on_the_master_is_seen_on_the_replica(broker, form):
    plain = address_of(broker.replicas[0])
    place = plain if form == "plain" else on_replica(broker_of(broker.url))
    source = RedisEvents(place, "main")
    async with running(source) as run:
        await wait_until(lambda: run.of(Subscribed))
        with broker.master.client() as client, broker.replicas[0].client() as beside:
            assert client.publish(CHANNEL, "here") == 0
            assert beside.pubsub_numpat() > 0
        await wait_until(lambda: run.of(Message))
    assert [message.payload for message in run.of(Message)] == [b"here"]


# -- the broker moves ----------------------------------------------------------------------------


async def stay(broker, *, meanwhile):
    """Stay connected, checking often, until something ends that."""
    async with reach(broker, timeout=20, check=0.01):
        meanwhile()
        with anyio.fail_after(20):
            await anyio.sleep_forever()


async def test_a_master_that_was_replaced_without_a_word_is_left(valkey, tmp_path):
    """As in a partition: the former master is up, says that it is the master, and hears nothing."""
    named = [valkey]
    with Valkey(tmp_path / "next") as following:
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, partial(answer, lambda: named[-1]))
            broker = broker_of(f"sentinel://127.0.0.1:{port_of(listener)}")
            with pytest.raises(LostError, match=rf":{valkey.port}/0 is no master any more"):
                await stay(broker, meanwhile=lambda: named.append(following))
            assert await port_reached(broker) == following.port
            tasks.cancel_scope.cancel()


async def test_a_replica_that_hears_nothing_of_the_master_is_left(valkey, tmp_path):
    states = ["ok"]
    with replica_of(valkey, tmp_path / "replica") as replica:
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            sentinel = partial(answer, lambda: replica, link=lambda: states[-1])
            tasks.start_soon(listener.serve, sentinel)
            broker = on_replica(broker_of(f"sentinel://127.0.0.1:{port_of(listener)}"))
            with pytest.raises(LostError, match=rf":{replica.port}/0 is no replica any more"):
                await stay(broker, meanwhile=lambda: states.append("err"))
            tasks.cancel_scope.cancel()


async def test_a_master_that_became_a_replica_is_left_though_no_sentinel_answers(broker):
    def demote():
        for sentinel in broker.sentinels:
            sentinel.kill()
        with broker.master.client() as client:
            client.replicaof("127.0.0.1", str(broker.replicas[0].port))

    with pytest.raises(LostError, match=rf":{broker.master.port}/0 is no working master now"):
        await stay(broker_of(broker.url), meanwhile=demote)


async def test_sentinels_that_went_away_are_no_reason_to_leave(broker):
    async with reach(broker_of(broker.url), timeout=20, check=0.01) as connection:
        for sentinel in broker.sentinels:
            sentinel.kill()
        with broker.master.client() as client:
            asked = client.info("commandstats")["cmdstat_role"]["calls"]
            await wait_until(
                lambda: client.info("commandstats")["cmdstat_role"]["calls"] >= asked + 3
            )
        assert await connection.call("PING", doing="ask", grant="+ping") == b"PONG"


async def test_what_fails_within_the_block_is_passed_on_as_it_is(broker):
    with pytest.raises(ZeroDivisionError):
        async with reach(broker_of(broker.url), timeout=5):
            raise ZeroDivisionError


@pytest.fixture
def failing_over(tmp_path):
    """Likewise, with sentinels that soon take a silent master for one that is down."""
    with watched(tmp_path / "servers", failover=True) as found:
        yield found


async def test_polls_move_to_the_new_master_after_the_old_one_was_killed(failing_over):
    broker = failing_over
    found = broker_of(broker.url)
    source = RedisQueues(
        found, "main", known=tuple, configured=("celery",), tell=lambda _: None, interval=0.02
    )
    with broker.master.client() as client:
        client.lpush("celery", "one")
        client.wait(1, 5000)
    async with running(source) as run:
        await wait_until(lambda: run.of(QueueSample))
        broker.master.kill()
        assert isinstance(await run.until_ended(), LostError)
    moved = await anyio.to_thread.run_sync(broker.wait_for_failover)
    assert role(moved) == "master"
    with moved.client() as client:
        client.lpush("celery", "two")
    async with running(source) as again:
        await wait_until(lambda: again.of(QueueSample))
    (queue,) = again.of(QueueSample)[0].queues
    assert sum(queue.ready.values()) == 2
