"""`celery-stream doctor` on real Redis servers and workers."""

import contextlib
import json
import shlex
import threading

import msgspec
import pytest

from stream.doctor.diagnosis import Diagnosis, Step, Verdict
from stream.doctor.look_redis import Wanted, look_at_redis
from stream.sources.broker import parse_broker
from tests.app_under_test import make_app
from tests.doctor.findings import (
    ACCESS,
    broken_ones,
    broker_of,
    checked,
    diagnosed,
    is_advised,
    one,
    verdicts,
)
from tests.integration.test_permissions import CHANNEL, RULE, USER, grant
from tests.integration.test_refusals import run_command, url_of
from tests.otlp import Receiver
from tests.redis_forms import MASTER_NAME, authority, needs_openssl, signed, tls_proxy, watched
from tests.servers import APP, Valkey, celery_worker, free_port, wait_for

pytestmark = pytest.mark.anyio

SECONDS = 9.0
"""Four heartbeats, of which two can be compared, also on a machine that is busy."""
ALL_OPEN = [(step, Verdict.OK) for step in ACCESS]


# -- reaching and logging in ---------------------------------------------------------------------


async def test_where_nothing_listens_it_ends_there():
    checkup = await broker_of(f"redis://127.0.0.1:{free_port()}/0")
    assert verdicts(checkup) == [(Step.REACHABLE, Verdict.BROKEN)]
    assert is_advised(checkup)


@pytest.mark.parametrize("credentials", [":wrong", "nobody:wrong", ""])
async def test_a_wrong_password_is_told_after_reaching(valkey, credentials):
    with valkey.client() as client:
        client.config_set("requirepass", "right")
    checkup = await broker_of(url_of(valkey, credentials))
    assert verdicts(checkup) == [
        (Step.REACHABLE, Verdict.OK),
        (Step.AUTHENTICATED, Verdict.BROKEN),
    ]
    assert is_advised(checkup)


async def test_what_is_published_while_it_subscribes_is_no_answer(valkey):
    over = threading.Event()

    def publish():
        with valkey.client() as client:
            while not over.is_set():
                with client.pipeline(transaction=False) as many:
                    for _ in range(100):
                        many.publish("/0.celeryev/worker.heartbeat", b"{}")
                    many.execute()

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        broker, options = parse_broker(valkey.url, {})
        wanted = Wanted(options, "celeryev", ())
        seen = [await look_at_redis(broker, wanted) for _ in range(20)]
    finally:
        over.set()
        publisher.join()
    assert {each.denial for look in seen for each in look.grants.tried} == {None}


async def test_a_database_that_is_not_there_is_told(valkey):
    checkup = await broker_of(url_of(valkey, db=99))
    assert verdicts(checkup)[-1] == (Step.DATABASE, Verdict.BROKEN)


async def test_a_password_that_is_right_and_an_empty_broker_are_no_fault(valkey):
    with valkey.client() as client:
        client.config_set("requirepass", "right")
    checkup = await broker_of(url_of(valkey, ":right"))
    assert verdicts(checkup)[:3] == ALL_OPEN
    assert not broken_ones(checkup)
    assert one(checkup, Step.EVENTS).verdict is Verdict.UNKNOWN
    assert is_advised(checkup)


# -- forms ---------------------------------------------------------------------------------------


async def test_a_unix_socket_is_reached(tmp_path):
    path = tmp_path / "r.sock"
    with Valkey(tmp_path / "v", unixsocket=str(path)):
        checkup = await broker_of(f"redis+socket://{path}?virtual_host=2")
    assert verdicts(checkup)[:3] == ALL_OPEN
    assert one(checkup, Step.DATABASE).says == "2 may be used"


@needs_openssl
async def test_tls_is_trusted_by_the_right_authority_only(valkey, tmp_path):
    ca = authority(tmp_path)
    other = authority(tmp_path, "other")
    async with tls_proxy(valkey.port, signed(tmp_path, "localhost", ca)) as port:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs="
        wrong, right = await broker_of(url + other.cert), await broker_of(url + ca.cert)
    assert verdicts(wrong) == [(Step.REACHABLE, Verdict.BROKEN)]
    assert "ssl_ca_certs" in one(wrong, Step.REACHABLE).says
    assert verdicts(right)[:3] == ALL_OPEN


async def test_sentinels_name_the_master(tmp_path):
    with watched(tmp_path, sentinels=1) as found:
        url, master = found.url, found.master.port
        options = {"master_name": MASTER_NAME}
        checkup = await broker_of(url, broker_transport_options=options)
        apart = await broker_of(url, broker_transport_options=options, events_from="replica")
        wrong = await broker_of(url, broker_transport_options={"master_name": "other"})
        found.sentinels[0].kill()
        gone = await broker_of(url, broker_transport_options=options)
    assert verdicts(checkup)[:4] == [(Step.SENTINEL, Verdict.OK), *ALL_OPEN]
    assert f"127.0.0.1:{master}/" in one(checkup, Step.SENTINEL).says
    replica = [each.says for each in apart.findings if each.about == "replica"]
    assert len(replica) == 4
    assert not broken_ones(apart)
    assert f":{master}/" not in replica[0]
    assert verdicts(wrong) == [(Step.SENTINEL, Verdict.BROKEN)]
    assert "master_name" in one(wrong, Step.SENTINEL).says
    assert verdicts(gone) == [(Step.SENTINEL, Verdict.BROKEN)]


