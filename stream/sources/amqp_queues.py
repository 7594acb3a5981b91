"""How much waits in a RabbitMQ broker's queues, by passive declarations.

A passive declaration changes nothing and needs no permission. It tells how many messages are
ready and how many consumers there are; one for a queue that is not there closes the channel, so
it is asked on a channel of no other use. Each such refusal is a line in RabbitMQ's log, so an
absent queue is asked for again ever more rarely.

AMQP cannot list queues: those that are measured are configured, were seen in events, or are
Celery's default. With the management API those that it lists stand in for the default, and what
consumers hold is known too. Queues of Celery's native delayed delivery hold tasks until their ETA:
they are no backlog, and are told as one number apart.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import anyio
from msgspec import Struct

from ..errors import LostError
from ..events import QueueDepth, QueueSample
from ..occurrences import QueuesPolled, Tell
from .amqp_address import AmqpAddress
from .amqp_connection import NOT_FOUND, ChannelClosedError, Connection
from .amqp_frames import MAX_NAME_BYTES, Argument, Name, Reader
from .amqp_login import connect
from .base import Put
from .rabbitmq_management import Kind, ManagedQueue, Management

DEFAULT_QUEUE: Final = "celery"
"""It is there even if nothing names it yet."""
_DELAYED = tuple(f"celery_delayed_{level}" for level in reversed(range(28)))
"""All levels are declared together (kombu/transport/native_delayed_delivery.py)."""
_is_delayed = re.compile(r"celery_delayed_\d+").fullmatch
_is_reply = re.compile(r".*\.celery\.pidbox|bcast\..*").fullmatch
# One declaration takes a round trip: a second of them at 1 ms each.
_MAX_QUEUES = 1000
_CHANNEL = 1
# Neither durable, exclusive, auto-deleted nor without an answer; no arguments.
_NOTHING_ELSE: tuple[Argument, ...] = (False, False, False, False, {})
_FIRST_RETRY, _MOST_RETRY = 15.0, 600.0


class Counts(Struct, frozen=True, gc=False):
    """One queue as a poll found it. None: not known."""

    name: str
    ready: int
    consumers: int
    unacknowledged: int | None = None
    kind: Kind | None = None


class Absences:
    """Queues that were not there, and when to ask for each again.

    The delay doubles, because RabbitMQ writes a line into its log for each question.
    """

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, float]] = {}

    def due(self, name: str, at: float) -> bool:
        """Whether to ask for it now."""
        return self._until.get(name, (at, 0.0))[0] <= at

    def note(self, name: str, at: float) -> None:
        """It is not there."""
        delay = min(2 * self._until.get(name, (at, _FIRST_RETRY / 2))[1], _MOST_RETRY)
        self._until[name] = (at + delay, delay)

    def found(self, name: str) -> None:
        """It is there."""
        self._until.pop(name, None)

    def keep(self, names: Iterable[str]) -> None:
        """Forget all others."""
        self._until = {name: self._until[name] for name in names if name in self._until}

    def count(self, names: Iterable[str]) -> int:
        """How many of *names* are not there."""
        return sum(name in self._until for name in names)


class RabbitMqQueues:
    """Samples of the queues of one broker, one at each poll.

    Args:
        addresses: the broker's servers; the first that answers is taken.
        name: the broker's name in the configuration; it goes into each sample.
        known: names of queues that were seen in events; called at each poll.
        tell: is told of each poll.
        configured: names of queues to measure in any case.
        management: the management API of the same virtual host; None: AMQP alone.
        queue_prefix: Celery's ``event_queue_prefix``: what begins with it holds events.
        interval: seconds between two polls.
        now: the clock, epoch seconds.
        timeout: seconds for connecting and for each answer.
        sleep: waits between polls.
    """

    def __init__(
        self,
        addresses: Sequence[AmqpAddress],
        name: str,
        *,
        known: Callable[[], Iterable[str]],
        tell: Tell,
        configured: Iterable[str] = (),
        management: Management | None = None,
        queue_prefix: str = "celeryev",
        interval: float = 5.0,
        now: Callable[[], float] = time.time,
        timeout: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.name = name
        self._addresses = tuple(addresses)
        self._known = known
        self._tell = tell
        self._configured = tuple(configured)
        self._management = management
        self._events = f"{queue_prefix}."
        self._interval = interval
        self._now = now
        self._timeout = timeout
        self._sleep = sleep
        self._absences = Absences()

    async def run(self, put: Put) -> None:
        """Poll at once and then at each interval, until the connection ends.

        A queue that is gone, or belongs to another connection, is counted and left out.

        Raises:
            LostError: the connection could not be made or broke.
            RefusedError: the server refuses the user or the virtual host, or the management API
                the user.
        """
        self._absences = Absences()
        reader = Reader(self.name)
        async with connect(self._addresses, reader, timeout=self._timeout) as connection:
            poll = _Poll(connection, self._absences)
            while True:
                began_at = anyio.current_time()
                poll.problems = 0
                sample = await self._sample(poll, began_at)
                self._tell(QueuesPolled(self.name, anyio.current_time() - began_at, poll.problems))
                await put([sample])
                await self._sleep(self._interval)

    async def _sample(self, poll: "_Poll", at: float) -> QueueSample:
        managed = await self._ask_management(poll)
        wanted = self._names(managed)
        names = [name for name in wanted if _can_be(name)][:_MAX_QUEUES]
        poll.problems += len(wanted) - len(names)
        found = await poll.counts(names, at)
        if managed is None and _DELAYED[0] in found:
            found |= await poll.counts(_DELAYED[1:], at)
        self._absences.keep((*wanted, *_DELAYED))
        # Celery's default queue is a guess: an application need not have it.
        poll.problems += self._absences.count({*self._configured, *self._known()} - {DEFAULT_QUEUE})
        counts = [_merge(each, (managed or {}).get(name)) for name, each in found.items()]
        return QueueSample(
            received_at=self._now(),
            source=self.name,
            queues=tuple(_depth(each) for each in counts if not _is_delayed(each.name)),
            unacknowledged=_total(each.unacknowledged for each in counts),
            delayed=_total(each.ready for each in counts if _is_delayed(each.name)),
        )

    async def _ask_management(self, poll: "_Poll") -> dict[str, ManagedQueue] | None:
        """Queues by name, also those that hold no tasks; None where they cannot be asked for."""
        if self._management is None:
            return None
        try:
            listing = await self._management.listing()
        except LostError:  # AMQP goes on without it
            poll.problems += 1
            return None
        poll.problems += listing.missing
        return {queue.name: queue for queue in listing.queues}

    def _holds_tasks(self, queue: ManagedQueue) -> bool:
        name = queue.name
        return not (queue.exclusive or name.startswith(self._events) or _is_reply(name))

    def _names(self, managed: dict[str, ManagedQueue] | None) -> list[str]:
        """The queues to measure, the configured ones first."""
        if managed is None:
            others = [DEFAULT_QUEUE, _DELAYED[0], *sorted(self._known())]
        else:
            taskless = {each.name for each in managed.values() if not self._holds_tasks(each)}
            # What events name as well, and first: the list may be cut.
            known, listed = {*self._known()} - taskless, managed.keys() - taskless
            others = [*sorted(known), *sorted(listed)]
        return list(dict.fromkeys((*self._configured, *others)))


class _Poll:
    """Looks at the queues over one connection; counts those that could not be read."""

    def __init__(self, connection: Connection, absences: Absences) -> None:
        self.problems = 0
        """Of the present poll."""
        self._connection = connection
        self._absences = absences
        self._open = False

    async def counts(self, names: Iterable[str], at: float) -> dict[str, Counts]:
        """Ask for each queue that may be there.

        Raises:
            LostError: the connection broke.
        """
        asked = [name for name in names if self._absences.due(name, at)]
        found = {name: await self._ask(name, at) for name in asked}
        return {name: counts for name, counts in found.items() if counts is not None}

    async def _ask(self, name: str, at: float) -> Counts | None:
        if not self._open:  # never was, or a refusal closed it
            await self._connection.open_channel(_CHANNEL)
            self._open = True
        try:
            _, ready, consumers = await self._connection.call(
                _CHANNEL,
                Name.QUEUE_DECLARE,
                0,
                name,
                True,
                *_NOTHING_ELSE,
                answer=Name.QUEUE_DECLARE_OK,
            )
        except ChannelClosedError as error:
            self._open = False
            if error.code == NOT_FOUND:
                self._absences.note(name, at)
            else:
                self.problems += 1
            return None
        self._absences.found(name)
        return Counts(name, int(str(ready)), int(str(consumers)))


def _can_be(name: str) -> bool:
    """Whether a queue may have this name. Whoever sends an event decides what is in it."""
    return len(name.encode(errors="surrogatepass")) <= MAX_NAME_BYTES


def _merge(counts: Counts, managed: ManagedQueue | None) -> Counts:
    """Add what the management API knows; what AMQP tells is newer, but for a stream it is 0."""
    if managed is None:
        return counts
    ready = counts.ready
    if managed.kind is Kind.STREAM and managed.ready is not None:
        ready = managed.ready
    return Counts(counts.name, ready, counts.consumers, managed.unacknowledged, managed.kind)


def _depth(counts: Counts) -> QueueDepth:
    return QueueDepth(
        name=counts.name, ready={0: counts.ready}, unacknowledged=counts.unacknowledged
    )


def _total(counts: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None where none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
