"""The shared vocabulary: what arrives (frames) and what it says (Celery's events).

A *frame* is one thing that reached this process and when; it is the seam between the sources and
everything else, and what a capture file holds. An *event* is what the body of a message frame
says, with the fields that are used and no others.

Instants end in ``_at`` and are epoch seconds. ``received_at`` is this process's clock,
``timestamp`` the sender's.
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Timestamp: TypeAlias = Annotated[float, Meta(ge=0, le=9e9)]
"""Epoch seconds that fit into 64 bits of nanoseconds, as every sink writes them."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**62)]
"""A whole number that 64 bits hold, as every sink writes them."""


class Transport(StrEnum):
    """How a message's payload is wrapped."""

    REDIS = "redis"
    """kombu's JSON envelope, as published on a Redis channel."""
    AMQP = "amqp"
    """The bare body; content type and encoding came as message properties."""
    EVENT = "event"
    """One decoded event as JSON, as a camera or a receiver script writes them."""


class Message(Struct, frozen=True, gc=False):
    """One message of the event exchange, as it came off the wire."""

    received_at: float
    source: str
    """Which broker of the configuration it came from."""
    transport: Transport
    channel: bytes
    """The Redis channel or the AMQP routing key."""
    payload: bytes
    content_type: str | None = None
    """From the message's properties; None where the payload has an envelope of its own."""
    content_encoding: str | None = None


class Waiting(Struct, frozen=True, gc=False):
    """What a message that waits in a queue says of the trace it belongs to, as it says it."""

    uuid: str
    retries: int | None = None
    """The attempt it asks for; None where it does not say."""
    traceparent: str | None = None
    tracestate: str | None = None
    sentry_trace: str | None = None


class QueueDepth(Struct, frozen=True, gc=False):
    """One queue as a poll of the broker's keys found it."""

    name: str
    ready: dict[int, int]
    """Messages waiting, by priority step (step 0 is the most urgent on Redis)."""
    oldest: str | None = None
    """The uuid of the task at the head of the least urgent step that is not empty, where messages
    grow old; None where all are empty or it cannot be read."""
    oldest_timelimit: float | None = None
    """The hard (else soft) time limit in the head message's headers, seconds."""
    waiting: tuple[Waiting, ...] = ()
    """The messages that were read and that say something of a trace."""
    unacknowledged: int | None = None
    """Of its messages, how many workers hold; None where that was not looked at in full."""
    oldest_unacknowledged_at: float | None = None
    """When a worker fetched the one that is held longest; None: none is known."""
    overdue: int | None = None
    """Of those, how many are held for most of the visibility timeout, after which they are given
    to another worker as well; None as for ``unacknowledged``."""


class QueueSample(Struct, frozen=True):
    """What one poll of a broker's queue keys found."""

    received_at: float
    source: str
    queues: tuple[QueueDepth, ...]
    unacknowledged: int | None = None
    """Messages that workers hold, over all queues of the database; None where not readable."""
    oldest_unacknowledged_at: float | None = None
    """When a worker fetched the one that is held longest."""
    delayed: int | None = None
    """Messages that the broker holds until their ETA (native delayed delivery); None: no such."""


class Tick(Struct, frozen=True, gc=False):
    """Time passed. The only way in which the core learns of time when nothing arrives."""

    received_at: float
    source: str = ""
    """The broker for whose engine it is, where there are several."""
    deaf: bool = False
    """Whether we are not subscribed now: that nothing is heard of anybody says nothing."""


class Subscribed(Struct, frozen=True, gc=False):
    """A subscription (re)started: what was published since ``silent_since`` was not seen."""

    received_at: float
    source: str
    epoch: int
    """Counts the subscriptions of this source, from 1."""
    silent_since: float | None = None
    """When the previous subscription was last known to work; None for the first."""


class Inspected(Struct, frozen=True, gc=False):
    """What a worker answered to one question; None of what it was not asked."""

    received_at: float
    source: str
    hostname: str
    asked_at: float
    """When the question was sent: what it says was so then or later."""
    pid: int | None = None
    """Of its main process."""
    pool: int | None = None
    """Tasks that it runs at once at most."""
    queues: tuple[str, ...] | None = None
    """The queues that it consumes."""
    active: tuple[str, ...] | None = None
    """The uuids of the tasks that it runs."""


Frame: TypeAlias = Message | QueueSample | Tick | Subscribed | Inspected


class _Event(Struct, frozen=True, gc=False, kw_only=True, tag_field="type"):
    hostname: str
    timestamp: Timestamp
    """The sender's clock, epoch seconds. ``utcoffset`` is for display and is ignored."""
    pid: Count = 0
    clock: Count = 0
    """Lamport clock of the sending process: rises with each event it sends."""


class _TaskEvent(_Event, frozen=True, gc=False, kw_only=True):
    uuid: Annotated[str, Meta(min_length=1)]


class TaskSent(_TaskEvent, frozen=True, gc=False, kw_only=True, tag="task-sent"):
    """A producer published the task; only with ``task_send_sent_event``."""

    name: str | None = None
    retries: Count | None = None
    eta: str | None = None
    """ISO 8601."""
    queue: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    traceparent: str | None = None
    """From the plugin, like the two below. Not validated."""
    tracestate: str | None = None
    sentry_trace: str | None = None


