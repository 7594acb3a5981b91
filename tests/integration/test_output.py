"""Whoever reads our output, or does not, cannot hold up the service."""

import json
import os
import subprocess
import sys

import msgspec

from stream.events import TaskFailed
from tests.builders import Process
from tests.integration.service import Running
from tests.servers import ROOT, wait_for

ENOUGH = 3_000
"""Records of a kilobyte: many times what a pipe holds, and fewer than may wait."""


def publish_failures(client, count):
    worker = Process()
    for number in range(count):
        event: TaskFailed = worker.failed(f"task-{number}", exception=f"E('{'x' * 1_000}')")
        body = json.dumps({"type": "task-failed", **msgspec.to_builtins(event)})
        envelope = {"body": body, "content-type": "application/json", "properties": {}}
        client.publish("/0.celeryev/task.failed", json.dumps(envelope))


def test_a_stdout_that_nobody_reads_holds_up_nothing(valkey, tmp_path):
    command = [sys.executable, "-m", "stream", "run", "--broker", valkey.url, "--grace", "2"]
    unread, stdout = os.pipe()
    with (tmp_path / "stream.err").open("a+") as log, valkey.client() as client:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"], cwd=ROOT, stdout=stdout, stderr=log
        )
        os.close(stdout)
        try:
            service = Running(process, "", log)
            (said,) = wait_for(
                lambda: [line for line in service.log() if line["event"] == "service.listening"]
            )
            service.address = said["address"]
            wait_for(lambda: service.get("/ready")[0] == 200)
            publish_failures(client, ENOUGH)
            wait_for(lambda: service.total("celery_task_failed_total") == ENOUGH)
            assert service.get("/live")[0] == 200
            assert service.stop() == 0
        finally:
            process.kill()
            process.wait()
            os.close(unread)
