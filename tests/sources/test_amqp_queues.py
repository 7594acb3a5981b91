import itertools

import amqp
import pytest
from kombu import Connection

from stream.events import QueueSample
from stream.sources.amqp_address import parse
from stream.sources.amqp_queues import Absences, RabbitMqQueues
from stream.sources.rabbitmq_management import Kind, Listing, ManagedQueue, Management
from tests.rabbitmq import free_low_port
from tests.servers import wait_until
from tests.sources.redis_helpers import error_of, running

pytestmark = pytest.mark.anyio


def queues_of(vhost, *, managed=False, known=(), told=None, url=None, **options):
    management = Management(vhost.server.management, vhost.name) if managed else None
    return RabbitMqQueues(
        parse(url or vhost.url()),
        "main",
        known=lambda: known,
        tell=([] if told is None else told).append,
        management=management,
        interval=0.05,
        **options,
    )


def declare(vhost, name, *, kind="classic", messages=0, **arguments):
    with vhost.channel() as channel:
        more = {"x-queue-type": kind, **arguments}
        channel.queue_declare(name, durable=True, auto_delete=False, arguments=more)
        for _ in range(messages):
            channel.basic_publish(amqp.Message("{}"), routing_key=name)


async def sample_of(source, condition=bool):
    """The first sample that fulfils *condition*."""
    async with running(source) as run:
        found = await wait_until(
            lambda: run.error or [s for s in run.of(QueueSample) if condition(s)]
        )
        assert run.error is None
    return found[0]


def ready(sample):
    return {queue.name: sum(queue.ready.values()) for queue in sample.queues}


@pytest.mark.parametrize("managed", [False, True], ids=["amqp", "management"])
@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_messages_that_wait_are_counted(rabbitmq, kind, managed):
    declare(rabbitmq, "celery", kind=kind, messages=3)
    source = queues_of(rabbitmq, managed=managed)
    await sample_of(source, lambda sample: ready(sample) == {"celery": 3})


async def test_messages_of_a_stream_are_counted_with_the_management_api(rabbitmq):
    declare(rabbitmq, "log", kind="stream", messages=3)
    source = queues_of(rabbitmq, managed=True)
    await sample_of(source, lambda sample: ready(sample) == {"log": 3})


async def test_queues_are_those_configured_those_heard_of_and_celerys_default(rabbitmq):
    for name in ("celery", "configured", "heard", "other"):
        declare(rabbitmq, name)
    sample = await sample_of(queues_of(rabbitmq, known=("heard",), configured=("configured",)))
    assert set(ready(sample)) == {"celery", "configured", "heard"}


async def test_the_management_api_lists_queues_that_nothing_names(rabbitmq):
    declare(rabbitmq, "unheard", messages=1)
    sample = await sample_of(queues_of(rabbitmq, managed=True), ready)
    assert ready(sample) == {"unheard": 1}


async def test_queues_that_hold_no_tasks_are_left_out_of_the_list(rabbitmq):
    for name in ("celery", "celeryev.stream.main", "w@h.celery.pidbox"):
        declare(rabbitmq, name)
    with rabbitmq.channel() as channel:
        channel.queue_declare("mine", exclusive=True)
        sample = await sample_of(queues_of(rabbitmq, managed=True), ready)
    assert set(ready(sample)) == {"celery"}


async def test_what_consumers_hold_is_known_with_the_management_api(rabbitmq):
    declare(rabbitmq, "celery", messages=3)
    with rabbitmq.channel() as channel:
        for _ in range(2):
            channel.basic_get("celery")
        source = queues_of(rabbitmq, managed=True)
        await sample_of(source, lambda sample: sample.unacknowledged == 2)


async def test_what_consumers_hold_is_not_known_without_it(rabbitmq):
    declare(rabbitmq, "celery")
    sample = await sample_of(queues_of(rabbitmq))
    assert sample.unacknowledged is None


@pytest.mark.parametrize("managed", [False, True], ids=["amqp", "management"])
async def test_tasks_that_wait_for_their_time_are_no_backlog(rabbitmq, managed):
    declare(rabbitmq, "celery", messages=1)
    for level in (0, 27):
        declare(rabbitmq, f"celery_delayed_{level}", messages=5)
    sample = await sample_of(queues_of(rabbitmq, managed=managed), lambda s: any(ready(s).values()))
    assert ready(sample) == {"celery": 1}
    assert sample.delayed == 10


