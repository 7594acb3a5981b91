"""A real RabbitMQ server, a paced publisher, and the event path as a process of its own.

The process takes events as the service does: source, channel, decoder, engine and metrics. CPU
seconds are the operating system's for that whole process, between an idle subscription and the
last event fed. Beside it py-amqp alone, which counts messages and looks into none.

Needs a broker: ``STREAM_BENCH_RABBITMQ`` is its URL; its user may declare the event exchange.
"""

import os
import subprocess
import sys
import time

import amqp  # type: ignore[import-untyped] # ships no types
import anyio
import msgspec

from stream.channel import Channel, Overflow
from stream.core.engine import Engine, Limits
from stream.events import Frame, Message
from stream.occurrences import EventsDecoded, Occurrence
from stream.pipeline import Pipeline
from stream.sinks.aggregate import Aggregate
from stream.sinks.metrics import MetricsSink
from stream.sources.amqp import AmqpEvents
from stream.sources.amqp_address import AmqpAddress, parse

from .result import Result
from .workload import Lifecycles, fingerprint, payloads

PACE = 20_000
"""Messages a second: below what either side can take."""
BASELINE_PACE = 10_000
PATIENCE = 120.0
_EXCHANGE = "celeryev"
_PROPERTIES = {"content_type": "application/json", "content_encoding": "utf-8"}
_PATH, _BASELINE = "celery-stream event path, metrics", "py-amqp alone"
_READY, _DONE = "ready\n", "done"


class _Envelope(msgspec.Struct):
    body: bytes


def run(events: int, *, seed: int, batch: int) -> list[Result]:
    """Measure the event path and the baseline on one server."""
    url = os.environ["STREAM_BENCH_RABBITMQ"]
    published = list(payloads(Lifecycles(events // 4, seed=seed).events(), batch=batch))
    decode = msgspec.json.Decoder(_Envelope).decode
    bodies = [(key, decode(envelope).body) for key, envelope in published]
    print_of = fingerprint(published)
    found = []
    for stage, pace in ((_PATH, PACE), (_BASELINE, BASELINE_PACE)):
        cpu = _measure(url, stage, bodies, events=events, pace=pace)
        found.append(Result("rabbitmq_to_null", stage, print_of, batch, events, cpu))
    return found


def _measure(
    url: str, stage: str, bodies: list[tuple[str, bytes]], *, events: int, pace: int
) -> float:
    expected = len(bodies) if stage == _BASELINE else events
    command = [sys.executable, "-m", "benchmarks.rabbitmq_to_null", url, stage, str(expected)]
    with (
        _connection(parse(url)[0]) as connection,
        connection.channel() as channel,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        channel.exchange_declare(_EXCHANGE, "topic", durable=True, auto_delete=False)
        lines = iter(process.stdout or ())
        if next(lines, "") != _READY:
            raise RuntimeError("the measured process ended before it subscribed")
        _publish(channel, bodies, pace=pace)
        return float(next(lines).split()[1])


def _publish(channel: amqp.Channel, bodies: list[tuple[str, bytes]], *, pace: int) -> None:
    """Publish at a steady rate, in slices of a fiftieth of a second."""
    began, per_slice = time.monotonic(), max(1, pace // 50)
    for number, start in enumerate(range(0, len(bodies), per_slice), 1):
        for key, body in bodies[start : start + per_slice]:
            message = amqp.Message(body, **_PROPERTIES)
            channel.basic_publish(message, exchange=_EXCHANGE, routing_key=key)
        time.sleep(max(0.0, began + number / 50 - time.monotonic()))  # the pace, not a wait


def _connection(address: AmqpAddress) -> amqp.Connection:
    return amqp.Connection(
        f"{address.host}:{address.port}",
        address.username,
        address.password,
        virtual_host=address.vhost,
    )


async def _event_path(url: str, expected: int) -> None:
    """Take in *expected* events as the service does, and print the CPU seconds."""
    engine = Engine(Limits())
    channel = Channel(100_000, Overflow.SHED, tell=lambda _: None)
    sink = MetricsSink(Aggregate(started_at=time.time()), system="rabbitmq")
    fed, began = 0, 0.0

    def count(occurrence: Occurrence) -> None:
        nonlocal fed
        if isinstance(occurrence, EventsDecoded):
            fed += occurrence.count
        if fed >= expected:
            print(_DONE, time.process_time() - began, flush=True)
            tasks.cancel_scope.cancel()

    async def put(frames: list[Frame]) -> None:
        nonlocal began
        if not isinstance(frames[0], Message):
            began = time.process_time()
            print(_READY, end="", flush=True)
        await channel.put(frames)

    pipeline = Pipeline(engine, (sink,), channel=channel, tell=count)
    source = AmqpEvents(parse(url), "rabbitmq", tell=lambda _: None)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(source.run, put)
            tasks.start_soon(pipeline.run)


def _py_amqp(url: str, expected: int) -> None:
    """Count *expected* messages with py-amqp, and print the CPU seconds."""
    seen = 0

    def take(_message: amqp.Message) -> None:
        nonlocal seen
        seen += 1

    with _connection(parse(url)[0]) as connection, connection.channel() as channel:
        queue = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(queue, _EXCHANGE, "#")
        channel.basic_consume(queue, no_ack=True, callback=take)
        began = time.process_time()
        print(_READY, end="", flush=True)
        while seen < expected:
            connection.drain_events()
        print(_DONE, time.process_time() - began, flush=True)


def main(url: str, stage: str, expected: int) -> None:
    """Be the measured process."""
    if stage == _BASELINE:
        _py_amqp(url, expected)
    else:
        anyio.run(_event_path, url, expected)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
