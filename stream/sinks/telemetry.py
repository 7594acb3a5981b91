"""What the service tells about itself, counted beside what it tells about the tasks.

Series of closed sets (reasons, signals) begin at 0, so that a rate shows the first loss. What
became of exported items and of spans is not counted here but read from those who decide it.
"""

from collections.abc import Callable, Mapping
from typing import assert_never

from ..events import Reason
from ..export.buffer import Ledger
from ..export.circuit import Health, State
from ..export.store import SpoolStatistics
from ..occurrences import (
    CaptureFailed,
    CaptureOpened,
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
)
from . import instruments as table
from .aggregate import Aggregate, Family, Number
from .labels import label
from .spans import SpanStatistics


def ledgers(statistics: Mapping[Signal, Ledger], *, started_at: float) -> tuple[Family, ...]:
    """Make the families of what became of every item that was to be exported.

    They are read from the ledgers at once, so each scrape balances: accepted = sent + rejected +
    dropped + waiting + spooled.

    Args:
        statistics: the ledger of each signal that has an endpoint.
        started_at: since when the ledgers add up, epoch seconds.
    """

    def numbers(read: Callable[[Ledger], int]) -> tuple[Number, ...]:
        return tuple(Number((signal,), read(ledger)) for signal, ledger in statistics.items())

    dropped = tuple(
        Number((signal, reason), count)
        for signal, ledger in statistics.items()
        for reason, count in ledger.dropped.items()
    )
    families = (
        Family(table.EXPORT_ACCEPTED, numbers(lambda ledger: ledger.accepted), started_at),
        Family(table.EXPORT_SENT, numbers(lambda ledger: ledger.sent), started_at),
        Family(table.EXPORT_REJECTED, numbers(lambda ledger: ledger.rejected), started_at),
        Family(table.EXPORT_DROPPED, dropped, started_at),
        Family(table.EXPORT_WAITING, numbers(lambda ledger: ledger.waiting)),
        Family(table.EXPORT_SPOOLED, numbers(lambda ledger: ledger.spooled)),
        Family(table.EXPORT_RECOVERED, numbers(lambda ledger: ledger.recovered), started_at),
    )
    return tuple(family for family in families if family.points)


def spools(
    statistics: Mapping[Signal, SpoolStatistics], *, started_at: float
) -> tuple[Family, ...]:
    """Make the families of what waits on disk, for each signal that has a spool."""
    sizes = [Number((signal,), each.size_bytes) for signal, each in statistics.items()]
    damages = [Number((signal,), each.damaged) for signal, each in statistics.items()]
    families = (
        Family(table.SPOOL_BYTES, tuple(sizes)),
        Family(table.SPOOL_DAMAGED, tuple(damages), started_at),
    )
    return families if statistics else ()


def circuits(health: Mapping[Signal, Health]) -> tuple[Family, ...]:
    """Make the family that shows which receivers are not asked now."""
    points = [Number((signal,), int(each.circuit is State.OPEN)) for signal, each in health.items()]
    return (Family(table.EXPORT_CIRCUIT, tuple(points)),) if points else ()


def sampling(statistics: SpanStatistics, *, started_at: float) -> tuple[Family, ...]:
    """Make the families of which spans are made.

    Args:
        statistics: of the sink that makes them.
        started_at: since when they add up, epoch seconds.
    """
    left_out = tuple(Number((reason,), count) for reason, count in statistics.left.items())
    return (
        Family(table.SPANS_UNSAMPLED, left_out, started_at),
        Family(table.SPANS_RATIO, (Number((), float(statistics.ratio)),)),
    )


class IntakeTelemetry:
    """Counts what comes in from a broker into an aggregate; a `Tell`."""

    def __init__(self, aggregate: Aggregate) -> None:
        """Make a listener; only the aggregate's own thread may call it."""
        counter = aggregate.counter
        self._received = counter(table.FRAMES_RECEIVED)
        self._shed = counter(table.FRAMES_SHED)
        self._decoded = counter(table.EVENTS_DECODED)
        self._rejected = counter(table.EVENTS_REJECTED)
        self._opened = counter(table.SOURCE_OPENED)
        self._lost = counter(table.SOURCE_LOST)
        self._polls = aggregate.histogram(table.POLL_DURATION)
        self._problems = counter(table.POLL_PROBLEMS)
        for reason in Reason:
            self._rejected.add(0, reason)

    def __call__(self, occurrence: Occurrence) -> None:
        """Count one occurrence; what is none of the intake's is passed over."""
        match occurrence:
            case FramesReceived(source, count):
                self._received.add(count, label(source))
            case FramesShed(count):
                self._shed.add(count)
            case EventsDecoded(count):
                self._decoded.add(count)
            case EventsRejected(reason, count):
                self._rejected.add(count, reason)
            case SourceOpened(source):
                self._opened.add(1, label(source))
                self._lost.add(0, label(source))
            case SourceLost(source):
                self._lost.add(1, label(source))
            case QueuesPolled(source, seconds, problems):
                self._polls.record(seconds, label(source))
                self._problems.add(problems, label(source))
            case _:
                pass


class SelfTelemetry:
    """Counts what concerns the process into an aggregate; a `Tell`."""

    def __init__(self, aggregate: Aggregate) -> None:
        """Make a listener; only the aggregate's own thread may call it."""
        counter = aggregate.counter
        self._failures = counter(table.EXPORT_FAILURES)
        self._refusals = counter(table.SPOOL_FAILURES)
        self._records = counter(table.RECORDS_LOST)
        self._unrecorded = counter(table.CAPTURE_UNRECORDED)
        self._delays = aggregate.histogram(table.LOOP_DELAY)
        self._begin_at_zero()

    def __call__(self, occurrence: Occurrence) -> None:
        """Count one occurrence."""
        match occurrence:
            case ExportFailed(signal):
                self._failures.add(1, signal)
            case FramesUnrecorded(unrecorded, count):
                self._unrecorded.add(count, unrecorded)
            case LoopDelayed(seconds):
                self._delays.record(seconds)
            case RecordsLost(count):
                self._records.add(count)
            case SpoolFailed(signal):
                self._refusals.add(1, signal)
            case (
                Exported()
                | ItemsDropped()
                | ItemsSpooled()
                | ItemsRecovered()
                | CaptureOpened()
                | CaptureFailed()
                | PositionFailed()
            ):
                pass  # read from the ledger, which balances
            case (
                FramesReceived()
                | FramesShed()
                | EventsDecoded()
                | EventsRejected()
                | SourceOpened()
                | SourceLost()
                | QueuesPolled()
            ):
                pass  # of a broker: `IntakeTelemetry`
            case _:
                assert_never(occurrence)

    def _begin_at_zero(self) -> None:
        for signal in Signal:
            self._failures.add(0, signal)
            self._refusals.add(0, signal)
