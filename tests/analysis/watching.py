"""An engine with a report at its end, for tests that say what happened and read what it came to."""

from stream.analysis.gather import Gathering
from stream.analysis.records import Records
from stream.analysis.scope import Filters, Scope
from stream.analysis.tally import Tally
from stream.core.engine import Engine
from tests.builders import T0


class Watching:
    """Feeds an engine and gathers a report."""

    def __init__(self, **filters):
        scope = Scope(Filters(**filters))
        self.engine = Engine(records=True)
        self.records = Records(None, scope)
        self.gathering = Gathering(scope, self.records)

    def feed(self, *events):
        for event in events:
            self.tell(self.engine.feed([event], event.timestamp))
        return self

    def tick(self, at):
        self.tell(self.engine.tick(T0 + at))
        self.gathering.pass_time(T0 + at, self.engine.view)
        return self

    def sample(self, sample):
        self.tell(self.engine.sample(sample))
        return self

    def tell(self, effects):
        self.gathering.accept(effects)

    def report(self, *, until=10.0):
        """End the capture, let all tasks leave and read the report."""
        end = T0 + until
        self.gathering.close(end)
        states = self.engine.worker_records()
        for later in (1, 200, 5_000, 200_000, 400_000):
            self.tell(self.engine.tick(end + later))
        self.records.note_states(states)
        self.records.take_workers(self.engine.worker_records())
        return self.gathering.report(Tally(), began_at=T0, ended_at=end, damaged_lines=0)
