"""Effects become counters and histograms."""

import typing

import pytest

from stream.core.effects import (
    Advice,
    Advised,
    Effect,
    EventsMissed,
    GapMarked,
    Odd,
    Oddity,
    PeriodicLate,
    PeriodicMissed,
    PeriodicResumed,
    QueueMoved,
    QueueStalled,
    Received,
    Started,
    StuckEnded,
    WorkerChanged,
    WorkerForgotten,
)
from stream.core.kinds import Kind
from stream.core.record import WorkerRecord
from stream.core.states import Phase, State, WorkerState
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate
from stream.sinks.metrics import MetricsSink
from tests.sinks.counted import (
    PAY,
    Counted,
    attempt,
    began,
    finished,
    forgotten,
    revised,
    sent,
    stuck,
    succeeded,
    waited_long,
)


def test_every_effect_is_understood():
    every = (
        sent(),
        Received(PAY, redelivered=True),
        Started(PAY, 1.0, 1.0),
        waited_long(),
        began(),
        attempt(),
        finished(),
        succeeded(),
        forgotten(),
        QueueStalled("redis", "q", 3, 1.0, 2.0),
        QueueMoved("redis", "q", 1.0, 2.0),
        Advised(Advice.EVENTS_DISABLED, "w", 1.0),
        WorkerForgotten(WorkerRecord(**dict.fromkeys(WorkerRecord.__struct_fields__))),
        revised(),
        stuck(),
        StuckEnded("u", PAY, Phase.RUNNING, 2.0, 0, 0, "w", None, None, 4.0),
        WorkerChanged("w", 1, None, WorkerState.ONLINE, 1.0),
        EventsMissed("w", 1, 2),
        GapMarked("redis", 2, 1.5, 1.0),
        PeriodicLate(PAY, 60.0, 1.0, 2.0),
        PeriodicMissed(PAY, 60.0, 1.0, 1, 2.0),
        PeriodicResumed(PAY, 60.0, 1.0, 1, 2.0),
        Odd(Oddity.LATE),
    )
    assert {type(effect) for effect in every} == set(typing.get_args(Effect))
    Counted(*every)


def test_messages_are_counted_under_the_conventions():
    counted = Counted(sent(), Received(PAY, redelivered=False), Received(PAY, redelivered=True))
    assert counted.values(table.SENT_MESSAGES) == {("redis", "payments", "send", "shop.pay"): 1}
    assert counted.values(table.CONSUMED_MESSAGES) == {
        ("redis", "payments", "receive", "shop.pay"): 2
    }
    assert counted.values(table.TASK_REDELIVERED) == {("shop.pay", "payments"): 1}


def test_periodic_tasks_that_are_late_and_those_that_were_missed_are_counted():
    counted = Counted(
        PeriodicLate(PAY, 60.0, 1.0, 2.0),
        PeriodicMissed(PAY, 60.0, 1.0, 1, 2.0),
        PeriodicMissed(PAY, 60.0, 61.0, 2, 62.0),
    )
    assert counted.values(table.BEAT_LATE) == {("shop.pay", "payments"): 1}
    assert counted.values(table.BEAT_MISSED) == {("shop.pay", "payments"): 2}


def test_each_start_is_an_attempt_and_says_how_long_it_waited():
    counted = Counted(Started(PAY, 2.0, 0.5), Started(PAY, 4.0, 0.5))
    assert counted.values(table.TASK_STARTED) == {("shop.pay", "payments"): 2}
    assert counted.values(table.TASK_ATTEMPTS) == {("shop.pay", "payments"): 2}
    assert counted.sums(table.TASK_WAIT_TIME) == {("shop.pay", "payments"): (2, 6.0)}
    assert counted.sums(table.TASK_PREFETCH_TIME) == {("shop.pay", "payments"): (2, 1.0)}


def test_an_unknown_latency_is_counted_and_not_recorded():
    counted = Counted(Started(PAY, None, None), attempt(run=None), finished(run=None, total=None))
    assert counted.values(table.LATENCY_UNKNOWN) == {
        ("wait",): 1,
        ("prefetch",): 1,
        ("run",): 1,
        ("total",): 1,
    }
    for instrument in (table.TASK_WAIT_TIME, table.TASK_DURATION, table.TASK_TOTAL_TIME):
        assert counted.sums(instrument) == {}


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf"), -1.0, 1e300])
def test_a_latency_that_is_no_number_of_seconds_spoils_no_sum(broken):
    counted = Counted(
        Started(PAY, 1.0, 1.0),
        Started(PAY, broken, broken),
        attempt(run=1.0),
        attempt(run=broken),
        finished(run=1.0, total=1.0),
        finished(run=broken, total=broken),
    )
    assert list(counted.sums(table.TASK_WAIT_TIME).values()) == [(1, 1.0)]
    assert list(counted.sums(table.PROCESS_DURATION).values()) == [(1, 1.0)]
    assert list(counted.sums(table.TASK_DURATION).values()) == [(1, 1000.0)]
    assert counted.values(table.LATENCY_UNKNOWN) == {
        ("wait",): 1,
        ("prefetch",): 1,
        ("run",): 1,
        ("total",): 1,
    }


