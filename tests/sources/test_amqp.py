import shutil
import subprocess
from urllib.parse import quote

import anyio
import pytest

from stream.errors import LostError
from stream.events import Message, Subscribed, Transport
from stream.occurrences import PositionFailed, SourceLost
from stream.sources.amqp_position import Position
from stream.sources.amqp_queue import Bounds, Retain
from tests.needs import lacking
from tests.rabbitmq import RabbitMq, free_low_port, require_rabbitmq
from tests.servers import wait_until
from tests.sources.amqp_helpers import EXCHANGE, SlowTaker, declare_exchange, events_of, publish
from tests.sources.redis_helpers import error_of, running

pytestmark = pytest.mark.anyio
LEAST = {
    "configure": r"^celeryev\.",
    "write": r"^celeryev\.",
    "read": r"^celeryev\.|^celeryev$",
}


@pytest.fixture
def vhost(rabbitmq):
    """With the event exchange, as a worker leaves it."""
    with rabbitmq.channel() as channel:
        declare_exchange(channel)
    return rabbitmq


async def subscribed(run, count=1):
    await wait_until(lambda: len(run.of(Subscribed)) >= count)


async def messages(run, count):
    await wait_until(lambda: len(run.of(Message)) >= count)
    return run.of(Message)


def own_queues(vhost):
    return [queue for queue in vhost.queues() if queue["name"].startswith("celeryev.")]


async def test_a_message_is_handed_over_as_it_came_off_the_wire(vhost):
    async with running(events_of(vhost.url(), now=lambda: 7.0)) as run:
        await subscribed(run)
        with vhost.channel() as channel:
            publish(channel, b"[{}]", "task.multi")
        (message,) = await messages(run, 1)
    expected = Message(
        7.0, "main", Transport.AMQP, b"task.multi", b"[{}]", "application/json", "utf-8"
    )
    assert message == expected


async def test_messages_keep_their_order(vhost):
    async with running(events_of(vhost.url())) as run:
        await subscribed(run)
        with vhost.channel() as channel:
            for number in range(3000):
                publish(channel, str(number).encode())
        found = await messages(run, 3000)
    assert [int(message.payload) for message in found] == list(range(3000))


async def test_an_exchange_that_is_not_there_is_waited_for_and_told_once(rabbitmq):
    told, looks = [], 0

    async def sleep(_seconds):
        nonlocal looks
        looks += 1
        await anyio.lowlevel.checkpoint()

    async with running(events_of(rabbitmq.url(), told=told, sleep=sleep)) as run:
        await wait_until(lambda: looks > 2)
        with rabbitmq.channel() as channel:
            declare_exchange(channel)
        await subscribed(run)
    (occurrence,) = told
    assert isinstance(occurrence, SourceLost)
    assert "no worker with events has connected yet" in occurrence.reason


async def test_the_exchange_is_never_declared(rabbitmq):
    looked = anyio.Event()

    async def sleep(_seconds):
        looked.set()
        await anyio.sleep_forever()

    async with running(events_of(rabbitmq.url(), sleep=sleep)):
        with anyio.fail_after(20):
            await looked.wait()
    exchanges = rabbitmq.server.api("GET", f"exchanges/{rabbitmq.name}")
    assert EXCHANGE not in {exchange["name"] for exchange in exchanges}


async def test_other_names_of_exchange_and_queue_are_used(rabbitmq):
    with rabbitmq.channel() as channel:
        declare_exchange(channel, "shop")
    source = events_of(rabbitmq.url(), exchange="shop", queue_prefix="watch")
    async with running(source) as run:
        await subscribed(run)
        await wait_until(rabbitmq.queues)
        (queue,) = rabbitmq.queues()
    assert queue["name"].startswith("watch.")


async def test_our_queue_is_exclusive_limited_and_gone_with_us(vhost):
    async with running(events_of(vhost.url(), bounds=Bounds(messages=10, size_bytes=1000))) as run:
        await subscribed(run)
        await wait_until(lambda: own_queues(vhost))
        (queue,) = own_queues(vhost)
    limits = {"x-max-length": 10, "x-max-length-bytes": 1000, "x-overflow": "drop-head"}
    assert (queue["exclusive"], queue["durable"], queue["arguments"]) == (True, False, limits)
    await wait_until(lambda: not own_queues(vhost))


