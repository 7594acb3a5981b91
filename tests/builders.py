"""One builder per event: what a test does not say has a default that does not matter to it."""

import itertools
import json

from stream.core.engine import Engine
from stream.events import (
    Message,
    TaskCancelled,
    TaskFailed,
    TaskReceived,
    TaskReceivedInFull,
    TaskRejected,
    TaskRetried,
    TaskRevoked,
    TaskSent,
    TaskSentInFull,
    TaskStarted,
    TaskSucceeded,
    TaskSucceededInFull,
    Transport,
    WorkerHeartbeat,
    WorkerOffline,
    WorkerOnline,
)

T0 = 1_795_400_000.0
"""An instant for tests to count from."""
ARGUMENTS = {"args", "kwargs"}
"""Fields with which a builder makes the kind of event that has them."""


class Process:
    """A process that sends events: each gets the next clock of this process.

    Args:
        hostname: its node name.
        pid: its process id.
        ahead: seconds that its clock is ahead of the reader's.
    """

    def __init__(self, hostname="w1@host", pid=100, *, ahead=0.0):
        self.hostname = hostname
        self.pid = pid
        self._ahead = ahead
        self._clock = itertools.count(1)

    def _make(self, kind, at, **fields):
        return kind(
            hostname=self.hostname,
            pid=self.pid,
            clock=next(self._clock),
            timestamp=T0 + at + self._ahead,
            **fields,
        )

    def sent(self, uuid="u", at=0.0, *, name="app.task", queue="celery", retries=0, **fields):
        fields = {"name": name, "queue": queue, "retries": retries, "root_id": uuid, **fields}
        kind = TaskSentInFull if ARGUMENTS & fields.keys() else TaskSent
        return self._make(kind, at, uuid=uuid, **fields)

    def received(self, uuid="u", at=0.0, *, name="app.task", retries=0, **fields):
        fields = {"name": name, "retries": retries, "root_id": uuid, **fields}
        kind = TaskReceivedInFull if ARGUMENTS & fields.keys() else TaskReceived
        return self._make(kind, at, uuid=uuid, **fields)

    def started(self, uuid="u", at=0.0):
        return self._make(TaskStarted, at, uuid=uuid)

    def succeeded(self, uuid="u", at=0.0, *, runtime=None, **fields):
        kind = TaskSucceededInFull if fields else TaskSucceeded
        return self._make(kind, at, uuid=uuid, runtime=runtime, **fields)

    def failed(self, uuid="u", at=0.0, *, exception="ValueError('no')", traceback=None):
        return self._make(TaskFailed, at, uuid=uuid, exception=exception, traceback=traceback)

    def retried(self, uuid="u", at=0.0, *, exception="ValueError('again')"):
        return self._make(TaskRetried, at, uuid=uuid, exception=exception)

    def rejected(self, uuid="u", at=0.0, *, requeue=False):
        return self._make(TaskRejected, at, uuid=uuid, requeue=requeue)

    def revoked(self, uuid="u", at=0.0, **fields):
        return self._make(TaskRevoked, at, uuid=uuid, **fields)

    def cancelled(self, uuid="u", at=0.0):
        return self._make(TaskCancelled, at, uuid=uuid)

    def online(self, at=0.0, **fields):
        return self._make(WorkerOnline, at, **{"active": 0, "processed": 0, "freq": 2.0, **fields})

    def heartbeat(self, at=0.0, **fields):
        fields = {"active": 0, "processed": 0, "freq": 2.0, **fields}
        return self._make(WorkerHeartbeat, at, **fields)

    def offline(self, at=0.0, **fields):
        return self._make(WorkerOffline, at, **fields)


def producer(hostname="gen7@web", pid=7, *, ahead=0.0):
    return Process(hostname, pid, ahead=ahead)


def message(events, at=0.0, *, transport=Transport.AMQP, source="test"):
    """A message frame with these fields as its body."""
    body = json.dumps(events).encode()
    return Message(T0 + at, source, transport, b"task.multi", body)


def feed(engine: Engine, *steps):
    """Feed events at the time they were sent; return the effects of all."""
    effects = []
    for event in steps:
        effects += engine.feed([event], event.timestamp)
    return effects


def of_type(effects, kind):
    """The effects of one type."""
    return [effect for effect in effects if isinstance(effect, kind)]
