import anyio
import pytest

from stream.errors import LostError
from stream.events import Message, Subscribed, Transport
from stream.sources.redis import RedisEvents
from stream.sources.transport import TransportOptions
from tests.servers import wait_until
from tests.sources.redis_helpers import address_of, connections, error_of, running

pytestmark = pytest.mark.anyio


class Clock:
    """Each look at it is one second later."""

    def __init__(self):
        self.at = 100.0

    def __call__(self):
        self.at += 1.0
        return self.at


def events_of(server, **options):
    changes = {
        name: options.pop(name) for name in ("db", "username", "password") if name in options
    }
    return RedisEvents(address_of(server, **changes), "main", **options)


async def subscribed(run, count=1):
    await wait_until(lambda: len(run.of(Subscribed)) >= count)


async def messages(run, count):
    await wait_until(lambda: len(run.of(Message)) >= count)
    return run.of(Message)


async def test_a_message_is_handed_over_as_it_came_off_the_wire(valkey):
    async with running(events_of(valkey, now=Clock())) as run:
        await subscribed(run)
        with valkey.client() as client:
            client.publish("/0.celeryev/task.multi", b"\xff\x00payload")
        (message,) = await messages(run, 1)
    assert message == Message(
        message.received_at, "main", Transport.REDIS, b"/0.celeryev/task.multi", b"\xff\x00payload"
    )


async def test_a_message_that_takes_many_reads_is_handed_over_like_any_other(valkey):
    async with running(events_of(valkey)) as run:
        await subscribed(run)
        with valkey.client() as client:
            client.publish("/0.celeryev/task.multi", b"x" * 5_000_000)
        (message,) = await messages(run, 1)
    assert message.payload == b"x" * 5_000_000
    assert run.frames[1:] == [message], "the connection is the same"


async def test_the_first_subscription_has_no_silence_before_it(valkey):
    async with running(events_of(valkey, now=Clock())) as run:
        await subscribed(run)
    assert run.frames == [Subscribed(101.0, "main", 1, None)]


async def test_many_messages_keep_their_order_and_share_the_time_of_their_read(valkey):
    async with running(events_of(valkey, now=Clock())) as run:
        await subscribed(run)
        with valkey.client() as client, client.pipeline(transaction=False) as pipe:
            for number in range(5000):
                pipe.publish("/0.celeryev/task.sent", str(number))
            pipe.execute()
        found = await messages(run, 5000)
    assert [int(message.payload) for message in found] == list(range(5000))
    assert len({message.received_at for message in found}) < 2500


async def test_events_without_routing_key_in_the_channel_are_read_too(valkey):
    async with running(events_of(valkey)) as run:
        await subscribed(run)
        with valkey.client() as client:
            client.publish("/0.celeryev", "plain")
            client.publish("/0.celeryev/worker.heartbeat", "keyed")
        found = await messages(run, 2)
    assert [message.payload for message in found] == [b"plain", b"keyed"]


async def test_only_the_configured_database_and_exchange_are_read(valkey):
    async with running(events_of(valkey, db=2, exchange="mine")) as run:
        await subscribed(run)
        with valkey.client() as client:
            for channel in ("/0.mine/x", "/2.celeryev/x", "/2.mine/x"):
                client.publish(channel, channel)
        found = await messages(run, 1)
    assert [message.payload for message in found] == [b"/2.mine/x"]


@pytest.mark.parametrize(
    ("options", "channel", "elsewhere"),
    [
        (TransportOptions(global_keyprefix="my*:"), "my*:/2.celeryev/x", "my:/2.celeryev/x"),
        (TransportOptions(fanout_prefix=""), "celeryev/x", "/2.celeryev/x"),
        (TransportOptions(fanout_prefix="/a.{db}."), "/a.2.celeryev/x", "/2.celeryev/x"),
        (TransportOptions(fanout_patterns=False), "/2.celeryev", "/1.celeryev"),
    ],
)
async def test_transport_options_decide_on_the_channel(valkey, options, channel, elsewhere):
    async with running(events_of(valkey, db=2, options=options)) as run:
        await subscribed(run)
        with valkey.client() as client:
            client.publish(elsewhere, "elsewhere")
            client.publish(channel, "here")
        (message, *_) = await messages(run, 1)
    assert (message.channel, message.payload) == (channel.encode(), b"here")


