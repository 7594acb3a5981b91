"""A real RabbitMQ server, a paced publisher, and whole processes that take its messages.

The service, and beside it py-amqp alone, which counts messages and looks into none: what any
consumer built on Celery's library cannot be faster than. The broker is a node of our own, or the
one in ``STREAM_BENCH_RABBITMQ``, whose user may declare the event exchange.
"""

import sys
import time
from functools import partial
from pathlib import Path

import amqp  # type: ignore[import-untyped] # ships no types

from stream.bench.messages import EXCHANGE
from stream.bench.processes import cpu_seconds, process, resident_bytes
from stream.sources.amqp_address import AmqpAddress, parse

from .result import Result
from .servers import Measured, Workload, rabbitmq_server, service, workload
from .turns import Contestant, Plan, take_turns

SERVICE = "celery-stream run, metrics"
PY_AMQP = "py-amqp alone, counting"
PACE = 8_000.0
"""Messages a second: what py-amqp can publish beside a service that works."""
_SLICES = 50
_MOST_MESSAGES = 40_000
_PROPERTIES = {"content_type": "application/json", "content_encoding": "utf-8"}


def run(plan: Plan) -> list[Result]:
    """Measure both in turns."""
    load = workload(min(plan.events, _MOST_MESSAGES), seed=plan.seed, batch=plan.batch)
    with rabbitmq_server() as url:
        with connected(url) as connection, connection.channel() as channel:
            channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)
        contestants = {
            SERVICE: Contestant(load.name, load.events, partial(_service, url, load)),
            PY_AMQP: Contestant(load.name, load.events, partial(_py_amqp, url, load), 2),
        }
        return take_turns("rabbitmq_to_metrics", contestants, plan)


def connected(url: str) -> amqp.Connection:
    """Connect with py-amqp."""
    address: AmqpAddress = parse(url)[0]
    return amqp.Connection(
        f"{address.host}:{address.port}",
        address.username,
        address.password,
        virtual_host=address.vhost,
    )


def _service(url: str, load: Workload) -> Measured:
    pace = PACE * load.events / len(load.messages)
    return service(url, load, pace=pace, arguments=["--otlp-disabled"], publishing=_publish)


def _py_amqp(url: str, load: Workload) -> Measured:
    script = Path(__file__).with_name("counting.py")
    command = [sys.executable, str(script), EXCHANGE, str(len(load.messages))]
    with process(command, {"BROKER": url}) as running:
        lines = iter(running.stdout or ())
        if next(lines, "") != "ready\n":
            raise RuntimeError("the counting process ended before it subscribed")
        before = cpu_seconds(running.pid)
        _publish(url, load, PACE * load.events / len(load.messages))
        if next(lines, "") != "done\n":
            raise RuntimeError("the counting process ended before it had all messages")
        return Measured(cpu_seconds(running.pid) - before, resident_bytes(running.pid))


def _publish(url: str, load: Workload, pace: float) -> None:
    """Publish at a pace, in events a second, in slices of a fiftieth of one."""
    rate = pace * len(load.messages) / load.events
    per_slice = max(1, int(rate / _SLICES))
    with connected(url) as connection, connection.channel() as channel:
        began = time.monotonic()
        for start in range(0, len(load.messages), per_slice):
            found = load.messages[start : start + per_slice]
            for each in found:
                message = amqp.Message(each.body, **_PROPERTIES)
                channel.basic_publish(message, exchange=EXCHANGE, routing_key=each.key)
            due = began + (start + len(found)) / rate
            time.sleep(max(0.0, due - time.monotonic()))  # the pace, not a wait
