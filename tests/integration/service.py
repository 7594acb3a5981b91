"""The service as a process of its own, as users run it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import ROOT, wait_for


class Running:
    """A running ``celery-stream run``."""

    def __init__(self, process, address, log):
        self.process = process
        self.address = address
        self._log = log

    def get(self, path):
        """Status and body of a page."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self):
        """The answer of /health."""
        return json.loads(self.get("/health")[1])

    def samples(self, name):
        """All samples of one metric: {labels as a frozenset of pairs: value}."""
        found = {}
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith((f"{name}{{", f"{name} ")):
                labels, value = line[len(name) :].rsplit(" ", 1)
                pairs = labels.strip("{}").split('",') if labels.strip("{}") else []
                found[frozenset(tuple(pair.strip('"').split('="')) for pair in pairs)] = float(
                    value
                )
        return found

    def total(self, name, **labels):
        """Sum of the samples of one metric that have these labels."""
        wanted = set(labels.items())
        return sum(value for pairs, value in self.samples(name).items() if wanted <= pairs)

    def stop(self, how=signal.SIGTERM):
        """End it and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(20)

    def log(self):
        """The service's own log so far, decoded."""
        self._log.seek(0)
        return [json.loads(line) for line in self._log if line.startswith("{")]


@contextmanager
def running(tmp_path, url, *arguments, env=None, ready=True) -> Iterator[Running]:
    """Start the service, wait until it listens and, if so wanted, until it is ready."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-m", "stream", "run", "--broker", url, "--listen", "127.0.0.1:0"]
    # Appending: `log` reads through the same description, and must not move where it writes.
    (tmp_path / "stream.err").unlink(missing_ok=True)
    with (tmp_path / "stream.err").open("a+") as log, (tmp_path / "stream.out").open("w") as out:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env=kept | (env or {}),
            stdout=out,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        service = Running(process, "", log)

        def listening():
            assert process.poll() is None, service.log()
            return [line for line in service.log() if line["event"] == "service.listening"]

        try:
            service.address = wait_for(listening)[0]["address"]
            if ready:
                wait_for(lambda: service.get("/ready")[0] == 200)
            yield service
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
