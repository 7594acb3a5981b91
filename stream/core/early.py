"""What workers tell of a task before its producer does, kept until that comes.

A producer sends its event after the message, so the events of a quick worker overtake it by some
milliseconds, often by the whole life of a short task. Taken at once they would be counted under no
queue and without a wait, and their spans would hang on no parent. So what is told of a task that
nobody has sent waits for the producer's word, a moment at the most. Where that never comes, as from
producers without ``task_send_sent_event``, the next tasks of that name are not kept.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from ..events import (
    Event,
    KnownEvent,
    KnownEventInFull,
    TaskReceived,
    TaskReceivedInFull,
    TaskStarted,
)
from .lanes import Lane

PATIENCE: Final = 1.0
"""Seconds. Late by 6 ms at the most in 200 tasks on a busy machine; and shorter than the time
between two heartbeats, against which the starts that are kept here are counted (see `release`)."""
_MAX_EVENTS: Final = 50_000
"""Events that wait at once: a second of a very busy cluster, about 20 MB. Further ones do not."""
_MAX_NAMES: Final = 10_000

Told: TypeAlias = tuple[Event, Lane]
"""An event and the process that sent it."""
_NEVER: Final = float("inf")


class EarlyRow(Struct, array_like=True, frozen=True):
    """What waits of one task, for a snapshot; lanes by number."""

    due_at: float
    uuid: str
    in_full: bool
    told: list[tuple[int, msgspec.Raw]]


class Early:
    """The events of tasks whose sending was not told yet.

    Args:
        patience: seconds that they wait; 0: not at all.
        apply: takes an event that has waited.
        kept: told the uuid of each task that begins to wait.
    """

    def __init__(
        self,
        patience: float,
        *,
        apply: Callable[[Event, Lane, float], None],
        kept: Callable[[str], None],
    ) -> None:
        self.due_at = _NEVER
        """When the first of them may have waited long enough."""
        self.waiting: dict[str, list[Told]] = {}
        self.untold: set[str] = set()
        """Names of tasks whose producer said nothing the last time."""
        self._patience = patience
        self._apply = apply
        self._kept = kept
        self._due: deque[tuple[float, str]] = deque()
        self._events = 0

    def keep(self, event: TaskReceived, lane: Lane, now: float) -> bool:
        """Keep the first word of a task that is not known; return whether that is of use."""
        if event.uuid in self.waiting:
            return self.join(event, event.uuid, lane=lane, now=now)
        if not self._patience or event.name is None or event.name in self.untold:
            return False
        if self._events >= _MAX_EVENTS:
            return False
        self._events += 1
        self.waiting[event.uuid] = [(event, lane)]
        self._due.append((now + self._patience, event.uuid))
        self.due_at = self._due[0][0]
        self._kept(event.uuid)
        return True

    def join(self, event: Event, uuid: str, *, lane: Lane, now: float) -> bool:
        """Keep, or apply, a further word of a task; return False where its first is not kept."""
        waits = self.waiting.get(uuid)
        if waits is None:
            return False
        if self._events >= _MAX_EVENTS:
            self._give_up(uuid, now)
            self._apply(event, lane, now)
            return True
        self._events += 1
        waits.append((event, lane))
        return True

    def told(self, uuid: str, name: str | None, now: float) -> None:
        """Its sending was told: apply what was kept of it."""
        if name is not None:
            self.untold.discard(name)
        self._let_in(uuid, now)

    def pass_time(self, now: float) -> None:
        """Apply what has waited long enough, in the order in which it came."""
        while self._due and self._due[0][0] <= now:
            _, uuid = self._due.popleft()
            self._give_up(uuid, now)
        self.due_at = self._due[0][0] if self._due else _NEVER

    def release(self, lane: Lane, now: float) -> None:
        """Apply what is kept of tasks that a process started: it counts them in its next word.

        To be called where two heartbeats come in less than the patience, as after a time in which
        nothing could be read: starts that are kept would be told to be missed.
        """
        started = [
            uuid
            for uuid, waits in self.waiting.items()
            if any(of is lane and isinstance(event, TaskStarted) for event, of in waits)
        ]
        for uuid in started:
            self._give_up(uuid, now)

    def _let_in(self, uuid: str, now: float) -> None:
        waits = self.waiting.pop(uuid, ())
        self._events -= len(waits)
        for event, lane in waits:
            self._apply(event, lane, now)

    def _give_up(self, uuid: str, now: float) -> None:
        """Take in a task although nobody told its sending; the next of its name do not wait."""
        for event, _ in self.waiting.get(uuid, ()):
            if isinstance(event, TaskReceived) and event.name is not None:
                if len(self.untold) >= _MAX_NAMES:
                    self.untold.clear()
                self.untold.add(event.name)
        self._let_in(uuid, now)

    def rows(self, number: Callable[[Lane], int]) -> list[EarlyRow]:
        """Write what waits."""
        return [
            EarlyRow(
                due_at,
                uuid,
                any(isinstance(event, TaskReceivedInFull) for event, _ in waits),
                [(number(lane), msgspec.Raw(_encode(event))) for event, lane in waits],
            )
            for due_at, uuid in self._due
            if (waits := self.waiting.get(uuid)) is not None
        ]

    def restore(self, rows: list[EarlyRow], untold: list[str], lanes: list[Lane]) -> None:
        """Take over what a snapshot knows."""
        for row in rows:
            decode = _decode_in_full if row.in_full else _decode
            self.waiting[row.uuid] = [(decode(event), lanes[lane]) for lane, event in row.told]
            self._due.append((row.due_at, row.uuid))
            self._events += len(row.told)
        self.untold = set(untold)
        self.due_at = self._due[0][0] if self._due else _NEVER


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(KnownEvent).decode
_decode_in_full: Final = msgspec.msgpack.Decoder(KnownEventInFull).decode
