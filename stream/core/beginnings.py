"""What is told of an attempt that begins, besides `Started`, where it is asked for."""

from .effects import Arguments, AttemptBegan, WaitedLong
from .task import FIRST_ATTEMPT, Delivery, Task
from .trace import Trace


def waited_long(task: Task, delivery: Delivery, wait: float, *, trace: Trace | None) -> WaitedLong:
    """Tell of a wait of so many seconds, which is over."""
    started_at = delivery.on_our_clock(delivery.started_at) or 0.0
    return WaitedLong(
        task.uuid,
        task.kind,
        delivery.retries,
        delivery.ordinal,
        None if delivery.lane is None else delivery.lane.hostname,
        task.root_id,
        task.parent_id,
        task.parent_attempt or FIRST_ATTEMPT,
        delivery.sent,
        started_at - wait,
        started_at,
        trace,
        task.sent_ordinal(delivery),
    )


def attempt_began(
    task: Task, delivery: Delivery, wait: float | None, *, trace: Trace | None
) -> AttemptBegan:
    """Tell of an attempt that begins, after a wait of so many seconds if that is known."""
    arguments = delivery.arguments
    return AttemptBegan(
        task.uuid,
        task.kind,
        delivery.retries,
        delivery.ordinal,
        None if delivery.lane is None else delivery.lane.hostname,
        task.root_id,
        trace,
        wait,
        delivery.on_our_clock(delivery.started_at) or 0.0,
        None if arguments is None else Arguments(*arguments),
    )
