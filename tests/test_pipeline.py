"""Frames become effects in every sink, in order, however they were batched."""

from itertools import pairwise

import anyio
import msgspec
import pytest
from anyio import wait_all_tasks_blocked
from hypothesis import given
from hypothesis import strategies as st

from stream.channel import Channel, Overflow
from stream.core.effects import GapMarked, TaskFinished, WorkerChanged
from stream.core.engine import Engine
from stream.events import (
    Message,
    QueueDepth,
    QueueSample,
    Reason,
    Subscribed,
    Tick,
    Transport,
)
from stream.occurrences import EventsDecoded, EventsRejected
from stream.pipeline import Pipeline, slices
from tests.builders import T0, Process, message, of_type, producer

SOURCE = "main"


class ListSink:
    """Keeps what it is told; not the list itself, which is used again."""

    def __init__(self):
        self.effects = []
        self.calls = []

    def accept(self, effects):
        assert effects
        self.calls.append([type(each) for each in effects])
        self.effects += effects


class Run:
    """A pipeline with one sink, and everything that it tells."""

    def __init__(self, *further_sinks, limit=1_000):
        self.told = []
        self.sink = ListSink()
        self.engine = Engine()
        self.channel = Channel(limit, Overflow.SHED, tell=lambda _: None)
        self.pipeline = Pipeline(
            self.engine,
            (self.sink, *further_sinks),
            channel=self.channel,
            tell=self.told.append,
        )

    def process(self, *batches):
        for batch in batches:
            self.pipeline.process(batch)
        return self

    def of(self, kind):
        return of_type(self.sink.effects, kind)


def frame(*events, at, source=SOURCE):
    """A message frame with these events."""
    return message([msgspec.to_builtins(event) for event in events], at, source=source)


def unreadable(body=b"{", content_type=None, at=0.0):
    return Message(T0 + at, SOURCE, Transport.AMQP, b"", body, content_type)


def story():
    """Frames of every kind, in which a task is sent, run, and ends."""
    web, worker = producer(), Process()
    return [
        Subscribed(T0, SOURCE, 1),
        frame(worker.online(at=0), at=0),
        frame(web.sent(at=1), at=1),
        frame(worker.received(at=1.5), worker.started(at=1.5), at=2),
        unreadable(at=2),
        frame(web.sent("v", at=2), at=2),
        QueueSample(T0 + 3, SOURCE, (QueueDepth("celery", {0: 1}, "v"),), 1, T0 + 1),
        frame(worker.heartbeat(at=3, active=1, processed=1), at=3, source="other"),
        Tick(T0 + 4),
        frame(worker.succeeded(at=5), at=5),
        Subscribed(T0 + 9, SOURCE, 2, T0 + 6),
        Tick(T0 + 400),
    ]


# -- effects -------------------------------------------------------------------------------------


def test_what_messages_say_is_told_to_the_sinks():
    run = Run().process(story())
    assert [each.uuid for each in run.of(TaskFinished)] == ["u"]


def test_every_sink_is_told_everything():
    second = ListSink()
    run = Run(second).process(story())
    assert second.effects == run.sink.effects != []


def test_frames_that_are_no_messages_reach_the_engine_as_what_they_are():
    run = Run().process(story())
    assert [each.seconds for each in run.of(GapMarked)] == [3.0]
    assert [each.state for each in run.of(WorkerChanged)] == ["online", "lost"]
    (queue,) = run.engine.view(T0 + 400).queues
    assert queue.oldest_age == 398.0


def test_time_is_that_of_the_frames_and_not_of_the_events():
    run = Run().process([frame(producer().sent(at=-50), at=7)])
    assert run.engine.view(0.0).at == T0 + 7


def test_each_source_has_its_own_last_frame():
    worker = Process()
    frames = [frame(worker.heartbeat(at=1), at=1, source=name) for name in ("one", "two")]
    run = Run().process(frames)
    assert [each.source for each in run.engine.view(T0 + 1).brokers] == ["one", "two"]


def test_sinks_are_not_called_for_nothing():
    run = Run().process([Tick(T0)], [unreadable()], [frame(at=1)], [])
    assert run.sink.calls == []


