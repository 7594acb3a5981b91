"""What each event means for a task in each state: the machine as a table.

It is total: no event is illegal in any state, since the processes race. The engine reaches these
states by attributing events to deliveries (see `attribution`); for a task with one delivery at a
time, and its events on one worker, that is this table, which a test holds against it and from which
the README's diagram is drawn.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from .states import State


class Trigger(StrEnum):
    """What changes the state of a task: Celery's events, then what no event says."""

    SENT = "sent"
    RECEIVED = "received"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    REVOKED = "revoked"
    REJECTED = "rejected"
    REQUEUED = "rejected (requeue)"
    CANCELLED = "cancelled"
    WORKER_LOST = "worker lost"
    WORKER_IDLE = "worker idle"
    NOWHERE = "nowhere to be found"
    SILENCE = "long silence"


_ENDS: Final = {
    Trigger.SUCCEEDED: State.SUCCESS,
    Trigger.FAILED: State.FAILURE,
    Trigger.RETRIED: State.RETRY,
    Trigger.REVOKED: State.REVOKED,
    Trigger.REJECTED: State.REJECTED,
    Trigger.REQUEUED: State.SENT,
    Trigger.CANCELLED: State.SENT,
}
"""The same whatever was seen before: an end whose beginning was missed is an end."""

_TOLD: Final = (State.SUCCESS, State.FAILURE, State.REVOKED, State.REJECTED)

TRANSITIONS: Final[Mapping[State | None, Mapping[Trigger, State]]] = {
    None: {
        Trigger.SENT: State.SENT,
        Trigger.RECEIVED: State.RECEIVED,
        Trigger.STARTED: State.STARTED,
        **_ENDS,
    },
    State.SENT: {
        Trigger.RECEIVED: State.RECEIVED,
        Trigger.STARTED: State.STARTED,
        **_ENDS,
        Trigger.NOWHERE: State.UNKNOWN,
        Trigger.SILENCE: State.UNKNOWN,
    },
    State.RECEIVED: {
        Trigger.SENT: State.RECEIVED,
        Trigger.STARTED: State.STARTED,
        **_ENDS,
        Trigger.WORKER_LOST: State.SENT,
        Trigger.SILENCE: State.UNKNOWN,
    },
    State.STARTED: {
        Trigger.SENT: State.STARTED,
        **_ENDS,
        Trigger.WORKER_LOST: State.LOST,
        Trigger.WORKER_IDLE: State.UNKNOWN,
    },
    State.RETRY: {
        Trigger.SENT: State.RETRY,
        Trigger.RECEIVED: State.RECEIVED,
        Trigger.STARTED: State.STARTED,
        **{trigger: end for trigger, end in _ENDS.items() if trigger is not Trigger.RETRIED},
        Trigger.SILENCE: State.UNKNOWN,
    },
}
"""State (None: not known yet) -> trigger -> state. An end is left by nothing."""


def diagram() -> str:
    """Draw the table as a Mermaid state diagram.

    Triggers between the same states share an arrow; the ends that an event tells, which can be
    reached from everywhere, share a box.
    """
    lines = ["stateDiagram-v2", f'    state "{", ".join(_TOLD)}" as told']
    for state, row in TRANSITIONS.items():
        arrows: dict[str, list[str]] = {}
        for trigger, target in row.items():
            if target is not state:
                box = "told" if target in _TOLD else str(target)
                arrows.setdefault(box, []).append(trigger.value)
        for box, triggers in arrows.items():
            lines.append(f"    {state or '[*]'} --> {box}: {', '.join(triggers)}")
    lines += [f"    {end} --> [*]" for end in ("told", State.LOST, State.UNKNOWN)]
    return "\n".join(lines) + "\n"
