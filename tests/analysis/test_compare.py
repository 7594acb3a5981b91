"""Two reports side by side: what is clear, and what may be chance."""

import msgspec
import pytest

from stream.analysis.compare import Comparison, compare, wilson
from tests.analysis.watching import Watching
from tests.builders import Process, producer

NAMES = ("a", "b")


def report_of(tasks, *, run=1.0, failures=0, error="ValueError", waiting=0):
    """As many tasks, the runs of which vary by a tenth."""
    watching, worker, web = Watching(), Process(), producer()
    for number in range(tasks):
        uuid, at = f"u{number}", number * 0.01
        watching.feed(web.sent(uuid, at), worker.received(uuid, at), worker.started(uuid, at))
        seconds = run * (0.9 + 0.2 * (number % 10) / 9)
        if number < failures:
            watching.feed(worker.failed(uuid, at + seconds, exception=f"{error}('x')"))
        else:
            watching.feed(worker.succeeded(uuid, at + seconds, runtime=seconds))
    watching.feed(*(web.sent(f"w{number}", 3.0) for number in range(waiting))).tick(4.0)
    return watching.report()


def test_the_same_report_twice_is_not_different():
    report = report_of(200, failures=20)
    found = compare(report, report, names=NAMES)
    assert not any(each.is_clear for each in (*found.rates, *found.shifts))
    assert (found.new_failures, found.gone_failures, found.grown_queues) == ((), (), ())


def test_runs_that_take_twice_as_long_are_clear():
    found = compare(report_of(200), report_of(200, run=2.0), names=NAMES)
    shift = next(each for each in found.shifts if each.what == "run p50")
    assert shift.is_clear
    assert shift.low <= shift.ratio <= shift.high
    assert shift.ratio == pytest.approx(2.0, rel=0.03)


def test_with_few_runs_nothing_is_clear():
    found = compare(report_of(5), report_of(5, run=2.0), names=NAMES)
    assert not any(shift.is_clear for shift in found.shifts)


def test_a_rate_that_rose_is_clear_and_one_failure_is_not():
    found = compare(report_of(200, failures=2), report_of(200, failures=60), names=NAMES)
    (rose,) = (each for each in found.rates if each.what == "FAILURE")
    found = compare(report_of(200, failures=0), report_of(200, failures=1), names=NAMES)
    (one,) = (each for each in found.rates if each.what == "FAILURE")
    assert (rose.is_clear, one.is_clear) == (True, False)


def test_exceptions_are_new_by_class_and_task():
    before, after = report_of(10, failures=3), report_of(10, failures=3, error="KeyError")
    found = compare(before, after, names=NAMES)
    assert [each.error_type for each in found.new_failures] == ["KeyError"]
    assert [each.error_type for each in found.gone_failures] == ["ValueError"]


def test_a_queue_that_grew_is_told():
    found = compare(report_of(10, waiting=1), report_of(10, waiting=30), names=NAMES)
    (grown,) = found.grown_queues
    assert (grown.queue, grown.before, grown.after) == ("celery", 1, 30)


def test_a_comparison_is_the_same_each_time():
    one, two = report_of(50), report_of(60, run=1.3, failures=5)
    first, second = (msgspec.json.encode(compare(one, two, names=NAMES)) for _ in range(2))
    assert first == second


def test_a_comparison_is_json_and_back():
    found = compare(report_of(20), report_of(20), names=NAMES)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


@pytest.mark.parametrize(
    ("count", "total", "interval"),
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1.0))],
)
def test_the_interval_of_a_share_is_wilsons(count, total, interval):
    assert wilson(count, total) == pytest.approx(interval, abs=0.0001)
