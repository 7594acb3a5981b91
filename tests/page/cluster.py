"""A watched cluster for tests of the page: an engine, what ended lately, and a clock."""

from stream.core.engine import Engine
from stream.events import Inspected
from stream.page.live import LivePage
from stream.page.telling import Telling
from stream.page.watched import Watched
from stream.server.health import Checks, Details, Health
from stream.sinks.history import History
from stream.sinks.redaction import Redaction
from tests.builders import T0, Process, producer

REDACTION = Redaction(("*password*",))
WELL = Health(
    "healthy",
    Checks(broker=True, worker=True, events=True, export=True),
    Details("subscribed", "1 online", "last event 1.0 s ago", "no endpoint is configured"),
)


class Cluster:
    """One broker's part of it."""

    def __init__(self, *, history=1_000, engine=None):
        self.engine = engine or Engine()
        self.history = History(history, REDACTION)
        self.shop, self.worker = producer(), Process()
        self.at = 0.0

    @property
    def watched(self):
        return Watched(self.engine, self.history)

    def feed(self, *events):
        """Feed events at the time they were sent."""
        for event in events:
            self.history.accept(self.engine.feed([event], event.timestamp))
            self.at = max(self.at, event.timestamp - T0)

    def tick(self, at):
        self.at = at
        self.history.accept(self.engine.tick(T0 + at))

    def sample(self, sample):
        self.history.accept(self.engine.sample(sample))

    def ask(self, at, **said):
        """Have the worker answer what it was asked."""
        self.at = at
        answer = Inspected(T0 + at, "redis", "w1@host", T0 + at, **said)
        self.history.accept(self.engine.inspected(answer))

    def now(self):
        return T0 + self.at

    def run(self, uuid, at=0.0, **fields):
        """A task's whole life: sent, received, started, and succeeded after a second."""
        worker = self.worker
        self.start(uuid, at, **fields)
        self.feed(worker.succeeded(uuid, at + 1.2, runtime=1.0))

    def fail(self, uuid, at=0.0, *, exception="ValueError('no')", traceback=None, **fields):
        self.start(uuid, at, **fields)
        self.feed(self.worker.failed(uuid, at + 1.2, exception=exception, traceback=traceback))

    def beat(self, *names, every, times, at=0.0, **fields):
        """Tasks that are sent at an interval, and each time succeed."""
        for number in range(times):
            for name in names:
                self.run(f"{name}-{number}", at + number * every, name=name, **fields)

    def start(self, uuid, at=0.0, **fields):
        """A task that runs."""
        named = {"name": fields["name"]} if "name" in fields else {}
        self.feed(
            self.shop.sent(uuid, at, **fields),
            self.worker.received(uuid, at + 0.1, **named),
            self.worker.started(uuid, at + 0.2),
        )


def page_of(cluster=None, *, telling=None, brokers=None, health=WELL):
    """The page of one cluster, or of several by name."""
    brokers = brokers or {"redis": cluster}
    return LivePage(
        {name: each.watched for name, each in brokers.items()},
        health=lambda: health,
        telling=telling or Telling(REDACTION),
        clock=next(iter(brokers.values())).now,
    )
