"""What a benchmark of whole processes needs: servers, a workload, the service measured on it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import redis
from msgspec import Struct

from stream.bench.messages import Fingerprint, Outgoing, outgoing
from stream.bench.processes import Watched, wait_for, watched
from stream.bench.publisher import Packed, Packer, publish
from stream.bench.traffic import Traffic
from tests.servers import Valkey

_SLOWER = (1, 2, 4)
"""What a pace is divided by, in turn."""


class Workload(Struct, frozen=True):
    """Messages that are published, and their name."""

    messages: tuple[Outgoing, ...]
    events: int
    batch: int
    name: str

    @property
    def packed(self) -> list[Packed]:
        """As commands to a Redis server."""
        pack = Packer().pack
        return [pack(message) for message in self.messages]


def workload(events: int, *, seed: int, batch: int, traffic: Traffic | None = None) -> Workload:
    """Make the first *events* events of lifecycles, or of another traffic.

    The rate of the traffic should be that at which it is published: if time passes more quickly in
    it, each event seems to have come sooner than any before.
    """
    made = traffic or Traffic(seed=seed)
    messages = tuple(outgoing(islice(made.events(), events), batch=batch))
    fingerprint = Fingerprint()
    for message in messages:
        fingerprint.add(message.key.encode(), message.body)
    return Workload(messages, events, batch, fingerprint.name)


class Measured(Struct, frozen=True):
    """What a process took for a workload."""

    cpu_seconds: float
    """Of the operating system, from idle to the last event counted."""
    resident_bytes: int
    """At the end."""


@contextmanager
def redis_server() -> Iterator[str]:
    """Run an embedded server that cuts nobody off; yields its URL."""
    cuts_nobody_off = {"client_output_buffer_limit": "pubsub 0 0 0"}
    with TemporaryDirectory() as folder, Valkey(Path(folder), **cuts_nobody_off) as server:
        yield server.url


@contextmanager
def rabbitmq_server() -> Iterator[str]:
    """Run a node of our own, or use the one in ``STREAM_BENCH_RABBITMQ``; yields its URL.

    Raises:
        LookupError: there is none, and RabbitMQ is not installed.
    """
    if given := os.environ.get("STREAM_BENCH_RABBITMQ"):
        yield given
        return
    from tests.rabbitmq import SERVER, RabbitMq  # noqa: PLC0415 - needs the extra `test`

    if not SERVER.is_file():
        raise LookupError("RabbitMQ is not installed, and STREAM_BENCH_RABBITMQ names none")
    with TemporaryDirectory() as folder, RabbitMq(Path(folder)) as server:
        yield server.url()


def service(
    url: str,
    load: Workload,
    *,
    pace: float,
    arguments: Sequence[str] = (),
    publishing: Callable[[str, Workload, float], None] | None = None,
    delivered: Callable[[Watched], bool] = lambda _: True,
) -> Measured:
    """Measure ``celery-stream run``; more slowly where the machine is too busy for the pace.

    Args:
        url: of the broker.
        load: what is published.
        pace: events a second.
        arguments: further ones of the command.
        publishing: publishes; None: to a Redis server.
        delivered: whether what was made of the events has left, or was dropped.

    Raises:
        RuntimeError: messages were shed, or spans dropped, at every pace, so that it is no
            measurement of them all.
    """
    for slower in _SLOWER:
        with watched(url, arguments) as running:
            before = running.cpu_seconds()
            (publishing or to_redis)(url, load, pace / slower)
            wait_for(partial(_has_read, running, load.events), what="the service to read it all")
            wait_for(partial(delivered, running), what="the service to send it all")
            spent = Measured(running.cpu_seconds() - before, running.resident_bytes())
            if not running.shed() and not running.page.sample("stream_export_dropped_total"):
                return spent
    raise RuntimeError(f"something was lost even at {pace / _SLOWER[-1]:,.0f} events a second")


def _has_read(running: Watched, events: int) -> bool:
    return running.decoded() >= events or running.shed() > 0


def to_redis(url: str, load: Workload, pace: float) -> None:
    """Publish at a pace, in events a second."""
    with redis.Redis.from_url(url) as client:
        publish(client, load.packed, rate=pace * len(load.messages) / load.events)


def wait_for_subscriber(url: str) -> None:
    """Wait until somebody listens to a pattern of channels."""
    with redis.Redis.from_url(url) as client:
        wait_for(lambda: bool(client.execute_command("PUBSUB", "NUMPAT")), what="a subscriber")