class TaskReceived(_TaskEvent, frozen=True, gc=False, kw_only=True, tag="task-received"):
    """A worker took the task from the broker."""

    name: str | None = None
    retries: Count | None = None
    eta: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    traceparent: str | None = None
    """From the plugin, like all below. Not validated."""
    tracestate: str | None = None
    sentry_trace: str | None = None
    redelivered: bool | None = None
    """The broker had given the message to somebody before."""


class TaskStarted(_TaskEvent, frozen=True, gc=False, kw_only=True, tag="task-started"):
    """A pool process accepted the task."""


class TaskSucceeded(_TaskEvent, frozen=True, gc=False, kw_only=True, tag="task-succeeded"):
    """The task returned."""

    runtime: float | None = None
    """Seconds, as the worker measured."""


class TaskFailed(_TaskEvent, frozen=True, gc=False, kw_only=True, tag="task-failed"):
    """The task raised, ran out of time, lost its process, or is not registered (no received)."""

    exception: str | None = None
    traceback: str | None = None


class TaskRetried(_TaskEvent, frozen=True, gc=False, kw_only=True, tag="task-retried"):
    """This attempt ended by asking for another one."""

    exception: str | None = None
    traceback: str | None = None


class TaskRejected(_TaskEvent, frozen=True, gc=False, kw_only=True, tag="task-rejected"):
    """The worker refused the message, and with ``requeue`` put it back."""

    requeue: bool | None = None


class TaskRevoked(_TaskEvent, frozen=True, gc=False, kw_only=True, tag="task-revoked"):
    """Revoked, expired or terminated; without ``received`` where the id was known beforehand."""

    terminated: bool | None = None
    expired: bool | None = None


class TaskCancelled(_TaskEvent, frozen=True, gc=False, kw_only=True, tag="task-cancelled"):
    """A shutdown or a lost connection killed the running task (undocumented, since 5.1)."""


class TaskSentInFull(TaskSent, frozen=True, gc=False, kw_only=True, tag="task-sent"):
    """`TaskSent` with the arguments: a ``repr`` of each, shortened by Celery.

    Whatever somebody else's dispatcher writes there must not cost the event, hence any type.
    """

    args: object = None
    kwargs: object = None


class TaskReceivedInFull(TaskReceived, frozen=True, gc=False, kw_only=True, tag="task-received"):
    """`TaskReceived` with the arguments, as in `TaskSentInFull`."""

    args: object = None
    kwargs: object = None


class TaskSucceededInFull(TaskSucceeded, frozen=True, gc=False, kw_only=True, tag="task-succeeded"):
    """`TaskSucceeded` with what the task returned: a ``repr``, as for the arguments."""

    result: object = None


class _WorkerEvent(_Event, frozen=True, gc=False, kw_only=True):
    freq: float | None = None
    """Seconds between heartbeats."""
    active: Count | None = None
    """Tasks running now; None in the heartbeat that answers a broadcast."""
    processed: Count | None = None
    """Tasks accepted since the process began."""
    sw_ver: str | None = None


class WorkerOnline(_WorkerEvent, frozen=True, gc=False, kw_only=True, tag="worker-online"):
    """A worker process began."""


class WorkerHeartbeat(_WorkerEvent, frozen=True, gc=False, kw_only=True, tag="worker-heartbeat"):
    """A worker process says that it lives."""


class WorkerOffline(_WorkerEvent, frozen=True, gc=False, kw_only=True, tag="worker-offline"):
    """A worker process shuts down."""


class OtherEvent(Struct, frozen=True, gc=False):
    """Any other type: a custom event of the application, gossip."""

    type: str
    hostname: str = ""
    timestamp: float = 0.0
    pid: Count = 0
    clock: Count = 0
    uuid: str | None = None


KnownEvent: TypeAlias = (
    TaskSent
    | TaskReceived
    | TaskStarted
    | TaskSucceeded
    | TaskFailed
    | TaskRetried
    | TaskRejected
    | TaskRevoked
    | TaskCancelled
    | WorkerOnline
    | WorkerHeartbeat
    | WorkerOffline
)
KnownEventInFull: TypeAlias = (
    TaskSentInFull
    | TaskReceivedInFull
    | TaskStarted
    | TaskSucceededInFull
    | TaskFailed
    | TaskRetried
    | TaskRejected
    | TaskRevoked
    | TaskCancelled
    | WorkerOnline
    | WorkerHeartbeat
    | WorkerOffline
)
"""The same with arguments and results, which are decoded only where they are asked for."""
Event: TypeAlias = KnownEvent | OtherEvent


class Reason(StrEnum):
    """Why a message, or one event in it, could not be read. A closed set: it is a label."""

    ENVELOPE = "envelope"
    """Not kombu's envelope, or not JSON."""
    CONTENT_TYPE = "content_type"
    """A serialiser that is not decoded: pickle never is, yaml and signed messages are not."""
    MALFORMED = "malformed"
    """The body is not what its content type says."""
    INVALID = "invalid"
    """An event whose fields have the wrong types, or that lacks one it needs."""
    TOO_LARGE = "too_large"


class Rejected(Struct, frozen=True, gc=False):
    """What the decoder could not read, and why. A value, never raised."""

    reason: Reason
    detail: str
    """For a debug log; not for a label."""
