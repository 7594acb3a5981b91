"""A lane knows its clock's distance from ours, and how many executions were not seen."""

import pytest

from stream.core.lanes import MUTE_AFTER, SKEW_WINDOW, Lane
from tests.builders import T0, Process


@pytest.fixture
def lane():
    return Lane("w1@host", 100)


@pytest.fixture
def worker():
    return Process()


def hear(lane, *arrivals):
    """Events that arrive at an instant, after a delay."""
    for at, delay in arrivals:
        lane.hear(T0 + at - delay, T0 + at)


def beat(lane, *heartbeats):
    """The newly unseen executions of each heartbeat."""
    return [lane.beat(each, each.timestamp) for each in heartbeats]


def start(lane, *events):
    for event in events:
        lane.count_start(event.clock)


# -- skew ----------------------------------------------------------------------------------------


def test_the_skew_of_a_lane_that_was_never_heard_is_unknown(lane):
    assert lane.skew is None


def test_the_quickest_arrival_is_the_offset(lane):
    hear(lane, (0, 0.5), (1, 0.25), (2, 4.0))
    assert (lane.offset, lane.skew) == (0.25, -0.25)


@pytest.mark.parametrize(("delay", "offset"), [(0.0, 0.0), (0.04, 0.0), (0.06, 0.06)])
def test_a_delay_that_may_be_the_way_here_is_no_sign_of_a_clock_that_is_behind(lane, delay, offset):
    hear(lane, (0.0, delay))
    assert lane.offset == pytest.approx(offset, abs=1e-6)


def test_a_clock_that_is_ahead_arrives_before_it_was_sent(lane):
    hear(lane, (0, -90.0), (1, -89.5))
    assert lane.skew == 90.0


def test_the_quickest_of_the_window_before_still_counts(lane):
    hear(lane, (0, 0.25), (SKEW_WINDOW, 1.0))
    assert lane.offset == 0.25


def test_after_two_windows_a_quicker_past_is_forgotten(lane):
    hear(lane, (0, 0.25), (SKEW_WINDOW, 1.0), (2 * SKEW_WINDOW, 2.0))
    assert lane.offset == 1.0


def test_a_clock_that_was_set_is_followed(lane):
    hear(lane, *((at, -90.0) for at in range(0, 60, 2)))
    hear(lane, *((at, 0.5) for at in range(60, 182, 2)))
    assert lane.skew == -0.5


# -- executions ----------------------------------------------------------------------------------


def test_the_first_heartbeat_is_what_is_counted_from(lane, worker):
    start(lane, worker.started(at=1))
    assert beat(lane, worker.heartbeat(at=2, processed=500)) == [0]
    assert lane.coverage is None


def test_a_heartbeat_is_compared_when_the_next_one_comes(lane, worker):
    first, start_seen = worker.heartbeat(), worker.started(at=1)
    second, third = (worker.heartbeat(at=at, processed=3) for at in (2, 4))
    assert beat(lane, first) == [0]
    start(lane, start_seen)
    assert beat(lane, second, third) == [0, 2]
    assert lane.coverage == pytest.approx(1 / 3)


def test_starts_that_trail_their_heartbeat_are_seen_all_the_same(lane, worker):
    first, trailing = worker.heartbeat(), worker.started(at=1)
    second, third = (worker.heartbeat(at=at, processed=1) for at in (2, 4))
    beat(lane, first, second)
    start(lane, trailing)
    assert beat(lane, third) == [0]
    assert lane.coverage == 1.0


def test_starts_after_a_heartbeat_do_not_stand_in_for_missing_ones_before_it(lane, worker):
    first, second = worker.heartbeat(), worker.heartbeat(at=2, processed=1)
    later, third = worker.started(at=3), worker.heartbeat(at=4, processed=2)
    beat(lane, first, second)
    start(lane, later)
    assert beat(lane, third) == [1]


def test_what_was_missed_is_told_once(lane, worker):
    heartbeats = [worker.heartbeat(), *(worker.heartbeat(at=at, processed=2) for at in (2, 4, 6))]
    assert beat(lane, *heartbeats) == [0, 0, 2, 0]


