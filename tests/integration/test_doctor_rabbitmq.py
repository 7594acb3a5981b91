"""`celery-stream doctor` on a real RabbitMQ server."""

import contextlib
import threading

import pytest

from stream.doctor.diagnosis import Step, Verdict
from stream.events import Subscribed
from stream.sources.amqp_position import Position
from stream.sources.amqp_queue import Retain
from tests.doctor.findings import broken_ones, broker_of, is_advised, one, verdicts
from tests.integration.test_rabbitmq import send_tasks, worker
from tests.redis_forms import authority, needs_openssl, signed, tls_proxy
from tests.servers import free_port, wait_for, wait_until
from tests.sources.amqp_helpers import declare_exchange, events_of, publish
from tests.sources.redis_helpers import running

pytestmark = pytest.mark.anyio

SECONDS = 9.0
OWN, READ = r"^celeryev\.", r"^celeryev\.|^celeryev$"
LEAST = {"configure": OWN, "write": OWN, "read": READ}


@pytest.fixture
def exchange(rabbitmq):
    with rabbitmq.channel() as channel:
        declare_exchange(channel)
    return rabbitmq


def url_of(vhost, **rights):
    """As a user that has these rights."""
    return vhost.url(user=vhost.server.add_user(vhost.name, **rights), password="secret")


async def test_where_nothing_listens_it_ends_there():
    checkup = await broker_of(f"amqp://127.0.0.1:{free_port()}//")
    assert verdicts(checkup) == [(Step.REACHABLE, Verdict.BROKEN)]
    assert is_advised(checkup)


async def test_a_wrong_password_is_told_after_reaching(rabbitmq):
    checkup = await broker_of(rabbitmq.url(password="wrong"))
    assert verdicts(checkup) == [
        (Step.REACHABLE, Verdict.OK),
        (Step.AUTHENTICATED, Verdict.BROKEN),
    ]
    assert is_advised(checkup)


async def test_a_virtual_host_that_is_not_there_is_told(rabbitmq):
    checkup = await broker_of(rabbitmq.server.url("nowhere"))
    assert verdicts(checkup)[-1] == (Step.VIRTUAL_HOST, Verdict.BROKEN)


async def test_a_virtual_host_that_may_not_be_used_comes_with_the_line_that_permits_it(exchange):
    server = exchange.server
    user = server.add_user("/")
    url = exchange.url(user=user, password="secret")
    found = one(await broker_of(url), Step.VIRTUAL_HOST)
    assert found.verdict is Verdict.BROKEN
    server.ctl(found.fix)
    assert not broken_ones(await broker_of(url))


async def test_the_least_rights_are_enough(exchange):
    checkup = await broker_of(url_of(exchange, **LEAST))
    assert verdicts(checkup, Step.PERMISSION) == [(None, Verdict.OK)]
    assert not broken_ones(checkup)


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ({"configure": ""}, "configure"),
        ({"write": ""}, "write"),
        ({"read": ""}, "read"),
        ({"read": r"^celeryev\."}, "read"),  # the queue, and not the exchange
        ({"read": "^celeryev$"}, "read"),  # the exchange, and not the queue
    ],
    ids=["configure", "write", "read", "read exchange", "read queue"],
)
async def test_each_right_that_is_missing_is_named_and_its_line_repairs_it(
    exchange, missing, named
):
    url = url_of(exchange, **(LEAST | missing))
    checkup = await broker_of(url)
    (finding,) = broken_ones(checkup)
    assert (finding.step, finding.about) == (Step.PERMISSION, named)
    assert is_advised(checkup)
    exchange.server.ctl(finding.fix)
    assert not broken_ones(await broker_of(url))


async def test_rights_are_told_also_where_the_exchange_is_not_there_yet(rabbitmq):
    checkup = await broker_of(url_of(rabbitmq))
    assert one(checkup, Step.EXCHANGE).verdict is Verdict.UNKNOWN
    assert [about for about, _ in verdicts(checkup, Step.PERMISSION)] == [
        "configure",
        "write",
        "read",
    ]
    assert checkup.fix == broken_ones(checkup)[0].fix


