"""The record of one task: its deliveries, and what they say together.

A *delivery* is one message that reached (or will reach) one worker; deliveries with the same
``retries`` make an *attempt*; attempts make the task. Nearly every task has one delivery, so the
record holds the newest one directly and a list only for those before it.

Raw timestamps are kept as the sender wrote them; they are put on our clock when they are used,
with what is then known of the sender's skew. ``gc=False``: the records form no cycles.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from .kinds import Kind
from .lanes import Lane
from .states import State
from .trace import Trace

STATE_OF: Final = (State.SENT, State.RECEIVED, State.STARTED, State.RETRY)
"""The state of a task in flight, by the phase that its slot is of."""
PHASES: Final = len(STATE_OF)
ENDED: Final = -1
"""The slot of a task that has ended."""
FIRST_ATTEMPT: Final = (0, 0)
"""Retries and ordinal of a task's first delivery."""
OPEN: Final = frozenset({State.SENT, State.RECEIVED, State.STARTED})
"""States of a delivery that has not ended."""
GIVEN_UP: Final = frozenset({State.LOST, State.UNKNOWN})
"""When such a delivery really ended is not known, so neither is how long it ran."""
_RANK: Final = {
    State.SUCCESS: 5,
    State.FAILURE: 4,
    State.REVOKED: 3,
    State.REJECTED: 2,
    State.LOST: 1,
    State.UNKNOWN: 0,
}
"""Ends of a task. Of two in one attempt the higher rank counts, whichever came first."""
ENDS: Final = frozenset(_RANK)
# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_SENT: Final = State.SENT
_RECEIVED: Final = State.RECEIVED
_STARTED: Final = State.STARTED
_RETRY: Final = State.RETRY


class Delivery(Struct, eq=False, gc=False):
    """One message and what became of it."""

    retries: int
    ordinal: int = 0
    """0 for the first delivery of its attempt, 1 for its first redelivery, …"""
    state: State = State.SENT
    inferred: bool = False
    sender: Lane | None = None
    sent_at: float | None = None
    """Raw, like all instants here."""
    eta: float | None = None
    lane: Lane | None = None
    """The worker process that has it; None while it is only sent."""
    received_at: float | None = None
    received_clock: int = -1
    started_at: float | None = None
    started_clock: int = -1
    ended_at: float | None = None
    ended_clock: int = -1
    run: float | None = None
    trace: Trace | None = None
    """What its message says, else what was told of it (see `traces`); None: nothing yet."""
    redelivered: bool = False
    """The broker says that it gave the message to somebody before."""
    arguments: tuple[str | None, str | None] | None = None
    """Positional and named, each a ``repr``, where they are asked for."""
    kind: Kind | None = None
    """What it ran as, where the task has become another since; None: as the task is."""

    @property
    def sent(self) -> float | None:
        """When it was sent, on our clock."""
        if self.sent_at is None or self.sender is None:
            return None
        return self.sent_at + self.sender.offset

    @property
    def ended(self) -> float | None:
        """When it ended, on our clock.

        By the worker's own measurement of the run where there is one: the end event may be late
        by as long as the worker took to reconnect.
        """
        started = self.on_our_clock(self.started_at)
        if started is not None and self.run is not None:
            return started + self.run
        return self.on_our_clock(self.ended_at) if self.lane is not None else self.ended_at

    @property
    def wait(self) -> float | None:
        """Seconds from sent, or the ETA if later, to started; None where one was not seen.

        The worker compares the ETA with its own clock, so there the raw start is compared too.
        Negative where the skew is not known well enough.
        """
        if self.started_at is None or self.lane is None:
            return None
        sent, offset = self.sent, self.lane.offset
        if self.eta is not None and (sent is None or self.eta + offset > sent):
            return self.started_at - self.eta
        return None if sent is None else self.started_at + offset - sent

    @property
    def prefetch(self) -> float | None:
        """Seconds from received, or the ETA if later, to started; all on the worker's clock."""
        if self.received_at is None or self.started_at is None:
            return None
        ready = self.received_at
        if self.eta is not None:
            ready = max(ready, self.eta)
        return self.started_at - ready

    @property
    def eta_delay(self) -> float | None:
        """Seconds from sent, or else received, to the ETA; None without one.

        Both are of one clock: a countdown is added to the producer's.
        """
        begin = self.received_at if self.sent_at is None else self.sent_at
        return None if self.eta is None or begin is None else max(0.0, self.eta - begin)

    def on_our_clock(self, at: float | None) -> float | None:
        """Put an instant of the worker's clock on ours."""
        return None if at is None or self.lane is None else at + self.lane.offset


