"""The pages of celery-exporter and flower, of what happened and of what the tables hold."""

from msgspec import structs
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as read_text

from stream.core.effects import Received, Started
from stream.core.engine import Engine
from stream.core.kinds import Kind
from stream.core.states import State, WorkerState
from stream.core.view import QueueGauge, View, WorkerGauge
from stream.server.exposition import openmetrics, text
from stream.sinks.by_broker import merged
from stream.sinks.compat import FORGET_AFTER, MAX_EXCEPTIONS, CompatSink
from stream.sinks.compat_families import GOODBYE_SHOWN, celery_exporter, flower
from stream.sinks.compat_table import ROWS, Compat
from tests.builders import Process
from tests.sinks.counted import PAY, attempt, sent

AT = 10_000.0


def ended(state=State.SUCCESS, *, hostname="w@box", kind=PAY, **fields):
    return attempt(kind, state, hostname=hostname, **fields)


def worker(hostname, state=WorkerState.ONLINE, *, active=0, seen=AT, pid=1):
    return WorkerGauge(hostname, pid, state, active, 9, None, None, seen, "5.7.0")


def view(*workers, queues=(), at=AT):
    return View(at, (), workers, queues, (), 0, 0, at)


def sink_of(*effects, **options):
    sink = CompatSink(counting=True, **options)
    sink.accept(effects)
    return sink


