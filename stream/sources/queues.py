"""How much waits in a Redis broker's queues, by polling kombu's keys.

Commands sent: AUTH, SELECT, CLIENT SETNAME, SCAN, SMEMBERS, LLEN, LINDEX, LRANGE (only to look at
more than one message), ZCARD, ZRANGE, HMGET (only to look at what workers hold of each queue), and
with Sentinel those of `sentinel` and ROLE. None writes. What a poll costs is bounded whatever the
database holds: see the constants, here and in `poll`.

Queues are those that are configured, those that were seen in events, and those that are bound to
an exchange. Bindings are never removed for durable queues, so a name may be stale: its depth is 0.
A name that only events told is left out once its queue was empty for an hour.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator

import anyio

from ..events import QueueDepth, QueueSample, Waiting
from ..occurrences import QueuesPolled, Tell
from ..wire.keys import Head
from .base import Put
from .bindings import Bindings
from .broker import Broker
from .held import HeldMessages, Holdings
from .poll import Poll
from .reach import reach
from .resp import Connection
from .transport import TransportOptions

# Celery's default queue: it is there even if nothing names it yet.
_DEFAULT_QUEUE = "celery"
# Beyond these a poll would take seconds of the server's time; what is left out is a problem told.
_MAX_QUEUES = 1000
_MAX_HEADS = 200
# Seconds for which a queue that is not bound may be empty. Bindings may be unreadable, so that a
# queue which is used has to be believed for some time.
_VANISHED_AFTER = 3600.0
_DEFAULTS = TransportOptions()


class RedisQueues:
    """Samples of the queues of one broker, one at each poll.

    Args:
        broker: where its server is; a replica serves as well.
        name: the broker's name in the configuration; it goes into each sample.
        known: names of queues that were seen in events; called at each poll.
        configured: names of queues to measure in any case.
        interval: seconds between two polls.
        peek: messages of each queue that are read for what they say of traces, from the end that
            workers take from; 1 is the head, which is read in any case.
        options: the transport options, which decide on the keys.
        event_exchange: Celery's ``event_exchange``.
        held_interval: seconds between two looks at what workers hold of each queue; 0: never.
        now: the clock, epoch seconds.
        tell: is told of each poll.
        timeout: seconds for connecting and for each answer.
        sleep: waits between polls.
    """

    def __init__(
        self,
        broker: Broker,
        name: str,
        *,
        known: Callable[[], Iterable[str]],
        tell: Tell,
        configured: Iterable[str] = (),
        interval: float = 5.0,
        peek: int = 1,
        options: TransportOptions = _DEFAULTS,
        event_exchange: str = "celeryev",
        held_interval: float = 0.0,
        now: Callable[[], float] = time.time,
        timeout: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.name = name
        self._broker = broker
        self._known = known
        self._tell = tell
        self._configured = tuple(configured)
        self._interval = interval
        self._peek = peek
        self._layout = options.layout
        self._now = now
        self._timeout = timeout
        self._sleep = sleep
        self._bindings = Bindings(self._layout, event_exchange)
        self._held = HeldMessages(
            self._layout, interval=held_interval, visibility_timeout=options.visibility_timeout
        )
        self._there_at: dict[str, float] = {}
        self._first_head = 0
        self._first_peek = 0

    async def run(self, put: Put) -> None:
        """Poll at once and then at each interval, until the connection ends.

        A key of the wrong type, or that the user may not read, is counted and left out.

        Raises:
            LostError: the connection could not be made or broke.
            RefusedError: the server refuses the user or the database.
        """
        self._bindings.restart()
        async with reach(self._broker, timeout=self._timeout) as connection:
            await self._check(connection)
            while True:
                began_at = anyio.current_time()
                poll = Poll(connection, self._layout)
                sample = await self._sample(poll)
                self._tell(self._polled(poll, anyio.current_time() - began_at))
                await put([sample])
                await self._sleep(self._interval)

    def _polled(self, poll: Poll, seconds: float) -> QueuesPolled:
        return QueuesPolled(self.name, seconds, poll.problems, poll.problem)

    async def _check(self, connection: Connection) -> None:
        """Refuse at once, and not when the first queue is known, where LLEN is forbidden."""
        poll = Poll(connection, self._layout)
        (_, key), *_ = self._layout.queue_keys(_DEFAULT_QUEUE)
        poll.require(await connection.pipeline([("LLEN", key)]), "llen")

    async def _sample(self, poll: Poll) -> QueueSample:
        queues, lasting = await self._find(poll)
        depths = self._without_vanished(await poll.depths(queues), lasting)
        heads = await self._heads(poll, depths)
        next_ones = await self._next_ones(poll, depths, heads)
        unacknowledged, oldest_at = await poll.unacknowledged()
        now = self._now()
        held = await self._held.look(poll.connection, self._bindings.routes, now=now)
        if held.refused is not None:
            poll.note(*held.refused)
        return QueueSample(
            received_at=now,
            source=self.name,
            queues=tuple(
                _depth(name, ready, heads.get(name, Head()), next_ones.get(name, []), held)
                for name, ready in depths.items()
            ),
            unacknowledged=unacknowledged,
            oldest_unacknowledged_at=oldest_at,
        )

    async def _find(self, poll: Poll) -> tuple[list[str], set[str]]:
        """The queues to measure, sorted; and those that are there though they may be empty.

        If there are too many, the configured ones come first.
        """
        named = {*self._configured, *self._known()}
        bound = await self._bindings.look(poll, {_DEFAULT_QUEUE, *named})
        wanted = [*dict.fromkeys(self._configured)]
        wanted += sorted((named | bound).difference(wanted))
        poll.problems += max(0, len(wanted) - _MAX_QUEUES)
        return sorted(wanted[:_MAX_QUEUES]), bound.union(self._configured)

    def _without_vanished(
        self, depths: dict[str, dict[int, int]], lasting: set[str]
    ) -> dict[str, dict[int, int]]:
        """Leave out what events named once, which is not bound and was empty for long."""
        now = self._now()
        self._there_at = {
            name: now if name in lasting or any(ready.values()) else self._there_at.get(name, now)
            for name, ready in depths.items()
        }
        return {
            name: ready
            for name, ready in depths.items()
            if now - self._there_at[name] <= _VANISHED_AFTER
        }

    async def _heads(self, poll: Poll, depths: dict[str, dict[int, int]]) -> dict[str, Head]:
        """The heads of the queues that hold something; if there are too many, by turns."""
        filled = [name for name, ready in depths.items() if any(ready.values())]
        first = self._first_head % len(filled) if filled else 0
        turn = (filled[first:] + filled[:first])[:_MAX_HEADS]
        heads = await poll.heads({name: self._oldest_key(name, depths[name]) for name in turn})
        self._first_head = first + len(heads)
        return heads

    async def _next_ones(
        self, poll: Poll, depths: dict[str, dict[int, int]], heads: Iterable[str]
    ) -> dict[str, list[Head]]:
        """The messages that workers take next, of queues whose heads were read, by turns."""
        names = [*heads] if self._peek > 1 else []
        first = self._first_peek % len(names) if names else 0
        turn = names[first:] + names[:first]
        found = await poll.next_ones(
            {name: self._next_key(name, depths[name]) for name in turn}, self._peek
        )
        self._first_peek = first + len(found)
        return found

    def _oldest_key(self, name: str, ready: dict[int, int]) -> str:
        """The key of the least urgent step that holds something.

        Workers empty the urgent steps first, so that is where messages grow old.
        """
        return [key for step, key in self._layout.queue_keys(name) if ready[step]][-1]

    def _next_key(self, name: str, ready: dict[int, int]) -> str:
        """The key of the most urgent step that holds something: workers take from it next."""
        return next(key for step, key in self._layout.queue_keys(name) if ready[step])


def _depth(
    name: str, ready: dict[int, int], head: Head, next_ones: list[Head], holdings: Holdings
) -> QueueDepth:
    seen = dict.fromkeys((head, *next_ones))  # the head may be among the others
    waiting = tuple(found for each in seen for found in _waiting(each))
    held = holdings.queues.get(name)
    return QueueDepth(
        name,
        ready,
        head.uuid,
        head.timelimit,
        waiting,
        unacknowledged=(held.count if held else 0) if holdings.complete else None,
        oldest_unacknowledged_at=held.oldest_at if held else None,
        overdue=(held.overdue if held else 0) if holdings.complete else None,
    )


def _waiting(head: Head) -> Iterator[Waiting]:
    if head.uuid is not None and (head.traceparent or head.sentry_trace):
        yield Waiting(head.uuid, head.retries, head.traceparent, head.tracestate, head.sentry_trace)
