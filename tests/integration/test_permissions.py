"""The permissions that the README asks for suffice, and each that is missing is named."""

import base64
import json
import re

import pytest

from tests.app_under_test import make_app
from tests.builders import T0, Process
from tests.integration.service import running
from tests.integration.test_refusals import place_of, run_on, url_of
from tests.servers import APP, ROOT, celery_worker, wait_for

README = (ROOT / "README.md").read_text()
(RULE,) = re.findall(r"^ACL SETUSER .*$", README, re.MULTILINE)
SCAN, PLAIN_CHANNEL = re.search(r"Optional: `(\+scan)`.*?`(&[^`]+)`", README, re.DOTALL).groups()
USER, PASSWORD = re.search(r"SETUSER (\S+) .*>(\S+)", RULE).groups()
CHANNEL = "&/0.celeryev/*"


def grant(server, *, without=(), further=""):
    """Make the user of the README, and return the URL with which it logs in."""
    words = [word for word in RULE.split() if word not in without]
    assert len(words) == len(RULE.split()) - len(without)
    with server.client() as client:
        client.execute_command(*words, *further.split())
    return url_of(server, f"{USER}:{PASSWORD}")


def publish(server, event, channel):
    """Publish an event as kombu does."""
    envelope = {
        "body": base64.b64encode(json.dumps(event).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"hostname": event["hostname"]},
        "properties": {"body_encoding": "base64"},
    }
    with server.client() as client:
        return client.publish(channel, json.dumps(envelope))


def test_the_rule_of_the_readme_grants_nothing_that_writes(valkey):
    grant(valkey)
    with valkey.client(decode_responses=True) as client:
        user = client.acl_getuser(USER)
        writing = set(client.acl_cat("write"))
    granted = {word.removeprefix("+") for word in user["commands"] if word.startswith("+")}
    assert {"psubscribe", "llen"} <= granted
    assert granted.isdisjoint(writing | {"publish"})


def test_the_rule_of_the_readme_suffices(valkey, tmp_path):
    url = grant(valkey)
    with (
        running(tmp_path, url, "--poll-interval", "0.1") as service,
        make_app(valkey.url) as app,
    ):
        results = [app.tasks["t.ok"].delay(number) for number in range(3)]
        wait_for(lambda: service.total("messaging_client_sent_messages_total") == 3)
        wait_for(lambda: service.total("celery_queue_depth", queue="celery") == 3)
        wait_for(lambda: service.total("celery_queue_oldest_age_seconds", queue="celery") > 0)
        with celery_worker(APP, valkey.url, pool="solo"):
            wait_for(lambda: all(result.ready() for result in results))
            wait_for(lambda: service.total("celery_task_completed_total") == 3)
            wait_for(lambda: service.samples("celery_queue_depth") == ready(0))
            assert service.health()["status"] == "healthy"
        assert service.total("stream_queues_problems_total") == 0
        assert service.total("celery_queue_size", queue="*", state="unacknowledged") == 0
        assert service.stop() == 0


def ready(count):
    return {frozenset({("queue", "celery")}): count}


@pytest.mark.parametrize("missing", ["+psubscribe", CHANNEL])
def test_without_the_subscription_it_says_what_to_grant(valkey, missing):
    ended = run_on(grant(valkey, without=[missing]))
    sentence = (
        f"celery-stream: {place_of(valkey)} does not let user {USER!r} "
        "subscribe to /0.celeryev/*: "
        f"grant it with ACL SETUSER {USER} +psubscribe '{CHANNEL}'"
    )
    assert (ended.code, ended.said) == (1, [sentence])


@pytest.mark.parametrize("missing", ["+psubscribe", CHANNEL])
def test_what_it_says_to_grant_is_what_was_missing(valkey, tmp_path, missing):
    url = grant(valkey, without=[missing])
    (sentence,) = run_on(url).said
    advice = sentence.partition("grant it with ")[2].replace("'", "")
    with valkey.client() as client:
        client.execute_command(*advice.split())
    with running(tmp_path, url) as service:
        assert service.stop() == 0


@pytest.mark.parametrize("missing", ["+client|setname", "+punsubscribe", "+select"])
def test_some_of_it_is_a_courtesy_only(valkey, tmp_path, missing):
    with running(tmp_path, grant(valkey, without=[missing])) as service:
        assert service.stop() == 0