async def test_each_of_several_brokers_is_looked_at(valkey):
    away = f"redis://127.0.0.1:{free_port()}/0"
    found = await diagnosed(f"shop={valkey.url} mail={away}")
    assert [each.subject for each in found.checkups] == ["broker shop", "broker mail", "otlp"]
    shop, mail, _ = found.checkups
    assert not broken_ones(shop)
    assert verdicts(mail) == [(Step.REACHABLE, Verdict.BROKEN)]


# -- permissions ---------------------------------------------------------------------------------


async def test_the_rule_of_the_readme_lacks_nothing_that_is_needed(valkey):
    checkup = await broker_of(grant(valkey))
    assert verdicts(checkup, Step.PERMISSION) == [
        (None, Verdict.OK),
        ("+scan", Verdict.UNKNOWN),
    ]


def apply(server, fix):
    """Run a line as an administrator does in redis-cli."""
    with server.client() as client:
        client.execute_command(*shlex.split(fix))


NEEDED = (
    *("+psubscribe", CHANNEL, "+ping", "+llen", "+lindex", "+zcard", "+zrange", "+smembers"),
    *("%R~_kombu.binding.*", "%R~unacked_index", "%R~celery*"),
)


@pytest.mark.parametrize("missing", NEEDED)
async def test_each_permission_that_is_missing_is_named_and_its_rule_repairs_it(valkey, missing):
    url = grant(valkey, without=[missing])
    checkup = await broker_of(url)
    (finding,) = broken_ones(checkup)
    assert (finding.step, finding.about) == (Step.PERMISSION, missing)
    assert is_advised(checkup)
    apply(valkey, finding.fix)
    assert not broken_ones(await broker_of(url))


@pytest.mark.parametrize(
    ("missing", "settings"),
    [
        ("%R~unacked", {"held_interval": 60.0}),
        ("+hmget", {"held_interval": 60.0}),
        ("+lrange", {"peek_messages": 5}),
    ],
)
async def test_what_only_a_setting_needs_is_asked_for_with_it_only(valkey, missing, settings):
    without = [missing] if missing in RULE.split() else []
    url = grant(valkey, without=without, further="" if without else "+hmget +lrange")
    if not without:
        apply(valkey, f"ACL SETUSER {USER} -{missing.removeprefix('+')}")
    else:
        apply(valkey, f"ACL SETUSER {USER} +hmget")
    assert not broken_ones(await broker_of(url))
    (finding,) = broken_ones(await broker_of(url, **settings))
    assert finding.about == missing
    apply(valkey, finding.fix)
    assert not broken_ones(await broker_of(url, **settings))


async def test_a_database_that_may_not_be_selected_comes_with_its_rule(valkey):
    grant(valkey, without=["+select"])
    url = url_of(valkey, f"{USER}:password", db=1)
    found = one(await broker_of(url), Step.DATABASE)
    assert (found.verdict, found.fix) == (Verdict.BROKEN, f"ACL SETUSER {USER} +select")
    apply(valkey, found.fix)
    assert one(await broker_of(url), Step.DATABASE).verdict is Verdict.OK


async def test_one_line_repairs_a_user_that_may_do_nothing(valkey):
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", USER, "reset", "on", ">password", "+auth")
    url = url_of(valkey, f"{USER}:password")
    checkup = await broker_of(url)
    assert len(broken_ones(checkup)) == 7
    apply(valkey, checkup.fix)
    assert not broken_ones(await broker_of(url))


async def test_a_user_with_all_keys_is_granted_the_commands_only(valkey):
    """Redis refuses a rule that adds a pattern to a user with all keys."""
    with valkey.client() as client:
        words = "reset on >password ~* &* +auth +psubscribe +ping +smembers +scan -llen"
        client.execute_command("ACL", "SETUSER", USER, *words.split())
    url = url_of(valkey, f"{USER}:password")
    checkup = await broker_of(url)
    assert checkup.fix == f"ACL SETUSER {USER} +llen +lindex +zcard +zrange"
    apply(valkey, checkup.fix)
    assert not broken_ones(await broker_of(url))


async def test_keys_of_queues_that_are_configured_are_asked_for(valkey):
    url = grant(valkey)
    (finding,) = broken_ones(await broker_of(url, queues=["mail"]))
    assert finding.fix == f"ACL SETUSER {USER} '%R~mail*'"
    apply(valkey, finding.fix)
    assert not broken_ones(await broker_of(url, queues=["mail"]))


