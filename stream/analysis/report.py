"""What `replay --json` writes: the schema of a report.

A report is data and nothing else; the terminal and a comparison are made from it. Its JSON is the
structs below as objects, fields by name. Instants are epoch seconds on the clock of whoever
recorded, durations are seconds, null means that no event told it. `version` changes when a field
changes its meaning or goes; new fields do not change it. Where a list is limited, what did not fit
is in an entry named ``other``, or counted beside it.
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from ..core.record import WorkerRecord
from .bounded import Points
from .sketch import Latency

SCHEMA: Final = "celery-stream.report"
VERSION: Final = 1


class Coverage(Struct, frozen=True):
    """What was read and what was not, in the whole capture, whatever the filters."""

    events: int
    rejected: dict[str, int]
    """Events that could not be read, by reason."""
    damaged_lines: int
    seen: int
    """Executions whose start was seen."""
    unseen: int
    """Executions that heartbeats count besides."""
    gaps: int
    """Interruptions of a subscription."""
    gap_seconds: float
    oddities: dict[str, int]
    """What did not fit, by reason: duplicates, late events, clamped skews, …"""
    overflowed: dict[str, int]
    """Tables of this report that were full, and how often something went to their ``other``."""
    advice: tuple[tuple[str, str | None], ...]
    """What hides something and can be changed, and at which worker; None: at the producers."""
    unrecorded: int = 0
    """Messages that the recording side processed and had no room for."""


class Recording(Struct, frozen=True):
    """What one process of ours recorded, by the first lines of its files."""

    recording: str
    """The same in all its files."""
    version: str
    """Of celery-stream."""
    origin: tuple[str, ...]
    """The brokers, as URLs without credentials."""
    arguments: str
    """What became of arguments and results: ``keep``, ``redact`` or ``drop``."""
    files: int
    first_part: int
    """Number of the first file that is there: above 1, earlier ones were rotated away."""


class Throughput(Struct, frozen=True):
    """How many attempts ended when."""

    events_per_second: float | None
    attempts: int
    attempts_per_second: float | None
    most_in_a_second: int
    ended: Points
    failed: Points
    """Of these, with FAILURE or RETRY."""


class TaskRow(Struct, frozen=True):
    """The tasks of one name. Times are those of the delivery that decided."""

    task: str
    tasks: int
    states: dict[str, int]
    """How many ended how; descending."""
    attempts: int
    retries: int
    """Attempts that ended by asking for another one."""
    redelivered: int
    """Deliveries of what had been delivered before."""
    wait: Latency
    """From sent, or the ETA if later, to started."""
    prefetch: Latency
    """From received, or the ETA if later, to started."""
    run: Latency
    total: Latency
    """From first sent to the end."""


class QueueRow(Struct, frozen=True):
    """One queue, by what events say of it and, where it was polled, what it held."""

    queue: str
    tasks: int
    wait: Latency
    most_waiting: int
    """Tasks that were sent and not received, as the tables held them when they were looked at."""
    oldest_waiting: float
    """The longest that the oldest of them had waited."""
    waiting: Points
    first_depth: int | None
    """Messages in the broker at the first poll; None: it was not polled."""
    last_depth: int | None
    most_depth: int | None
    depth: Points | None
    oldest_age: float | None
    """The greatest age of the message at the head."""
    stalls: int


class WorkerRow(Struct, frozen=True):
    """One node name, over all its processes."""

    worker: str
    processes: int
    """More than one: it was restarted."""
    state: str | None
    """As the capture ended."""
    tasks: int
    """Attempts that ended there."""
    failures: int
    busy_seconds: float
    """Of all runs together."""
    running: float | None
    """Mean number of runs at once, over the whole period."""
    most_active: int | None
    """Largest number of running tasks that a heartbeat told, where it was looked at."""
    utilisation: float | None
    """``running`` over ``most_active``, 0…1: a guess, for no event tells the pool's size."""
    silences: int
    """How often its heartbeats failed to come."""
    silent_seconds: float
    seen: int
    unseen: int
    coverage: float | None
    skew: float | None


class FailureRow(Struct, frozen=True):
    """The failures of one exception class in tasks of one name."""

    error_type: str
    task: str
    failures: int
    """Attempts that ended with FAILURE."""
    retries: int
    first_at: float
    last_at: float
    uuid: str
    """The first one, as an example."""
    worker: str | None
    message: str | None
    """Of the example; shortened, passwords hidden."""
    root_id: str | None = None
    """Of the example, where it has one."""


class UnfinishedRow(Struct, frozen=True):
    """Tasks whose end is not known, or that were stuck."""

    what: Literal["LOST", "UNKNOWN", "stuck"]
    task: str
    reason: str
    """``capture_ended``: they were under way when the capture ended."""
    tasks: int
    longest: float | None
    """Of the stuck ones: how long they had been so at least."""
    uuid: str
    root_id: str | None = None


class SlowRun(Struct, frozen=True):
    """One of the longest runs."""

    uuid: str
    task: str
    state: str
    worker: str | None
    started_at: float | None
    wait: float | None
    run: float
    trace_id: str
    root_id: str | None = None


class Step(Struct, frozen=True):
    """One task on the critical path of a trace. Its parts follow one another."""

    uuid: str
    task: str
    state: str
    at: float
    """Since the trace began: when it was sent."""
    queued: float
    """From sent to started: in the queue, for its ETA, prefetched, or in earlier attempts."""
    run: float


class TracePath(Struct, frozen=True):
    """A slow family of tasks (chain, group, chord) and what its time went to."""

    root_id: str
    trace_id: str
    tasks: int
    left_out: int
    """Members that were not kept."""
    began_at: float
    seconds: float
    steps: tuple[Step, ...]
    """First to last: each was sent by the one before, or when that one ended."""


class Report(Struct, frozen=True, tag_field="schema", tag=SCHEMA):
    """What happened in a capture."""

    version: int
    began_at: float | None
    """First and last arrival that are reported; None where there are none."""
    ended_at: float | None
    states: dict[str, int]
    """All tasks by how they ended."""
    coverage: Coverage
    throughput: Throughput
    tasks: tuple[TaskRow, ...]
    """By their runs' time together, most first."""
    queues: tuple[QueueRow, ...]
    workers: tuple[WorkerRow, ...]
    failures: tuple[FailureRow, ...]
    """Most first."""
    unfinished: tuple[UnfinishedRow, ...]
    slow_runs: tuple[SlowRun, ...]
    slow_traces: tuple[TracePath, ...]
    processes: tuple[WorkerRecord, ...]
    recordings: tuple[Recording, ...] = ()
    """Empty where none of the files is of our own recording."""

    @property
    def seconds(self) -> float:
        """Length of the period."""
        if self.began_at is None or self.ended_at is None:
            return 0.0
        return self.ended_at - self.began_at


decode_report: Final = msgspec.json.Decoder(Report).decode


def encode_report(report: Report) -> bytes:
    """Return the JSON of a report, indented; the same report gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
