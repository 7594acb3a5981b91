"""Real traffic on the pages of others is what its events say, but for what is wrong in that."""

from collections import Counter

import pytest

from stream.channel import Channel, Overflow
from stream.core.engine import Engine
from stream.pipeline import Pipeline
from stream.sinks.compat import CompatSink
from stream.sinks.compat_families import celery_exporter, flower
from tests.sinks.test_compat import samples, view
from tests.sinks.test_records_of_captures import frames_of, ignore
from tests.test_captures import CAPTURES, lines_of

TYPES = {
    *("task-received", "task-started", "task-succeeded", "task-failed"),
    *("task-retried", "task-revoked", "task-rejected"),
}
TWICE = {
    # Celery tells of a task that hits its hard time limit twice, and of one that drops itself that
    # it failed and that it was rejected: each is one end.
    "amqp-5.7.0-core-prefork": {"task-failed": 2, "task-rejected": 1},
    "redis-5.7.0-core-prefork": {"task-failed": 2, "task-rejected": 1},
    "redis-5.7.0-core-solo": {"task-rejected": 1},
}
READABLE = [name for name in CAPTURES if "pickle" not in name]


def counted(name):
    sink = CompatSink(counting=True)
    channel = Channel(1, Overflow.WAIT, tell=ignore)
    Pipeline(Engine(), [sink], channel=channel, tell=ignore).process(frames_of(name))
    return sink.read(view())


def events_of(name):
    """(worker, type): how many different events the capture has."""
    told = {
        (event["hostname"], event.get("pid"), event.get("clock"), event["type"], event["uuid"])
        for event in lines_of(name, "events")
        if event.get("type") in TYPES
    }
    return Counter((hostname, kind) for hostname, _, _, kind, _ in told)


def summed(page, metric, *labels):
    """The samples of a metric, summed over all labels but these."""
    sums = Counter()
    for (name, pairs), value in page.items():
        if name == metric and value:
            sums[tuple(dict(pairs)[label] for label in labels)] += value
    return sums


@pytest.mark.parametrize("name", READABLE)
def test_flowers_events_are_the_events_of_the_capture(name):
    page = samples(flower(counted(name), view(), {}, started_at=0.0))
    ours = summed(page, "flower_events_total", "worker", "type")
    expected = events_of(name)
    expected.subtract({("w1@cap", kind): count for kind, count in TWICE.get(name, {}).items()})
    assert {key: n for key, n in ours.items() if key[1] != "task-sent"} == +expected


@pytest.mark.parametrize("name", READABLE)
def test_celery_exporters_counts_are_those_events_too(name):
    page = samples(celery_exporter(counted(name), view(), started_at=0.0))
    expected = Counter()
    for (_, kind), count in events_of(name).items():
        expected[kind] += count
    expected.subtract(TWICE.get(name, {}))
    for kind in TYPES:
        metric = f"celery_task_{kind.removeprefix('task-')}_total"
        assert summed(page, metric)[()] == expected[kind], metric
    succeeded = expected["task-succeeded"]
    assert summed(page, "celery_task_runtime_count")[()] == succeeded


def test_exceptions_are_classes_and_never_what_they_say():
    page = samples(celery_exporter(counted("redis-5.7.0-core-prefork"), view(), started_at=0.0))
    classes = {
        exception
        for (exception,) in summed(page, "celery_task_failed_total", "exception")
        if exception
    }
    assert "TimeLimitExceeded" in classes  # not ExceptionWithTraceback
    assert all(name.replace(".", "").isidentifier() for name in classes), classes
