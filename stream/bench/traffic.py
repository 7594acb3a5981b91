"""Seeded traffic of a Celery cluster that does not exist: the same values give the same events.

Whatever has a name here begins with ``bench``, so that nobody takes it for work of an application.
Workers send heartbeats as real ones do, with the number of tasks that they have accepted.
"""

import random
from collections.abc import Callable, Generator, Iterator
from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct

BEGAN_AT: Final = 1_795_400_000.0
"""An instant like any other: stream time has nothing to do with the clock."""
PREFIX: Final = "bench"
PRODUCER: Final = f"gen7@{PREFIX}"
QUEUES: Final = tuple(f"{PREFIX}-{number}" for number in range(3))
FREQUENCY: Final = 2.0
"""Seconds between two heartbeats of a worker, Celery's default."""
_CHAIN: Final = 4
"""Tasks in a chain."""
_MOST_RETRIES: Final = 3
_ERRORS: Final = ("CardDeclined", "TimeoutError", "ConnectionResetError", "ValueError")
_TRACEBACK: Final = "Traceback (most recent call last):\n" + "".join(
    f'  File "/srv/shop/tasks/step{number}.py", line {number}, in charge\n    call(card)\n'
    for number in range(20)
)

Event: TypeAlias = dict[str, object]


def uuid4_of(chance: random.Random) -> str:
    """Make a random UUID, in a third of the time that `uuid.UUID` takes to become text."""
    digits = f"{chance.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) >> 2]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class Kind(StrEnum):
    """What happens to the tasks."""

    LIFECYCLE = "lifecycle"
    """Sent, received, started, succeeded."""
    RETRIES = "retries"
    """Retried one to three times, on any worker, before they succeed."""
    CHAINS = "chains"
    """Four tasks, each sent by the one before; one trace."""
    FAILURES = "failures"
    """Every second one fails, with a traceback."""
    HEARTBEATS = "heartbeats"
    """None: workers that are idle."""


class Traffic(Struct, frozen=True, kw_only=True):
    """What is made."""

    kind: Kind = Kind.LIFECYCLE
    seed: int = 1
    in_flight: int = 1_000
    """Tasks, or chains, that are under way at once."""
    names: int = 5
    """Of tasks; each belongs to one queue."""
    workers: int = 8
    rate: float = 20_000.0
    """Events in a second of stream time."""
    began_at: float = BEGAN_AT
    """Epoch seconds of the first."""

    def events(self, tasks: int | None = None) -> Iterator[Event]:
        """Yield events in the order in which they happen.

        Args:
            tasks: how many tasks, or chains, run to their end; None: there is no end.
        """
        return Cluster(self).events(tasks)