@pytest.mark.parametrize(
    ("retain", "limits"),
    [
        (
            Retain.QUORUM,
            {
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,
                "x-max-length": 10,
                "x-max-length-bytes": 2**40,
                "x-overflow": "drop-head",
                "x-message-ttl": 60_000,
                "x-expires": 120_000,
            },
        ),
        (
            Retain.STREAM,
            {
                "x-queue-type": "stream",
                "x-max-length-bytes": 2**40,
                "x-max-age": "60s",
                "x-stream-max-segment-size-bytes": 500_000_000,
            },
        ),
    ],
)
async def test_a_retained_queue_is_durable_and_limited_in_length_and_age(
    vhost, tmp_path, retain, limits
):
    bounds = Bounds(messages=10, size_bytes=2**40, age=60.0)
    source = events_of(
        vhost.url(), retain=retain, bounds=bounds, position=Position(tmp_path / "position")
    )
    async with running(source) as run:
        await subscribed(run)
    await wait_until(lambda: own_queues(vhost))
    (queue,) = own_queues(vhost)
    assert (queue["durable"], queue["arguments"]) == (True, limits)


every_retention = pytest.mark.parametrize("retain", [Retain.QUORUM, Retain.STREAM])


@every_retention
async def test_what_is_published_while_we_are_away_is_kept(vhost, tmp_path, retain):
    def source():
        position = Position(tmp_path / "position")
        return events_of(vhost.url(), retain=retain, position=position)

    numbers = iter(range(1000))

    def publish_some():
        with vhost.channel() as channel:
            for _ in range(10):
                publish(channel, str(next(numbers)).encode())

    async with running(source()) as run:
        await subscribed(run)
        publish_some()
        before = await messages(run, 10)
    publish_some()
    async with running(source()) as run:
        after = await messages(run, 10)
    assert [int(message.payload) for message in (*before, *after)] == list(range(20))
    (mark,) = run.of(Subscribed)
    assert mark.silent_since is None


async def test_what_was_not_acknowledged_comes_again(vhost):
    with pytest.raises(anyio.BrokenResourceError):
        await events_of(vhost.url(), retain=Retain.QUORUM).run(take_until_a_message(vhost))
    async with running(events_of(vhost.url(), retain=Retain.QUORUM)) as run:
        (message,) = await messages(run, 1)
    assert message.payload == b"kept"


def take_until_a_message(vhost):
    async def put(frames):
        if isinstance(frames[0], Message):
            raise anyio.BrokenResourceError
        with vhost.channel() as channel:
            publish(channel, b"kept")

    return put


async def test_what_was_taken_is_acknowledged_also_when_cancelled(vhost):
    async with running(events_of(vhost.url(), retain=Retain.QUORUM)) as run:
        await subscribed(run)
        with vhost.channel() as channel:
            publish(channel, b"once")
        await messages(run, 1)
    with vhost.channel() as channel:

        def left():
            return channel.queue_declare("celeryev.stream.main", passive=True)

        await wait_until(lambda: left().consumer_count == 0)
        assert left().message_count == 0


async def test_a_second_reader_of_a_retained_queue_is_lost_with_a_sentence(vhost):
    async with running(events_of(vhost.url(), retain=Retain.QUORUM)) as run:
        await subscribed(run)
        error = await error_of(events_of(vhost.url(), retain=Retain.QUORUM))
    assert error.startswith("LostError: ")
    assert "somebody else reads the queue 'celeryev.stream.main'" in error


async def test_a_retained_queue_with_other_limits_is_refused_with_the_command(vhost):
    async with running(events_of(vhost.url(), retain=Retain.QUORUM)) as run:
        await subscribed(run)
    source = events_of(vhost.url(), retain=Retain.QUORUM, bounds=Bounds(messages=5))
    error = await error_of(source)
    assert error.startswith("RefusedError: ")
    assert error.endswith(f"rabbitmqctl delete_queue -p '{vhost.name}' celeryev.stream.main")


