"""The service counts what it tells about itself."""

import typing

from stream.events import Reason
from stream.export.buffer import Ledger
from stream.export.circuit import Health, State
from stream.export.store import SpoolStatistics
from stream.occurrences import (
    CaptureFailed,
    CaptureOpened,
    Drop,
    EventsDecoded,
    EventsRejected,
    Exported,
    ExportFailed,
    FramesReceived,
    FramesShed,
    FramesUnrecorded,
    ItemsDropped,
    ItemsRecovered,
    ItemsSpooled,
    LoopDelayed,
    Occurrence,
    PositionFailed,
    QueuesPolled,
    RecordsLost,
    Signal,
    SourceLost,
    SourceOpened,
    SpoolFailed,
    Unrecorded,
)
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate
from stream.sinks.spans import Left, SpanStatistics
from stream.sinks.telemetry import (
    IntakeTelemetry,
    SelfTelemetry,
    circuits,
    ledgers,
    sampling,
    spools,
)

EVERY = (
    FramesReceived("redis", 10),
    FramesShed(2),
    EventsDecoded(7),
    RecordsLost(2),
    EventsRejected(Reason.MALFORMED, 1),
    SourceOpened("redis", 1),
    SourceLost("redis", "gone", 1.0),
    QueuesPolled("redis", 0.002, 1),
    Exported(Signal.TRACES, 5, 1),
    ExportFailed(Signal.LOGS, 5, "503", 1.0),
    ItemsDropped(Signal.LOGS, Drop.OVERFLOW, 3),
    ItemsSpooled(Signal.LOGS, 3),
    ItemsRecovered(Signal.LOGS, 3, damaged=1),
    SpoolFailed(Signal.LOGS, "No space left on device"),
    LoopDelayed(0.003),
    FramesUnrecorded(Unrecorded.FULL, 4),
    CaptureOpened("captures/a.jsonl.zst"),
    CaptureFailed("No space left on device"),
    PositionFailed("main", "No space left on device"),
)


def told(*occurrences):
    aggregate = Aggregate(started_at=0.0)
    listeners = (SelfTelemetry(aggregate), IntakeTelemetry(aggregate))
    for occurrence in occurrences:
        for tell in listeners:
            tell(occurrence)
    return {family.instrument: family.points for family in aggregate.collect()}


def values(points):
    return {point.labels: point.value for point in points}


def test_every_occurrence_is_understood():
    assert {type(occurrence) for occurrence in EVERY} == set(typing.get_args(Occurrence))
    told(*EVERY)


def test_what_is_not_recorded_is_counted():
    counted = told(FramesUnrecorded(Unrecorded.DISK, 4))
    assert values(counted[table.CAPTURE_UNRECORDED])[("disk",)] == 4


def test_how_late_the_loop_is_is_distributed():
    (delays,) = told(LoopDelayed(0.003), LoopDelayed(0.0))[table.LOOP_DELAY]
    assert (delays.count, delays.sum) == (2, 0.003)


def test_intake_is_counted():
    counted = told(*EVERY, FramesReceived("redis", 5))
    assert values(counted[table.FRAMES_RECEIVED]) == {("redis",): 15}
    assert values(counted[table.FRAMES_SHED]) == {(): 2}
    assert values(counted[table.EVENTS_DECODED]) == {(): 7}
    assert values(counted[table.EVENTS_REJECTED])["malformed",] == 1
    assert values(counted[table.SOURCE_LOST]) == {("redis",): 1}
    assert values(counted[table.EXPORT_FAILURES])["logs",] == 1
    assert values(counted[table.SPOOL_FAILURES])["logs",] == 1


def test_a_poll_says_how_long_it_took():
    (poll,) = told(*EVERY)[table.POLL_DURATION]
    assert (poll.labels, poll.count, poll.sum) == (("redis",), 1, 0.002)


def test_losses_begin_at_zero_for_each_reason():
    counted = told()
    assert values(counted[table.FRAMES_SHED]) == {(): 0}
    assert values(counted[table.EVENTS_REJECTED]) == {(reason,): 0 for reason in Reason}
    assert values(counted[table.EXPORT_FAILURES]) == {(signal,): 0 for signal in Signal}
    assert values(counted[table.SPOOL_FAILURES]) == {(signal,): 0 for signal in Signal}


def test_the_ledger_of_the_export_balances_on_the_page():
    dropped = {Drop.OVERFLOW: 4, Drop.PERMANENT: 0}
    ledger = Ledger(20, 9, 1, dropped, waiting=4, spooled=2, recovered=5)
    assert ledger.balanced
    families = {f.instrument: f for f in ledgers({Signal.TRACES: ledger}, started_at=5.0)}
    fates = (
        table.EXPORT_SENT,
        table.EXPORT_REJECTED,
        table.EXPORT_DROPPED,
        table.EXPORT_WAITING,
        table.EXPORT_SPOOLED,
    )
    accepted = values(families[table.EXPORT_ACCEPTED].points)
    assert accepted == {("traces",): 20}
    assert sum(sum(values(families[fate].points).values()) for fate in fates) == 20
    assert values(families[table.EXPORT_DROPPED].points)["traces", "overflow"] == 4
    assert values(families[table.EXPORT_RECOVERED].points) == {("traces",): 5}
    assert families[table.EXPORT_WAITING].started_at is None


def test_what_the_ledger_has_is_not_counted_twice():
    families = ledgers({Signal.TRACES: Ledger(0, 0, 0, {}, 0)}, started_at=0.0)
    assert told(*EVERY).keys().isdisjoint({family.instrument for family in families})


def test_no_endpoint_has_no_ledger():
    assert ledgers({}, started_at=0.0) == ()


def read(families):
    """The values of families by instrument and labels."""
    return {family.instrument: values(family.points) for family in families}


def test_a_spool_tells_its_size_and_its_damages():
    found = read(spools({Signal.LOGS: SpoolStatistics(1000, 2)}, started_at=5.0))
    assert found == {table.SPOOL_BYTES: {("logs",): 1000}, table.SPOOL_DAMAGED: {("logs",): 2}}


def test_damages_add_up_since_the_start_and_a_size_does_not():
    families = spools({Signal.LOGS: SpoolStatistics(1000, 2)}, started_at=5.0)
    assert {family.instrument: family.started_at for family in families} == {
        table.SPOOL_BYTES: None,
        table.SPOOL_DAMAGED: 5.0,
    }


def test_no_spool_has_no_size():
    assert spools({}, started_at=0.0) == ()


def test_a_circuit_is_one_only_while_it_is_open():
    health = {
        Signal.TRACES: Health(ok=False, last_error="503", circuit=State.OPEN, retry_in=1.0),
        Signal.METRICS: Health(ok=False, last_error="503", circuit=State.HALF_OPEN),
        Signal.LOGS: Health(ok=True, last_error=None),
    }
    expected = {("traces",): 1, ("metrics",): 0, ("logs",): 0}
    assert read(circuits(health)) == {table.EXPORT_CIRCUIT: expected}


def test_no_endpoint_has_no_circuit():
    assert circuits({}) == ()


def test_spans_left_out_are_told_by_reason_and_the_share_that_is_kept():
    statistics = SpanStatistics(kept=9, left={Left.SAMPLED_OUT: 3, Left.POLICY: 0}, ratio=0.25)
    assert read(sampling(statistics, started_at=5.0)) == {
        table.SPANS_UNSAMPLED: {("sampled_out",): 3, ("policy",): 0},
        table.SPANS_RATIO: {(): 0.25},
    }
