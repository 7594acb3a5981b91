"""An outage of the receiver, and of the service in the middle of it: what was on disk arrives."""

import json
import os
import signal
import subprocess
import sys

from tests.app_under_test import make_app
from tests.integration.service import running
from tests.otlp import Receiver
from tests.servers import APP, ROOT, celery_worker, free_port, wait_for

TASKS = 60


def deliveries(health):
    return {each["name"]: each for each in health["delivery"] if each["name"] != "metrics"}


def spooled(health):
    return {name: each["spooled"] for name, each in deliveries(health).items()}


def at_rest(service):
    """An answer of /health while nothing waits in memory or is on its way, None while it does.

    Each try takes the oldest batch off the disk into its hand: two answers are of two moments.
    """
    health = service.health()
    return None if any(each["waiting"] for each in deliveries(health).values()) else health


def is_all_sent(service):
    health = at_rest(service)
    return health is not None and not any(spooled(health).values())


def test_what_was_on_disk_survives_a_kill_and_arrives_once_the_receiver_is_back(valkey, tmp_path):
    port = free_port()
    options = ["--spool", str(tmp_path / "spool"), "--spool-after=0.1", "--spans-wait=0"]
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    with celery_worker(APP, valkey.url), make_app(valkey.url) as app:
        with running(tmp_path, valkey.url, *options, env=env) as service:
            results = [app.tasks["t.ok"].delay(number) for number in range(TASKS)]
            results += [app.tasks["t.fail"].delay("no") for _ in range(TASKS)]
            wait_for(lambda: all(result.ready() for result in results))
            wait_for(lambda: service.total("celery_task_finished_total") == 2 * TASKS)
            health = wait_for(lambda: at_rest(service))
            on_disk = spooled(health)
            assert on_disk["traces"] == 4 * TASKS
            assert deliveries(health)["traces"]["circuit"] in {"open", "half_open"}
            assert "240 on disk" in health["details"]["export"]
            service.stop(signal.SIGKILL)
        with Receiver(port) as receiver, running(tmp_path, valkey.url, *options, env=env) as after:
            wait_for(lambda: is_all_sent(after))
            recovered = [line for line in after.log() if line["event"] == "spool.recovered"]
            assert {line["signal"]: line["items"] for line in recovered} == on_disk
            assert after.stop() == 0
            (stopped,) = [line for line in after.log() if line["event"] == "service.stopped"]

    ids = [span.span_id for span in receiver.spans()]
    assert len(ids) == len(set(ids)) == 4 * TASKS, json.dumps(stopped["ledgers"])
    told = {span.attributes["messaging.message.id"] for span in receiver.spans()}
    assert told == {result.id for result in results}
    failures = [log for log in receiver.logs() if log.event_name == "messaging.process.exception"]
    assert len(failures) == TASKS
    assert stopped["ledgers"]["traces"]["recovered"] == 4 * TASKS


def test_a_spool_that_another_process_uses_ends_the_start_with_a_sentence(valkey, tmp_path):
    spool = ["--spool", str(tmp_path / "spool")]
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with running(tmp_path, valkey.url, *spool, env=env):
        second = subprocess.run(
            [*(sys.executable, "-m", "stream", "run", "--listen", "127.0.0.1:0"), *spool],
            cwd=ROOT,
            env=os.environ | env | {"STREAM_BROKER": valkey.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert second.returncode == 2
    assert second.stderr.startswith("celery-stream: the spool ")
    assert second.stderr.endswith(" is used by another process\n")