async def test_a_queue_that_was_full_marks_that_messages_were_dropped(vhost):
    taker = SlowTaker()
    source = events_of(vhost.url(), bounds=Bounds(messages=50))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run, taker.put)
        # It is bound and consumed by then: what came before that would be delivered from the head.
        await wait_until(lambda: any(queue.get("consumers") for queue in own_queues(vhost)))
        with vhost.channel() as channel:
            for number in range(5000):
                publish(channel, str(number).encode())
            publish(channel, b"last")
        taker.let.set()
        await wait_until(lambda: any(m.payload == b"last" for m in taker.of(Message)))
        await wait_until(lambda: len(taker.of(Subscribed)) >= 2)  # a slow machine marks it twice
        tasks.cancel_scope.cancel()
    first, second, *_ = taker.of(Subscribed)
    assert len(taker.of(Message)) < 5001
    assert first.silent_since is None
    assert second.silent_since is not None


async def test_a_stream_that_forgot_what_we_did_not_read_is_marked(vhost, tmp_path):
    file = tmp_path / "position"
    options = {"retain": Retain.STREAM, "bounds": Bounds(size_bytes=8 * 2**20)}
    source = events_of(vhost.url(), position=Position(file), **options)
    async with running(source) as run:
        await subscribed(run)
        with vhost.channel() as channel:
            publish(channel, b"first")
        await messages(run, 1)
    with vhost.channel() as channel:
        for _ in range(300):
            publish(channel, bytes(100_000))
    source = events_of(vhost.url(), position=Position(file), **options)
    async with running(source) as run:
        await messages(run, 1)
        await subscribed(run, 2)
    assert len(run.of(Message)) < 300
    assert run.of(Subscribed)[1].silent_since is not None


async def test_a_stream_that_is_made_anew_is_read_from_its_beginning(vhost, tmp_path):
    def source():
        return events_of(vhost.url(), retain=Retain.STREAM, position=Position(tmp_path / "at"))

    async with running(source()) as run:
        await subscribed(run)
        with vhost.channel() as channel:
            for _ in range(10):
                publish(channel, b"of the first")
        await messages(run, 10)
    with vhost.channel() as channel:
        channel.queue_delete("celeryev.stream.main")
    async with running(source()) as run:
        await subscribed(run)
    with vhost.channel() as channel:
        publish(channel, b"of the second")
    async with running(source()) as run:
        (message,) = await messages(run, 1)
    assert message.payload == b"of the second"


async def test_a_position_that_cannot_be_kept_is_told_once_and_reading_goes_on(vhost, tmp_path):
    told = []
    position = Position(tmp_path / "nowhere" / "position")
    source = events_of(vhost.url(), told=told, retain=Retain.STREAM, position=position)
    async with running(source) as run:
        await subscribed(run)
        with vhost.channel() as channel:
            for number in range(1, 4):
                publish(channel, b"{}")
                await messages(run, number)
        assert run.error is None
    assert told == [PositionFailed("main", "No such file or directory")]


async def test_a_stream_needs_a_position():
    with pytest.raises(ValueError, match="position"):
        events_of("amqp://", retain=Retain.STREAM)


async def test_a_binding_that_was_lost_with_its_exchange_is_made_again(vhost):
    source = events_of(vhost.url(), rebind=0.0)
    async with running(source) as run:
        await subscribed(run)
        with vhost.channel() as channel:
            publish(channel, b"before")
            await messages(run, 1)
            channel.exchange_delete(EXCHANGE)
            declare_exchange(channel)

            def arrives():
                publish(channel, b"after")
                return len(run.of(Message)) > 1

            await wait_until(arrives)


# -- what is refused ---------------------------------------------------------------------------


async def test_the_least_privileges_suffice(vhost):
    user = vhost.server.add_user(vhost.name, **LEAST)
    async with running(events_of(vhost.url(user=user, password="secret"))) as run:
        await subscribed(run)
        with vhost.channel() as channel:
            publish(channel, b"here")
        (message,) = await messages(run, 1)
    assert message.payload == b"here"


