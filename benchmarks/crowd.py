"""Traffic of which always the same number of tasks is in flight, in little memory of its own.

`stream.bench.traffic` keeps an iterator for each task, which a million of them would not fit
beside what is measured. A task here is a number, and all else follows from it.
"""

import random
from array import array
from collections.abc import Iterator
from itertools import islice
from uuid import UUID

from stream.bench.messages import RedisMessages, outgoing
from stream.bench.synthetic import READ, channel
from stream.bench.traffic import BEGAN_AT, PREFIX, PRODUCER, QUEUES, Event
from stream.events import Message, Tick, Transport

WORKERS = 8


class Crowd:
    """Tasks that are sent and received, and run one after the other.

    Args:
        tasks: that are in flight.
        in_order: the one that ends next is the one that was sent first, as queues have it; else
            any, which is the worst for the processor's caches.
        names: of tasks.
        rate: events in a second of stream time.
    """

    def __init__(
        self, tasks: int, *, in_order: bool = True, names: int = 5, rate: float = 50_000.0
    ) -> None:
        self._in_order = in_order
        self._random = random.Random(1)  # noqa: S311 - repeatable, not secret
        self._held = array("q", range(tasks))
        self._names = [f"{PREFIX}.step_{number}" for number in range(names)]
        self._begun = tasks
        self._clock = 0
        self._rate = rate
        self._wrap = RedisMessages().wrap
        self._ticked_at = BEGAN_AT

    @property
    def now(self) -> float:
        """When the latest event happened."""
        return BEGAN_AT + self._clock / self._rate

    def fill(self) -> Iterator[Event]:
        """Have every task sent and received."""
        for number in self._held:
            yield from self._begin(number)

    def steady(self, events: int) -> Iterator[Event]:
        """Run tasks to their end, and begin another one for each."""
        for step in range(events // 4):
            held = len(self._held)
            place = step % held if self._in_order else self._random.randrange(held)
            number, self._held[place] = self._held[place], self._begun
            yield self._event("task-started", number)
            yield self._event("task-succeeded", number, runtime=0.1, result="None")
            yield from self._begin(self._begun)
            self._begun += 1

    def reads(self, events: Iterator[Event], *, batch: int) -> Iterator[list[Message | Tick]]:
        """The messages as they arrive, with a tick where a second has passed."""
        messages = outgoing(events, batch=batch)
        while found := list(islice(messages, READ)):
            now = self.now
            read: list[Message | Tick] = [
                Message(now, "bench", Transport.REDIS, channel(each.key), self._wrap(each))
                for each in found
            ]
            if now >= self._ticked_at + 1.0:
                self._ticked_at = now
                read.append(Tick(now))
            yield read

    def _begin(self, number: int) -> Iterator[Event]:
        name = self._names[number % len(self._names)]
        message = {"name": name, "retries": 0, "root_id": _uuid(number)}
        yield self._event("task-sent", number, queue=QUEUES[number % len(QUEUES)], **message)
        yield self._event("task-received", number, **message)

    def _event(self, kind: str, number: int, **fields: object) -> Event:
        self._clock += 1
        worker = number % WORKERS
        sent = kind == "task-sent"
        return {
            "hostname": PRODUCER if sent else f"celery@{PREFIX}-{worker}",
            "pid": 100 + (WORKERS if sent else worker),
            "clock": self._clock,
            "uuid": _uuid(number),
            **fields,
            "timestamp": self.now,
            "type": kind,
        }


def _uuid(number: int) -> str:
    return str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))
