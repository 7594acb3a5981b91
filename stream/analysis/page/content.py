"""What is drawn on a page beside the tables. Its JSON is what the page's script reads.

Everything is limited, and what did not fit is counted beside it. Instants are epoch seconds,
durations and offsets seconds, None is what no event told.
"""

from typing import Literal

from msgspec import Struct

from ..bounded import Points


class Curves(Struct, frozen=True):
    """Quantiles of durations, one value for each interval."""

    p50: tuple[float | None, ...]
    p95: tuple[float | None, ...]
    p99: tuple[float | None, ...]
    max: tuple[float | None, ...]


class Latencies(Struct, frozen=True):
    """How long the runs and the waits of tasks of one name were."""

    task: str | None
    """None: all tasks."""
    run: Curves
    """By when they ended."""
    wait: Curves
    """By when they started."""


class Counts(Struct, frozen=True):
    """How many of one kind there were in each interval."""

    name: str
    values: tuple[int, ...]


class Timelines(Struct, frozen=True):
    """Series over the period, all in the same intervals."""

    began_at: float
    width: float
    """Seconds of one interval."""
    intervals: int
    sent: tuple[int, ...]
    ended: tuple[Counts, ...]
    """Attempts by how they ended."""
    failures: tuple[Counts, ...]
    """Failures and retries by exception."""
    running: tuple[float, ...]
    """Mean number of runs at once."""
    latencies: tuple[Latencies, ...]
    tasks_left_out: int
    """Names that have no latencies of their own here."""


class QueueLine(Struct, frozen=True):
    """What waited in one queue."""

    queue: str
    waiting: Points
    """Sent and not yet received, by the events."""
    depth: Points | None
    """Messages in the broker, where it was asked."""


class Lane(Struct, frozen=True):
    """One worker: the rows that its bars need so that those of one time lie below each other."""

    worker: str
    runs: int
    rows: int


class Bar(Struct, frozen=True, gc=False, array_like=True):
    """One execution."""

    lane: int
    row: int
    begin: float
    """Since the period began."""
    end: float
    task: int
    """Place in `Lanes.tasks`."""
    state: str
    uuid: str
    retries: int


class Absence(Struct, frozen=True, gc=False, array_like=True):
    """A time in which a worker was not heard of."""

    lane: int
    begin: float
    end: float
    what: Literal["silent", "offline"]


class Lanes(Struct, frozen=True):
    """Who ran what when."""

    lanes: tuple[Lane, ...]
    tasks: tuple[str, ...]
    bars: tuple[Bar, ...]
    absences: tuple[Absence, ...]
    runs: int
    """All that could have been bars."""
    lanes_left_out: int


class Delivery(Struct, frozen=True, gc=False, array_like=True):
    """One delivery of one attempt. Offsets count from the trace's beginning."""

    retries: int
    state: str
    worker: str | None
    sent: float | None
    received: float | None
    started: float | None
    ended: float | None
    """None: nobody told."""
    detail: str
    """Why it ended like that; may be empty."""


class Member(Struct, frozen=True, array_like=True):
    """One task of a trace."""

    depth: int
    uuid: str
    task: str
    queue: str | None
    state: str
    sent: float | None
    deliveries: tuple[Delivery, ...]


class Trace(Struct, frozen=True):
    """A task and what came of it, as a tree from top to bottom."""

    root_id: str
    trace_id: str
    began_at: float
    seconds: float
    kinds: tuple[str, ...]
    """Why it is kept: ``slow``, ``failed``, ``open``; none: there was room."""
    members: tuple[Member, ...]
    critical: tuple[str, ...]
    """Ids of the tasks on its critical path, where that is known."""
    left_out: int
    """Events of it that were not kept."""


class Drawing(Struct, frozen=True):
    """Everything."""

    timelines: Timelines
    queues: tuple[QueueLine, ...]
    queues_left_out: int
    lanes: Lanes
    traces: tuple[Trace, ...]
    traces_left_out: int
    """Traces that would have been of interest; others are not counted."""
