"""Gauges are read from a view."""

import pytest

from stream.core.kinds import Kind
from stream.core.states import State, WorkerState
from stream.core.view import BrokerGauge, PeriodicGauge, QueueGauge, TaskGauge, View, WorkerGauge
from stream.sinks import instruments as table
from stream.sinks.gauges import gauges


def view(*, at=100.0, tasks=(), workers=(), queues=(), brokers=(), last_event_at=None, periodic=()):
    return View(at, tasks, workers, queues, brokers, 7, 3, last_event_at, periodic)


def worker(
    hostname="w1@host",
    pid=1,
    state=WorkerState.ONLINE,
    *,
    active=0,
    processed=0,
    coverage=None,
    skew=None,
    last_seen_at=99.0,
    pool=None,
    queues=None,
):
    return WorkerGauge(
        hostname,
        pid,
        state,
        active,
        processed,
        coverage,
        skew,
        last_seen_at,
        "5.4.0",
        pool,
        queues,
    )


def broker(source="redis", *, unacknowledged=None, oldest=None, last_frame_at=None):
    return BrokerGauge(source, 2, 1.5, last_frame_at, unacknowledged, oldest, 99.0)


def read(given, instrument):
    families = [family for family in gauges(given) if family.instrument is instrument]
    assert len(families) <= 1
    return {point.labels: point.value for family in families for point in family.points}


def test_tasks_are_read_by_kind_and_state():
    given = view(tasks=(TaskGauge(Kind("a", None), State.STARTED, 4, 12.5, 1),))
    labels = ("a", "unknown", "STARTED")
    assert read(given, table.TASK_ACTIVE) == {labels: 4}
    assert read(given, table.TASK_OLDEST_AGE) == {labels: 12.5}
    assert read(given, table.TASK_STUCK) == {labels: 1}


def test_kinds_of_the_same_names_are_merged():
    tasks = (
        TaskGauge(Kind("a", "q"), State.SENT, 4, 12.5, 1),
        TaskGauge(Kind("a", "q"), State.SENT, 1, 20.0, 1),
    )
    labels = ("a", "q", "SENT")
    assert read(view(tasks=tasks), table.TASK_ACTIVE) == {labels: 5}
    assert read(view(tasks=tasks), table.TASK_OLDEST_AGE) == {labels: 20.0}


def test_a_queue_has_a_depth_in_all_and_by_priority():
    given = view(queues=(QueueGauge("redis", "celery", {0: 1, 3: 2, 9: 1}, 5.0, 2.5),))
    assert read(given, table.QUEUE_DEPTH) == {("celery",): 4}
    assert read(given, table.QUEUE_SIZE) == {("celery", "ready"): 4}
    assert read(given, table.QUEUE_PRIORITY_DEPTH) == {
        ("celery", "0"): 1,
        ("celery", "3"): 2,
        ("celery", "9"): 1,
    }
    assert read(given, table.QUEUE_OLDEST_AGE) == {("celery",): 5.0}
    assert read(given, table.QUEUE_DRAIN_TIME) == {("celery",): 2.5}


def test_what_workers_hold_of_a_queue_is_told_where_the_broker_does():
    held = QueueGauge(
        "redis",
        "celery",
        {0: 1},
        None,
        None,
        unacknowledged=4,
        oldest_unacknowledged_age=9.5,
        overdue=1,
    )
    assert read(view(queues=(held,)), table.QUEUE_SIZE)[("celery", "unacknowledged")] == 4
    assert read(view(queues=(held,)), table.QUEUE_UNACKNOWLEDGED_AGE) == {("celery",): 9.5}
    assert read(view(queues=(held,)), table.QUEUE_OVERDUE) == {("celery",): 1}


def test_an_age_that_is_not_known_has_no_series():
    given = view(queues=(QueueGauge("redis", "celery", {0: 0}, None, None),))
    assert read(given, table.QUEUE_DEPTH) == {("celery",): 0}
    assert read(given, table.QUEUE_OLDEST_AGE) == {}
    assert read(given, table.QUEUE_DRAIN_TIME) == {}


def test_a_queue_of_two_brokers_is_one_series():
    queues = (
        QueueGauge("a", "celery", {0: 1}, 5.0, 1.0),
        QueueGauge("b", "celery", {0: 2}, 9.0, None),
    )
    assert read(view(queues=queues), table.QUEUE_DEPTH) == {("celery",): 3}
    assert read(view(queues=queues), table.QUEUE_OLDEST_AGE) == {("celery",): 9.0}


def test_unacknowledged_messages_belong_to_all_queues():
    given = view(brokers=(broker(unacknowledged=8, oldest=30.0),))
    assert read(given, table.QUEUE_SIZE) == {("*", "unacknowledged"): 8}
    assert read(given, table.QUEUE_UNACKNOWLEDGED_AGE) == {("*",): 30.0}