def test_starts_that_arrive_late_are_missed_no_longer(lane, worker):
    first, late = worker.heartbeat(), worker.started(at=1)
    beats = [worker.heartbeat(at=at, processed=1) for at in (2, 4, 6)]
    assert beat(lane, first, *beats[:2]) == [0, 0, 1]
    start(lane, late)
    assert beat(lane, beats[2]) == [0]
    assert (lane.unseen, lane.coverage) == (0, 1.0)


def test_a_silent_worker_can_be_measured_without_another_heartbeat(lane, worker):
    beat(lane, worker.heartbeat(), worker.heartbeat(at=2, processed=2))
    assert lane.measure() == 2
    assert lane.measure() == 0


def test_executions_before_the_first_heartbeat_are_no_part_of_the_coverage(lane, worker):
    first, seen = worker.heartbeat(processed=500), worker.started(at=1)
    steps = [worker.heartbeat(at=at, processed=502) for at in (2, 4)]
    beat(lane, first)
    start(lane, seen)
    assert beat(lane, *steps) == [0, 1]
    assert lane.coverage == 0.5


def test_one_heartbeat_is_nothing_to_measure(lane, worker):
    beat(lane, worker.heartbeat(processed=5))
    assert (lane.measure(), lane.coverage) == (0, None)


def test_every_start_that_is_seen_is_counted(lane, worker):
    start(lane, worker.started("a"))
    beat(lane, worker.heartbeat(at=1))
    start(lane, worker.started("b", at=2))
    assert lane.starts_seen == 2


@pytest.mark.parametrize("missing", ["active", "processed"])
def test_a_heartbeat_with_half_of_its_numbers_has_none(lane, worker, missing):
    beat(lane, worker.heartbeat(active=1, processed=7))
    beat(lane, worker.heartbeat(at=1, **{"active": 2, "processed": 8, missing: None}))
    assert (lane.active, lane.processed) == (1, 7)


def test_the_answer_to_a_broadcast_has_no_numbers_and_changes_none(lane, worker):
    beat(lane, worker.heartbeat(active=1, processed=7))
    bare = worker.heartbeat(at=1, active=None, processed=None, freq=5.0)
    assert beat(lane, bare) == [0]
    assert (lane.active, lane.processed, lane.freq, lane.beat_at) == (1, 7, 5.0, T0 + 1)


def test_a_heartbeat_without_an_interval_or_version_keeps_those_before(lane, worker):
    beat(lane, worker.online(freq=3.0, sw_ver="5.7.0"), worker.heartbeat(at=1, freq=None))
    assert (lane.freq, lane.version) == (3.0, "5.7.0")


@pytest.mark.parametrize(("processed", "mute"), [(MUTE_AFTER - 1, False), (MUTE_AFTER, True)])
def test_a_worker_of_whose_executions_no_start_is_seen_is_mute(lane, worker, processed, mute):
    beat(lane, worker.online(), *(worker.heartbeat(at=at, processed=processed) for at in (2, 4)))
    assert lane.is_mute is mute


def test_a_worker_that_ever_told_a_start_is_not_mute(lane, worker):
    start(lane, worker.started())
    beat(lane, worker.online(at=1), *(worker.heartbeat(at=at, processed=50) for at in (2, 4)))
    assert not lane.is_mute


# -- work ----------------------------------------------------------------------------------------


def test_idle_heartbeats_are_counted_in_a_row(lane, worker):
    found = []
    for at, active in enumerate((0, 0, 1, 0)):
        beat(lane, worker.heartbeat(at=at, active=active))
        found.append(lane.idle_beats)
    assert found == [1, 2, 0, 1]


def test_less_work_than_we_think_is_noted_from_when_it_began(lane, worker):
    lane.running.update({"a": 1, "b": 1})
    found = []
    for at, active in enumerate((2, 1, 1, 2, 1)):
        beat(lane, worker.heartbeat(at=at, active=active))
        found.append(lane.excess_since)
    assert found == [None, T0 + 1, T0 + 1, None, T0 + 4]


def test_lanes_do_not_share_what_they_run():
    one, other = Lane("a", 1), Lane("b", 2)
    one.running["u"] = 1
    assert other.running == {}
