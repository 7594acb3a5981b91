"""How the cost of an event, and memory, depend on what a cluster has much of.

Tasks in flight, label sets (task names, each with its queue), and events in a message; each point
in a process of its own.
"""

from .in_flight import Found, measured
from .result import Curve, Point
from .turns import Plan

IN_FLIGHT = (1_000, 10_000, 100_000, 1_000_000)
LABEL_SETS = (5, 50, 500, 1_500)
BATCHES = (1, 4, 12, 24, 100)
_TASKS = 10_000


def curves(plan: Plan) -> tuple[Curve, ...]:
    """Measure all points."""
    events = plan.events
    most = IN_FLIGHT if plan.rounds > 1 else IN_FLIGHT[:-1]
    return (
        Curve(
            "tasks in flight",
            tuple(
                _point(tasks, measured(tasks, events, batch=plan.batch), per=tasks)
                for tasks in most
            ),
        ),
        Curve(
            "task names",
            tuple(
                _point(names, measured(_TASKS, events, batch=plan.batch, names=names))
                for names in LABEL_SETS
            ),
        ),
        Curve(
            "events in a message",
            tuple(_point(batch, measured(_TASKS, events, batch=batch)) for batch in BATCHES),
        ),
    )


def _point(x: int, found: Found, *, per: int | None = None) -> Point:
    return Point(
        x=x,
        events_per_cpu_second=round(found.events / found.cpu_seconds),
        bytes=round(found.filled_bytes / per) if per else found.resident_bytes,
    )
