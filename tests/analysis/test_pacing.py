"""How fast a replay goes."""

import pytest

from stream.analysis.pacing import Pacing


@pytest.mark.parametrize(("speed", "delay"), [(None, 0.0), (1.0, 60.0), (10.0, 6.0)])
def test_what_arrived_later_waits_by_the_speed(speed, delay):
    pacing = Pacing(speed)
    pacing.delay(1_000.0, 5.0)
    assert pacing.delay(1_060.0, 5.0) == delay


def test_the_time_that_has_passed_is_not_waited_again():
    pacing = Pacing(1.0)
    pacing.delay(1_000.0, 5.0)
    assert pacing.delay(1_060.0, 45.0) == 20.0


def test_what_is_late_does_not_wait():
    pacing = Pacing(1.0)
    pacing.delay(1_000.0, 5.0)
    assert pacing.delay(1_001.0, 50.0) == 0.0