def test_a_zero_latency_is_known():
    counted = Counted(Started(PAY, 0.0, 0.0))
    assert counted.sums(table.TASK_WAIT_TIME) == {("shop.pay", "payments"): (1, 0.0)}


def test_a_task_that_never_ran_has_no_unknown_run():
    counted = Counted(attempt(state=State.REVOKED, run=None))
    assert counted.values(table.LATENCY_UNKNOWN) == {}


def test_the_conventions_duration_has_the_error_type_only_of_failures():
    counted = Counted(
        attempt(run=1.0),
        attempt(state=State.FAILURE, run=2.0, error_type="ValueError"),
        attempt(state=State.FAILURE, run=4.0),
        attempt(state=State.LOST, run=8.0),
    )
    common = ("redis", "payments", "process", "shop.pay")
    assert counted.sums(table.PROCESS_DURATION) == {
        (*common, ""): (1, 1.0),
        (*common, "ValueError"): (1, 2.0),
        (*common, "_OTHER"): (1, 4.0),
        (*common, "LOST"): (1, 8.0),
    }


def test_retries_are_counted_by_error():
    counted = Counted(
        attempt(state=State.RETRY, error_type="TimeoutError"),
        attempt(state=State.FAILURE, error_type="TimeoutError"),
    )
    assert counted.values(table.TASK_RETRIES) == {("shop.pay", "payments", "TimeoutError"): 1}


def test_completed_means_success_and_finished_means_every_end():
    counted = Counted(finished(), finished(), finished(state=State.FAILURE, error_type="KeyError"))
    assert counted.values(table.TASK_COMPLETED) == {("shop.pay", "payments"): 2}
    assert counted.values(table.TASK_FINISHED) == {
        ("shop.pay", "payments", "SUCCESS"): 2,
        ("shop.pay", "payments", "FAILURE"): 1,
    }
    assert counted.values(table.TASK_FAILED) == {("shop.pay", "payments", "KeyError"): 1}


@pytest.mark.parametrize(
    ("state", "instrument"),
    [
        (State.REVOKED, table.TASK_REVOKED),
        (State.REJECTED, table.TASK_REJECTED),
        (State.LOST, table.TASK_LOST),
        (State.UNKNOWN, table.TASK_UNKNOWN),
    ],
)
def test_other_ends_are_counted_by_reason(state, instrument):
    counted = Counted(finished(state=state, reason="expired"), finished(state=state))
    assert counted.values(instrument) == {
        ("shop.pay", "payments", "expired"): 1,
        ("shop.pay", "payments", "unknown"): 1,
    }


def test_a_message_put_back_is_a_rejection_and_no_end():
    counted = Counted(attempt(state=State.REQUEUED, run=None, reason="requeue"))
    assert counted.values(table.TASK_REJECTED) == {("shop.pay", "payments", "requeue"): 1}
    assert counted.values(table.TASK_FINISHED) == {}


def test_the_end_says_how_long_it_took():
    counted = Counted(finished(run=0.25, total=10.0, attempts=3))
    assert counted.sums(table.TASK_DURATION) == {("shop.pay", "payments", "SUCCESS"): (1, 250.0)}
    assert counted.sums(table.TASK_TOTAL_TIME) == {("shop.pay", "payments"): (1, 10.0)}
    assert counted.sums(table.ATTEMPTS_PER_TASK) == {("shop.pay", "SUCCESS"): (1, 3)}


def test_what_no_event_told_is_unknown_and_never_a_default_queue():
    counted = Counted(finished(Kind(None, None)))
    assert counted.values(table.TASK_COMPLETED) == {("unknown", "unknown"): 1}


def test_two_kinds_of_the_same_names_are_one_series():
    counted = Counted(finished(Kind("a", "q")), finished(Kind("a", "q", internal=True)))
    assert counted.values(table.TASK_COMPLETED) == {("a", "q"): 2}


def test_what_the_engine_found_odd_is_counted():
    counted = Counted(
        Odd(Oddity.DUPLICATE, 3),
        EventsMissed("w", 1, 2),
        GapMarked("redis", 2, 1.5, 1.0),
        GapMarked("redis", 3, 2.0, 9.0),
        stuck(),
        WorkerChanged("w", 1, None, WorkerState.ONLINE, 1.0),
        revised(),
    )
    assert counted.values(table.EVENTS_ODD) == {("duplicate",): 3}
    assert counted.values(table.EVENTS_MISSED) == {(): 2}
    assert counted.values(table.SOURCE_GAPS) == {("redis",): 2}
    assert counted.values(table.SOURCE_GAP_TIME) == {("redis",): 3.5}
    assert counted.values(table.TASKS_STUCK) == {("runs_long",): 1}
    assert counted.values(table.WORKERS_CHANGED) == {("online",): 1}
    assert counted.values(table.TASKS_REVISED) == {("LOST", "SUCCESS"): 1}


def test_the_error_types_of_one_task_are_bounded():
    aggregate = Aggregate(started_at=0.0, limit=10)
    sink = MetricsSink(aggregate)
    effects = [finished(state=State.FAILURE, error_type=f"E{n}") for n in range(100)]
    sink.accept(effects)
    failed = next(f for f in aggregate.collect() if f.instrument is table.TASK_FAILED)
    assert len(failed.points) == 11
    assert sum(point.value for point in failed.points) == 100