def test_without_the_command_that_measures_queues_it_says_so(valkey):
    with make_app(valkey.url) as app:
        app.tasks["t.ok"].delay()
    ended = run_on(grant(valkey, without=["+llen"]))
    (sentence,) = ended.said
    assert ended.code == 1
    assert f"grant it with ACL SETUSER {USER} +llen" in sentence


def test_keys_that_may_not_be_read_are_counted_and_the_rest_goes_on(valkey, tmp_path):
    url = grant(valkey, without=["%R~celery*"])
    with make_app(valkey.url) as app:
        app.tasks["t.ok"].delay()
    with running(tmp_path, url, "--poll-interval", "0.1") as service:
        wait_for(lambda: service.total("stream_queues_problems_total") > 0)
        publish(valkey, an_event(), "/0.celeryev/worker.heartbeat")
        wait_for(lambda: service.total("celery_workers_active") == 1)
        assert service.samples("celery_queue_depth") == {}


@pytest.mark.parametrize(
    ("missing", "command", "key"),
    [
        ("+smembers", "SMEMBERS", "_kombu.binding.celery"),
        ("%R~_kombu.binding.*", "SMEMBERS", "_kombu.binding.celery"),
        ("+lindex", "LINDEX", "celery"),
        ("%R~celery*", "LLEN", "celery"),
        ("+zcard", "ZCARD", "unacked_index"),
        ("+zrange", "ZRANGE", "unacked_index"),
        ("%R~unacked_index", "ZCARD", "unacked_index"),
    ],
)
def test_what_queues_need_is_named_once_and_the_rest_goes_on(
    valkey, tmp_path, missing, command, key
):
    url = grant(valkey, without=[missing])
    with make_app(valkey.url) as app:
        app.tasks["t.ok"].delay()
    with running(tmp_path, url, "--poll-interval", "0.1") as service:
        wait_for(lambda: service.total("stream_queues_poll_duration_seconds_count") > 5)
        told = [line for line in service.log() if line["event"] == "queues.unreadable"]
        assert service.total("stream_queues_problems_total") > 5
        assert service.health()["checks"]["broker"]
    ((source, reason),) = [(line["source"], line["reason"]) for line in told]
    assert source == "redis"
    assert reason == (
        f"{place_of(valkey)} does not let user {USER!r} read {key} with {command}: "
        f"grant it with ACL SETUSER {USER} +{command.lower()} '%R~{key}'"
    )


def test_what_is_needed_to_look_at_what_workers_hold_is_named(valkey, tmp_path):
    """HMGET is asked for only with --held-interval, and only of what is held."""
    with valkey.client() as client:
        client.zadd("unacked_index", {"tag": 1.0})
        client.hset("unacked", "tag", "[]")
    url = grant(valkey)
    with running(tmp_path, url, "--held-interval", "1", "--poll-interval", "0.1") as service:
        told = wait_for(
            lambda: [line for line in service.log() if line["event"] == "queues.unreadable"]
        )
    assert "read unacked with HMGET: grant it with ACL SETUSER watcher +hmget" in told[0]["reason"]


def an_event():
    """A heartbeat as it is on the wire."""
    beat = Process().heartbeat()
    return {
        "type": "worker-heartbeat",
        "hostname": beat.hostname,
        "pid": beat.pid,
        "clock": beat.clock,
        "timestamp": T0,
        "active": 0,
        "processed": 0,
        "freq": 2.0,
    }


# -- what is optional ----------------------------------------------------------------------------


def test_a_queue_that_no_event_named_is_found_by_scanning(valkey, tmp_path):
    with make_app(valkey.url) as app:
        app.conf.task_send_sent_event = False
        app.tasks["t.ok"].apply_async(queue="celery-mail")
    with running(tmp_path, grant(valkey, further=SCAN)) as service:
        wait_for(lambda: service.total("celery_queue_depth", queue="celery-mail") == 1)


def test_events_without_fanout_patterns_are_seen_where_the_plain_channel_is_granted(
    valkey, tmp_path
):
    with running(tmp_path, grant(valkey, further=PLAIN_CHANNEL)) as service:
        assert publish(valkey, an_event(), "/0.celeryev") == 1
        wait_for(lambda: service.total("celery_workers_active") == 1)