@pytest.mark.parametrize(
    ("missing", "doing"),
    [
        ("configure", "declare its queue"),
        ("write", "bind its queue to the event exchange"),
        ("read", "bind its queue to the event exchange"),
    ],
)
async def test_a_missing_permission_is_refused_with_the_line_that_grants_it(vhost, missing, doing):
    user = vhost.server.add_user(vhost.name, **{**LEAST, missing: "^$"})
    error = await error_of(events_of(vhost.url(user=user, password="secret")))
    assert error == (
        f"ForbiddenError: RabbitMQ at amqp://127.0.0.1:{vhost.server.port}/{vhost.name} does not "
        f"let user '{user}' {doing}: grant it with rabbitmqctl set_permissions "
        rf"-p '{vhost.name}' {user} '^celeryev\.' '^celeryev\.' '^celeryev\.|^celeryev$'"
    )


async def test_the_right_to_read_the_queue_is_named_where_only_it_is_missing(vhost):
    user = vhost.server.add_user(vhost.name, **{**LEAST, "read": "^celeryev$"})
    error = await error_of(events_of(vhost.url(user=user, password="secret")))
    assert f"does not let user '{user}' read its queue: " in error


async def test_a_wrong_password_is_refused_without_repeating_it(vhost):
    error = await error_of(events_of(vhost.url(password="hidden")))
    assert error.startswith("RefusedError: ")
    assert "refused the user name or password" in error
    assert "hidden" not in error


async def test_a_virtual_host_that_is_not_there_is_refused(vhost):
    error = await error_of(events_of(vhost.server.url("nowhere")))
    assert error.startswith("RefusedError: ")
    assert "has no virtual host 'nowhere'" in error


async def test_a_virtual_host_of_others_is_refused(vhost):
    user = vhost.server.add_user(vhost.name)
    error = await error_of(events_of(vhost.server.url("/", user=user, password="secret")))
    assert error.startswith("ForbiddenError: ")
    assert f"does not let user '{user}' use virtual host '/'" in error


async def test_the_name_of_a_virtual_host_decides_nothing(vhost):
    server, name = vhost.server, f"{vhost.name} is down, not found, limit"
    server.api("PUT", f"vhosts/{quote(name)}")
    try:
        user = server.add_user(vhost.name)
        error = await error_of(events_of(server.url(name, user=user, password="secret")))
    finally:
        server.api("DELETE", f"vhosts/{quote(name)}")
    assert error.startswith("ForbiddenError: ")
    assert f"does not let user '{user}' use virtual host '{name}'" in error


# -- what is lost ------------------------------------------------------------------------------


async def test_nobody_there_is_lost():
    error = await error_of(events_of(f"amqp://127.0.0.1:{free_low_port()}//"))
    assert error.startswith("LostError: ")


async def test_a_server_that_speaks_something_else_is_lost(vhost):
    url = f"amqp://127.0.0.1:{vhost.server.management_port}//"
    error = await error_of(events_of(url))
    assert error.startswith("LostError: ")


async def test_a_limit_of_connections_that_is_reached_is_lost(vhost):
    vhost.server.api("PUT", f"vhost-limits/{vhost.name}/max-connections", {"value": 0})
    error = await error_of(events_of(vhost.url()))
    assert error.startswith("LostError: ")
    assert error.endswith("closed the connection (530).")


async def test_the_next_server_is_taken_where_the_first_is_away(vhost):
    urls = f"amqp://127.0.0.1:{free_low_port()}//;{vhost.url()}"
    async with running(events_of(urls)) as run:
        await subscribed(run)


async def test_a_connection_that_the_server_closes_is_lost_and_the_gap_marked(vhost):
    source = events_of(vhost.url())
    async with running(source) as run:
        await subscribed(run)
        await wait_until(lambda: close_connections(vhost))
        assert isinstance(await run.until_ended(), LostError)
    async with running(source) as run:
        await subscribed(run)
    (mark,) = run.of(Subscribed)
    assert mark.epoch == 2
    assert mark.silent_since is not None


