"""The engine's state as bytes: versioned, checksummed, and the same state again.

Tasks, lanes and kinds refer to each other by number. Orders are kept, since the order of a table is
who waits longest. The configuration (limits, graces, rules) is not part of it.
"""

from typing import Final, TypeVar
from zlib import crc32

import msgspec
from msgspec import Struct

from ..errors import StreamError
from .early import EarlyRow
from .kinds import Kind
from .lanes import Lane
from .periodic import Rhythm
from .queues import BrokerState, QueueState
from .states import State
from .task import Delivery, Task
from .trace import Trace
from .traces import UNTRACED, Peeked

_MAGIC: Final = b"celery-stream snapshot\n"
VERSION: Final = 6
_SIZE: Final = 4
"""Bytes of the version, and of the checksum."""

T = TypeVar("T")


class SnapshotError(StreamError):
    """These bytes are no snapshot, of another version, or damaged."""


class DeliveryRow(Struct, array_like=True, frozen=True, gc=False):
    """A `Delivery`, its lanes, its trace and its kind by number (-1: none)."""

    retries: int
    ordinal: int
    state: State
    inferred: bool
    sender: int
    sent_at: float | None
    eta: float | None
    lane: int
    received_at: float | None
    received_clock: int
    started_at: float | None
    started_clock: int
    ended_at: float | None
    ended_clock: int
    run: float | None
    trace: int
    redelivered: bool
    arguments: tuple[str | None, str | None] | None
    kind: int


class TaskRow(Struct, array_like=True, frozen=True, gc=False):
    """A `Task`, its kind and its trace by number."""

    uuid: str
    kind: int
    root_id: str | None
    parent_id: str | None
    trace: int
    parent_attempt: tuple[int, int] | None
    deliveries: list[DeliveryRow]
    end: State | None
    since: float
    slot: int
    starts_dropped: int
    error_type: str | None
    first_seen: int


class TablesState(Struct, array_like=True):
    """The tables of tasks: who is in which, in order, by number of the task."""

    known: list[int]
    rows: list[tuple[int, list[list[int]]]]
    remembered: list[int]
    due: list[tuple[float, str]]
    in_flight: int
    seen: int
    reserved: dict[str, int]


class EngineState(Struct, array_like=True):
    """Everything that the engine knows."""

    now: float
    pruned_at: float
    last_event_at: float | None
    kinds: list[tuple[str | None, str | None]]
    kinds_overflowed: int
    lanes: list[Lane]
    lanes_known: int
    """So many of the lanes are in the table; the others only belong to deliveries."""
    newest: list[int]
    ghosts_looked_for_at: float
    deaf_until: float
    traces: list[Trace]
    tasks: list[TaskRow]
    tables: TablesState
    returned: dict[str, float]
    early: list[EarlyRow]
    untold: list[str]
    never_sent: int
    anything_sent: bool
    histories: list[tuple[int, list[int], int]]
    time_limits: dict[str, float]
    queues: list[tuple[str, str, QueueState]]
    brokers: dict[str, BrokerState]
    queue_names: list[str]
    consumed: dict[str, int]
    queues_overflowed: int
    peeked: dict[str, Peeked]
    roots: dict[str, Trace]
    rhythms: list[tuple[int, Rhythm | None]]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(EngineState).decode


def seal(state: EngineState) -> bytes:
    """Write a state."""
    body = _encode(state)
    version, checksum = VERSION.to_bytes(_SIZE), crc32(body).to_bytes(_SIZE)
    return _MAGIC + version + checksum + body


def unseal(snapshot: bytes) -> EngineState:
    """Read a state.

    Raises:
        SnapshotError: always where it is not exactly what `seal` of this version wrote.
    """
    if not snapshot.startswith(_MAGIC):
        raise SnapshotError("This is no snapshot of celery-stream.")
    head, rest = len(_MAGIC), snapshot[len(_MAGIC) + 2 * _SIZE :]
    version = int.from_bytes(snapshot[head : head + _SIZE])
    if version != VERSION:
        raise SnapshotError(f"The snapshot has version {version}; this is version {VERSION}.")
    if crc32(rest) != int.from_bytes(snapshot[head + _SIZE : head + 2 * _SIZE]):
        raise SnapshotError("The snapshot is damaged: its checksum does not match.")
    try:
        return _decode(rest)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"The snapshot cannot be read: {error}") from None