class Task(Struct, eq=False, gc=False):
    """One task, from the first that is heard of it until it is forgotten."""

    uuid: str
    kind: Kind
    root_id: str | None
    parent_id: str | None
    last: Delivery
    """The newest delivery of the highest attempt."""
    past: list[Delivery] | None = None
    """All before it, lowest attempt first."""
    trace: Trace | None = None
    """What its further attempts and its children inherit; None: not known or asked for yet."""
    parent_attempt: tuple[int, int] | None = None
    """Retries and ordinal of the parent's delivery that sent it; None: not known, or (0, 0)."""
    end: State | None = None
    """How it ended; None while it is in flight."""
    since: float = 0.0
    """Since when it waits in this state, our clock; its ETA where that is later."""
    slot: int = 0
    """Which of the tables holds it (see `tables`); ENDED once it has ended."""
    starts_dropped: int = 0
    """Of its starts, those of deliveries that are no longer kept."""
    error_type: str | None = None
    first_seen: int = 0
    """Order of first appearance, where records are asked for: an int costs 32 bytes a task."""
    straight: bool = False
    """All that is known of it was taken the short way (see `straight`): its one delivery is as its
    slot says, and has no ETA. False is never wrong, and so not in snapshots."""

    @property
    def state(self) -> State:
        """What it waits for, or how it ended."""
        return self.end or STATE_OF[self.slot % PHASES]

    @property
    def finished(self) -> bool:
        """Whether its end was told."""
        return self.slot == ENDED

    @property
    def starts(self) -> int:
        """How often it began to run."""
        if self.past is None:
            return self.starts_dropped + (self.last.started_at is not None)
        seen = sum(each.started_at is not None for each in self.deliveries())
        return self.starts_dropped + seen

    @property
    def first(self) -> Delivery:
        """The oldest delivery of the lowest attempt."""
        return self.last if self.past is None else self.past[0]

    @property
    def first_sent(self) -> Delivery | None:
        """The delivery that was sent first, of those whose sending was seen."""
        if self.past is None:
            return None if self.last.sent_at is None else self.last
        return next((each for each in self.deliveries() if each.sent_at is not None), None)

    def deliveries(self) -> Iterator[Delivery]:
        """All, newest attempt last."""
        if self.past is not None:
            yield from self.past
        yield self.last

    def of_attempt(self, retries: int) -> list[Delivery]:
        """The deliveries of one attempt, oldest first."""
        last = self.last
        if retries > last.retries:
            return []
        found = [last] if last.retries == retries else []
        # From the newest on: of the attempts before, a task in trouble has dozens.
        for each in reversed(self.past or ()):
            if each.retries < retries:
                break
            if each.retries == retries:
                found.insert(0, each)
        return found

    def on_lane(self, lane: Lane) -> list[Delivery]:
        """The deliveries that one worker took, lowest attempt first."""
        found = [each for each in self.past or () if each.lane is lane]
        if self.last.lane is lane:
            found.append(self.last)
        return found

    def sent_ordinal(self, delivery: Delivery) -> int:
        """Which message of its attempt a delivery is of: a redelivery is of an earlier one."""
        if self.past is None:
            return delivery.ordinal
        for each in self.of_attempt(delivery.retries):
            if each.sender is delivery.sender and each.sent_at == delivery.sent_at:
                return each.ordinal
        return delivery.ordinal

    def add(self, delivery: Delivery) -> None:
        """Put a delivery where its attempt and ordinal say."""
        last = self.last
        if self.past is None:
            self.past = []
        if delivery.retries >= last.retries:
            self.past.append(last)
            self.last = delivery
            return
        self.past.append(delivery)
        self.past.sort(key=lambda each: (each.retries, each.ordinal))


def better(one: Delivery, other: Delivery) -> Delivery:
    """Of two ended deliveries of one attempt, the one that decides: of equals the earlier."""
    return one if _weight(one) >= _weight(other) else other


def _weight(each: Delivery) -> tuple[bool, int, float]:
    return not each.inferred, _RANK[each.state], -(each.ended or 0.0)


def outcome(task: Task) -> Delivery | None:
    """Return the delivery that decides how the task ended, or None while it may still go on.

    It is the best end of the highest attempt; while that has none, nothing is decided.
    """
    last = task.last
    decided = last if last.state in ENDS else None
    for each in reversed(task.past or ()):
        if each.retries != last.retries:
            break
        if each.state in ENDS:
            decided = each if decided is None else better(each, decided)
    return decided


def waiting_state(task: Task) -> State:
    """Return the state of a task that has not ended, whatever the order things became known in."""
    last = task.last
    state = last.state
    past = task.past
    if past is not None and state is not _STARTED:
        if past[-1].state is _STARTED:  # it has just asked for its next attempt
            return _STARTED
        states = [each.state for each in past]
        if _STARTED in states:
            return _STARTED
        if state is not _RECEIVED and _RECEIVED in states:
            return _RECEIVED
        if state is _SENT and last.retries:
            return _RETRY
    if state in OPEN:
        return state
    return _RETRY if state is _RETRY else _SENT  # its next delivery is not known yet
