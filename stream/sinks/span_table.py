"""The spans in words: the table of the reference. A test holds it against `span_records`."""

from typing import Final, NamedTuple, TypeAlias

Meanings: TypeAlias = tuple[tuple[str, str], ...]
"""Attributes and what they mean."""


class SpanKindRow(NamedTuple):
    """One kind of span."""

    name: str
    kind: str
    """OpenTelemetry's span kind."""
    covers: str
    """When it begins and ends, and when there is one."""
    parent: str
    attributes: Meanings


_MESSAGE: Final[Meanings] = (
    ("messaging.system", "the broker: `redis`, `rabbitmq`"),
    ("messaging.operation.name", "`send`, `wait` or `process`"),
    ("messaging.destination.name", "the queue, where it is known"),
    ("messaging.message.id", "the task's uuid, the same for all its attempts"),
    ("messaging.message.conversation_id", "the root task's uuid, its own where no other is known"),
    ("celery.task.name", "the task's name, where it is known"),
    ("celery.broker.name", "the broker's name, where one was given or there are several"),
    ("celery.task.retries", "number of the attempt, 0 for the first"),
    ("celery.task.parent_id", "uuid of the task that sent it, where one did"),
    (
        "celery.trace.source",
        (
            "how the trace is known: `event` or `peek` (the message's own), `parent`, `root`, "
            "`derived` (made of the root task's uuid)"
        ),
    ),
)
_WORKER: Final[Meanings] = (("celery.worker.name", "the worker's node name, where it is known"),)
_REDELIVERED: Final = "celery.task.redelivered"

SPANS: Final[tuple[SpanKindRow, ...]] = (
    SpanKindRow(
        name="send {task}",
        kind="PRODUCER",
        covers="the instant at which an attempt was sent; exported at once, and only where no "
        'span of the producer\'s own is known; not with `spans.send = "never"`',
        parent="`process` of the attempt before, or of the task that sent it",
        attributes=(*_MESSAGE, ("messaging.operation.type", "`send`")),
    ),
    SpanKindRow(
        name="wait {queue}",
        kind="INTERNAL",
        covers="sent, or its ETA if that is later, to started; only where that is longer than "
        "`spans.wait`",
        parent="as for `process`",
        attributes=(
            *_MESSAGE,
            *_WORKER,
            (_REDELIVERED, "`true` where the same attempt had been received before"),
        ),
    ),
    SpanKindRow(
        name="process {task}",
        kind="CONSUMER",
        covers="started to its end; one for each delivery of each attempt, an instant where it "
        "never started. Linked to the delivery or attempt before it. With status `ERROR` where it "
        "failed, was retried or lost",
        parent="the span that created the message: the producer's own, else `send`, else "
        "`process` of what sent it",
        attributes=(
            *_MESSAGE,
            ("messaging.operation.type", "`process`"),
            *_WORKER,
            (
                "celery.task.state",
                (
                    "how it ended: `SUCCESS`, `FAILURE`, `RETRY`, `REVOKED`, `REJECTED`, "
                    "`LOST`, `UNKNOWN`, `REQUEUED`, `CANCELLED`, `REPLACED`"
                ),
            ),
            ("celery.task.wait_time", "seconds from sent, or its ETA if later, to started"),
            (
                _REDELIVERED,
                "`true` where the same attempt had been received before, or the broker says so",
            ),
            ("celery.end.inferred", "`true` where no event told the end"),
            ("error.type", "class of the exception, `_OTHER` where it is not known; of errors"),
            ("exception.type", "the same, where it is known"),
            ("exception.message", "what the exception says, without credentials"),
            ("exception.stacktrace", "the traceback, without the middle of a long one"),
        ),
    ),
)
