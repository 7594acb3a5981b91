"""``celery-stream top`` as a command: of a service, and of a broker that it watches itself."""

import os
import subprocess
import sys

from tests.integration.service import running
from tests.servers import APP, ROOT, celery_worker, wait_for


def top(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "stream", "top", "--once", *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_running_service_is_shown(valkey, tmp_path):
    with celery_worker(APP, valkey.url), running(tmp_path, valkey.url) as service:
        wait_for(lambda: service.total("celery_workers_active") == 1)
        shown = top(f"http://{service.address}")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "workers 1" in shown.stdout


def test_a_broker_is_watched_for_as_long_as_it_is_shown(valkey):
    with celery_worker(APP, valkey.url) as worker:
        shown = top(valkey.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert worker.hostname in shown.stdout


def test_nobody_there_is_a_sentence():
    shown = top("http://127.0.0.1:9")
    assert shown.returncode == 1
    assert shown.stderr == "celery-stream: http://127.0.0.1:9: no answer (ConnectionError)\n"