async def test_without_native_delayed_delivery_nothing_is_delayed(rabbitmq):
    declare(rabbitmq, "celery", messages=1)
    sample = await sample_of(queues_of(rabbitmq), lambda sample: any(ready(sample).values()))
    assert sample.delayed is None


async def test_tasks_that_celery_delays_in_the_broker_are_counted(rabbitmq):
    kombu = pytest.importorskip(
        "kombu.transport.native_delayed_delivery", reason="this kombu does not delay messages"
    )
    with Connection(rabbitmq.url()) as connection:
        kombu.declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
        with connection.Producer() as producer:
            for countdown in (60, 3600, 100_000):
                key = kombu.calculate_routing_key(countdown, "celery")
                producer.publish({}, exchange=kombu.level_name(27), routing_key=key)
    await sample_of(queues_of(rabbitmq), lambda sample: sample.delayed == 3)


async def test_a_queue_that_vanishes_is_left_out_and_counted(rabbitmq):
    declare(rabbitmq, "orders")
    told = []
    async with running(queues_of(rabbitmq, configured=("orders",), told=told)) as run:
        await wait_until(lambda: run.frames)
        with rabbitmq.channel() as channel:
            channel.queue_delete("orders")
        await wait_until(lambda: ready(run.frames[-1]) == {})
        await wait_until(lambda: told[-1].problems == 1)
    assert told[0].problems == 0


async def test_a_default_queue_that_is_not_used_is_no_problem(rabbitmq):
    told = []
    await sample_of(queues_of(rabbitmq, told=told))
    assert told[0].problems == 0


async def test_a_queue_of_another_connection_is_counted_and_the_others_are_measured(rabbitmq):
    declare(rabbitmq, "celery")
    told = []
    with rabbitmq.channel() as channel:
        channel.queue_declare("a-private-one", exclusive=True)
        source = queues_of(rabbitmq, known=("a-private-one",), told=told)
        sample = await sample_of(source)
    assert (set(ready(sample)), told[0].problems) == ({"celery"}, 1)


async def test_a_name_that_no_queue_can_have_is_counted_and_the_others_are_measured(rabbitmq):
    declare(rabbitmq, "celery")
    told = []
    sample = await sample_of(queues_of(rabbitmq, known=("é" * 128,), told=told))
    assert (set(ready(sample)), told[0].problems) == ({"celery"}, 1)


async def test_a_queue_that_is_not_there_may_have_the_longest_name(rabbitmq):
    """The server's refusal quotes it, and is cut at any of its bytes."""
    declare(rabbitmq, "celery")
    told, names = [], ("é" * 127, "é" * 126 + "x", "x" + "é" * 126)
    sample = await sample_of(queues_of(rabbitmq, known=names, told=told))
    assert (set(ready(sample)), told[0].problems) == ({"celery"}, 3)


async def test_no_permission_is_needed(rabbitmq):
    declare(rabbitmq, "celery", messages=1)
    user = rabbitmq.server.add_user(rabbitmq.name)
    source = queues_of(rabbitmq, url=rabbitmq.url(user=user, password="secret"))
    assert ready(await sample_of(source)) == {"celery": 1}


async def test_a_queue_is_not_consumed_from(rabbitmq):
    declare(rabbitmq, "celery", messages=2)
    with rabbitmq.channel() as channel:
        async with running(queues_of(rabbitmq)) as run:
            await wait_until(lambda: len(run.frames) > 20)
        channel.basic_get("celery")  # the counters do count
        await wait_until(lambda: statistics(rabbitmq, "celery").get("get") == 1)
    found = statistics(rabbitmq, "celery")
    others = ("get_no_ack", "deliver", "deliver_no_ack", "redeliver", "ack")
    assert [found.get(name, 0) for name in others] == [0] * len(others)


def statistics(vhost, name):
    return vhost.queue(name).get("message_stats", {})


# -- the management API ------------------------------------------------------------------------


async def test_an_api_that_is_away_costs_what_only_it_tells(rabbitmq):
    declare(rabbitmq, "celery", messages=1)
    told = []
    away = Management(f"http://127.0.0.1:{free_low_port()}", rabbitmq.name)
    source = RabbitMqQueues(
        parse(rabbitmq.url()), "main", known=tuple, tell=told.append, management=away
    )
    sample = await sample_of(source)
    assert (ready(sample), told[0].problems) == ({"celery": 1}, 1)


class Cut:
    """The management API of a broker with more queues than are asked for."""

    async def listing(self):
        return Listing([ManagedQueue("listed", Kind.CLASSIC)], missing=7)


