"""What a reader of a queue must remember: what to acknowledge, and whether the queue dropped any.

RabbitMQ drops the oldest messages of a queue that is full and tells nobody. So its length is
asked for now and then, and at once after a pause of ours, before anything is acknowledged: then
it still is as long as it was. No I/O; instants are those of the caller's clocks.
"""

from typing import Final

from . import amqp_frames as frames
from .amqp_frames import Name, Received
from .amqp_queue import CHANNEL, OwnQueue, Retain

_UNACKED, _ACK_AFTER = 500, 0.25
"""So many, or so many seconds, after which what was taken is acknowledged."""
_LOOK_AFTER: Final = 5.0
_PAUSE: Final = 0.5
_IDLE: Final = 60.0


class Acknowledgements:
    """Messages that were taken and are not acknowledged yet."""

    def __init__(self, at: float) -> None:
        self._tag = 0
        self._count = 0
        self._sent_at = at

    @property
    def patience(self) -> float:
        """Seconds that may pass until `due` is asked again."""
        return _ACK_AFTER if self._count else _IDLE

    def add(self, received: Received) -> None:
        """These were taken."""
        self._tag = received.tag
        self._count += len(received.messages)

    def due(self, at: float) -> bytes:
        """The acknowledgement to send now; empty where there is none."""
        if self._count < _UNACKED and at - self._sent_at < _ACK_AFTER:
            return b""
        self._sent_at = at
        return self.rest()

    def rest(self) -> bytes:
        """The acknowledgement of all that is left."""
        if not self._count:
            return b""
        self._count = 0
        return frames.acknowledge(CHANNEL, self._tag)


class Watch:
    """Asks how long our queue is, and tells when it must have dropped messages.

    Args:
        queue: ours.
        at: now, on the clock that runs evenly.
        now: now, epoch seconds.
        rebind: seconds after which the queue is bound again.
    """

    def __init__(self, queue: OwnQueue, at: float, now: float, *, rebind: float) -> None:
        self._queue = queue
        self._rebind = rebind
        self._asked_at = float("-inf")
        self._seen_at = self._bound_at = at
        self._well_at = now
        self._mean_bytes = 0.0

    def questions(self, received: Received, at: float) -> bytes:
        """The frames to send now; to be called after each read."""
        paused = at - self._seen_at >= _PAUSE
        self._seen_at = at
        asked = b""
        if at - self._bound_at >= self._rebind:
            self._bound_at = at
            asked = frames.method(CHANNEL, Name.QUEUE_BIND, *self._queue.rebinding())
        # After a pause also where nothing was read yet, or half a message: whoever was stopped is
        # woken by a timer, and acknowledges at once what he had taken before.
        if paused or (received.messages and at - self._asked_at >= _LOOK_AFTER):
            self._asked_at = at
            self._mean_bytes = received.mean_bytes or self._mean_bytes
            asked += frames.method(CHANNEL, Name.QUEUE_DECLARE, *self._queue.look())
        return asked

    def asked(self, at: float) -> None:
        """The questions were sent: a pause until then is over, and the answers tell of it."""
        self._asked_at = self._seen_at = at

    def dropped_since(self, received: Received, now: float) -> float | None:
        """Since when messages may have been dropped; None where none were."""
        for method in received.methods:
            if method.name is Name.QUEUE_DECLARE_OK and self._queue.retain is not Retain.STREAM:
                well_at, self._well_at = self._well_at, now
                if self._queue.bounds.full(int(str(method.arguments[1])), self._mean_bytes):
                    return well_at
        return None
