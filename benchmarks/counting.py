"""py-amqp alone: counts messages and looks into none. ``counting.py EXCHANGE MESSAGES``.

The broker's URL is in ``BROKER``. Says when it is subscribed, and when it had so many.
"""

import os
import sys
from urllib.parse import unquote, urlsplit

import amqp  # type: ignore[import-untyped] # ships no types


def main(url: str, exchange: str, expected: int) -> None:
    """Count until so many have come."""
    seen = 0

    def take(_message: amqp.Message) -> None:
        nonlocal seen
        seen += 1

    parts = urlsplit(url)
    with (
        amqp.Connection(
            f"{parts.hostname}:{parts.port}",
            unquote(parts.username or "guest"),
            unquote(parts.password or "guest"),
            virtual_host=unquote(parts.path[1:]) or "/",
        ) as connection,
        connection.channel() as channel,
    ):
        queue = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(queue, exchange, "#")
        channel.basic_consume(queue, no_ack=True, callback=take)
        print("ready", flush=True)
        while seen < expected:
            connection.drain_events()
        print("done", flush=True)
        sys.stdin.read()  # until it is ended, so that its CPU seconds can be read


if __name__ == "__main__":
    main(os.environ["BROKER"], sys.argv[1], int(sys.argv[2]))
