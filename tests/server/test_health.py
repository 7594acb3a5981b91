"""The four checks."""

import msgspec
import pytest

from stream.core.states import WorkerState
from stream.core.view import BrokerGauge, View, WorkerGauge
from stream.server.health import (
    ExportStatus,
    Limits,
    SourceStatus,
    Status,
    health,
    is_stale,
    of_all,
)

NOW = 1000.0
SUBSCRIBED = SourceStatus("redis", connected=True, epoch=1)
WELL = Status((SUBSCRIBED,))


def view(*, worker=WorkerState.ONLINE, last_event_at=NOW - 1.0, sampled_at=NOW - 2.0):
    gauge = WorkerGauge("w1@host", 1, worker, 0, 0, None, None, NOW, None)
    broker = BrokerGauge("redis", 1, 0.0, NOW, None, None, sampled_at)
    return View(NOW, (), (gauge,), (), (broker,), 0, 0, last_event_at)


def judge(given, status=WELL):
    return health(given, status, now=NOW)


def test_all_is_well():
    answer = judge(view())
    assert answer.ok
    assert msgspec.to_builtins(answer)["checks"] == {
        "broker": True,
        "worker": True,
        "events": True,
        "export": True,
    }


def test_a_lost_source_is_unhealthy_and_says_why():
    lost = SourceStatus("redis", connected=False, epoch=1, last_error="connection refused")
    answer = judge(view(), Status((lost,)))
    assert (answer.status, answer.checks.broker) == ("unhealthy", False)
    assert answer.details.broker == "redis: connection refused"


def test_every_source_must_be_subscribed():
    other = SourceStatus("second", connected=False)
    answer = judge(view(), Status((SUBSCRIBED, other)))
    assert not answer.checks.broker
    assert answer.details.broker == "second: not connected yet"


def test_no_source_is_no_broker():
    assert not judge(view(), Status(())).checks.broker


@pytest.mark.parametrize("sampled_at", [None, NOW - 31.0])
def test_queue_keys_must_have_been_read_lately(sampled_at):
    assert not judge(view(sampled_at=sampled_at)).checks.broker


def test_without_polling_a_subscription_is_enough():
    assert judge(view(sampled_at=None), Status((SUBSCRIBED,), polling=False)).checks.broker


@pytest.mark.parametrize("state", [WorkerState.ONLINE, WorkerState.SUSPECT])
def test_one_living_worker_is_enough(state):
    assert judge(view(worker=state)).checks.worker


@pytest.mark.parametrize("state", [WorkerState.LOST, WorkerState.OFFLINE])
def test_without_a_living_worker_it_is_unhealthy(state):
    answer = judge(view(worker=state))
    assert (answer.ok, answer.checks.worker) == (False, False)
    assert answer.details.worker == f"1 {state}"


@pytest.mark.parametrize("last_event_at", [None, NOW - 61.0])
def test_without_a_recent_event_it_is_unhealthy(last_event_at):
    answer = judge(view(last_event_at=last_event_at))
    assert (answer.ok, answer.checks.events) == (False, False)


def test_an_event_on_the_limit_is_recent():
    assert judge(view(last_event_at=NOW - 60.0)).checks.events


def test_an_event_from_a_clock_that_is_ahead_is_recent():
    assert judge(view(last_event_at=NOW + 5.0)).details.events.startswith("last event 0.0 s")


def test_limits_can_be_set():
    limits = Limits(event_age=0.5)
    assert not health(view(), WELL, now=NOW, limits=limits).checks.events


def test_a_failing_export_is_shown_and_is_no_reason_to_restart():
    failing = ExportStatus(
        "traces", ok=False, circuit="open", retry_in=12.3, last_error="HTTP 503", spooled=1200
    )
    answer = judge(view(), Status((SUBSCRIBED,), (ExportStatus("logs"), failing)))
    assert (answer.ok, answer.checks.export) == (True, False)
    assert answer.details.export == "traces: HTTP 503, next try in 12 s, 1200 on disk"
    assert [each["circuit"] for each in msgspec.to_builtins(answer)["delivery"]] == [
        "closed",
        "open",
    ]


def test_a_receiver_that_takes_everything_is_said():
    answer = judge(view(), Status((SUBSCRIBED,), (ExportStatus("logs", last_error="once"),)))
    assert (answer.checks.export, answer.details.export) == (True, "sending")


def test_no_endpoint_is_no_failing_export():
    answer = judge(view(), Status((SUBSCRIBED,)))
    assert (answer.checks.export, answer.details.export) == (True, "no endpoint is configured")


@pytest.mark.parametrize(
    ("worker", "last_event_at", "stale"),
    [
        (WorkerState.ONLINE, NOW - 59.0, False),
        (WorkerState.ONLINE, NOW - 61.0, True),
        (WorkerState.LOST, NOW - 1000.0, True),
        (WorkerState.OFFLINE, NOW - 1000.0, False),
        (WorkerState.ONLINE, None, False),
    ],
)
def test_events_are_stale_where_workers_should_send_some(worker, last_event_at, stale):
    assert is_stale(view(worker=worker, last_event_at=last_event_at), now=NOW) is stale


# -- several brokers -----------------------------------------------------------------------------

SENDING = (ExportStatus("traces"),)
LOST = Status((SourceStatus("mail events", connected=False, last_error="refused"),), SENDING)


def test_several_brokers_are_well_where_each_is():
    answer = of_all({"shop": judge(view()), "mail": judge(view())}, SENDING)
    assert answer.ok
    assert answer.details.worker == "shop: 1 online; mail: 1 online"


def test_one_broker_that_is_lost_leaves_the_others_well_and_says_which():
    both = {"shop": judge(view()), "mail": judge(view(), LOST)}
    answer = msgspec.to_builtins(of_all(both, SENDING))
    assert (answer["status"], answer["checks"]["broker"]) == ("unhealthy", False)
    assert answer["details"]["broker"].endswith("mail: mail events: refused")
    assert {name: each["status"] for name, each in answer["brokers"].items()} == {
        "shop": "healthy",
        "mail": "unhealthy",
    }


def test_the_delivery_is_told_once():
    answer = msgspec.to_builtins(of_all({"shop": judge(view(), LOST)}, SENDING))
    assert [each["name"] for each in answer["delivery"]] == ["traces"]
    assert "delivery" not in answer["brokers"]["shop"]


def test_a_broker_without_a_name_is_told_as_ever():
    assert "brokers" not in msgspec.to_builtins(judge(view()))
