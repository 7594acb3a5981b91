"""The states of a task, of a delivery and of a worker: closed sets in Celery's words."""

from enum import StrEnum


class State(StrEnum):
    """Where a task or one of its deliveries is. Celery's names, and three of our own."""

    SENT = "SENT"
    RECEIVED = "RECEIVED"
    STARTED = "STARTED"
    RETRY = "RETRY"
    """Of a task: waits for its next attempt. Of a delivery: ended by asking for one."""
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"
    REJECTED = "REJECTED"
    LOST = "LOST"
    """The process that had it is gone, and nobody took it over."""
    UNKNOWN = "UNKNOWN"
    """It ended, or will never run, and no event says how."""
    # Ends of a delivery that are no end of its task:
    REQUEUED = "REQUEUED"
    CANCELLED = "CANCELLED"
    REPLACED = "REPLACED"


class Phase(StrEnum):
    """What a task that has not ended waits for; what a stuck limit applies to."""

    QUEUED = "queued"
    PREFETCHED = "prefetched"
    RUNNING = "running"
    RETRYING = "retrying"


class WorkerState(StrEnum):
    """What the heartbeats of one worker process say."""

    ONLINE = "online"
    SUSPECT = "suspect"
    """Silent for longer than its heartbeat interval allows; a busy solo pool looks like this."""
    LOST = "lost"
    """Silent for so long that its work is given up."""
    OFFLINE = "offline"
    """It said goodbye."""