async def test_a_restarted_server_gives_a_new_epoch_that_marks_the_gap(valkey):
    clock = Clock()
    source = events_of(valkey, now=clock)
    async with running(source) as run:
        await subscribed(run)
        with valkey.client() as client:
            client.publish("/0.celeryev/x", "last")
        (last,) = await messages(run, 1)
        valkey.restart()
        assert isinstance(await run.until_ended(), LostError)
    async with running(source) as again:
        await subscribed(again)
    (second,) = again.frames
    assert (second.epoch, second.silent_since) == (2, last.received_at)


async def test_an_answered_ping_moves_the_time_from_which_silence_counts(valkey):
    clock = Clock()
    source = events_of(valkey, now=clock, idle=0.01)
    async with running(source) as run:
        await subscribed(run)
        quiet_from = clock.at
        await wait_until(lambda: clock.at > quiet_from + 2)
        assert run.frames == [Subscribed(101.0, "main", 1, None)]
    async with running(source) as again:
        await subscribed(again)
    assert again.frames[0].silent_since > quiet_from


async def test_a_subscriber_that_is_killed_is_lost(valkey):
    async with running(events_of(valkey)) as run:
        await subscribed(run)
        with valkey.client() as client:
            client.client_kill_filter(_type="pubsub")
        error = await run.until_ended()
    assert isinstance(error, LostError)


async def test_a_server_that_freezes_is_noticed(valkey):
    # Long enough for the answers before, on a busy machine.
    async with running(events_of(valkey, idle=0.05, timeout=2.0)) as run:
        await subscribed(run)
        with valkey.frozen():
            error = await run.until_ended()
    assert isinstance(error, LostError)
    assert "no answer in time" in str(error)


async def test_a_subscription_on_which_nothing_comes_any_more_is_made_anew(valkey):
    async with running(events_of(valkey, idle=0.01, stale=0.05)) as run:
        await subscribed(run)
        with valkey.client() as client:
            client.publish("/0.celeryev/worker.heartbeat", b"{}")
        error = await run.until_ended()
    assert run.of(Message)
    assert str(error) == "nothing was heard for 0.05 s; subscribing anew"


async def test_a_subscription_on_which_nothing_ever_came_is_kept(valkey):
    clock = Clock()
    async with running(events_of(valkey, now=clock, idle=0.01, stale=0.02)) as run:
        await subscribed(run)
        asked = clock.at
        await wait_until(lambda: clock.at > asked + 10)  # pings that were answered
        assert not run.ended.is_set()


async def test_a_cancelled_source_leaves_no_connection(valkey):
    with valkey.client() as client:
        async with running(events_of(valkey)) as run:
            await subscribed(run)
            assert connections(client) == 1
        await wait_until(lambda: connections(client) == 0)


def grant(server, *rules):
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "watcher", "on", ">pw", "resetkeys", *rules)
    return {"username": "watcher", "password": "pw"}


async def test_the_least_privileges_suffice(valkey):
    user = grant(valkey, "resetchannels", "-@all", "&/0.celeryev/*", "+psubscribe", "+ping")
    async with running(events_of(valkey, **user)) as run:
        await subscribed(run)
        with valkey.client() as client:
            client.publish("/0.celeryev/x", "here")
        (message,) = await messages(run, 1)
    assert message.payload == b"here"


async def test_a_channel_that_is_not_granted_is_refused_with_the_rule_that_grants_it(valkey):
    user = grant(valkey, "resetchannels", "-@all", "+psubscribe", "+subscribe", "+ping")
    assert (
        "ForbiddenError: Redis at redis://127.0.0.1:"
        f"{valkey.port}/0 does not let user 'watcher' subscribe to /0.celeryev/*: "
        "grant it with ACL SETUSER watcher +psubscribe '&/0.celeryev/*'"
    ) == await error_of(events_of(valkey, **user))


async def test_a_wrong_password_is_refused(valkey):
    error = await error_of(events_of(valkey, username="nobody", password="hidden"))
    assert error.startswith("RefusedError: ")
    assert "hidden" not in error


async def test_a_failure_of_the_taker_is_not_taken_for_a_lost_connection(valkey):
    async def put(_frames):
        raise anyio.BrokenResourceError

    with pytest.raises(anyio.BrokenResourceError):
        await events_of(valkey).run(put)