async def test_queues_that_the_list_lacks_are_counted_and_those_heard_of_are_measured(rabbitmq):
    for name in ("heard", "listed", "other"):
        declare(rabbitmq, name)
    told = []
    source = RabbitMqQueues(
        parse(rabbitmq.url()),
        "main",
        known=lambda: ("heard",),
        tell=told.append,
        management=Cut(),
    )
    sample = await sample_of(source)
    assert (set(ready(sample)), told[0].problems) == ({"heard", "listed"}, 7)


async def test_a_queue_that_was_heard_of_and_holds_no_tasks_is_left_out(rabbitmq):
    declare(rabbitmq, "celery")
    told = []
    with rabbitmq.channel() as channel:
        channel.queue_declare("mine", exclusive=True)
        source = queues_of(rabbitmq, managed=True, known=("mine",), told=told)
        sample = await sample_of(source, ready)
    assert (set(ready(sample)), told[0].problems) == ({"celery"}, 0)


@pytest.mark.parametrize("case", ["password", "tag"])
async def test_an_api_that_refuses_the_user_is_refused_with_what_grants_it(rabbitmq, case):
    user = rabbitmq.server.add_user(rabbitmq.name)
    password = "hidden" if case == "password" else "secret"
    url = f"http://{user}:{password}@127.0.0.1:{rabbitmq.server.management_port}"
    source = RabbitMqQueues(
        parse(rabbitmq.url()),
        "main",
        known=tuple,
        tell=lambda _: None,
        management=Management(url, rabbitmq.name),
    )
    error = await error_of(source)
    assert error.startswith("RefusedError: The management API at http://127.0.0.1:")
    assert f"rabbitmqctl set_user_tags {user} management" in error
    assert password not in error


async def test_a_virtual_host_that_the_api_does_not_know_is_refused(rabbitmq):
    management = Management(rabbitmq.server.management, "nowhere")
    with pytest.raises(Exception, match="has no virtual host 'nowhere'"):
        await management.queues()


async def test_the_kind_and_the_consumers_of_a_queue_are_read(rabbitmq):
    declare(rabbitmq, "celery", kind="quorum")
    management = Management(rabbitmq.server.management, rabbitmq.name)
    (queue,) = await management.queues()
    assert isinstance(queue, ManagedQueue)
    assert (queue.name, queue.kind, queue.exclusive) == ("celery", Kind.QUORUM, False)


async def test_more_queues_than_one_page_holds_are_read(rabbitmq):
    with rabbitmq.channel() as channel:
        for number in range(501):
            channel.queue_declare(f"q{number}", durable=False, auto_delete=False)
    management = Management(rabbitmq.server.management, rabbitmq.name)
    assert len(await management.queues()) == 501


async def test_the_api_tells_how_many_queues_there_are_besides(rabbitmq, monkeypatch):
    monkeypatch.setattr("stream.sources.rabbitmq_management._PAGE", 1)
    for name in ("a", "b", "c", "d", "e"):
        declare(rabbitmq, name)
    listing = await Management(rabbitmq.server.management, rabbitmq.name).listing()
    assert (len(listing.queues), listing.missing) == (2, 3)


@pytest.mark.parametrize("url", ["", "ftp://host", "http://", "http://me:hidden@host:port"])
def test_a_management_url_that_cannot_work_is_refused_without_repeating_it(url):
    with pytest.raises(Exception, match="The management URL must be like") as caught:
        Management(url, "/")
    assert "hidden" not in str(caught.value)


# -- when to ask again -------------------------------------------------------------------------


def test_an_absent_queue_is_asked_for_ever_more_rarely():
    absences, at, asked = Absences(), 0.0, []
    while at < 3600:
        if absences.due("q", at):
            absences.note("q", at)
            asked.append(at)
        at += 5
    delays = [after - before for before, after in itertools.pairwise(asked)]
    assert delays == sorted(delays)
    assert delays[0] == 15
    assert delays[-1] == 600


def test_a_queue_that_is_back_is_asked_for_at_each_poll():
    absences = Absences()
    absences.note("q", 0.0)
    assert not absences.due("q", 1.0)
    absences.found("q")
    assert absences.due("q", 1.0)


def test_absences_of_what_nobody_names_are_forgotten():
    absences = Absences()
    for name in ("a", "b"):
        absences.note(name, 0.0)
    absences.keep(["b"])
    assert absences.count(["a", "b"]) == 1