def test_processes_of_one_worker_are_merged():
    given = view(
        workers=(
            worker(pid=1, active=2, processed=10, coverage=1.0, skew=0.5, last_seen_at=98.0),
            worker(pid=2, active=1, processed=30, coverage=0.6, skew=0.1, last_seen_at=99.0),
        )
    )
    name = ("w1@host",)
    assert read(given, table.WORKER_UP) == {name: 1}
    assert read(given, table.WORKER_ACTIVE) == {name: 3}
    assert read(given, table.WORKER_PROCESSED) == {name: 40}
    assert read(given, table.WORKER_COVERAGE) == {name: pytest.approx(0.7)}
    assert read(given, table.WORKER_SKEW) == {name: 0.1}
    assert read(given, table.WORKERS_ACTIVE) == {(): 1}


def test_the_process_before_a_restart_is_not_added_to_the_one_after():
    given = view(
        workers=(
            worker(pid=1, state=WorkerState.OFFLINE, active=2, processed=1000),
            worker(pid=2, active=1, processed=30),
        )
    )
    assert read(given, table.WORKER_UP) == {("w1@host",): 1}
    assert read(given, table.WORKER_PROCESSED) == {("w1@host",): 30}


def test_a_worker_that_is_gone_is_down_and_runs_nothing():
    given = view(workers=(worker(state=WorkerState.LOST, active=2, processed=10),))
    assert read(given, table.WORKER_UP) == {("w1@host",): 0}
    assert read(given, table.WORKER_ACTIVE) == {("w1@host",): 0}
    assert read(given, table.WORKER_PROCESSED) == {("w1@host",): 10}
    assert read(given, table.WORKERS_ACTIVE) == {(): 0}


def test_a_silent_worker_is_still_up():
    given = view(workers=(worker(state=WorkerState.SUSPECT),))
    assert read(given, table.WORKER_UP) == {("w1@host",): 1}


def test_no_workers_are_zero_workers():
    assert read(view(), table.WORKERS_ACTIVE) == {(): 0}


def test_the_service_shows_its_own_tables():
    given = view(last_event_at=97.5, brokers=(broker(last_frame_at=98.0),))
    assert read(given, table.TASKS_IN_FLIGHT) == {(): 7}
    assert read(given, table.TASKS_REMEMBERED) == {(): 3}
    assert read(given, table.EVENT_AGE) == {(): 2.5}
    assert read(given, table.SOURCE_EPOCHS) == {("redis",): 2}
    assert read(given, table.SOURCE_FRAME_AGE) == {("redis",): 2.0}


def test_gauges_have_no_start():
    assert {family.started_at for family in gauges(view())} == {None}


def test_periodic_tasks_tell_their_interval_and_how_late_they_are():
    kind = Kind("app.clean", "celery")
    gauge = PeriodicGauge(kind, 60.0, declared=True, last_at=1.0, overdue=12.0)
    given = view(periodic=(gauge,))
    assert read(given, table.BEAT_INTERVAL) == {("app.clean", "celery"): 60.0}
    assert read(given, table.BEAT_OVERDUE) == {("app.clean", "celery"): 12.0}


def test_a_pool_is_read_with_the_share_of_it_that_works():
    given = view(workers=(worker(pool=4, active=1), worker("w2@host", pool=0)))
    assert read(given, table.WORKER_POOL) == {("w1@host",): 4, ("w2@host",): 0}
    assert read(given, table.WORKER_UTILIZATION) == {("w1@host",): 0.25}


def test_a_pool_that_was_not_asked_for_or_is_gone_is_none():
    given = view(workers=(worker(), worker("w2@host", state=WorkerState.LOST, pool=4)))
    assert read(given, table.WORKER_POOL) == {}


def queue(name):
    return QueueGauge("redis", name, {0: 1}, None, None)


def test_the_workers_of_a_queue_are_those_alive_that_say_so():
    workers = (
        worker(queues=("a", "b")),
        worker("w2@host", queues=("a",)),
        worker("w3@host", state=WorkerState.OFFLINE, queues=("a",)),
    )
    given = view(workers=workers, queues=(queue("a"), queue("nobody's")))
    assert read(given, table.QUEUE_WORKERS) == {("a",): 2, ("b",): 1, ("nobody's",): 0}


def test_nobody_consumes_a_queue_only_where_every_worker_said_what_it_does():
    workers = (worker(queues=("a",)), worker("w2@host"))
    given = view(workers=workers, queues=(queue("a"), queue("b")))
    assert read(given, table.QUEUE_WORKERS) == {("a",): 1}
    assert read(view(queues=(queue("b"),)), table.QUEUE_WORKERS) == {}


def test_what_the_broker_holds_until_its_eta_is_told_apart():
    given = view(brokers=(BrokerGauge("rabbitmq", 1, 0.0, None, None, None, 99.0, 3),))
    assert read(given, table.QUEUE_SIZE) == {("*", "delayed"): 3}