# -- a cluster -----------------------------------------------------------------------------------


@contextlib.contextmanager
def working(server, *, sent_events=True):
    """Tasks come all the time, from when the queues have been looked at for the first time."""
    ended = threading.Event()

    def looked_at():
        with server.client() as client:
            ours = [each for each in client.client_list() if each["name"] == "celery-stream"]
        # The last command of a look at the queues; on a connection that is trying out
        # permissions it is psubscribe.
        return ended.is_set() or any(each["cmd"] == "zrange" for each in ours)

    def send():
        wait_for(looked_at)
        with make_app(server.url) as app:
            app.conf.task_send_sent_event = sent_events
            while not ended.wait(0.05):
                app.tasks["t.ok"].apply_async(ignore_result=True)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def test_where_everything_is_fine_everything_is_told_to_be(valkey):
    with (
        Receiver() as receiver,
        celery_worker(APP, valkey.url, pool="solo") as worker,
        working(valkey),
    ):
        broker, otlp = await checked(valkey.url, seconds=SECONDS, otlp_endpoint=receiver.url)
    assert {verdict for _, verdict in verdicts(broker)} == {Verdict.OK}
    assert {verdict for _, verdict in verdicts(otlp)} == {Verdict.OK}
    assert one(broker, Step.EVENTS).value > 30
    assert one(broker, Step.TASK_EVENTS, worker.hostname).value >= 3
    assert one(broker, Step.TASK_SENT).value >= 3
    host = worker.hostname.partition("@")[2]
    assert abs(one(broker, Step.CLOCK, host).value) < 1
    assert one(broker, Step.QUEUE, "celery").value >= 0


async def test_a_worker_without_task_events_and_a_silent_producer_are_named(valkey):
    with (
        celery_worker(APP, valkey.url, pool="solo", name="loud") as loud,
        celery_worker(APP, valkey.url, pool="solo", name="mute", task_events=False) as mute,
        working(valkey, sent_events=False),
    ):
        checkup = await broker_of(valkey.url, seconds=SECONDS)
    assert sorted(verdicts(checkup, Step.TASK_EVENTS)) == [
        (loud.hostname, Verdict.OK),
        (mute.hostname, Verdict.BROKEN),
    ]
    assert one(checkup, Step.TASK_SENT).verdict is Verdict.BROKEN
    assert len(broken_ones(checkup)) == 2
    assert is_advised(checkup)


async def test_events_of_another_database_are_named(valkey):
    with celery_worker(APP, valkey.url, pool="solo"):
        checkup = await broker_of(url_of(valkey, db=3), seconds=4.0)
    found = one(checkup, Step.EVENTS)
    assert found.verdict is Verdict.UNKNOWN
    assert "some on /0.celeryev" in found.says


async def test_what_waits_is_told_by_queue(valkey):
    with make_app(valkey.url) as app:
        for queue in ("celery", "mail", "mail"):
            app.tasks["t.ok"].apply_async(queue=queue, ignore_result=True)
    checkup = await broker_of(valkey.url, seconds=3.0)
    assert {each.about: each.value for each in checkup.findings if each.step is Step.QUEUE} == {
        "celery": 1,
        "mail": 2,
    }


async def test_looking_leaves_nothing_behind_on_the_server(valkey):
    with make_app(valkey.url) as app:
        app.tasks["t.ok"].apply_async(ignore_result=True)
    with valkey.client() as client:
        before = {key: client.dump(key) for key in client.keys("*")}
        await broker_of(valkey.url)
        assert {key: client.dump(key) for key in client.keys("*")} == before
        wait_for(lambda: not [c for c in client.client_list() if c["name"] == "celery-stream"])


# -- the command ---------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_fails_where_something_is_broken(valkey):
    ended = run_command("doctor", "--broker", f"redis://:hunter2@127.0.0.1:{valkey.port}/0")
    assert ended.code == 1
    assert "✓ reachable" in ended.output
    assert "✗ authenticated" in ended.output
    assert "hunter2" not in ended.output


def test_the_command_succeeds_where_nothing_is_broken_and_prints_json(valkey):
    with valkey.client() as client:
        client.config_set("requirepass", "hunter2")
    url = f"redis://:hunter2@127.0.0.1:{valkey.port}/0"
    ended = run_command("doctor", "--json", "--wait", "0.2", "--broker", url)
    diagnosis = msgspec.json.decode(ended.output, type=Diagnosis)
    assert (ended.code, diagnosis.broken) == (0, 0)
    assert diagnosis.unknown == sum(
        finding["verdict"] == "unknown"
        for checkup in json.loads(ended.output)["checkups"]
        for finding in checkup["findings"]
    )
    assert "hunter2" not in ended.output


def test_a_setting_that_is_wrong_is_wrong_usage():
    ended = run_command("doctor", "--broker", "redis://h/0?fanout_prefix={")
    assert ended.code == 2
