"""The whole story of one task, or of one worker process, in one line, for analysis."""

from typing import Final

from msgspec import Struct

from .lanes import Lane
from .states import State, WorkerState
from .task import GIVEN_UP, Delivery, Task, outcome

_SUCCESS: Final = State.SUCCESS  # an access to the member costs 50 ns on Python 3.11


class TaskRecord(Struct, frozen=True, gc=False):
    """One task, as it stands when it is forgotten.

    Instants are epoch seconds on this process's clock, durations seconds; None where unknown.
    Times and the worker are those of the delivery that decided; when a lost or unknown one ended
    is not known.
    """

    uuid: str
    name: str | None
    state: State
    inferred: bool
    attempts: int
    deliveries: int
    executions: int
    """Starts that were seen."""
    retries: int
    queue: str | None
    worker: str | None
    root_id: str | None
    parent_id: str | None
    sent_at: float | None
    received_at: float | None
    started_at: float | None
    ended_at: float | None
    wait_time: float | None
    prefetch_time: float | None
    run_time: float | None
    total_time: float | None
    error_type: str | None
    internal: bool


class WorkerRecord(Struct, frozen=True, gc=False):
    """One worker process."""

    hostname: str
    pid: int
    state: WorkerState | None
    """None where it sent task events and never a heartbeat."""
    processed: int | None
    """Executions since it began, by its own count."""
    starts_seen: int
    unseen: int
    """Executions that its heartbeats count and of which no start was seen."""
    duplicates: int
    coverage: float | None
    """Share of the counted executions whose start was seen, 0…1; None before there are any."""
    skew: float | None
    """Seconds that its clock is ahead of ours."""


def worker_record_of(lane: Lane) -> WorkerRecord:
    """Read a worker's record from its lane."""
    return WorkerRecord(
        lane.hostname,
        lane.pid,
        lane.state,
        lane.processed,
        lane.starts_seen,
        lane.unseen,
        lane.duplicates,
        lane.coverage,
        lane.skew,
    )


def record_of(task: Task) -> TaskRecord:
    """Read a task's record from its deliveries."""
    if task.end is _SUCCESS and task.past is None:
        record = record_of_usual(task, task.last)
        if record is not None:
            return record
    return record_of_any(task)


def record_of_usual(task: Task, last: Delivery) -> TaskRecord | None:
    """Read a task whose one delivery says everything, in a third of the time; None: another one.

    The same sums as `Delivery` makes, without asking for each instant again.
    """
    lane, run = last.lane, last.run
    received_at, started_at = last.received_at, last.started_at
    if lane is None or run is None or received_at is None or started_at is None:
        return None
    if last.eta is not None or task.starts_dropped:
        return None
    offset, sent_at, sender = lane.offset, last.sent_at, last.sender
    began, prefetch = started_at + offset, started_at - received_at
    ended = began + run
    sent = wait = total = None
    if sent_at is not None and sender is not None:
        sent = sent_at + sender.offset
        wait, total = max(0.0, began - sent), max(0.0, ended - sent)
    kind = task.kind
    return TaskRecord(  # in order: keywords for so many cost 0.2 us
        task.uuid,
        kind.name,
        _SUCCESS,
        last.inferred,
        1,
        1,
        1,
        last.retries,
        kind.queue,
        lane.hostname,
        task.root_id,
        task.parent_id,
        sent,
        received_at + offset,
        began,
        ended,
        wait,
        max(0.0, prefetch),
        run,
        total,
        None,
        kind.internal,
    )


def record_of_any(task: Task) -> TaskRecord:
    """Read whatever became of a task."""
    decisive, inferred, attempts, taken, retries = _decided(task)
    sent_at = task.first_sent.sent if task.first_sent is not None else None
    ended_at = None if task.state in GIVEN_UP else decisive.ended
    return TaskRecord(
        task.uuid,
        task.kind.name,
        task.state,
        inferred,
        attempts,
        taken,
        task.starts,
        retries,
        task.kind.queue,
        None if decisive.lane is None else decisive.lane.hostname,
        task.root_id,
        task.parent_id,
        sent_at,
        decisive.on_our_clock(decisive.received_at),
        decisive.on_our_clock(decisive.started_at),
        ended_at,
        _not_negative(decisive.wait),
        _not_negative(decisive.prefetch),
        decisive.run,
        None if sent_at is None or ended_at is None else max(0.0, ended_at - sent_at),
        task.error_type if task.state is State.FAILURE else None,
        task.kind.internal,
    )


def _decided(task: Task) -> tuple[Delivery, bool, int, int, int]:
    """The delivery that decides, whether its end is inferred; attempts, deliveries and retries."""
    last = task.last
    if task.past is None:  # nearly always: its one delivery says it all
        taken = last.lane is not None
        heard = taken or last.sent_at is not None
        return last, last.inferred, int(heard), int(taken), last.retries if heard else 0
    known = [each for each in task.deliveries() if each.lane or each.sent_at is not None]
    decisive = outcome(task) or last
    inferred = decisive.inferred
    if decisive not in known and known:  # given up before anybody heard of it
        decisive = known[-1]
    retries = [each.retries for each in known]
    taken_by = sum(each.lane is not None for each in known)
    return decisive, inferred, len(set(retries)), taken_by, max(retries, default=0)


def _not_negative(seconds: float | None) -> float | None:
    return None if seconds is None else max(0.0, seconds)
