"""What the pipeline tells about itself. Told per batch, never per event.

Each is a value; whoever listens turns it into a counter, a log line or a health check. A listener
is called on the event loop, must not block and must not raise.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from .events import Reason


class FramesReceived(Struct, frozen=True, gc=False):
    """Messages came off a subscription."""

    source: str
    count: int


class FramesShed(Struct, frozen=True, gc=False):
    """The channel was full and its oldest frames were given up."""

    count: int


class EventsDecoded(Struct, frozen=True, gc=False):
    """Events were read from messages."""

    count: int


class EventsRejected(Struct, frozen=True, gc=False):
    """Messages, or single events in them, could not be read."""

    reason: Reason
    count: int


class SourceOpened(Struct, frozen=True, gc=False):
    """A source is connected."""

    source: str
    epoch: int


class SourceLost(Struct, frozen=True, gc=False):
    """A source lost its connection, or could not make one, and will try again."""

    source: str
    reason: str
    retry_in: float
    """Seconds until the next attempt."""
    refused: bool = False
    """It will not work until somebody changes something."""


class QueuesPolled(Struct, frozen=True, gc=False):
    """The queue keys of a broker were read."""

    source: str
    seconds: float
    problems: int
    """Keys that could not be read (wrong type, no permission)."""
    problem: str | None = None
    """The first of them, in a sentence; None where there is none, or too many queues are all."""


class Signal(StrEnum):
    """The three kinds of telemetry."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class Drop(StrEnum):
    """Why an item that was accepted for export never arrived."""

    OVERFLOW = "overflow"
    """The buffer was full."""
    PERMANENT = "permanent"
    """The receiver will not take it, however often it is sent."""
    SUPERSEDED = "superseded"
    """Metrics that could not be sent; they are cumulative, so the next export has it all."""
    SHUTDOWN = "shutdown"
    """The grace time was over."""
    EVICTED = "evicted"
    """The spool was full."""
    DAMAGED = "damaged"
    """It was on disk and cannot be read any more."""


class Exported(Struct, frozen=True, gc=False):
    """The receiver took a batch."""

    signal: Signal
    count: int
    rejected: int
    """Of these, how many it refused (partial success)."""


class ExportFailed(Struct, frozen=True, gc=False):
    """A batch was not taken."""

    signal: Signal
    count: int
    reason: str
    """What the receiver or the network said; one line, no credentials."""
    retry_in: float | None
    """Seconds until it is sent again; None where it is given up."""


class ItemsDropped(Struct, frozen=True, gc=False):
    """Items that were accepted will never be sent."""

    signal: Signal
    reason: Drop
    count: int


class ItemsSpooled(Struct, frozen=True, gc=False):
    """Items wait on disk now."""

    signal: Signal
    count: int


class ItemsRecovered(Struct, frozen=True, gc=False):
    """Items that an earlier process left on disk are accepted for export."""

    signal: Signal
    count: int
    damaged: int
    """Places in the files that could not be read."""


class SpoolFailed(Struct, frozen=True, gc=False):
    """The disk did not take, or give back, what waits."""

    signal: Signal
    reason: str
    """What the system said; one line."""


class LoopDelayed(Struct, frozen=True, gc=False):
    """The event loop was asked to do something at an instant, and did it later."""

    seconds: float


class Unrecorded(StrEnum):
    """Why a frame is not in the capture, or not in full."""

    FULL = "full"
    """More came than was written."""
    DISK = "disk"
    """The disk did not take it."""
    BODY = "body"
    """It is there without its body, the arguments in which could not be found."""


class FramesUnrecorded(Struct, frozen=True, gc=False):
    """Frames that a capture lacks, or has without their body."""

    reason: Unrecorded
    count: int


class CaptureOpened(Struct, frozen=True, gc=False):
    """Recording goes on in a new file."""

    path: str


class CaptureFailed(Struct, frozen=True, gc=False):
    """The disk stopped taking what is recorded; it is tried again every second."""

    reason: str
    """What the system said; one line."""


class PositionFailed(Struct, frozen=True, gc=False):
    """The disk does not take how far a stream was read; reading goes on."""

    source: str
    reason: str
    """What the system said; one line."""


class RecordsLost(Struct, frozen=True, gc=False):
    """Lines for stdout that nobody took in time."""

    count: int


Occurrence: TypeAlias = (
    FramesReceived
    | FramesShed
    | EventsDecoded
    | EventsRejected
    | SourceOpened
    | SourceLost
    | QueuesPolled
    | Exported
    | ExportFailed
    | ItemsDropped
    | ItemsSpooled
    | ItemsRecovered
    | SpoolFailed
    | LoopDelayed
    | FramesUnrecorded
    | CaptureOpened
    | CaptureFailed
    | PositionFailed
    | RecordsLost
)

Tell: TypeAlias = Callable[[Occurrence], None]
