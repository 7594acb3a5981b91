"""The service counts what it tells about itself."""

import typing

from stream.events import Reason
from stream.export.buffer import Ledger
from stream.occurrences import (
    Drop,
    EventsDecoded,
    EventsRejected,
    Exported,
    ExportFailed,
    FramesReceived,
    FramesShed,
    ItemsDropped,
    Occurrence,
    QueuesPolled,
    RecordsLost,
    Signal,
    SourceLost,
    SourceOpened,
)
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate
from stream.sinks.telemetry import SelfTelemetry, ledgers

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
)


def told(*occurrences):
    aggregate = Aggregate(started_at=0.0)
    tell = SelfTelemetry(aggregate)
    for occurrence in occurrences:
        tell(occurrence)
    return {family.instrument: family.points for family in aggregate.collect()}


def values(points):
    return {point.labels: point.value for point in points}


def test_every_occurrence_is_understood():
    assert {type(occurrence) for occurrence in EVERY} == set(typing.get_args(Occurrence))
    told(*EVERY)


def test_intake_is_counted():
    counted = told(*EVERY, FramesReceived("redis", 5))
    assert values(counted[table.FRAMES_RECEIVED]) == {("redis",): 15}
    assert values(counted[table.FRAMES_SHED]) == {(): 2}
    assert values(counted[table.EVENTS_DECODED]) == {(): 7}
    assert values(counted[table.EVENTS_REJECTED])["malformed",] == 1
    assert values(counted[table.SOURCE_LOST]) == {("redis",): 1}
    assert values(counted[table.EXPORT_FAILURES])["logs",] == 1


def test_a_poll_says_how_long_it_took():
    (poll,) = told(*EVERY)[table.POLL_DURATION]
    assert (poll.labels, poll.count, poll.sum) == (("redis",), 1, 0.002)


def test_losses_begin_at_zero_for_each_reason():
    counted = told()
    assert values(counted[table.FRAMES_SHED]) == {(): 0}
    assert values(counted[table.EVENTS_REJECTED]) == {(reason,): 0 for reason in Reason}
    assert values(counted[table.EXPORT_FAILURES]) == {(signal,): 0 for signal in Signal}


def test_the_ledger_of_the_export_balances_on_the_page():
    ledger = Ledger(20, 9, 1, {Drop.OVERFLOW: 4, Drop.PERMANENT: 0}, 6)
    families = {f.instrument: f for f in ledgers({Signal.TRACES: ledger}, started_at=5.0)}
    fates = (
        table.EXPORT_SENT,
        table.EXPORT_REJECTED,
        table.EXPORT_DROPPED,
        table.EXPORT_WAITING,
    )
    accepted = values(families[table.EXPORT_ACCEPTED].points)
    assert accepted == {("traces",): 20}
    assert sum(sum(values(families[fate].points).values()) for fate in fates) == 20
    assert values(families[table.EXPORT_DROPPED].points)["traces", "overflow"] == 4
    assert families[table.EXPORT_WAITING].started_at is None


def test_what_the_ledger_has_is_not_counted_twice():
    families = ledgers({Signal.TRACES: Ledger(0, 0, 0, {}, 0)}, started_at=0.0)
    assert told(*EVERY).keys().isdisjoint({family.instrument for family in families})


def test_no_endpoint_has_no_ledger():
    assert ledgers({}, started_at=0.0) == ()
