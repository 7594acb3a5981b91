"""The table of all metrics."""

from stream.export.buffer import Ledger
from stream.sinks.instruments import ATTEMPT_BOUNDS, RUN_BOUNDS, TABLE, TASK_DURATION, Type


def test_no_name_is_there_twice():
    names = [instrument.name for instrument in TABLE]
    assert sorted(set(names)) == sorted(names)


def test_the_names_of_the_article_are_there():
    names = {instrument.name for instrument in TABLE}
    assert names >= {
        "celery.task.started",
        "celery.task.attempts",
        "celery.task.completed",
        "celery.task.failed",
        "celery.task.retries",
        "celery.task.duration",
        "celery.queue.depth",
        "celery.workers.active",
    }


def test_no_attribute_comes_from_an_open_set():
    attributes = {name for instrument in TABLE for name in instrument.attributes}
    assert attributes.isdisjoint({"uuid", "task_id", "hostname", "pid", "args", "exception"})


def test_only_worker_metrics_have_the_worker():
    with_worker = [i.name for i in TABLE if "worker" in i.attributes]
    assert all(name.startswith("celery.worker.") for name in with_worker)


def test_only_histograms_have_bounds_and_they_rise():
    for instrument in TABLE:
        assert bool(instrument.bounds) == (instrument.type is Type.HISTOGRAM)
        assert list(instrument.bounds) == sorted(set(instrument.bounds))


def test_the_article_s_duration_is_in_milliseconds():
    assert (TASK_DURATION.unit, TASK_DURATION.bounds[0]) == ("ms", 5.0)
    assert TASK_DURATION.bounds[-1] == RUN_BOUNDS[-1] * 1000.0


def test_attempts_are_counted_in_few_buckets():
    assert ATTEMPT_BOUNDS == (1, 2, 3, 5, 10, 20)


# Name: kind, unit and attributes, as dashboards and alerts rely on them.
MESSAGING = (
    *("messaging.system", "messaging.destination.name"),
    *("messaging.operation.name", "celery.task.name"),
)
RELIED_ON = {
    "messaging.process.duration": ("histogram", "s", (*MESSAGING, "error.type")),
    "messaging.client.sent.messages": ("counter", "{message}", MESSAGING),
    "messaging.client.consumed.messages": ("counter", "{message}", MESSAGING),
    "celery.task.started": ("counter", "{task}", ("task", "queue")),
    "celery.task.attempts": ("counter", "{attempt}", ("task", "queue")),
    "celery.task.completed": ("counter", "{task}", ("task", "queue")),
    "celery.task.finished": ("counter", "{task}", ("task", "queue", "state")),
    "celery.task.failed": ("counter", "{task}", ("task", "queue", "error_type")),
    "celery.task.retries": ("counter", "{retry}", ("task", "queue", "error_type")),
    "celery.task.revoked": ("counter", "{task}", ("task", "queue", "reason")),
    "celery.task.rejected": ("counter", "{message}", ("task", "queue", "reason")),
    "celery.task.lost": ("counter", "{task}", ("task", "queue", "reason")),
    "celery.task.unknown": ("counter", "{task}", ("task", "queue", "reason")),
    "celery.task.redelivered": ("counter", "{message}", ("task", "queue")),
    "celery.task.duration": ("histogram", "ms", ("task", "queue", "state")),
    "celery.task.wait_time": ("histogram", "s", ("task", "queue")),
    "celery.task.prefetch_time": ("histogram", "s", ("task", "queue")),
    "celery.task.total_time": ("histogram", "s", ("task", "queue")),
    "celery.task.attempts_per_task": ("histogram", "{attempt}", ("task", "state")),
    "celery.task.active": ("gauge", "{task}", ("task", "queue", "state")),
    "celery.task.oldest.age": ("gauge", "s", ("task", "queue", "state")),
    "celery.task.stuck": ("gauge", "{task}", ("task", "queue", "state")),
    "celery.queue.depth": ("gauge", "{message}", ("queue",)),
    "celery.queue.size": ("gauge", "{message}", ("queue", "state")),
    "celery.queue.oldest.age": ("gauge", "s", ("queue",)),
    "celery.queue.drain_time": ("gauge", "s", ("queue",)),
    "celery.workers.active": ("gauge", "{worker}", ()),
    "celery.worker.up": ("gauge", "{worker}", ("worker",)),
    "celery.worker.active": ("gauge", "{task}", ("worker",)),
    "celery.worker.processed": ("gauge", "{task}", ("worker",)),
    "celery.worker.event.coverage": ("gauge", "1", ("worker",)),
    "celery.worker.clock.skew": ("gauge", "s", ("worker",)),
}


def test_what_dashboards_rely_on_does_not_change():
    found = {i.name: (i.type.value, i.unit, i.attributes) for i in TABLE if i.name in RELIED_ON}
    assert found == RELIED_ON


def test_every_signal_s_ledger_is_on_the_page():
    names = {i.name.rpartition(".")[2] for i in TABLE if i.name.startswith("stream.export.")}
    assert names >= set(Ledger.__struct_fields__)
