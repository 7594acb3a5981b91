"""A measurement: everything that is made is worked on, and what it took is told."""

import pytest

from stream.bench.measure import Measurement
from stream.bench.outlets import Outlet
from stream.bench.receiver import receiver
from stream.bench.synthetic import Synthetic
from stream.bench.traffic import Kind, Traffic
from stream.errors import RefusedError, StreamError
from stream.occurrences import Signal
from stream.sources.capture import Capture
from tests.test_replay import CAPTURE

EVENTS = 6_000


def synthetic(kind=Kind.LIFECYCLE, events=EVENTS, **fields):
    return Synthetic(Traffic(kind=kind, **fields), events)


@pytest.mark.parametrize("outlet", [Outlet.NULL, Outlet.METRICS, Outlet.SPANS])
@pytest.mark.parametrize("kind", Kind)
def test_every_event_is_fed(kind, outlet):
    found = Measurement(synthetic(kind), outlet).run()
    assert (found.events, found.rejected) == (EVENTS, 0)
    assert found.lost_items == 0


def test_the_workload_has_one_name_whatever_becomes_of_it():
    names = {
        Measurement(synthetic(), outlet).run().workload
        for outlet in (Outlet.NULL, Outlet.METRICS, Outlet.SPANS)
    }
    assert len(names) == 1


def test_what_it_took_is_told():
    advanced = []
    reading = Measurement(synthetic(), Outlet.METRICS, advance=advanced.append).run().reading
    assert sum(advanced) == EVENTS
    assert 0 < reading.batch_p50 <= reading.batch_p99 <= reading.batch_max * 1.01
    assert reading.cpu > 0
    assert reading.batches >= EVENTS / 24 / 50
    assert reading.peak_bytes >= reading.began_bytes > 10_000_000
    assert 0 <= reading.longest_collection <= reading.collecting <= reading.cpu


def test_tasks_that_have_not_ended_are_in_flight():
    found = Measurement(synthetic(in_flight=500), Outlet.NULL).run()
    assert 250 < found.in_flight <= 500
    assert found.remembered > 500


def test_spans_are_made_for_each_sending_and_each_run():
    found = Measurement(synthetic(), Outlet.SPANS).run()
    ledger = found.ledgers[Signal.TRACES]
    assert ledger.accepted == ledger.sent
    assert EVENTS * 0.4 < ledger.sent < EVENTS * 0.6


def test_everything_that_is_sent_is_received():
    with receiver() as sent_to:
        source = synthetic(Kind.FAILURES)
        found = Measurement(source, Outlet.OTLP, endpoint=sent_to.endpoint).run()
        received = sent_to.received()
    assert found.lost_items == 0
    assert received.spans == found.ledgers[Signal.TRACES].sent > EVENTS * 0.4
    assert received.log_records == found.ledgers[Signal.LOGS].sent > 100


def test_a_receiver_that_is_gone_is_not_waited_for():
    endpoint = nobody_listens()
    with pytest.raises(StreamError, match="does not take"):
        Measurement(synthetic(), Outlet.OTLP, endpoint=endpoint, patience=0.3).run()


def nobody_listens():
    with receiver() as gone:
        return gone.endpoint


def test_a_capture_is_measured_like_traffic():
    found = Measurement(Capture([str(CAPTURE)], tell=lambda _: None), Outlet.METRICS).run()
    assert found.events == 279


def test_a_file_that_is_no_capture_is_refused(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(RefusedError, match="is empty"):
        Measurement(Capture([str(tmp_path / "empty")], tell=lambda _: None), Outlet.NULL).run()
