"""The series of a page."""

import pytest

from stream.analysis.sketch import ERROR
from tests.analysis.page.drawing import drawn
from tests.builders import Process, producer

NEARLY = ERROR * 1.1


def run(uuid, begin, end, *, worker=None, name="app.a", failed=False):
    """A task that is sent a second before it runs."""
    web, worker = producer(), worker or Process()
    last = (
        worker.failed(uuid, end, exception="ValueError('v')")
        if failed
        else worker.succeeded(uuid, end, runtime=end - begin)
    )
    return [
        web.sent(uuid, begin - 1.0, name=name),
        worker.received(uuid, begin - 0.5, name=name),
        worker.started(uuid, begin),
        last,
    ]


def timelines(*tasks, **options):
    """Series in seconds: of a period of 60."""
    events = sorted((each for task in tasks for each in task), key=lambda each: each.timestamp)
    return drawn(*events, until=60.0, **options).drawing.timelines


def nonzero(values):
    return {place: value for place, value in enumerate(values) if value}


def test_attempts_are_counted_when_they_ended():
    worker = Process()
    found = timelines(
        run("a", 2.0, 3.5, worker=worker), run("b", 2.0, 7.2, worker=worker, failed=True)
    )
    assert found.width == 1.0
    ended = {each.name: nonzero(each.values) for each in found.ended}
    assert ended == {"succeeded": {3: 1}, "failed": {7: 1}}


def test_failures_are_counted_by_exception():
    found = timelines(run("a", 2.0, 3.5, failed=True))
    assert [(each.name, nonzero(each.values)) for each in found.failures] == [
        ("ValueError", {3: 1})
    ]


def test_sendings_are_counted_when_they_were_sent():
    assert nonzero(timelines(run("a", 2.5, 3.5)).sent) == {1: 1}


def test_running_at_once_is_the_time_that_runs_took():
    worker = Process()
    found = timelines(run("a", 2.0, 4.5, worker=worker), run("b", 3.0, 4.0, worker=worker))
    assert nonzero(found.running) == pytest.approx({2: 1.0, 3: 2.0, 4: 0.5})


def test_runs_are_measured_when_they_ended_and_waits_when_they_were_over():
    found = timelines(run("a", 2.0, 4.5)).latencies[0]
    assert nonzero(found.run.p95) == pytest.approx({4: 2.5}, rel=NEARLY)
    assert nonzero(found.wait.p95) == pytest.approx({2: 1.0}, rel=NEARLY)


def test_a_time_without_runs_has_no_latency():
    assert timelines(run("a", 2.0, 4.5)).latencies[0].run.p50[10] is None


def test_each_name_has_latencies_of_its_own():
    worker = Process()
    found = timelines(
        run("a", 2.0, 3.0, worker=worker, name="app.a"),
        run("b", 2.0, 6.0, worker=worker, name="app.b"),
    )
    by_name = {each.task: nonzero(each.run.max) for each in found.latencies}
    assert by_name == {
        None: {3: pytest.approx(1.0), 6: pytest.approx(4.0)},
        "app.a": {3: pytest.approx(1.0)},
        "app.b": {6: pytest.approx(4.0)},
    }


def test_names_beyond_the_limit_are_counted():
    worker = Process()
    tasks = [run(f"t{n}", 2.0, 3.0, worker=worker, name=f"app.{n}") for n in range(15)]
    found = timelines(*tasks)
    assert (len(found.latencies), found.tasks_left_out) == (13, 3)


def test_only_what_is_reported_is_drawn():
    worker = Process()
    found = timelines(
        run("a", 2.0, 3.0, worker=worker, name="app.a"),
        run("b", 2.0, 6.0, worker=worker, name="app.b"),
        tasks=("app.a",),
    )
    assert [nonzero(each.values) for each in found.ended] == [{3: 1}]
    assert sum(found.sent) == 1
    assert nonzero(found.running) == pytest.approx({2: 1.0})


def test_what_is_concluded_after_the_end_is_in_no_throughput():
    web, worker = producer(), Process()
    events = [
        web.sent("a", 1.0, name="app.a"),
        worker.received("a", 2.0, name="app.a"),
        worker.started("a", 3.0),
    ]
    found = drawn(*events, until=5.0).drawing.timelines
    assert found.ended == ()
    assert sum(found.running) * found.width == pytest.approx(2.0)