async def test_a_queue_of_ours_that_somebody_deletes_is_lost(vhost):
    async with running(events_of(vhost.url(), retain=Retain.QUORUM)) as run:
        await subscribed(run)
        with vhost.channel() as channel:
            channel.queue_delete("celeryev.stream.main")
        assert isinstance(await run.until_ended(), LostError)


def close_connections(vhost):
    """Close those of the virtual host; return how many."""
    names = [
        each["name"]
        for each in vhost.server.api("GET", f"vhosts/{vhost.name}/connections")
        if each.get("client_properties", {}).get("connection_name") == "celery-stream"
    ]
    for name in names:
        vhost.server.api("DELETE", f"connections/{name.replace(' ', '%20').replace('>', '%3E')}")
    return len(names)


async def test_heartbeats_keep_a_quiet_connection(vhost):
    async with running(events_of(vhost.url(), heartbeat=1.0)) as run:
        await subscribed(run)
        with anyio.move_on_after(5):  # more than the two periods after which either side gives up
            await run.ended.wait()
        assert run.error is None
        with vhost.channel() as channel:
            publish(channel, b"still here")
        await messages(run, 1)


async def test_a_failure_of_the_taker_is_not_taken_for_a_lost_connection(vhost):
    async def put(_frames):
        raise anyio.BrokenResourceError

    with pytest.raises(anyio.BrokenResourceError):
        await events_of(vhost.url()).run(put)


# -- TLS ---------------------------------------------------------------------------------------


def certificate(directory, name, authority=None):
    """A key and a certificate for *name*, signed by *authority* or by itself."""
    key, cert = directory / f"{name}.key", directory / f"{name}.pem"
    signer = ("-CA", authority[1], "-CAkey", authority[0]) if authority else ()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2", *signer),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", cert),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        ],
        check=True,
        capture_output=True,
    )
    key.chmod(0o644)
    return key, cert


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory):
    """A server with a certificate for localhost, that wants one of its authority from clients."""
    require_rabbitmq()
    if shutil.which("openssl") is None:
        lacking("Debian's package openssl, which makes its certificates")
    directory = tmp_path_factory.mktemp("tls")
    authority = certificate(directory, "authority")
    key, cert = certificate(directory, "localhost", authority)
    certificate(directory, "client", authority)
    config = ("ssl_options.fail_if_no_peer_cert = true",)
    files = (key, cert, authority[1])
    with RabbitMq(directory / "rabbitmq", certificate=files, config=config) as server:
        with server.channel() as channel:
            declare_exchange(channel)
        server.certificates = directory
        yield server


def tls_url(server, *options):
    return f"amqps://admin:admin-secret@localhost:{server.tls_port}//?{'&'.join(options)}"


def options_of(server, *names):
    files = {"ca": ("ssl_ca_certs", "authority.pem"), "cert": ("ssl_certfile", "client.pem")}
    files["key"] = ("ssl_keyfile", "client.key")
    return [f"{files[name][0]}={server.certificates / files[name][1]}" for name in names]


async def test_tls_works_with_an_authority_and_a_certificate_of_our_own(tls_server):
    url = tls_url(tls_server, *options_of(tls_server, "ca", "cert", "key"))
    async with running(events_of(url)) as run:
        await subscribed(run)
        with tls_server.channel() as channel:
            publish(channel, b"here")
        await messages(run, 1)


async def test_a_certificate_that_is_not_trusted_is_refused_in_a_sentence(tls_server):
    url = tls_url(tls_server, *options_of(tls_server, "cert", "key"))
    error = await error_of(events_of(url))
    assert error.startswith("RefusedError: The certificate of RabbitMQ at amqps://localhost:")
    assert error.endswith("name its authority with ssl_ca_certs in the broker URL.")


async def test_a_missing_client_certificate_is_told(tls_server):
    url = tls_url(tls_server, *options_of(tls_server, "ca"))
    error = await error_of(events_of(url))
    assert error.startswith(("LostError: ", "RefusedError: "))


async def test_tls_towards_a_plain_port_is_told(tls_server):
    url = tls_url(tls_server, "ssl_cert_reqs=none").replace(
        str(tls_server.tls_port), str(tls_server.port)
    )
    error = await error_of(events_of(url))
    assert error.endswith("(does this port speak TLS?).")
