"""The engine does what the table says, in every state, whatever comes."""

import pytest

from stream.core.effects import TaskFinished
from stream.core.engine import Engine
from stream.core.states import State
from stream.core.transitions import TRANSITIONS, Trigger, diagram
from stream.events import QueueDepth, QueueSample
from tests.builders import T0, Process, feed, of_type, producer

CASES = [(state, trigger) for state, row in TRANSITIONS.items() for trigger in row]


class Task:
    """One task on one worker."""

    def __init__(self):
        self.engine = Engine()
        self.web, self.child, self.worker = producer(), producer("gen9@host", 9), Process()
        self.retries = 0
        feed(self.engine, self.worker.online(processed=0))
        self.ended = None

    def bring_to(self, state):
        steps = {
            None: [],
            State.SENT: [Trigger.SENT],
            State.RECEIVED: [Trigger.RECEIVED],
            State.STARTED: [Trigger.RECEIVED, Trigger.STARTED],
            State.RETRY: [Trigger.RECEIVED, Trigger.STARTED, Trigger.RETRIED],
        }
        for trigger in steps[state]:
            self.pull(trigger)
        if state is State.RETRY:
            self.retries = 1

    def pull(self, trigger):
        worker = self.worker
        match trigger:
            case Trigger.SENT:
                sender = self.child if self.retries else self.web
                effects = feed(self.engine, sender.sent(at=1, retries=self.retries))
            case Trigger.RECEIVED:
                effects = feed(self.engine, worker.received(at=1, retries=self.retries))
            case Trigger.REQUEUED:
                effects = feed(self.engine, worker.rejected(at=1, requeue=True))
            case Trigger.WORKER_LOST:
                effects = list(self.engine.tick(T0 + 400))
            case Trigger.WORKER_IDLE:
                feed(self.engine, worker.heartbeat(at=3), worker.heartbeat(at=5))
                effects = list(self.engine.tick(T0 + 6))
            case Trigger.NOWHERE:
                effects = [
                    effect
                    for at in (50, 55)
                    for effect in list(self.engine.sample(empty_queue(at)))
                ]
            case Trigger.SILENCE:
                day = 86_400
                feed(self.engine, worker.heartbeat(at=day), worker.heartbeat(at=day + 1))
                effects = list(self.engine.tick(T0 + day + 5))
            case _:
                effects = feed(self.engine, getattr(worker, trigger.value)(at=1))
        finished = of_type(effects, TaskFinished)
        if finished:
            (self.ended,) = finished

    @property
    def state(self):
        if self.ended is not None:
            return self.ended.state
        gauges = self.engine.view(T0).tasks
        return gauges[0].state if gauges else None


def empty_queue(at):
    return QueueSample(T0 + at, "redis", (QueueDepth("celery", {0: 0}),), 0)


@pytest.mark.parametrize(("state", "trigger"), CASES)
def test_each_transition_is_what_the_table_says(state, trigger):
    task = Task()
    task.bring_to(state)
    assert task.state == state
    task.pull(trigger)
    assert task.state == TRANSITIONS[state][trigger]


def test_every_event_means_something_in_every_state():
    events = set(Trigger) - {
        Trigger.WORKER_LOST,
        Trigger.WORKER_IDLE,
        Trigger.NOWHERE,
        Trigger.SILENCE,
    }
    for state, row in TRANSITIONS.items():
        again = {State.SENT: Trigger.SENT, State.RECEIVED: Trigger.RECEIVED}.get(state)
        # Only what repeats the state: another delivery, which is not the same task's progress.
        beyond = {
            State.STARTED: {Trigger.RECEIVED, Trigger.STARTED},
            State.RETRY: {Trigger.RETRIED},
        }
        assert events - row.keys() <= {again} | beyond.get(state, set())


def test_the_diagram_shows_every_state():
    assert all(str(state) in diagram() for state in TRANSITIONS if state is not None)
