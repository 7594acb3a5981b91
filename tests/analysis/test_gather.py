"""What happened, and what a report says of it."""

import pytest

from stream.events import QueueDepth, QueueSample, Subscribed
from tests.analysis.watching import Watching
from tests.builders import T0, Process, producer


def run_of(watching, uuid, at=0.0, *, name="app.task", run=0.5, worker=None, web=None):
    """One task that waits a second and runs."""
    worker, web = worker or Process(), web or producer()
    watching.feed(
        web.sent(uuid, at, name=name),
        worker.received(uuid, at + 0.4, name=name),
        worker.started(uuid, at + 1.0),
        worker.succeeded(uuid, at + 1.0 + run, runtime=run),
    )


def test_a_task_is_told_with_its_times():
    watching = Watching()
    run_of(watching, "u1")
    (row,) = watching.report().tasks
    assert (row.task, row.tasks, row.states) == ("app.task", 1, {"SUCCESS": 1})
    told = [each.p50 for each in (row.wait, row.prefetch, row.run, row.total)]
    assert told == pytest.approx([1.0, 0.6, 0.5, 1.5], rel=0.011)


def test_the_name_with_the_most_running_time_comes_first():
    watching = Watching()
    run_of(watching, "u1", name="quick", run=0.1)
    run_of(watching, "u2", name="slow", run=5.0)
    assert [row.task for row in watching.report().tasks] == ["slow", "quick"]


def test_retries_are_counted_as_attempts_and_grouped_by_exception():
    watching, worker, web = Watching(), Process(), producer()
    watching.feed(web.sent("u", 0.0), worker.received("u", 0.1), worker.started("u", 0.2))
    watching.feed(worker.retried("u", 0.3, exception="KeyError('again')"))
    watching.feed(web.sent("u", 0.3, retries=1), worker.received("u", 1.1, retries=1))
    watching.feed(worker.started("u", 1.2), worker.failed("u", 1.3, exception="KeyError('gone')"))
    report = watching.report()
    (row,), (failure,) = report.tasks, report.failures
    assert (row.attempts, row.retries, row.states) == (2, 1, {"FAILURE": 1})
    assert (failure.error_type, failure.failures, failure.retries) == ("KeyError", 1, 1)
    assert (failure.uuid, failure.message) == ("u", "again")


def test_an_example_does_not_tell_passwords():
    watching, worker = Watching(), Process()
    watching.feed(worker.received("u", 0.1), worker.started("u", 0.2))
    watching.feed(worker.failed("u", 0.3, exception="IOError('amqp://me:pw@host password=hush')"))
    (failure,) = watching.report().failures
    assert failure.message == "amqp://***@host password=***"


def test_what_is_under_way_when_the_capture_ends_is_told_apart():
    watching, worker, web = Watching(), Process(), producer()
    watching.feed(web.sent("u1", 0.0), web.sent("u2", 0.0))
    watching.feed(worker.received("u2", 0.1), worker.started("u2", 0.2))
    told = {row.uuid: (row.what, row.reason) for row in watching.report().unfinished}
    assert told["u1"] == ("UNKNOWN", "capture_ended, was waiting")
    assert told["u2"][1].endswith(", was running")


def test_a_worker_that_falls_silent_is_told_with_how_long():
    watching, worker = Watching(), Process()
    watching.feed(worker.online(0.0), worker.heartbeat(2.0))
    for at in range(3, 60):
        watching.tick(float(at))
    watching.feed(worker.heartbeat(60.0))
    (row,) = watching.report(until=60.0).workers
    assert row.silences == 1
    assert 40.0 < row.silent_seconds < 60.0


def test_a_restarted_worker_is_one_row_of_two_processes():
    watching = Watching()
    watching.feed(Process("w@h", 1).online(0.0), Process("w@h", 2).online(5.0))
    (row,) = watching.report().workers
    assert (row.worker, row.processes) == ("w@h", 2)


def test_utilisation_is_the_runs_at_once_over_the_most_that_ran():
    watching, worker = Watching(), Process()
    watching.feed(worker.online(0.0))
    run_of(watching, "u1", worker=worker, run=5.0)
    watching.feed(worker.heartbeat(7.0, active=2, processed=1)).tick(7.5)
    (row,) = watching.report(until=10.0).workers
    assert (row.busy_seconds, row.running, row.most_active) == (5.0, 0.5, 2)
    assert row.utilisation == pytest.approx(0.25)


def test_the_depth_of_a_queue_is_what_polls_found():
    watching = Watching()
    for at, depth in ((0.0, 3), (2.0, 9), (4.0, 1)):
        watching.sample(QueueSample(T0 + at, "redis", (QueueDepth("mail", {0: depth}),)))
        watching.tick(at + 0.5)
    (row,) = watching.report().queues
    assert (row.queue, row.first_depth, row.most_depth, row.last_depth) == ("mail", 3, 9, 1)
    assert row.depth is not None
    assert row.depth.values == (3.0, None, 9.0, None, 1.0)


def test_what_waits_is_told_where_no_queue_was_polled():
    watching, web = Watching(), producer()
    watching.feed(*(web.sent(f"u{number}", 0.0) for number in range(4))).tick(3.0)
    (row,) = watching.report().queues
    assert (row.most_waiting, row.oldest_waiting, row.depth) == (4, 3.0, None)


