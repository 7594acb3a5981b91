"""Which delivery an event speaks of, and what it means for it. Pure choices, no state.

Only sent and received say which attempt they belong to; for all others the lane decides.
"""

from datetime import UTC, datetime
from typing import Final, TypeAlias

from ..events import (
    TaskCancelled,
    TaskFailed,
    TaskReceived,
    TaskRejected,
    TaskRetried,
    TaskRevoked,
    TaskSucceeded,
    TaskSucceededInFull,
)
from .states import State
from .task import Delivery

EndEvent: TypeAlias = (
    TaskSucceeded | TaskFailed | TaskRetried | TaskRejected | TaskRevoked | TaskCancelled
)
ENDLESS: Final = float("inf")
"""Seconds: what claims to have run for so long, or for no number, has told nothing."""
_HELD: Final = frozenset({State.RECEIVED, State.STARTED})
_STARTED: Final = State.STARTED


def same(clock: int, other_clock: int, at: float | None, other_at: float) -> bool:
    """Whether two events of one lane, type and uuid are one.

    One that comes twice has the same time as well; the clock of a process that has the hostname
    and the pid of another begins anew.
    """
    return at == other_at and (clock == other_clock or other_clock <= 0)


def to_end(event: EndEvent, here: list[Delivery]) -> Delivery | None:
    """Choose among the deliveries of a task on one lane the one that an end event speaks of.

    A lower attempt can only have ended by asking for the higher one, so ``retried`` closes the
    lowest and everything else the highest. The one that started is preferred, except for a success:
    its start may be among the lost events, and nothing succeeds after having asked for a retry.
    """
    open_here = [each for each in here if each.state in _HELD]
    if len(open_here) == 1 and open_here[0].state is _STARTED:  # nearly always
        return open_here[0]
    if isinstance(event, TaskSucceeded):
        open_here = [
            each
            for each in open_here
            if each.state is _STARTED or each.eta is None or each.eta <= event.timestamp
        ]
    elif started := [each for each in open_here if each.state is _STARTED]:
        open_here = started
    if not open_here:
        return None
    choose = min if isinstance(event, TaskRetried) else max
    retries = choose(each.retries for each in open_here)
    attempt = [each for each in open_here if each.retries == retries]
    started = [each for each in attempt if each.state is _STARTED]
    if len(started) > 1 and isinstance(event, TaskSucceeded) and event.runtime is not None:
        began_at = event.timestamp - event.runtime
        return min(started, key=lambda each: abs((each.started_at or 0.0) - began_at))
    return started[0] if started else attempt[0]


def begins_before(event: TaskReceived, delivery: Delivery) -> bool:
    """Whether a delivery whose start or end is known may have been received by this event."""
    later = delivery.started_at if delivery.started_at is not None else delivery.ended_at
    return later is None or event.timestamp <= later


_ENDS: Final = {
    TaskSucceeded: State.SUCCESS,
    TaskSucceededInFull: State.SUCCESS,
    TaskFailed: State.FAILURE,
    TaskRetried: State.RETRY,
    TaskCancelled: State.CANCELLED,
}


def end_of(event: EndEvent) -> tuple[State, str | None]:
    """Return the state that an end event means for its delivery, and the reason it gives."""
    match event:
        case TaskRevoked():
            reason = "expired" if event.expired else "terminated" if event.terminated else "revoked"
            return State.REVOKED, reason
        case TaskRejected():
            return (State.REQUEUED, "requeue") if event.requeue else (State.REJECTED, "drop")
        case _:
            return _ENDS[type(event)], None


def epoch(text: str) -> float | None:
    """Read an ISO 8601 instant; None where it is none. Without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    try:
        return at.timestamp()
    except (OverflowError, OSError):
        return None
