"""Which worker ran what when."""

from stream.analysis.page.intervals import Intervals
from stream.analysis.page.lanes import Workers
from stream.analysis.scope import Filters, Scope
from stream.core.engine import Engine
from tests.analysis.page.drawing import drawn
from tests.builders import T0, Process


def run(worker, uuid, begin, end, *, failed=False):
    last = worker.failed(uuid, end, exception="E()") if failed else worker.succeeded(uuid, end)
    return [
        worker.received(uuid, begin, name="app.a"),
        worker.started(uuid, begin),
        last,
    ]


def in_order(*runs):
    return sorted((each for one in runs for each in one), key=lambda each: each.timestamp)


def lanes(*runs, until=20.0):
    return drawn(*in_order(*runs), until=until).drawing.lanes


def kept_of(runs, *, limit):
    """The lanes of a page that holds fewer bars."""
    engine, scope = Engine(), Scope(Filters())
    workers = Workers(Intervals(T0, T0 + 100), scope, workers=["w1@h"], limit=limit)
    for event in in_order(*runs):
        workers.accept(engine.feed([event], event.timestamp))
    return workers.read(workers=1)


def test_a_bar_is_as_long_as_the_run():
    [bar] = lanes(run(Process("w1@h"), "a", 2.0, 5.0)).bars
    assert (bar.begin, bar.end, bar.state, bar.uuid) == (2.0, 5.0, "SUCCESS", "a")


def test_what_runs_at_once_lies_in_rows_of_its_own():
    worker = Process("w1@h")
    found = lanes(
        run(worker, "a", 1.0, 5.0), run(worker, "b", 2.0, 3.0), run(worker, "c", 4.0, 6.0)
    )
    assert {bar.uuid: bar.row for bar in found.bars} == {"a": 0, "b": 1, "c": 1}
    assert [lane.rows for lane in found.lanes] == [2]


def test_workers_are_ordered_as_people_count():
    runs = [run(Process(f"w{n}@h"), f"t{n}", 1.0, 2.0) for n in (10, 9, 1)]
    assert [lane.worker for lane in lanes(*runs).lanes] == ["w1@h", "w9@h", "w10@h"]


def test_workers_beyond_the_limit_are_counted():
    runs = [run(Process(f"w{n}@h"), f"t{n}", 1.0, 2.0) for n in range(43)]
    found = lanes(*runs)
    assert (len(found.lanes), found.lanes_left_out) == (40, 3)


def test_there_are_never_more_bars_than_fit_and_all_runs_are_counted():
    worker = Process("w1@h")
    found = kept_of([run(worker, f"t{n}", n * 0.1, n * 0.1 + 0.05) for n in range(500)], limit=50)
    assert (len(found.bars), found.runs) == (50, 500)


def test_the_failed_runs_and_the_longest_stay():
    worker = Process("w1@h")
    runs = [run(worker, f"t{n}", 1.0 + n * 0.001, 1.5 + n * 0.001) for n in range(100)]
    runs += [run(worker, "long", 1.0, 50.0), run(worker, "bad", 1.0, 1.01, failed=True)]
    assert {"long", "bad"} <= {bar.uuid for bar in kept_of(runs, limit=10).bars}


def test_there_is_something_to_see_at_every_time():
    worker = Process("w1@h")
    runs = [run(worker, f"long{n}", 1.0, 40.0) for n in range(60)]
    runs += [run(worker, f"t{n}", 50.0 + n, 50.1 + n) for n in range(10)]
    late = [bar for bar in kept_of(runs, limit=30).bars if bar.begin >= 50]
    assert len(late) == 10


def test_a_run_that_was_not_over_goes_on_to_the_end():
    worker = Process("w1@h")
    events = [worker.received("a", 1.0, name="app.a"), worker.started("a", 2.0)]
    [bar] = drawn(*events, until=8.0).drawing.lanes.bars
    assert (bar.begin, bar.end, bar.state) == (2.0, 8.0, "UNKNOWN")


def test_a_worker_that_said_goodbye_is_absent_until_it_returns():
    before, after = Process("w1@h", 1), Process("w1@h", 2)
    events = [
        before.online(0.0),
        *run(before, "a", 1.0, 2.0),
        before.offline(3.0),
        after.online(6.0),
        *run(after, "b", 7.0, 8.0),
    ]
    [absence] = drawn(*events).drawing.lanes.absences
    assert (absence.begin, absence.end, absence.what) == (3.0, 6.0, "offline")
