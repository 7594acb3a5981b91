"""What waits in the broker, and for how long."""

from ...sinks import instruments as table
from ..names import Series
from ..panels import Dashboard, Panel, Query, Row, stat
from . import variables

_ALL = 'queue="*"'
"""What the broker tells of all queues together."""
_EACH = 'queue!="*"'
_HELD = 'state="unacknowledged"'


def dashboard(series: Series) -> Dashboard:
    """Make it."""
    chosen = Series(series.names, f'{series.common},queue=~"$queue"')
    return Dashboard(
        "celery-stream-queues",
        "Celery / Queues",
        "Depth, age, draining and what workers hold, by queue. Made by celery-stream.",
        (variables.job(series), variables.broker(series), variables.queue(series)),
        (
            Row("Now", _now(series, chosen)),
            Row("Ready", _ready(chosen)),
            Row("At the workers", _held(series, chosen)),
        ),
    )


def _now(series: Series, chosen: Series) -> tuple[Panel, ...]:
    return (
        stat(
            "Waiting",
            "Messages in the queues that are chosen.",
            "none",
            f"sum({chosen(table.QUEUE_DEPTH)})",
        ),
        stat(
            "Change per minute",
            "How the number of waiting messages moves, over 15 minutes. Above 0 for long: more "
            "comes than is consumed.",
            "none",
            f"sum(deriv({chosen(table.QUEUE_DEPTH)}[15m])) * 60",
            bad=(("green", None), ("orange", 1.0)),
            least=None,
        ),
        stat(
            "Time to drain",
            "The longest of the queues: messages over the rate at which they are received.",
            "s",
            f"max({chosen(table.QUEUE_DRAIN_TIME)}) or vector(0)",
        ),
        stat(
            "Stalled queues",
            "Queues that hold messages and that nobody takes from, although workers are there.",
            "none",
            f"sum({chosen(table.QUEUE_STALLED)}) or vector(0)",
            bad=(("green", None), ("red", 1.0)),
        ),
        stat(
            "Unacknowledged",
            "Messages that workers hold, over all queues where the broker tells (on RabbitMQ with "
            "its management API only).",
            "none",
            f"sum({series(table.QUEUE_SIZE, f'{_HELD},{_ALL}')}) "
            f"or sum({series(table.QUEUE_SIZE, _HELD)}) or vector(0)",
        ),
        stat(
            "Soon given out again",
            "Messages held for most of the visibility timeout, after which Redis gives them to "
            "another worker too. Needs held_interval.",
            "none",
            f"sum({chosen(table.QUEUE_OVERDUE)}) or vector(0)",
            bad=(("green", None), ("red", 1.0)),
        ),
    )


def _ready(series: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Messages waiting",
            "Of all priorities.",
            "none",
            (Query(f"sum by (queue) ({series(table.QUEUE_DEPTH)})", "{{queue}}"),),
            stacked=True,
            width=12,
        ),
        Panel(
            "Oldest message",
            "Age of the message at the head; no line where the queue is empty or the task's "
            "sending was not seen.",
            "s",
            (Query(f"max by (queue) ({series(table.QUEUE_OLDEST_AGE)})", "{{queue}}"),),
            width=12,
        ),
        Panel(
            "Time waited",
            "From sent, or the ETA if later, to started, of those that were started.",
            "s",
            (
                Query(series.quantile(0.5, table.TASK_WAIT_TIME, by="queue"), "{{queue}} p50"),
                Query(series.quantile(0.95, table.TASK_WAIT_TIME, by="queue"), "{{queue}} p95"),
            ),
        ),
        Panel(
            "Started per second",
            "How fast each queue is worked off.",
            "ops",
            (Query(series.rate(table.TASK_STARTED, by="queue"), "{{queue}}"),),
            stacked=True,
        ),
        Panel(
            "Time to drain",
            "At the rate at which messages are received now.",
            "s",
            (Query(f"max by (queue) ({series(table.QUEUE_DRAIN_TIME)})", "{{queue}}"),),
        ),
        Panel(
            "Messages waiting, by priority",
            "On Redis the steps are 0, 3, 6 and 9, and 0 is the most urgent.",
            "none",
            (
                Query(
                    f"sum by (queue, priority) ({series(table.QUEUE_PRIORITY_DEPTH)})",
                    "{{queue}} {{priority}}",
                ),
            ),
            width=12,
            stacked=True,
        ),
        Panel(
            "Not consumed",
            "1 while a queue holds messages and nobody takes any, although workers are there: a "
            "worker that hangs, or none that serves this queue.",
            "none",
            (Query(f"max by (queue) ({series(table.QUEUE_STALLED)})", "{{queue}}"),),
            width=12,
            most=1.0,
        ),
    )


def _held(series: Series, chosen: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Unacknowledged",
            "Messages that workers hold; * is all queues, where the broker does not tell it by "
            "queue.",
            "none",
            (
                Query(
                    f"sum by (queue) ({series(table.QUEUE_SIZE, _HELD)})",
                    "{{queue}}",
                ),
            ),
        ),
        Panel(
            "Held longest",
            "How long a worker has held the message that is held longest. At the visibility "
            "timeout (an hour by default) Redis gives it to another worker too.",
            "s",
            (
                Query(f"max({series(table.QUEUE_UNACKNOWLEDGED_AGE, _ALL)})", "all"),
                Query(
                    f"max by (queue) ({chosen(table.QUEUE_UNACKNOWLEDGED_AGE, _EACH)})", "{{queue}}"
                ),
            ),
        ),
        Panel(
            "Redelivered",
            "Messages received again for the same attempt: after a visibility timeout or a lost "
            "worker. The task may have run twice.",
            "ops",
            (Query(chosen.rate(table.TASK_REDELIVERED), "redelivered"),),
        ),
    )
