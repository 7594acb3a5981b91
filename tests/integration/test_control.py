"""Asking and enabling real workers: through our own connection, and never through kombu."""

import json
import re
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial

import anyio
import pytest

from stream.channel import Channel, Overflow
from stream.core.engine import Engine
from stream.pipeline import Pipeline
from stream.sources.capture import Capture
from stream.sources.redis_control import REPLIES
from tests.app_under_test import make_app
from tests.integration.service import running
from tests.integration.test_permissions import README, USER, grant
from tests.integration.test_rabbitmq import send_tasks, worker
from tests.integration.test_refusals import run_on
from tests.servers import APP, celery_worker, wait_for

ENABLE = ("--enable-events",)
INSPECT = ("--inspect-interval", "60")
ENABLING, ANSWERS = re.search(
    r"`--enable-events` needs `([^`]+)`, `--inspect-interval` besides `([^`]+)`", README
).groups()


def run_tasks(url, count=10):
    with make_app(url) as app:
        results = [app.tasks["t.ok"].delay(number) for number in range(count)]
        wait_for(lambda: all(result.ready() for result in results))


def done(service):
    return service.total("celery_task_finished_total", state="SUCCESS")


@contextmanager
def monitored(server):
    """What clients of a server send: yields a function that returns it so far."""
    with server.client() as client, client.monitor() as monitor:
        seen = []

        def so_far():
            while monitor.connection.can_read(timeout=0):
                seen.append(monitor.next_command())
            return seen

        yield so_far


# -- Redis ---------------------------------------------------------------------------------------


def test_a_worker_without_events_is_told_to_send_them(valkey, tmp_path):
    with (
        running(tmp_path, valkey.url, *ENABLE) as service,
        celery_worker(APP, valkey.url, task_events=False) as quiet,
    ):
        wait_for(lambda: service.total("celery_worker_up", worker=quiet.hostname) == 1)
        wait_for(lambda: run_tasks(valkey.url) or done(service) >= 10)
        assert service.stop() == 0


def test_without_the_flags_nobody_is_asked(valkey, tmp_path):
    with (
        monitored(valkey) as commands,
        running(tmp_path, valkey.url) as service,
        celery_worker(APP, valkey.url, task_events=False) as quiet,
    ):
        run_tasks(valkey.url)
        processed = lambda: service.total("celery_worker_processed", worker=quiet.hostname)  # noqa: E731
        wait_for(lambda: processed() >= 10)
        assert service.total("celery_task_started_total") == 0
        assert not [each for each in commands() if is_asking(each)]


def workers_on_the_page(service):
    return json.loads(service.get("/api/workers")[1])["workers"]


def test_an_inspection_tells_pool_queues_and_what_runs(valkey, tmp_path):
    with (
        running(tmp_path, valkey.url, *INSPECT, "--poll-interval", "0.5") as service,
        celery_worker(APP, valkey.url, concurrency=3, queues=("celery", "mail")) as asked,
    ):
        wait_for(lambda: service.total("celery_worker_pool_size", worker=asked.hostname) == 3)
        wait_for(lambda: [each["pool"] for each in workers_on_the_page(service)] == [3])
        wait_for(lambda: service.total("celery_queue_workers", queue="mail") == 1)
        wait_for(lambda: ("queue", "mail") in {p for s in depths(service) for p in s})
        with make_app(valkey.url) as app:
            app.tasks["t.slow"].delay(12)
            wait_for(lambda: service.total("celery_worker_utilization_ratio") == 1 / 3)
        assert service.health()["checks"]["broker"]
        assert service.stop() == 0


def depths(service):
    return service.samples("celery_queue_depth")