def samples(families):
    """{(sample name, the rest of its labels sorted): value} of a page."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_text(text(families).decode())
        for sample in family.samples
    }


def exporter(sink, seen=None):
    return samples(celery_exporter(sink.read(seen or view()), seen or view(), started_at=0.0))


def of_flower(sink, seen=None, prefetched=None):
    return samples(
        flower(sink.read(seen or view()), seen or view(), prefetched or {}, started_at=0.0)
    )


def place(**more):
    labels = {"hostname": "box", "name": "shop.pay", "queue_name": "payments"} | more
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def test_each_event_counts_where_it_happened_under_the_names_of_celery_exporter():
    found = exporter(
        sink_of(
            sent(),
            Received(PAY, redelivered=False, hostname="w@box"),
            Started(PAY, 2.0, 1.0, hostname="w@box"),
            ended(),
            ended(State.FAILURE, error_type="Declined"),
            ended(State.RETRY, error_type="Timeout"),
            ended(State.REVOKED),
            ended(State.REJECTED),
            ended(State.REQUEUED),
        )
    )
    counts = {name: value for (name, labels), value in found.items() if labels == place()}
    assert {name: counts[name] for name in counts if name.endswith("_total")} == {
        "celery_task_received_total": 1,
        "celery_task_started_total": 1,
        "celery_task_succeeded_total": 1,
        "celery_task_failed_total": 0,  # without an exception: so that there is a series at all
        "celery_task_retried_total": 1,
        "celery_task_revoked_total": 1,
        "celery_task_rejected_total": 2,
    }
    assert found["celery_task_failed_total", place(exception="Declined")] == 1
    assert found["celery_task_sent_total", place(hostname="generic")] == 1
    assert counts["celery_task_runtime_sum"] == 0.3
    assert counts["celery_task_queue_wait_time_count"] == 1
    assert found["celery_task_runtime_bucket", place(le="0.25")] == 0
    assert found["celery_task_runtime_bucket", place(le="0.5")] == 1


def test_nothing_is_counted_before_somebody_asks():
    sink = CompatSink()
    sink.accept([ended()])
    assert not sink.read(view()).tallies
    sink.accept([ended()])
    assert [tally.succeeded for _, _, tally in sink.read(view()).tallies] == [1]


def test_what_no_event_told_is_not_counted():
    assert not sink_of(ended(State.LOST, inferred=True)).read(view()).tallies


def test_workers_of_one_host_are_added_up_and_none_of_them_may_be_down():
    sink = sink_of(ended(hostname="a@box"), ended(hostname="b@box"))
    up, lost = worker("a@box", active=2), worker("b@box", WorkerState.LOST, active=5)
    found = exporter(sink, view(up, lost, worker("c@other", active=1)))
    assert found["celery_task_succeeded_total", place()] == 2
    assert found["celery_worker_up", (("hostname", "box"),)] == 0
    assert found["celery_worker_up", (("hostname", "other"),)] == 1
    assert found["celery_worker_tasks_active", (("hostname", "box"),)] == 2


def test_a_worker_that_said_goodbye_is_down_for_a_while_and_one_that_vanished_stays():
    gone = [
        worker("bye@a", WorkerState.OFFLINE, seen=AT - GOODBYE_SHOWN - 1),
        worker("just@b", WorkerState.OFFLINE, seen=AT - 1),
        worker("lost@c", WorkerState.LOST, seen=AT - 3_000),
    ]
    found = exporter(sink_of(), view(*gone))
    assert {labels[0][1]: up for (name, labels), up in found.items() if name.endswith("_up")} == {
        "b": 0,
        "c": 0,
    }


def test_a_worker_that_came_back_under_its_name_is_up():
    found = exporter(
        sink_of(), view(worker("w@a", WorkerState.LOST, seen=1.0), worker("w@a", pid=2))
    )
    assert found["celery_worker_up", (("hostname", "a"),)] == 1


def test_a_queue_has_the_messages_of_all_its_priorities_and_those_who_take_from_it():
    sink = sink_of(
        Received(PAY, redelivered=False, hostname="a@box"),
        Received(PAY, redelivered=False, hostname="gone@box"),
    )
    queues = (
        QueueGauge("redis", "payments", {0: 2, 3: 40}, None, None),
        QueueGauge("redis", "idle", {}, None, None),
    )
    seen = view(worker("a@box", active=3), worker("gone@box", WorkerState.LOST), queues=queues)
    sink.read(seen)
    sink.read(view(worker("a@box", active=1)))
    found = exporter(sink, seen)
    of = {labels[0][1]: {} for (_, labels) in found if labels[0][0] == "queue_name"}
    for (name, labels), value in found.items():
        if labels[0][0] == "queue_name":
            of[labels[0][1]][name.removeprefix("celery_")] = value
    assert of["payments"] == {
        "queue_length": 42,
        "active_worker_count": 1,
        "active_consumer_count": 1,
        "active_process_count": 3,
    }
    assert set(of["idle"].values()) == {0}


def test_workers_that_were_asked_are_counted_by_what_they_said():
    sink = sink_of(Received(PAY, redelivered=False, hostname="a@box"))
    asked = worker("b@box", active=1)
    asked = structs.replace(asked, pool=8, queues=("payments", "idle"))
    found = exporter(sink, view(worker("a@box", active=3), asked))
    of = {
        (name.removeprefix("celery_active_"), dict(labels)["queue_name"]): value
        for (name, labels), value in found.items()
        if name.startswith("celery_active_")
    }
    assert (of["worker_count", "payments"], of["worker_count", "idle"]) == (2, 1)
    assert of["process_count", "idle"] == 8


def test_flower_counts_events_and_only_those_that_came():
    found = of_flower(
        sink_of(
            sent(),
            Received(PAY, redelivered=False, hostname="w@box"),
            Started(PAY, 2.0, 1.5, hostname="w@box"),
        ),
        view(worker("w@box", active=1)),
        {("w@box", "shop.pay"): 4},
    )
    task = (("task", "shop.pay"),)
    own = (*task, ("worker", "w@box"))
    events = {
        dict(labels)["type"]: value
        for (name, labels), value in found.items()
        if name == "flower_events_total"
    }
    assert events == {"task-sent": 1, "task-received": 1, "task-started": 1}
    assert found["flower_task_prefetch_time_seconds", own] == 1.5
    assert found["flower_worker_prefetched_tasks", own] == 4
    assert found["flower_worker_online", (("worker", "w@box"),)] == 1
    assert found["flower_worker_number_of_currently_executing_tasks", (("worker", "w@box"),)] == 1


def test_the_prefetch_time_is_0_once_a_task_has_ended():
    found = of_flower(sink_of(Started(PAY, None, 1.5, hostname="w@box"), ended()))
    own = (("task", "shop.pay"), ("worker", "w@box"))
    assert found["flower_task_prefetch_time_seconds", own] == 0
    assert found["flower_task_runtime_seconds_count", own] == 1


def test_prefetched_tasks_are_read_from_the_tables():
    engine = Engine()
    main = Process("w@box")
    engine.feed([main.online(), main.received("1", name="t"), main.received("2", name="t")], 1.0)
    assert dict(engine.prefetched()) == {("w@box", "t"): 2}
    engine.feed([main.started("1")], 2.0)
    assert dict(engine.prefetched()) == {("w@box", "t"): 1}


def test_beyond_the_limit_of_workers_the_sums_over_them_stay_right():
    overflows = []
    effects = [ended(hostname=f"w@pod-{number}") for number in range(5)]
    sink = sink_of(*effects, limit=2, overflowed=lambda: overflows.append(1))
    found = exporter(sink)
    by_host = {
        dict(labels)["hostname"]: value
        for (name, labels), value in found.items()
        if name == "celery_task_succeeded_total"
    }
    assert by_host == {"pod-0": 1, "pod-1": 1, "other": 3}
    assert len(overflows) == 3


def test_exceptions_are_a_bounded_set():
    many = [ended(State.FAILURE, error_type=f"E{number}") for number in range(MAX_EXCEPTIONS + 7)]
    found = exporter(sink_of(*many, ended(State.FAILURE)))
    failed = {
        dict(labels).get("exception", ""): value
        for (name, labels), value in found.items()
        if name == "celery_task_failed_total"
    }
    assert len(failed) == MAX_EXCEPTIONS + 2  # those, none, and other
    assert failed["other"] == 8
    unnamed = exporter(sink_of(ended(State.FAILURE)))
    assert unnamed["celery_task_failed_total", place(exception="UnknownException")] == 1


def test_a_worker_that_is_long_gone_is_dropped_and_one_that_still_works_is_not():
    sink = sink_of(ended(hostname="old@box"), ended(hostname="new@box"))

    def workers(*known, at):
        return {hostname for _, hostname, _ in sink.read(view(*known, at=at)).tallies}

    new = worker("new@box")
    assert workers(new, at=AT) == {"old@box", "new@box"}
    assert workers(new, at=AT + FORGET_AFTER - 1) == {"old@box", "new@box"}
    sink.accept([ended(hostname="old@box")])  # unknown as a worker, and there
    assert workers(at=AT + FORGET_AFTER + 1) == {"old@box", "new@box"}
    assert workers(at=AT + 3 * FORGET_AFTER) == set()


def test_what_was_read_does_not_change_any_more():
    sink = sink_of(ended(), Started(PAY, 1.0, 1.0, hostname="w@box"))
    counted = sink.read(view())
    before = samples(celery_exporter(counted, view(), started_at=0.0))
    sink.accept([sent(), ended(), ended(State.FAILURE), Started(PAY, 1.0, 1.0, hostname="w@box")])
    assert samples(celery_exporter(counted, view(), started_at=0.0)) == before


def test_what_is_not_known_has_a_label_that_says_so():
    nothing = Kind(None, None)
    found = exporter(sink_of(ended(hostname=None, kind=nothing)))
    assert found[
        "celery_task_succeeded_total",
        (("hostname", "unknown"), ("name", "unknown"), ("queue_name", "unknown")),
    ]


def test_both_pages_are_one_valid_page_in_either_format():
    sink = sink_of(ended(), Started(PAY, 2.0, 1.0, hostname="w@box"))
    seen = view(worker("w@box"), queues=(QueueGauge("redis", "q", {0: 1}, None, None),))
    families = (
        *celery_exporter(sink.read(seen), seen, started_at=0.0),
        *flower(sink.read(seen), seen, {("w@box", "t"): 1}, started_at=0.0),
    )
    sink.accept([sent()])
    read = list(text_string_to_metric_families(openmetrics(families).decode()))
    assert len(read) == len(families)


def test_of_several_brokers_each_series_says_which():
    one, two = sink_of(ended()), sink_of(ended(), ended())
    found = merged(
        (),
        {
            "a": celery_exporter(one.read(view()), view(), started_at=0.0),
            "b": celery_exporter(two.read(view()), view(), started_at=0.0),
        },
    )
    told = samples(found)
    assert told["celery_task_succeeded_total", place(broker="a")] == 1
    assert told["celery_task_succeeded_total", place(broker="b")] == 2


def test_every_metric_of_theirs_is_on_its_page():
    sink = sink_of(
        sent(), Received(PAY, redelivered=False, hostname="w@box"), Started(PAY, 1.0, 1.0), ended()
    )
    seen = view(worker("w@box"), queues=(QueueGauge("redis", "q", {0: 1}, None, None),))
    told = {
        Compat.CELERY_EXPORTER: celery_exporter(sink.read(seen), seen, started_at=0.0),
        Compat.FLOWER: flower(sink.read(seen), seen, {}, started_at=0.0),
    }
    assert {whose: {f.instrument for f in families} for whose, families in told.items()} == {
        whose: {row.instrument for row in ROWS if row.whose is whose} for whose in Compat
    }