@pytest.mark.parametrize("run", [-5.0, 1e12, 1e300])
def test_a_run_that_was_measured_wrongly_spoils_nothing(run):
    watching = Watching()
    run_of(watching, "u1", run=1.0)
    watching.feed(producer().sent("u2", 0.0), Process().received("u2", 0.1))
    watching.feed(Process().started("u2", 0.2), Process().succeeded("u2", 0.5, runtime=run))
    report = watching.report()
    assert report.states == {"SUCCESS": 2}
    assert [each.run <= 1.0 for each in report.slow_runs] == [True] * len(report.slow_runs)
    assert sum(row.busy_seconds for row in report.workers) == 1.0


def test_the_slowest_runs_come_first_with_their_traces():
    watching = Watching()
    for number in range(30):
        run_of(watching, f"u{number}", run=1.0 + number)
    runs = watching.report(until=100.0).slow_runs
    assert [each.uuid for each in runs] == [f"u{number}" for number in range(29, 19, -1)]
    assert all(len(each.trace_id) == 32 for each in runs)


def test_filters_choose_what_is_told_and_not_what_is_known():
    watching = Watching(uuids=("u2",))
    run_of(watching, "u1", name="one")
    run_of(watching, "u2", name="two")
    report = watching.report()
    assert [row.task for row in report.tasks] == ["two"]
    assert [run.uuid for run in report.slow_runs] == ["u2"]
    assert report.coverage.seen == 2


def test_a_time_filter_also_bounds_the_period():
    watching = Watching(begin=str(T0 + 2.0), end=str(T0 + 6.0))
    for number, at in enumerate((0.0, 3.0, 8.0)):
        run_of(watching, f"u{number}", at)
    report = watching.report(until=20.0)
    assert (report.began_at, report.ended_at) == (T0 + 2.0, T0 + 6.0)
    assert report.states == {"SUCCESS": 1}


def test_the_most_that_ended_in_a_second_is_told():
    watching = Watching()
    for number in range(5):
        run_of(watching, f"u{number}", 3.1)
    run_of(watching, "late", 6.0)
    throughput = watching.report().throughput
    assert (throughput.attempts, throughput.most_in_a_second) == (6, 5)


def test_names_beyond_the_limit_are_counted_together():
    watching = Watching()
    for number in range(600):
        run_of(watching, f"u{number}", name=f"task{number}")
    report = watching.report()
    assert len(report.tasks) == 501
    assert next(row.tasks for row in report.tasks if row.task == "other") == 100
    assert report.coverage.overflowed == {"tasks": 100}


def test_nothing_makes_an_empty_report():
    report = Watching().report()
    assert (report.tasks, report.workers, report.slow_runs, report.slow_traces) == ((), (), (), ())


def test_a_worker_that_was_killed_and_restarted_is_silent_until_it_is_back():
    watching, before, after = Watching(), Process("w@h", 1), Process("w@h", 2)
    watching.feed(before.online(0.0), before.heartbeat(2.0))
    for at in range(3, 40):
        watching.tick(float(at))
    watching.feed(after.online(40.0))
    for at in range(41, 140, 2):
        watching.feed(after.heartbeat(float(at))).tick(float(at))
    (row,) = watching.report(until=140.0).workers
    assert (row.silences, row.silent_seconds < 40.0) == (1, True)


def test_stuck_tasks_are_told_with_the_reason_and_for_how_long():
    watching, worker, web = Watching(), Process(), producer()
    watching.feed(worker.online(0.0), web.sent("u", 0.0), worker.received("u", 0.1))
    watching.feed(worker.started("u", 0.2))
    for at in range(1, 5_000, 2):
        watching.feed(worker.heartbeat(float(at), active=1, processed=1)).tick(float(at))
    watching.feed(worker.succeeded("u", 5_000.0, runtime=4_999.8))
    (row,) = (row for row in watching.report(until=5_001.0).unfinished if row.what == "stuck")
    assert (row.task, row.reason, row.tasks, row.uuid) == (
        "app.task",
        "runs_long, running",
        1,
        "u",
    )
    assert row.longest == pytest.approx(5_000.0, abs=10.0)


def test_a_task_on_a_worker_that_died_is_lost_with_the_reason():
    watching, worker, web = Watching(), Process(), producer()
    watching.feed(worker.online(0.0), web.sent("u", 0.0), worker.received("u", 0.1))
    watching.feed(worker.started("u", 0.2), worker.heartbeat(2.0, active=1, processed=1))
    for at in range(3, 600):
        watching.tick(float(at))
    (row,) = watching.report(until=600.0).unfinished
    assert (row.what, row.reason) == ("LOST", "worker_lost, was running")


def test_gaps_in_the_subscription_are_counted():
    watching = Watching()
    watching.tell(watching.engine.subscribed(Subscribed(T0, "redis", 1)))
    watching.tell(watching.engine.subscribed(Subscribed(T0 + 9.0, "redis", 2, T0 + 5.0)))
    coverage = watching.report().coverage
    assert (coverage.gaps, coverage.gap_seconds) == (1, 4.0)


def test_executions_that_heartbeats_count_and_nobody_told_are_unseen():
    watching, worker = Watching(), Process()
    watching.feed(worker.heartbeat(0.0, processed=0), worker.heartbeat(2.0, processed=3))
    watching.feed(worker.heartbeat(4.0, processed=3))
    report = watching.report()
    assert (report.coverage.seen, report.coverage.unseen) == (0, 3)


def test_a_queue_that_nobody_consumes_has_stalled():
    watching, worker = Watching(), Process()
    for at in range(0, 4_000, 10):
        watching.feed(worker.heartbeat(float(at)))
        sample = QueueSample(T0 + at, "redis", (QueueDepth("mail", {0: 5}, oldest="u"),))
        watching.sample(sample).tick(at + 0.5)
    (row,) = watching.report(until=4_000.0).queues
    assert row.stalls == 1
