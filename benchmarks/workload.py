"""Seeded traffic in Celery's own format, and the hash that names it."""

import base64
import hashlib
import json
import random
import time
import uuid
from collections.abc import Iterator
from typing import Final

WORKERS: Final = 8
NAMES: Final = ("orders.place", "payments.charge", "mail.send", "reports.build", "stock.reserve")
QUEUES: Final = ("celery", "payments", "reports")
BEGAN_AT: Final = 1_795_400_000.0

Event = dict[str, object]


class Lifecycles:
    """Tasks that run sent -> received -> started -> succeeded, many at once, interleaved.

    Args:
        tasks: how many.
        seed: of everything that varies.
        in_flight: how many are under way at the same time.
        rate: events in a second.
    """

    def __init__(
        self, tasks: int, *, seed: int = 1, in_flight: int = 1_000, rate: int = 100_000
    ) -> None:
        self._tasks = tasks
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._in_flight = in_flight
        self._clocks = dict.fromkeys(range(WORKERS + 1), 0)
        self._step = 1 / rate
        self.now = BEGAN_AT
        """When the latest event was sent, epoch seconds."""

    def events(self) -> Iterator[Event]:
        """All events in the order in which they are published."""
        steps = [self._lifecycle() for _ in range(min(self._in_flight, self._tasks))]
        begun = len(steps)
        while steps:
            index = self._random.randrange(len(steps))
            event = next(steps[index], None)
            if event is not None:
                yield event
            elif begun < self._tasks:
                steps[index] = self._lifecycle()
                begun += 1
            else:
                steps[index] = steps[-1]
                steps.pop()

    def _lifecycle(self) -> Iterator[Event]:
        uid = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        name = self._random.choice(NAMES)
        worker = self._random.randrange(WORKERS)
        message: Event = {
            "uuid": uid,
            "root_id": uid,
            "parent_id": None,
            "name": name,
            "args": "(42, 'some argument')",
            "kwargs": "{'customer': 4711}",
            "retries": 0,
            "eta": None,
            "expires": None,
        }
        queue = QUEUES[len(name) % len(QUEUES)]
        sent = {**message, "queue": queue, "exchange": "", "routing_key": queue}
        yield self._event("task-sent", WORKERS, sent)
        yield self._event("task-received", worker, message)
        yield self._event("task-started", worker, {"uuid": uid})
        ended = {"uuid": uid, "result": "'done'", "runtime": self._random.random()}
        yield self._event("task-succeeded", worker, ended)

    def _event(self, kind: str, sender: int, fields: Event) -> Event:
        self._clocks[sender] += 1
        self.now += self._step
        hostname = "gen7@web" if sender == WORKERS else f"celery@worker-{sender}"
        return {
            "hostname": hostname,
            "utcoffset": 0,
            "pid": 100 + sender,
            "clock": self._clocks[sender],
            **fields,
            "timestamp": round(self.now, 6),
            "type": kind,
        }


def payloads(events: Iterator[Event], *, batch: int) -> Iterator[tuple[str, bytes]]:
    """Wrap events as kombu publishes them on Redis: (routing key, payload).

    With *batch* above 1, task events of workers come as lists under ``task.multi``.
    """
    waiting: list[Event] = []
    for event in events:
        if batch == 1 or event["type"] == "task-sent":
            yield str(event["type"]).replace("-", "."), _envelope(event)
            continue
        waiting.append(event)
        if len(waiting) == batch:
            yield "task.multi", _envelope(waiting)
            waiting = []
    if waiting:
        yield "task.multi", _envelope(waiting)


def unique_event(name: str) -> tuple[str, bytes]:
    """Return channel and payload of a message that says that a task of this name was sent."""
    event = {
        "type": "task-sent",
        "uuid": str(uuid.uuid4()),
        "name": name,
        "queue": "celery",
        "retries": 0,
        "hostname": "gen8@web",
        "pid": 99,
        "clock": 1,
        "utcoffset": 0,
        "timestamp": time.time(),
    }
    return "/0.celeryev/task.sent", _envelope(event)


def _envelope(body: Event | list[Event]) -> bytes:
    encoded = base64.b64encode(json.dumps(body).encode()).decode()
    properties = {
        "delivery_mode": 1,
        "delivery_info": {"exchange": "celeryev", "routing_key": "task.multi"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "4bfe6663-eafd-4372-a3f9-630f0073db90",
    }
    envelope = {
        "body": encoded,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": "celery@worker"},
        "properties": properties,
    }
    return json.dumps(envelope).encode()


def fingerprint(published: list[tuple[str, bytes]]) -> str:
    """Name a workload by its content."""
    digest = hashlib.blake2b(digest_size=6)
    for key, payload in published:
        digest.update(key.encode())
        digest.update(payload)
    return digest.hexdigest()
