"""What the tests of RabbitMQ sources share."""

from contextlib import contextmanager
from threading import Event, Thread

import amqp
import anyio
from amqp.exceptions import MessageNacked

from stream.sources.amqp import AmqpEvents
from stream.sources.amqp_address import parse
from tests.rabbitmq import PASSWORD, USER

EXCHANGE = "celeryev"
PROPERTIES = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 1}


def declare_exchange(channel, name=EXCHANGE):
    """As a worker does it."""
    channel.exchange_declare(name, "topic", durable=True, auto_delete=False)


def publish(channel, body, key="task.sent", exchange=EXCHANGE, **options):
    message = amqp.Message(body, **PROPERTIES)
    channel.basic_publish(message, exchange=exchange, routing_key=key, **options)


def events_of(url, *, told=None, **options):
    tell = [].append if told is None else told.append
    return AmqpEvents(parse(url), "main", tell=tell, retry=0.05, **options)


class Publisher:
    """Numbers its messages, and sends again what the server did not confirm."""

    def __init__(self, server, vhost="/", body=str):
        self._place = f"127.0.0.1:{server.port}"
        self._vhost = vhost
        self._body = body
        self.confirmed = 0
        self._stop = Event()

    def _run(self):
        while not self._stop.is_set():
            try:
                self._publish()
            except (OSError, amqp.AMQPError, MessageNacked):
                self._stop.wait(0.05)  # the server is away

    def _publish(self):
        options = {"virtual_host": self._vhost, "confirm_publish": True, "connect_timeout": 5}
        with (
            amqp.Connection(self._place, USER, PASSWORD, **options) as connection,
            connection.channel() as channel,
        ):
            declare_exchange(channel)
            while not self._stop.is_set():
                # What was sent before the server was ready for it is never confirmed.
                publish(channel, self._body(self.confirmed).encode(), confirm_timeout=2)
                self.confirmed += 1

    @contextmanager
    def running(self):
        thread = Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join(20)


class SlowTaker:
    """Takes frames once it is let."""

    def __init__(self):
        self.frames = []
        self.let = anyio.Event()

    async def put(self, frames):
        await self.let.wait()
        self.frames += frames

    def of(self, kind):
        return [frame for frame in self.frames if isinstance(frame, kind)]
