"""Counters and histograms."""

import pytest

from stream.sinks.aggregate import Aggregate, Distribution, Number
from stream.sinks.cells import Cells
from stream.sinks.instruments import (
    ATTEMPTS_PER_TASK,
    FRAMES_SHED,
    LABELS_OVERFLOW,
    SOURCE_GAP_TIME,
    TASK_STARTED,
    TASK_WAIT_TIME,
)
from stream.sinks.labels import MAX_LABEL_CHARS, label


@pytest.fixture
def aggregate():
    return Aggregate(started_at=100.0, limit=3)


def points(aggregate, instrument):
    return next((f.points for f in aggregate.collect() if f.instrument is instrument), ())


def values(aggregate, instrument):
    return {point.labels: point.value for point in points(aggregate, instrument)}


def test_a_counter_adds_up_by_labels(aggregate):
    counter = aggregate.counter(TASK_STARTED)
    counter.add(1, "a", "q")
    counter.add(2, "a", "q")
    counter.add(1, "b", "q")
    assert values(aggregate, TASK_STARTED) == {("a", "q"): 3, ("b", "q"): 1}


def test_a_counter_without_labels_begins_at_zero(aggregate):
    aggregate.counter(FRAMES_SHED)
    assert points(aggregate, FRAMES_SHED) == (Number((), 0),)


def test_a_counter_of_seconds_is_a_float_from_the_start(aggregate):
    aggregate.counter(SOURCE_GAP_TIME).add(0, "redis")
    assert isinstance(values(aggregate, SOURCE_GAP_TIME)["redis",], float)


def test_values_are_counted_in_the_bucket_whose_bound_includes_them(aggregate):
    histogram = aggregate.histogram(ATTEMPTS_PER_TASK)
    for attempts in (1, 2, 3, 4, 21):
        histogram.record(attempts, "a", "SUCCESS")
    assert points(aggregate, ATTEMPTS_PER_TASK) == (
        Distribution(("a", "SUCCESS"), (1, 1, 1, 1, 0, 0, 1), 31.0, 5),
    )


def test_a_histogram_without_values_has_no_series(aggregate):
    aggregate.histogram(TASK_WAIT_TIME).cell("a", "q")
    assert points(aggregate, TASK_WAIT_TIME) == ()


def test_the_same_labels_are_the_same_cell(aggregate):
    assert aggregate.counter(TASK_STARTED).cell("a", "q") is aggregate.counter(TASK_STARTED).cell(
        "a", "q"
    )


def test_labels_beyond_the_limit_are_counted_as_other(aggregate):
    counter = aggregate.counter(TASK_STARTED)
    for name in "abcde":
        counter.add(1, name, "q")
    counter.add(1, "a", "q")
    assert values(aggregate, TASK_STARTED) == {
        ("a", "q"): 2,
        ("b", "q"): 1,
        ("c", "q"): 1,
        ("other", "other"): 2,
    }
    assert values(aggregate, LABELS_OVERFLOW) == {("celery.task.started",): 2}


def test_the_overflow_of_a_histogram_keeps_its_values(aggregate):
    histogram = aggregate.histogram(TASK_WAIT_TIME)
    for name in "abcde":
        histogram.record(0.5, name, "q")
    other = points(aggregate, TASK_WAIT_TIME)[-1]
    assert (other.labels, other.count, other.sum) == (("other", "other"), 2, 1.0)
    assert values(aggregate, LABELS_OVERFLOW) == {("celery.task.wait_time",): 2}


def test_the_overflow_and_the_engine_s_own_other_are_one_series(aggregate):
    counter = aggregate.counter(TASK_STARTED)
    counter.add(5, "other", "other")
    for name in "abc":
        counter.add(1, name, "q")
    assert values(aggregate, TASK_STARTED)["other", "other"] == 6
    assert len(points(aggregate, TASK_STARTED)) == 3


def test_nothing_overflows_within_the_limit(aggregate):
    aggregate.counter(TASK_STARTED).add(1, "a", "q")
    assert points(aggregate, LABELS_OVERFLOW) == ()


def test_what_was_collected_does_not_change(aggregate):
    counter, histogram = aggregate.counter(TASK_STARTED), aggregate.histogram(TASK_WAIT_TIME)
    counter.add(1, "a", "q")
    histogram.record(0.5, "a", "q")
    before = points(aggregate, TASK_STARTED), points(aggregate, TASK_WAIT_TIME)
    kept = str(before)
    counter.add(1, "a", "q")
    histogram.record(0.5, "a", "q")
    assert str(before) == kept


def test_every_family_has_the_same_start(aggregate):
    aggregate.counter(TASK_STARTED).add(1, "a", "q")
    aggregate.histogram(TASK_WAIT_TIME).record(1.0, "a", "q")
    assert {family.started_at for family in aggregate.collect()} == {100.0}


def test_cells_never_exceed_their_limit_and_lose_nothing(aggregate):
    counter = aggregate.counter(TASK_STARTED)
    cells = Cells(lambda key: counter.cell(key, "q"), limit=2)
    for name in "abcabc":
        cells[name][0] += 1
        assert len(cells) <= 2
    assert values(aggregate, TASK_STARTED) == {("a", "q"): 2, ("b", "q"): 2, ("c", "q"): 2}


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_missing_label_is_unknown(nothing):
    assert label(nothing) == "unknown"


def test_a_label_can_always_be_encoded():
    assert label("caf\u00e9 \ud800").encode() == "caf\u00e9 ?".encode()


def test_a_label_is_not_longer_than_a_name():
    assert len(label("x" * 5000)) == MAX_LABEL_CHARS