async def test_a_management_api_that_refuses_us_comes_with_the_line_that_permits_it(exchange):
    server = exchange.server
    user = server.add_user(exchange.name, **LEAST)
    place = f"http://{user}:secret@127.0.0.1:{server.management_port}"
    found = one(await broker_of(exchange.url(), rabbitmq_management=place), Step.MANAGEMENT)
    assert found.verdict is Verdict.BROKEN
    assert "secret" not in str(found)
    server.ctl(found.fix)
    found = one(await broker_of(exchange.url(), rabbitmq_management=place), Step.MANAGEMENT)
    assert found.verdict is Verdict.OK


async def test_a_management_api_that_is_away_is_told(exchange):
    place = f"http://u:secret@127.0.0.1:{free_port()}"
    checkup = await broker_of(exchange.url(), rabbitmq_management=place)
    assert one(checkup, Step.MANAGEMENT).verdict is Verdict.BROKEN
    assert is_advised(checkup)


@needs_openssl
async def test_tls_is_trusted_by_the_right_authority_only(exchange, tmp_path):
    ca, other = authority(tmp_path), authority(tmp_path, "other")
    async with tls_proxy(exchange.server.port, signed(tmp_path, "localhost", ca)) as port:
        url = exchange.url().replace("amqp:", "amqps:")
        url = url.replace(f"127.0.0.1:{exchange.server.port}", f"localhost:{port}")
        wrong = await broker_of(f"{url}?ssl_ca_certs={other.cert}")
        right = await broker_of(f"{url}?ssl_ca_certs={ca.cert}")
    assert verdicts(wrong) == [(Step.REACHABLE, Verdict.BROKEN)]
    assert not broken_ones(right)


@pytest.mark.parametrize("retain", ["quorum", "stream"])
async def test_a_retained_queue_is_looked_at_and_left_alone(exchange, tmp_path, retain):
    settings = {"rabbitmq_retain": retain, "rabbitmq_state_dir": str(tmp_path)}
    before = await broker_of(exchange.url(), **settings)
    assert one(before, Step.RETAINED).verdict is Verdict.UNKNOWN
    wait_for(lambda: exchange.queues() == [])  # and it was not made
    source = events_of(exchange.url(), retain=Retain(retain), position=Position(tmp_path / "at"))
    async with running(source) as run:
        await wait_until(lambda: run.of(Subscribed))
        during = await broker_of(f"main={exchange.url()}", **settings)
    with exchange.channel() as channel:
        publish(channel, b"{}")
        wait_for(lambda: exchange.queue("celeryev.stream.main").get("messages_ready") == 1)
        after = await broker_of(f"main={exchange.url()}", **settings)
        _, left, _ = channel.queue_declare("celeryev.stream.main", passive=True)
    assert one(during, Step.RETAINED).verdict is Verdict.OK
    assert one(after, Step.RETAINED).verdict is Verdict.OK
    if retain == "quorum":  # of a stream nothing is told over AMQP
        assert one(during, Step.RETAINED).says == "0 waiting, 1 reading"
        assert one(after, Step.RETAINED).says == "1 waiting, 0 reading"
        assert left == 1


async def test_a_retained_queue_of_another_kind_comes_with_the_line_that_deletes_it(exchange):
    with exchange.channel() as channel:
        channel.queue_declare("celeryev.stream.rabbitmq", durable=True, auto_delete=False)
    found = one(await broker_of(exchange.url(), rabbitmq_retain="quorum"), Step.RETAINED)
    assert found.verdict is Verdict.BROKEN
    exchange.server.ctl(found.fix)
    found = one(await broker_of(exchange.url(), rabbitmq_retain="quorum"), Step.RETAINED)
    assert found.verdict is Verdict.UNKNOWN


@contextlib.contextmanager
def working(url):
    """Tasks come all the time."""
    ended = threading.Event()

    def send():
        while not ended.is_set():
            send_tasks(url, 10)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def test_where_everything_is_fine_everything_is_told_to_be(rabbitmq, tmp_path):
    url = rabbitmq.url()
    with worker(url, tmp_path / "worker.log"):
        wait_for(lambda: rabbitmq.queue("celery").get("consumers"))
        with working(url):
            checkup = await broker_of(
                url, seconds=SECONDS, rabbitmq_management=rabbitmq.server.management
            )
    assert {verdict for _, verdict in verdicts(checkup)} == {Verdict.OK}
    assert one(checkup, Step.TASK_EVENTS, "w@test").value >= 3
    assert one(checkup, Step.TASK_SENT).value >= 3
    assert one(checkup, Step.QUEUE, "celery").value >= 0