def test_asking_touches_nothing_of_the_application(valkey, tmp_path):
    """No command of ours but those that are documented, and none on a key of anybody else's."""
    with (
        monitored(valkey) as commands,
        running(tmp_path, valkey.url, *ENABLE, *INSPECT) as service,
        celery_worker(APP, valkey.url, task_events=False) as asked,
    ):
        wait_for(lambda: service.total("celery_worker_pool_size", worker=asked.hostname) > 0)
        seen = commands()
        (ours,) = {place(each) for each in seen if is_asking(each)}
        sent = [each["command"] for each in seen if place(each) == ours]
        with valkey.client() as client:
            lists = [key.decode() for key in client.scan_iter(f"{REPLIES}.*")]
            assert all(0 < client.ttl(key) <= 3600 for key in lists)
        assert service.stop() == 0
    verbs = Counter(command.split()[0].upper() for command in sent)
    assert set(verbs) <= {"SELECT", "CLIENT", "PING", "PUBLISH", "LLEN", "LPOP", "RPUSH", "PEXPIRE"}
    # Of this worker: told once, and asked three things once; and one ping to nobody.
    assert verbs["PUBLISH"] == 1 + 1 + 3
    asked_when = [number for number, each in enumerate(seen) if is_asking(each)][1:]
    heard_from = [number for number, each in enumerate(seen) if is_listening(each)]
    assert heard_from[0] < asked_when[0]
    for command in sent:
        verb, *words = command.split()
        if verb.upper() in {"LLEN", "LPOP", "RPUSH", "PEXPIRE"}:
            assert words[0].startswith(f"{REPLIES}.")
        if verb.upper() == "PUBLISH":
            assert words[0] == "/0.celery.pidbox"


def is_asking(command):
    return command["command"].startswith("PUBLISH /0.celery.pidbox")


def is_listening(command):
    verb, *topics = command["command"].split()
    return verb.upper() in {"SUBSCRIBE", "PSUBSCRIBE"} and "/0.celery.pidbox" in " ".join(topics)


def place(command):
    return command["client_address"], command["client_port"]


def test_what_was_answered_is_replayed(valkey, tmp_path):
    capture = tmp_path / "captured"
    with (
        running(tmp_path, valkey.url, *INSPECT, "--capture", str(capture)) as service,
        celery_worker(APP, valkey.url, concurrency=3) as asked,
    ):
        wait_for(lambda: service.total("celery_worker_pool_size", worker=asked.hostname) == 3)
        wait_for(lambda: service.total("celery_queue_workers", queue="celery") == 1)
        assert service.stop() == 0
    engine = Engine()
    channel = Channel(1, Overflow.WAIT, tell=lambda _: None)
    pipeline = Pipeline(engine, (), channel=channel, tell=lambda _: None)

    async def put(frames):
        pipeline.process(frames)

    anyio.run(Capture([str(capture)], tell=lambda _: None).run, put)
    (gauge,) = engine.view(0.0).workers
    assert (gauge.hostname, gauge.pool, gauge.queues) == (asked.hostname, 3, ("celery",))


def test_an_inspection_finds_the_one_that_ended_unseen(valkey, tmp_path, long_form):
    """Its heartbeats say that the worker runs one of two, and not which; most take the oldest."""
    if not long_form:
        pytest.skip("waits for the second inspection, a minute: --long")
    with (
        running(tmp_path, valkey.url, *ENABLE, *INSPECT) as service,
        celery_worker(APP, valkey.url, concurrency=2, task_events=False) as asked,
        make_app(valkey.url) as app,
    ):
        wait_for(lambda: service.total("celery_worker_pool_size", worker=asked.hostname) == 2)
        wait_for(lambda: run_tasks(valkey.url, 1) or done(service) >= 1)  # events are on
        app.tasks["t.slow"].delay(150)
        wait_for(lambda: service.total("celery_task_active", state="STARTED") == 1)
        short = app.tasks["t.slow"].delay(5)
        wait_for(lambda: service.total("celery_task_active", state="STARTED") == 2)
        app.control.disable_events(destination=[asked.hostname])
        wait_for(lambda: service.total("celery_task_unknown_total") == 1, 100)
        assert service.total("celery_task_active", state="STARTED") == 1
        assert service.stop() == 0
    lines = [json.loads(line) for line in (tmp_path / "stream.out").read_text().splitlines()]
    ended = [line["task_id"] for line in lines if line["event"] == "celery.task.unknown"]
    assert ended == [short.id]


# -- permissions on Redis ------------------------------------------------------------------------


