"""Celery's events from a RabbitMQ broker, by a queue of our own on the event exchange.

Methods sent: to log in, passive declarations, those for our own queue (declare, bind, qos,
consume) and acknowledgements. Nothing is published, no exchange declared, no queue of the
application's touched.

Messages are handed over one list per socket read and acknowledged together once they were taken.
What is not acknowledged comes again after a lost connection: a retained queue loses nothing, and
the engine knows what it has seen. An exclusive queue ends with its connection, so what was
published until the next one is lost, and marked.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

import anyio

from ..errors import LostError
from ..events import Frame, Subscribed
from ..occurrences import PositionFailed, SourceLost, Tell
from . import amqp_frames as frames
from .amqp_address import AmqpAddress
from .amqp_connection import ChannelClosedError, Connection
from .amqp_frames import Received
from .amqp_login import connect
from .amqp_position import Position
from .amqp_queue import Bounds, Opened, OwnQueue, Retain
from .amqp_watch import Acknowledgements, Watch
from .base import Put

# Enough for 100,000 messages a second over 20 ms, and some MB in flight.
_PREFETCH = 2000
# Seconds for a farewell to a server that does not take it.
_FAREWELL = 1.0


class AmqpEvents:
    """The messages of one broker's event exchange.

    Args:
        addresses: the broker's servers; the first that answers is taken.
        name: the broker's name in the configuration; it goes into each frame.
        tell: is told when the event exchange is not there yet, and when the position of a stream
            cannot be kept.
        exchange: Celery's ``event_exchange``.
        queue_prefix: Celery's ``event_queue_prefix``.
        retain: whether events are kept while we are away.
        bounds: the limits of our queue.
        position: where a stream's position is kept; required with `Retain.STREAM`.
        now: the clock, epoch seconds.
        heartbeat: seconds without a sign of life after which the connection is given up, doubled.
        timeout: seconds for connecting and for each answer.
        retry: seconds between two looks for the event exchange.
        rebind: seconds after which the queue is bound again, should the binding be lost.
        sleep: waits between them.

    Raises:
        ValueError: a stream without a position.
    """

    def __init__(
        self,
        addresses: Sequence[AmqpAddress],
        name: str,
        *,
        tell: Tell,
        exchange: str = "celeryev",
        queue_prefix: str = "celeryev",
        retain: Retain = Retain.NONE,
        bounds: Bounds | None = None,
        position: Position | None = None,
        now: Callable[[], float] = time.time,
        heartbeat: float = 30.0,
        timeout: float = 5.0,
        retry: float = 2.0,
        rebind: float = 60.0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        if retain is Retain.STREAM and position is None:
            raise ValueError("a stream needs a position")
        self.name = name
        self._addresses = tuple(addresses)
        self._tell = tell
        self._exchange = exchange
        self._queue = OwnQueue(
            name,
            exchange=exchange,
            prefix=queue_prefix,
            retain=retain,
            bounds=bounds or Bounds(),
            prefetch=_PREFETCH,
        )
        self._position = position if retain is Retain.STREAM else None
        self._now = now
        self._heartbeat = heartbeat
        self._timeout = timeout
        self._retry = retry
        self._rebind = rebind
        self._sleep = sleep
        self._epoch = 0
        self._problem: str | None = None
        """Of the position's file, as it was told last."""
        self._alive_at: float | None = None
        """When the subscription was last known to work."""

    async def run(self, put: Put) -> None:
        """Subscribe and hand over a `Subscribed` frame, then messages, until the connection ends.

        Waits for the event exchange where there is none yet. Where our queue was full, messages
        were dropped: that is marked by a further `Subscribed` frame.

        Raises:
            LostError: the connection could not be made or broke.
            RefusedError: the server refuses the user, or what the subscription needs.
        """
        reader = frames.Reader(self.name, offsets=self._position is not None)
        async with connect(
            self._addresses, reader, timeout=self._timeout, heartbeat=self._heartbeat, now=self._now
        ) as connection:
            await self._find_exchange(connection)
            expected = self._position.next if self._position is not None else None
            opened = await self._queue.open(connection, expected)
            if self._position is not None and not opened.existed:
                self._position.forget()
            silent_since, self._alive_at = self._silent_since(opened), self._now()
            await put([self._mark(silent_since)])
            try:
                await self._take(connection, put, expected if opened.existed else None)
            except ChannelClosedError as error:
                raise self._queue.explain(connection, error, "read its queue") from error

    async def _find_exchange(self, connection: Connection) -> None:
        told = False
        while not await self._queue.has_exchange(connection):
            if not told:
                reason = (
                    f"{connection.place} has no exchange {self._exchange!r}: "
                    "no worker with events has connected yet"
                )
                self._tell(SourceLost(self.name, reason, self._retry))
                told = True
            await self._sleep(self._retry)

    def _silent_since(self, opened: Opened) -> float | None:
        """Since when events may have been lost; None where none was, or none is known."""
        bounds, before, now = self._queue.bounds, self._alive_at, self._now()
        if not opened.existed:
            return before
        if opened.ready >= bounds.messages:
            return now - bounds.age if before is None else before
        return before if before is not None and now - before > bounds.age else None

    def _mark(self, silent_since: float | None) -> Frame:
        self._epoch += 1
        return Subscribed(self._now(), self.name, self._epoch, silent_since)

    async def _take(self, connection: Connection, put: Put, expected: int | None) -> None:
        """Hand over messages until the connection ends; *expected* is a stream's next offset."""
        at = anyio.current_time()
        taken = Acknowledgements(at)
        watch = Watch(self._queue, at, self._now(), rebind=self._rebind)
        try:
            while True:
                received = await connection.receive(taken.patience)
                at = anyio.current_time()
                questions = watch.questions(received, at)
                if received.messages:
                    await self._hand_over(received, put, expected)
                    expected = None
                    taken.add(received)
                    self._remember(received, at)
                self._alive_at = connection.heard_at
                if (since := watch.dropped_since(received, self._now())) is not None:
                    await put([self._mark(since)])
                if answer := questions + taken.due(at):
                    await connection.send(answer)
                if questions:
                    watch.asked(anyio.current_time())
        finally:
            await self._settle(connection, taken)

    def _remember(self, received: Received, at: float) -> None:
        """Keep the position in a stream, and tell once where its file cannot be written."""
        if self._position is None or received.offset is None:
            return
        self._position.advance(received.offset, at)
        problem, told = self._position.problem, self._problem
        self._problem = problem
        if problem is not None and problem != told:
            self._tell(PositionFailed(self.name, problem))

    async def _hand_over(self, received: Received, put: Put, expected: int | None) -> None:
        if expected is not None and (received.first_offset or 0) > expected:
            # The stream's limits removed what comes before.
            await put([self._mark(self._alive_at or self._now() - self._queue.bounds.age)])
        await put(received.messages)

    async def _settle(self, connection: Connection, taken: Acknowledgements) -> None:
        """Remember what was taken, so that it need not come again. Also when cancelled."""
        if self._position is not None:
            self._position.save()
        with anyio.move_on_after(_FAREWELL, shield=True), contextlib.suppress(LostError):
            if rest := taken.rest():
                await connection.send(rest)
