"""A replay's memory depends on what is in flight, not on how long the capture is."""

import pytest

from benchmarks.capture_to_report import replay, write_capture
from stream.bench.traffic import Traffic

MOST_BYTES = 400_000_000
RATE = 250
"""Events a second: what is remembered for two minutes is 7,500 tasks, which both sizes exceed."""

IN_FLIGHT = 250
"""Tasks: so that each takes four seconds."""


@pytest.mark.timeout(600)
def test_several_times_the_events_take_the_same_memory(tmp_path, long_form):
    few, many = (100_000, 1_000_000) if long_form else (50_000, 150_000)
    took = []
    for events in (few, many):
        file = tmp_path / f"{events}.jsonl.zst"
        traffic = Traffic(rate=RATE, in_flight=IN_FLIGHT)
        write_capture(file, traffic, events, batch=24)
        took.append(replay(file).resident_bytes)
    assert max(took) < MOST_BYTES
    assert took[1] < 1.1 * took[0]