def test_the_permissions_of_the_readme_suffice(valkey, tmp_path):
    url = grant(valkey, further=f"{ENABLING} {ANSWERS}")
    with (
        running(tmp_path, url, *ENABLE, *INSPECT) as service,
        celery_worker(APP, valkey.url, concurrency=3, task_events=False),
    ):
        wait_for(lambda: service.total("celery_worker_pool_size") == 3)
        wait_for(lambda: run_tasks(valkey.url) or done(service) >= 10)


@pytest.mark.parametrize("missing", ENABLING.split())
def test_a_permission_to_publish_that_is_missing_is_named_at_the_start(valkey, missing):
    url = grant(valkey, further=ENABLING.replace(missing, ""))
    (sentence,) = run_on(url, *ENABLE).said
    assert "does not let user 'watcher' publish on /0.celery.pidbox" in sentence
    assert f"ACL SETUSER {USER} +publish '&/0.celery.pidbox'" in sentence


@pytest.mark.parametrize("missing", ANSWERS.split())
def test_a_permission_to_take_answers_that_is_missing_is_named_at_the_start(valkey, missing):
    url = grant(valkey, further=f"{ENABLING} {ANSWERS.replace(missing, '')}")
    (sentence,) = run_on(url, *INSPECT).said
    assert "does not let user 'watcher' take the workers' answers" in sentence
    assert f"'~{REPLIES}.*'" in sentence


# -- RabbitMQ ------------------------------------------------------------------------------------


def test_workers_of_rabbitmq_are_enabled_and_inspected(rabbitmq, tmp_path):
    url = rabbitmq.url()
    with (
        running(tmp_path, url, *ENABLE, *INSPECT, ready=False) as service,
        worker(url, tmp_path / "worker.log", events=False),
    ):
        wait_for(lambda: service.total("celery_worker_pool_size", worker="w@test") == 2)
        wait_for(lambda: service.total("celery_queue_workers", queue="celery") == 1)
        wait_for(lambda: send_tasks(url, 3) or done(service) >= 3)
        assert service.health()["checks"]["broker"]
        assert service.stop() == 0
    assert not [each for each in rabbitmq.queues() if ".control." in each["name"]]


def test_what_rabbitmq_does_not_permit_is_named(rabbitmq, tmp_path):
    own = r"^celeryev\."
    rights = {"configure": own, "write": own, "read": r"^celeryev\.|^celeryev$"}
    user = rabbitmq.server.add_user(rabbitmq.name, **rights)
    url = rabbitmq.url(user=user, password="secret")
    with (
        worker(rabbitmq.url(), tmp_path / "worker.log"),
        running(tmp_path, rabbitmq.url()) as service,
    ):
        wait_for(lambda: service.total("celery_workers_active") == 1)
        (sentence,) = run_on(url, *ENABLE).said
    assert f"does not let user {user!r} ask the workers" in sentence
    right = r"'^celeryev\.' '^celeryev\.|^celery\.pidbox$' '^celeryev\.|^celeryev$'"
    assert f"rabbitmqctl set_permissions -p '{rabbitmq.name}' {user} {right}" in sentence
    rights["write"] = r"^celeryev\.|^celery\.pidbox$"
    suffices = rabbitmq.server.add_user(rabbitmq.name, **rights)
    with (
        worker(rabbitmq.url(), tmp_path / "worker.log", events=False),
        running(
            tmp_path,
            rabbitmq.url(user=suffices, password="secret"),
            *ENABLE,
            *INSPECT,
            ready=False,
        ) as service,
    ):
        wait_for(lambda: service.total("celery_worker_pool_size") == 2)


def test_workers_that_appear_one_after_the_other_are_each_asked(rabbitmq, tmp_path):
    names = [f"w{number}@test" for number in range(3)]
    with (
        running(tmp_path, rabbitmq.url(), *INSPECT, ready=False) as service,
        ExitStack() as workers,
    ):
        for name in names:
            workers.enter_context(worker(rabbitmq.url(), tmp_path / f"{name}.log", name=name))
        for name in names:
            wait_for(partial(service.total, "celery_worker_pool_size", worker=name))
        wait_for(lambda: service.total("celery_queue_workers", queue="celery") == 3)
