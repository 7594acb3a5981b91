"""A real Celery Beat that dies: what it should have sent is late, missed, and sent again."""

import json
import subprocess
import sys
from contextlib import contextmanager

from tests.integration.service import running
from tests.servers import wait_for

_BEAT = """
from celery import Celery
app = Celery("beats", broker={url!r})
app.conf.update(
    task_send_sent_event=True,
    beat_max_loop_interval=0.2,
    beat_schedule={{"clean": {{"task": "app.clean", "schedule": 1.0}}}},
    beat_schedule_filename={state!r},
)
app.start(["beat", "--loglevel", "warning"])
"""


@contextmanager
def beat(tmp_path, url):
    code = _BEAT.format(url=url, state=str(tmp_path / "schedule"))
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_what_a_dead_beat_does_not_send_is_told(valkey, tmp_path):
    settings = tmp_path / "stream.toml"
    settings.write_text('[[beat_rules]]\ntask = "app.clean"\nevery = 1.5\nslack = 1.5\n')
    arguments = ("--config", str(settings))
    with running(tmp_path, valkey.url, *arguments, ready=False) as service:
        with beat(tmp_path, valkey.url):
            wait_for(lambda: service.total("messaging_client_sent_messages_total") >= 2)
            assert service.total("celery_beat_interval_seconds", task="app.clean") == 1.5
        wait_for(lambda: service.total("celery_beat_missed_total", task="app.clean") >= 1)
        assert service.total("celery_beat_late_total", task="app.clean") >= 1
        assert service.total("celery_beat_overdue_seconds", task="app.clean") > 0
        wait_for(lambda: json.loads(service.get("/api/periodic")[1])["late"] == 1)
        (shown,) = json.loads(service.get("/api/periodic")[1])["periodic"]
        assert (shown["name"], shown["every"], shown["declared"]) == ("app.clean", 1.5, True)
        assert shown["last_at"] < shown["overdue_since"]
        with beat(tmp_path, valkey.url):
            wait_for(lambda: service.total("celery_beat_overdue_seconds", task="app.clean") == 0)
        assert service.stop() == 0
    told = (tmp_path / "stream.out").read_text()
    for name in ("celery.beat.late", "celery.beat.missed", "celery.beat.resumed"):
        assert f'"{name}"' in told