class Numbers:
    """Gives numbers to kinds, lanes, traces and tasks, as they are first asked for."""

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.lanes: list[Lane] = []
        self.tasks: list[Task] = []
        self._of: dict[int, int] = {}
        self._of_trace: dict[Trace, int] = {}

    def kind(self, kind: Kind) -> int:
        """Return the number of a kind."""
        return self._number(kind, self.kinds)

    def lane(self, lane: Lane | None) -> int:
        """Return the number of a lane, -1 for none."""
        return -1 if lane is None else self._number(lane, self.lanes)

    def task(self, task: Task) -> int:
        """Return the number of a task."""
        return self._number(task, self.tasks)

    def trace(self, trace: Trace | None) -> int:
        """Return the number of a trace, -1 for none; equal ones are one."""
        return -1 if trace is None else self._of_trace.setdefault(trace, len(self._of_trace))

    @property
    def traces(self) -> list[Trace]:
        """The traces that have numbers."""
        return list(self._of_trace)

    def _number(self, thing: T, things: list[T]) -> int:
        # By identity: the tables hold each of them, so no other object takes its place meanwhile.
        number = self._of.get(id(thing))
        if number is None:
            number = self._of[id(thing)] = len(things)
            things.append(thing)
        return number

    def row(self, task: Task) -> TaskRow:
        """Write a task."""
        deliveries = list(task.deliveries())
        return TaskRow(
            task.uuid,
            self.kind(task.kind),
            task.root_id,
            task.parent_id,
            self.trace(task.trace),
            task.parent_attempt,
            [self._delivery_row(each) for each in deliveries],
            task.end,
            task.since,
            task.slot,
            task.starts_dropped,
            task.error_type,
            task.first_seen,
        )

    def _delivery_row(self, each: Delivery) -> DeliveryRow:
        return DeliveryRow(
            each.retries,
            each.ordinal,
            each.state,
            each.inferred,
            self.lane(each.sender),
            each.sent_at,
            each.eta,
            self.lane(each.lane),
            each.received_at,
            each.received_clock,
            each.started_at,
            each.started_clock,
            each.ended_at,
            each.ended_clock,
            each.run,
            self.trace(each.trace),
            each.redelivered,
            each.arguments,
            -1 if each.kind is None else self.kind(each.kind),
        )


def traces_of(state: EngineState) -> list[Trace | None]:
    """Read the traces that rows refer to; -1 is none."""
    return [*(UNTRACED if each == UNTRACED else each for each in state.traces), None]


def task_of(
    row: TaskRow, kinds: list[Kind], *, lanes: list[Lane], traces: list[Trace | None]
) -> Task:
    """Read a task."""
    deliveries = [_delivery_of(each, kinds, lanes, traces) for each in row.deliveries]
    return Task(
        row.uuid,
        kinds[row.kind],
        row.uuid if row.root_id == row.uuid else row.root_id,  # one string, as it came
        row.parent_id,
        deliveries[-1],
        past=deliveries[:-1] or None,
        trace=traces[row.trace],
        parent_attempt=row.parent_attempt,
        end=row.end,
        since=row.since,
        slot=row.slot,
        starts_dropped=row.starts_dropped,
        error_type=row.error_type,
        first_seen=row.first_seen,
    )


def _delivery_of(
    row: DeliveryRow, kinds: list[Kind], lanes: list[Lane], traces: list[Trace | None]
) -> Delivery:
    return Delivery(
        row.retries,
        row.ordinal,
        row.state,
        inferred=row.inferred,
        sender=None if row.sender < 0 else lanes[row.sender],
        sent_at=row.sent_at,
        eta=row.eta,
        lane=None if row.lane < 0 else lanes[row.lane],
        received_at=row.received_at,
        received_clock=row.received_clock,
        started_at=row.started_at,
        started_clock=row.started_clock,
        ended_at=row.ended_at,
        ended_clock=row.ended_clock,
        run=row.run,
        trace=traces[row.trace],
        redelivered=row.redelivered,
        arguments=row.arguments,
        kind=None if row.kind < 0 else kinds[row.kind],
    )
