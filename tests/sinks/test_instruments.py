"""The table of all metrics."""

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