def test_messages_that_arrived_together_are_told_together():
    web = producer()
    run = Run().process([frame(web.sent(uuid), at=1) for uuid in "abc"])
    assert [len(call) for call in run.sink.calls] == [3]


def flat(effects):
    """Effects as values: a kind is compared by identity, and another engine has its own."""
    return [(type(each).__name__, msgspec.json.encode(each)) for each in effects]


@given(cuts=st.sets(st.integers(1, len(story()) - 1)))
def test_batch_boundaries_change_nothing(cuts):
    frames = story()
    edges = [0, *sorted(cuts), len(frames)]
    batches = [frames[begin:end] for begin, end in pairwise(edges)]
    whole, pieces = Run().process(frames), Run().process(*batches)
    assert flat(pieces.sink.effects) == flat(whole.sink.effects)
    at = T0 + 500
    assert msgspec.json.encode(pieces.engine.view(at)) == msgspec.json.encode(whole.engine.view(at))
    assert total(pieces.told, EventsDecoded) == total(whole.told, EventsDecoded)


def total(told, kind):
    return sum(each.count for each in of_type(told, kind))


# -- accounts ------------------------------------------------------------------------------------


def test_events_that_were_read_are_counted_together():
    worker = Process()
    run = Run().process(
        [frame(worker.received(), worker.started(), at=1), Tick(T0 + 2), frame(at=3)],
        [frame(worker.succeeded(), at=4)],
        [Tick(T0 + 5)],
    )
    assert run.told == [EventsDecoded(2), EventsDecoded(1)]


def test_what_cannot_be_read_is_counted_by_reason():
    batch = [
        unreadable(),
        unreadable(b"x", "application/x-python-serialize"),
        unreadable(b'[{"type": "task-started"}, {"type": "x"}, 5]'),
        unreadable(),
    ]
    run = Run().process(batch)
    assert set(run.told) == {
        EventsDecoded(1),
        EventsRejected(Reason.MALFORMED, 2),
        EventsRejected(Reason.CONTENT_TYPE, 1),
        EventsRejected(Reason.INVALID, 2),
    }


def test_an_unreadable_message_does_not_cost_its_neighbours():
    web = producer()
    frames = [frame(web.sent("a"), at=1), unreadable(at=1), frame(web.sent("b"), at=1)]
    run = Run().process(frames)
    assert run.engine.view(T0 + 1).tasks_in_flight == 2


# -- running -------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_it_runs_until_the_channel_is_closed_and_empty():
    run = Run()
    for each in story():
        await run.channel.put([each])
    run.channel.close()
    with anyio.fail_after(10):
        await run.pipeline.run()
    assert run.channel.statistics().waiting == 0
    assert flat(run.sink.effects) == flat(Run().process(story()).sink.effects)


@pytest.mark.anyio
async def test_it_waits_for_frames_that_are_yet_to_come():
    run = Run()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.pipeline.run)
        await wait_all_tasks_blocked()
        await run.channel.put([frame(producer().sent(), at=1)])
        await wait_all_tasks_blocked()
        assert run.engine.view(T0).tasks_in_flight == 1
        run.channel.close()


@pytest.mark.anyio
async def test_others_have_their_turn_between_two_batches():
    run = Run()
    web = producer()
    for number in range(3):
        await run.channel.put([frame(web.sent(f"u{number}"), at=number)])
    run.channel.close()
    seen = []

    async def other():
        while run.channel.statistics().waiting:
            seen.append(run.channel.statistics().waiting)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.pipeline.run)
        tasks.start_soon(other)
    assert seen == [2, 1]


def big(number, size=130_000):
    return Message(T0, SOURCE, Transport.AMQP, b"", b"x" * size, str(number))


def test_the_loop_gets_its_turn_within_a_large_batch():
    frames = [big(number) for number in range(7)]
    assert [len(some) for some in slices(frames)] == [3, 3, 1]


def test_slices_are_the_batch_in_its_order():
    frames = [big(1), Tick(T0), *(big(number) for number in range(2, 9)), Tick(T0 + 1)]
    assert [frame for some in slices(frames) for frame in some] == frames


def test_a_usual_batch_is_one_slice():
    frames = [big(number, 4_000) for number in range(40)]
    assert [len(some) for some in slices(frames)] == [40]
