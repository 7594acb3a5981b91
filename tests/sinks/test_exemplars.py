"""A failed or slow run is the example of its series."""

import pytest

from stream.core.engine import Engine
from stream.core.kinds import Kind
from stream.core.states import State
from stream.core.trace import Trace, TraceSource
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate
from stream.sinks.exemplars import Exemplars, example
from stream.sinks.identity import origin, process_span_id
from stream.sinks.metrics import MetricsSink
from tests.builders import T0, Process, feed
from tests.sinks.counted import PAY, Counted, attempt, finished

SLOW = 10.0


def examples(counted, instrument):
    """The exemplars of an instrument by series, where there are any."""
    points = counted.points(instrument).items()
    return {labels: point.exemplar for labels, point in points if point.exemplar is not None}


def runs(*effects, **options):
    """The exemplars of the conventions' duration."""
    return list(examples(Counted(*effects, **options), table.PROCESS_DURATION).values())


def test_a_failed_run_is_an_example_of_its_duration():
    (exemplar,) = runs(attempt(state=State.FAILURE, run=0.25, error_type="KeyError"))
    assert (exemplar.value, exemplar.at) == (0.25, attempt().ended_at)


def test_an_example_has_the_ids_of_the_run_s_own_span():
    trace = Trace(f"00-{'ab' * 16}-{'cd' * 8}-01", None, TraceSource.EVENT)
    run = attempt(state=State.FAILURE, uuid="task", retries=2, ordinal=1, trace=trace)
    (exemplar,) = runs(run)
    assert exemplar.trace_id == int("ab" * 16, 16)
    assert exemplar.span_id == process_span_id("task", 2, 1)


def test_an_example_without_a_known_trace_has_the_derived_one():
    (exemplar,) = runs(attempt(state=State.FAILURE, uuid="task"))
    assert exemplar.trace_id == origin(None, None, "task").trace_id


@pytest.mark.parametrize(
    ("run", "expected"), [(SLOW - 0.1, []), (SLOW, [SLOW]), (SLOW + 1, [SLOW + 1])]
)
def test_a_success_is_an_example_if_it_was_slow(run, expected):
    assert [each.value for each in runs(attempt(run=run), slow=SLOW)] == expected


def test_no_run_is_slow_without_a_limit():
    assert runs(attempt(run=1e6), slow=0.0) == []


@pytest.mark.parametrize("state", [State.FAILURE, State.RETRY, State.LOST])
def test_what_went_wrong_is_an_example_however_short_it_was(state):
    assert len(runs(attempt(state=state, run=0.001), slow=SLOW)) == 1


@pytest.mark.parametrize("state", [State.REVOKED, State.REQUEUED, State.UNKNOWN])
def test_what_merely_did_not_succeed_is_none(state):
    assert runs(attempt(state=state, run=0.001), slow=SLOW) == []


def test_the_newest_is_the_example():
    values = [each.value for each in runs(*(attempt(run=run) for run in (30.0, 20.0)), slow=SLOW)]
    assert values == [20.0]


def test_a_newer_example_replaces_one_that_was_read():
    aggregate = Aggregate(started_at=0.0)
    sink = MetricsSink(aggregate, slow=SLOW)
    for run in (30.0, 20.0):
        sink.accept([attempt(run=run)])
        (point,) = next(
            f.points for f in aggregate.collect() if f.instrument is table.PROCESS_DURATION
        )
        assert point.exemplar.value == run


def test_an_example_stays_until_there_is_a_newer_one():
    aggregate = Aggregate(started_at=0.0)
    MetricsSink(aggregate, slow=SLOW).accept([attempt(run=30.0)])
    assert aggregate.collect() == aggregate.collect()


def test_the_ids_of_an_example_are_derived_once():
    exemplars = Exemplars()
    exemplars.keep(("a",), example(1, attempt()))
    assert exemplars.read()["a",] is exemplars.read()["a",]


def test_each_series_has_an_example_of_its_own():
    counted = Counted(
        attempt(state=State.FAILURE, run=1.0, error_type="KeyError"),
        attempt(state=State.FAILURE, run=2.0, error_type="OSError"),
    )
    found = examples(counted, table.PROCESS_DURATION)
    assert {labels[-1]: each.value for labels, each in found.items()} == {
        "KeyError": 1.0,
        "OSError": 2.0,
    }


def test_a_failed_task_is_an_example_of_the_failures():
    failure = attempt(state=State.FAILURE, uuid="task", retries=3)
    counted = Counted(failure, finished(state=State.FAILURE, uuid="task", error_type="KeyError"))
    (exemplar,) = examples(counted, table.TASK_FAILED).values()
    assert (exemplar.value, exemplar.span_id) == (1, process_span_id("task", 3))


def test_a_task_that_the_engine_saw_fail_is_an_example_of_the_failures():
    worker = Process()
    effects = feed(
        Engine(),
        worker.received("task", 0.0),
        worker.started("task", 1.0),
        worker.failed("task", 3.0),
    )
    (exemplar,) = examples(Counted(*effects), table.TASK_FAILED).values()
    assert (exemplar.at, exemplar.span_id) == (T0 + 3.0, process_span_id("task", 0))


def test_a_failed_attempt_of_another_task_is_no_example():
    counted = Counted(
        attempt(state=State.FAILURE, uuid="other"), finished(state=State.FAILURE, uuid="task")
    )
    assert counted.values(table.TASK_FAILED) == {(PAY.name, PAY.queue, "_OTHER"): 1}
    assert examples(counted, table.TASK_FAILED) == {}


def test_without_the_option_nothing_is_an_example():
    failure = attempt(state=State.FAILURE)
    counted = Counted(failure, finished(state=State.FAILURE), slow=0.1, exemplars=False)
    assert examples(counted, table.PROCESS_DURATION) == {}
    assert examples(counted, table.TASK_FAILED) == {}


def test_series_beyond_the_limit_share_one_example():
    aggregate = Aggregate(started_at=0.0, limit=2)
    sink = MetricsSink(aggregate, slow=SLOW)
    sink.accept([attempt(Kind(name, "q"), run=SLOW + n) for n, name in enumerate("abcd")])
    points = next(f.points for f in aggregate.collect() if f.instrument is table.PROCESS_DURATION)
    assert [point.exemplar.value for point in points] == [SLOW, SLOW + 1, SLOW + 3]
    assert set(points[-1].labels) == {"other"}
