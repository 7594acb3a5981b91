"""What the files to deploy with start, started as processes: there is no container engine here."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import httpx
import pytest
import yaml

from stream.deploy.bundle import Kind, Options, bundle
from tests.deploy.test_bundle import interpolated
from tests.integration.service import running
from tests.servers import ROOT, free_port, wait_for

IMAGE = {"python": [sys.executable], "celery": [sys.executable, "-m", "celery"]}
"""What the commands of the image are here."""
TMP = "/tmp/"  # noqa: S108 - of a container


def file_of(kind, path):
    return next(file.text for file in bundle(kind, Options()) if file.path == path)


@contextmanager
def process(command, log, **env):
    """Run a command in a session of its own, and end all of it."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@pytest.fixture
def services():
    return yaml.safe_load(interpolated(file_of(Kind.COMPOSE, "compose.yaml")))["services"]


def test_an_order_on_composes_web_page_is_a_task_that_the_service_sees(services, valkey, tmp_path):
    port = free_port()

    def here(text):
        return (
            text.replace("redis://redis:6379/0", valkey.url)
            .replace("redis://redis:6379/1", valkey.url)
            .replace("0.0.0.0:8000", f"127.0.0.1:{port}")
            .replace(TMP, f"{tmp_path}/")
        )

    def run(name):
        service = services[name]
        first, *rest = [*service["entrypoint"], *service["command"]]
        env = {key: here(value) for key, value in service["environment"].items()}
        command = [*IMAGE[first], *map(here, rest)]
        return process(command, tmp_path / f"{name}.log", **env)

    def order():
        try:
            return httpx.post(f"http://127.0.0.1:{port}/orders", trust_env=False, timeout=5)
        except httpx.TransportError:
            return None

    url = here(services["celery-stream"]["environment"]["CELERY_BROKER_URL"])
    with running(tmp_path, url) as service, run("worker"), run("beat") as beat, run("web"):
        answer = wait_for(order)
        assert answer.status_code == 202
        assert len(answer.json()["task_id"]) == 36
        wait_for(
            lambda: service.total(
                "celery_task_completed_total", task="orders.validate", queue="orders"
            ),
        )
        wait_for(lambda: "beat: Starting" in (tmp_path / "beat.log").read_text())
        assert beat.poll() is None


def test_the_worker_probe_tells_a_worker_that_hangs(valkey, tmp_path):
    text = file_of(Kind.KUBERNETES, "worker-liveness.yaml").replace(TMP, f"{tmp_path}/")
    lines = text.splitlines()
    begin = lines.index("#   from pathlib import Path")
    end = next(i for i in range(begin, len(lines)) if "touch()" in lines[i]) + 1
    recipe = textwrap.dedent("\n".join(line.removeprefix("#") for line in lines[begin:end]))
    (tmp_path / "recipe.py").write_text(
        f"from celery import Celery\napp = Celery(broker={valkey.url!r})\n{recipe}\n"
    )
    (container,) = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]

    def probe(name):
        command = container[name]["exec"]["command"]
        return subprocess.run(command, check=False, timeout=10).returncode

    alive = tmp_path / "worker-alive"
    command = [*IMAGE["celery"], "-A", "recipe", "worker", "-c", "1", "--without-mingle"]
    assert probe("startupProbe") != 0
    with process(command, tmp_path / "worker.log", PYTHONPATH=str(tmp_path)) as worker:
        wait_for(lambda: probe("startupProbe") == 0, what="the worker is ready")
        assert probe("livenessProbe") == 0
        os.utime(alive, (1.0, 1.0))
        wait_for(lambda: probe("livenessProbe") == 0, what="the next heartbeat")
        os.killpg(worker.pid, signal.SIGSTOP)
        os.utime(alive, (1.0, 1.0))
        assert probe("livenessProbe") != 0
