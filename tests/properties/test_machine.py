"""The engine against a naive model, whatever a cluster does next."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stream.core.effects import AttemptEnded, Odd, Started, TaskFinished
from stream.core.engine import Engine
from stream.core.states import State
from tests.builders import T0, Process, of_type, producer

ENDS = {
    "succeeded": State.SUCCESS,
    "failed": State.FAILURE,
    "revoked": State.REVOKED,
    "rejected": State.REJECTED,
}


class Cluster(RuleBasedStateMachine):
    """A model that knows the truth: one dict entry a task, no attribution, no tables."""

    def __init__(self):
        super().__init__()
        self.engine = Engine()
        self.web = producer()
        self.workers = [Process(f"w{number}@host", number) for number in range(1, 4)]
        self.state = {}
        self.retries = {}
        self.holder = {}
        self.starts = 0
        self.ends = {}
        self.attempts = 0
        self.told_starts = 0
        self.told_ends = {}
        self.told_attempts = 0
        self.now = T0
        self.last = None

    def tell(self, event):
        self.take(list(self.engine.feed([event], self.now)))
        self.last = event

    def take(self, effects):
        self.told_starts += len(of_type(effects, Started))
        self.told_attempts += len(of_type(effects, AttemptEnded))
        for finished in of_type(effects, TaskFinished):
            assert finished.uuid not in self.told_ends
            self.told_ends[finished.uuid] = finished.state

    def those(self, *states):
        return [uuid for uuid, state in self.state.items() if state in states]

    @rule()
    def send(self):
        uuid = f"task-{len(self.state)}"
        self.state[uuid], self.retries[uuid] = State.SENT, 0
        self.tell(self.web.sent(uuid, self.now - T0))

    @precondition(lambda self: self.those(State.SENT, State.RETRY))
    @rule(data=st.data())
    def receive(self, data):
        uuid = data.draw(st.sampled_from(self.those(State.SENT, State.RETRY)))
        worker = self.holder[uuid] = data.draw(st.sampled_from(self.workers))
        self.state[uuid] = State.RECEIVED
        self.tell(worker.received(uuid, self.now - T0, retries=self.retries[uuid]))

    @precondition(lambda self: self.those(State.RECEIVED))
    @rule(data=st.data())
    def start(self, data):
        uuid = data.draw(st.sampled_from(self.those(State.RECEIVED)))
        self.state[uuid] = State.STARTED
        self.starts += 1
        self.tell(self.holder[uuid].started(uuid, self.now - T0))

    @precondition(lambda self: self.those(State.STARTED))
    @rule(data=st.data(), how=st.sampled_from(sorted(ENDS)))
    def end(self, data, how):
        uuid = data.draw(st.sampled_from(self.those(State.STARTED)))
        self.state[uuid] = self.ends[uuid] = ENDS[how]
        self.attempts += 1
        self.tell(getattr(self.holder[uuid], how)(uuid, self.now - T0))

    @precondition(lambda self: self.those(State.STARTED))
    @rule(data=st.data(), sent_first=st.booleans())
    def retry(self, data, sent_first):
        uuid = data.draw(st.sampled_from(self.those(State.STARTED)))
        at = self.now - T0
        self.retries[uuid] += 1
        self.state[uuid] = State.RETRY
        self.attempts += 1
        sent = self.web.sent(uuid, at, retries=self.retries[uuid])
        retried = self.holder[uuid].retried(uuid, at)
        for event in (sent, retried) if sent_first else (retried, sent):
            self.tell(event)

    @precondition(lambda self: self.those(State.RECEIVED, State.STARTED))
    @rule(data=st.data())
    def requeue(self, data):
        uuid = data.draw(st.sampled_from(self.those(State.RECEIVED, State.STARTED)))
        self.state[uuid] = State.SENT
        self.attempts += 1
        self.tell(self.holder[uuid].rejected(uuid, self.now - T0, requeue=True))

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat(self):
        effects = self.engine.feed([self.last], self.now)
        assert [type(effect) for effect in effects] == [Odd]

    @rule(seconds=st.floats(0.01, 5.0))
    def wait(self, seconds):
        self.now += seconds
        self.take(list(self.engine.tick(self.now)))

    @rule()
    def restart(self):
        snapshot = self.engine.snapshot()
        self.engine = Engine()
        self.engine.restore(snapshot)

    @invariant()
    def the_engine_told_what_happened(self):
        assert self.told_ends == self.ends
        assert (self.told_starts, self.told_attempts) == (self.starts, self.attempts)

    @invariant()
    def the_gauges_show_where_the_tasks_are(self):
        in_flight = {}
        for gauge in self.engine.view(self.now).tasks:
            in_flight[gauge.state] = in_flight.get(gauge.state, 0) + gauge.count
        expected = {}
        for uuid, state in self.state.items():
            if uuid not in self.ends:
                expected[state] = expected.get(state, 0) + 1
        assert in_flight == expected


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