class Cluster:
    """Producer and workers, with their clocks.

    Args:
        traffic: what happens there.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._random = random.Random(traffic.seed)  # noqa: S311 - repeatable, not secret
        self._queues = {
            f"{PREFIX}.step_{number}": QUEUES[number % len(QUEUES)]
            for number in range(traffic.names)
        }
        self._names = tuple(self._queues)
        self._hosts = [f"celery@{PREFIX}-{number}" for number in range(traffic.workers)]
        self._producer = traffic.workers
        self._clocks = [0] * (traffic.workers + 1)
        self._processed = [0] * traffic.workers
        self._active = [0] * traffic.workers
        self._at = traffic.began_at
        self._step = 1.0 / traffic.rate
        self._beat_at = self._at
        self._beats = 0

    def events(self, tasks: int | None = None) -> Iterator[Event]:
        """Yield events in the order in which they happen; as `Traffic.events`."""
        if self._traffic.kind is Kind.HEARTBEATS:
            return self._heartbeats(tasks)
        return self._interleaved(self._story(), tasks)

    def go_on(self, at: float, *, rate: float) -> None:
        """Let the next events happen from *at* on, in epoch seconds, so many a second."""
        self._at = self._beat_at = at
        self._step = 1.0 / rate

    def _story(self) -> Callable[[], Iterator[Event]]:
        match self._traffic.kind:
            case Kind.RETRIES:
                return self._retried
            case Kind.CHAINS:
                return self._chain
            case Kind.FAILURES:
                return self._failing
            case _:
                return self._lifecycle

    def _interleaved(
        self, story: Callable[[], Iterator[Event]], tasks: int | None
    ) -> Iterator[Event]:
        """Tell so many stories, always a number of them at once, in random turns."""
        most = float("inf") if tasks is None else tasks
        under_way = [story() for _ in range(int(min(self._traffic.in_flight, most)))]
        begun = len(under_way)
        while under_way:
            if self._at >= self._beat_at:
                yield self._heartbeat()
            index = self._below(len(under_way))
            event = next(under_way[index], None)
            if event is not None:
                yield event
            elif begun < most:
                under_way[index] = story()
                begun += 1
            else:
                under_way[index] = under_way[-1]
                under_way.pop()

    # -- stories -------------------------------------------------------------------------------

    def _lifecycle(self) -> Iterator[Event]:
        message = self._message()
        yield self._sent(message)
        yield from self._run(message)

    def _failing(self) -> Iterator[Event]:
        message = self._message()
        yield self._sent(message)
        yield from self._run(message, failed=self._random.random() < 0.5)  # noqa: PLR2004 - half

    def _chain(self) -> Iterator[Event]:
        message = self._message()
        for _ in range(_CHAIN):
            yield self._sent(message)
            yield from self._run(message)
            message = self._message(message)

    def _retried(self) -> Iterator[Event]:
        message = self._message()
        yield self._sent(message)
        for retries in range(1, 2 + self._random.randrange(_MOST_RETRIES)):
            worker = yield from self._begin(message)
            message = {**message, "retries": retries}
            yield self._sent(message)  # the pool's process publishes it before the worker tells
            self._active[worker] -= 1
            yield self._event("task-retried", worker, {"uuid": message["uuid"], **self._error()})
        yield from self._run(message)

    def _run(self, message: Event, *, failed: bool = False) -> Iterator[Event]:
        worker = yield from self._begin(message)
        self._active[worker] -= 1
        uid = message["uuid"]
        if failed:
            yield self._event("task-failed", worker, {"uuid": uid, **self._error()})
            return
        ended = {"uuid": uid, "result": "'done'", "runtime": round(self._random.random(), 6)}
        yield self._event("task-succeeded", worker, ended)

    def _begin(self, message: Event) -> Generator[Event, None, int]:
        """Return the worker that runs it."""
        worker = self._below(self._traffic.workers)
        yield self._event("task-received", worker, message)
        self._processed[worker] += 1
        self._active[worker] += 1
        yield self._event("task-started", worker, {"uuid": message["uuid"]})
        return worker

    def _message(self, parent: Event | None = None) -> Event:
        uid = uuid4_of(self._random)
        return {
            "uuid": uid,
            "root_id": uid if parent is None else parent["root_id"],
            "parent_id": None if parent is None else parent["uuid"],
            "name": self._names[self._below(len(self._names))],
            "args": "(42, 'some argument')",
            "kwargs": "{'customer': 4711}",
            "retries": 0,
            "eta": None,
            "expires": None,
        }

    def _below(self, count: int) -> int:
        """Return a number from 0 to below *count*; in half of the time of ``randrange``."""
        return int(self._random.random() * count)

    def _error(self) -> Event:
        exception = f"{self._random.choice(_ERRORS)}('no funds on the card')"
        return {"exception": exception, "traceback": f"{_TRACEBACK}{exception}\n"}

    # -- events --------------------------------------------------------------------------------

    def _sent(self, message: Event) -> Event:
        queue = self._queues[str(message["name"])]
        routed = {**message, "queue": queue, "exchange": "", "routing_key": queue}
        return self._event("task-sent", self._producer, routed)

    def _heartbeats(self, beats: int | None) -> Iterator[Event]:
        while beats is None or self._beats < beats:
            yield self._heartbeat()

    def _heartbeat(self) -> Event:
        """The next worker's; all of them have had theirs within two seconds."""
        worker = self._beats % self._traffic.workers
        self._beats += 1
        self._beat_at += FREQUENCY / self._traffic.workers
        fields = {
            "freq": FREQUENCY,
            "active": self._active[worker],
            "processed": self._processed[worker],
            "loadavg": [0.61, 0.58, 0.55],
            "sw_ident": "py-celery",
            "sw_ver": "5.7.0",
            "sw_sys": "Linux",
        }
        return self._event("worker-heartbeat", worker, fields)

    def _event(self, kind: str, sender: int, fields: Event) -> Event:
        self._clocks[sender] += 1
        self._at += self._step
        return {
            "hostname": PRODUCER if sender == self._producer else self._hosts[sender],
            "utcoffset": 0,
            "pid": 100 + sender,
            "clock": self._clocks[sender],
            **fields,
            "timestamp": round(self._at, 6),
            "type": kind,
        }
