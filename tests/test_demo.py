"""The parts of the demo that need no server: its summary and how it is drawn."""

import io
import math

import pytest
from rich.console import Console

from stream.core.kinds import Kind
from stream.core.states import State, WorkerState
from stream.core.view import QueueGauge, TaskGauge, View, WorkerGauge
from stream.demo.screen import draw, line, seconds
from stream.demo.summary import Latency, latency, quantile, summarise
from stream.sinks import instruments
from stream.sinks.aggregate import Aggregate, Distribution, Family

PAY = Kind(name="pay", queue="payments")


class Snapshot:
    """A service at one moment."""

    url = "http://127.0.0.1:1"

    def __init__(self, view: View, aggregate: Aggregate | None = None) -> None:
        self._view = view
        self._aggregate = aggregate or Aggregate(started_at=0.0)

    def view(self) -> View:
        return self._view

    def families(self) -> tuple[Family, ...]:
        return self._aggregate.collect()


def view(*tasks: TaskGauge) -> View:
    return View(
        at=100.0,
        tasks=tasks,
        workers=(
            WorkerGauge(
                hostname="w@h",
                pid=1,
                state=WorkerState.ONLINE,
                active=3,
                processed=None,
                coverage=None,
                skew=None,
                last_seen_at=100.0,
                version=None,
            ),
        ),
        queues=(
            QueueGauge(
                source="redis",
                name="payments",
                ready={0: 1, 3: 0, 9: 4},
                oldest_age=90.0,
                drain_time=None,
            ),
        ),
        brokers=(),
        tasks_in_flight=sum(task.count for task in tasks),
        tasks_remembered=0,
        last_event_at=None,
    )


def stuck(state: State, count: int, stuck: int) -> TaskGauge:
    return TaskGauge(kind=PAY, state=state, count=count, oldest_age=1.0, stuck=stuck)


def counted() -> Aggregate:
    aggregate = Aggregate(started_at=0.0)
    finished = aggregate.counter(instruments.TASK_FINISHED)
    finished.add(5, "pay", "payments", State.SUCCESS)
    finished.add(2, "pay", "other", State.SUCCESS)
    finished.add(1, "pay", "payments", State.FAILURE)
    retries = aggregate.counter(instruments.TASK_RETRIES)
    retries.add(3, "pay", "payments", "Timeout")
    retries.add(1, "pay", "payments", "KeyError")
    aggregate.counter(instruments.EVENTS_DECODED).add(40)
    wait = aggregate.histogram(instruments.TASK_WAIT_TIME)
    for value in (0.5, 0.5, 20.0):
        wait.record(value, "pay", "payments")
    return aggregate


def test_a_summary_adds_up_over_states_queues_and_error_types() -> None:
    now = view(stuck(State.SENT, 2, 0), stuck(State.STARTED, 3, 1))
    summary = summarise(Snapshot(now, counted()))
    (task,) = summary.tasks
    assert (task.name, task.in_flight, task.retries, task.stuck) == ("pay", 5, 4, 1)
    assert task.ends == {State.SUCCESS: 7, State.FAILURE: 1}
    assert (summary.finished, summary.events) == (8, 40)
    assert task.run == Latency()
    assert task.wait.median is not None
    assert task.wait.median <= 0.5
    assert task.wait.p95 is not None
    assert 10 < task.wait.p95 <= 30


def test_a_task_in_flight_is_shown_before_anything_ended() -> None:
    (task,) = summarise(Snapshot(view(stuck(State.SENT, 1, 0)))).tasks
    assert (task.in_flight, task.ends) == (1, {})


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([0, 0, 0], 0.5, None),
        ([4, 0, 0], 0.5, 0.5),
        ([2, 2, 0], 0.5, 1.0),
        ([2, 2, 0], 0.75, 2.0),
        ([0, 0, 9], 0.5, 3.0),
    ],
)
def test_a_quantile_is_linear_within_its_bucket(counts, share, expected) -> None:
    found = quantile((1.0, 3.0), counts, share)
    assert found == expected or math.isclose(found, expected)


def test_a_latency_in_one_bucket_is_its_mean() -> None:
    one = Distribution(labels=(), counts=(0, 2, 0), sum=3.0, count=2)
    assert latency((1.0, 3.0), one) == Latency(1.5, 1.5)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\N{EN DASH}"), (0.0123, "12ms"), (1.25, "1.2s"), (90.0, "1.5min")],
)
def test_durations_are_short(value, text) -> None:
    assert seconds(value) == text


def test_the_line_tells_the_totals() -> None:
    summary = summarise(Snapshot(view(stuck(State.STARTED, 3, 1)), counted()))
    assert line(summary, 12.4) == (
        "finished 8 (failed 1), in flight 3, stuck 1, retries 4, waiting 5 in queues 1, "
        "workers 1, events/s 12"
    )


def test_the_table_shows_tasks_queues_by_priority_and_workers() -> None:
    summary = summarise(Snapshot(view(stuck(State.STARTED, 3, 1)), counted()))
    text = io.StringIO()
    Console(file=text, width=160).print(draw(summary, events_per_second=1.0))
    drawn = text.getvalue()
    assert all(word in drawn for word in ("pay", "payments", "0:1  9:4", "1.5min", "w@h"))
