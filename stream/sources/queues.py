"""How much waits in a Redis broker's queues, by polling kombu's keys.

Commands sent: AUTH, SELECT, CLIENT SETNAME, SCAN, SMEMBERS, LLEN, LINDEX, ZCARD, ZRANGE; none
writes. What a poll costs is bounded whatever the database holds: see the constants.

Queues are those that are configured, those that were seen in events, and those that are bound to
an exchange. Bindings are never removed for durable queues, so a name may be stale: its depth is 0.
"""

import time
from collections.abc import Awaitable, Callable, Iterable

import anyio
from hiredis import ReplyError

from ..events import QueueDepth, QueueSample
from ..occurrences import QueuesPolled, Tell
from ..wire import keys
from .address import RedisAddress
from .base import Put
from .bindings import Bindings
from .resp import Command, Connection, Reply, connect

# Celery's default queue: it is there even if nothing names it yet.
_DEFAULT_QUEUE = "celery"
# Beyond these a poll would take seconds of the server's time; what is left out is a problem told.
_MAX_QUEUES = 1000
_MAX_HEADS = 200
# One pipeline of short replies, and one of messages, of which each may be large.
_CHUNK = 1000
_HEAD_CHUNK = 10
_MAX_HEAD_BYTES = 16 * 1024 * 1024


class RedisQueues:
    """Samples of the queues of one broker, one at each poll.

    Args:
        address: the server; a replica serves as well.
        name: the broker's name in the configuration; it goes into each sample.
        known: names of queues that were seen in events; called at each poll.
        configured: names of queues to measure in any case.
        interval: seconds between two polls.
        now: the clock, epoch seconds.
        tell: is told of each poll.
        timeout: seconds for connecting and for each answer.
        sleep: waits between polls.
    """

    def __init__(
        self,
        address: RedisAddress,
        name: str,
        *,
        known: Callable[[], Iterable[str]],
        tell: Tell,
        configured: Iterable[str] = (),
        interval: float = 5.0,
        now: Callable[[], float] = time.time,
        timeout: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.name = name
        self._address = address
        self._known = known
        self._tell = tell
        self._configured = tuple(configured)
        self._interval = interval
        self._now = now
        self._timeout = timeout
        self._sleep = sleep
        self._bindings = Bindings()
        self._first_head = 0

    async def run(self, put: Put) -> None:
        """Poll at once and then at each interval, until the connection ends.

        A key of the wrong type, or that the user may not read, is counted and left out.

        Raises:
            LostError: the connection could not be made or broke.
            RefusedError: the server refuses the user or the database.
        """
        self._bindings.restart()
        async with connect(self._address, timeout=self._timeout) as connection:
            await self._check(connection)
            while True:
                began_at = anyio.current_time()
                poll = _Poll(connection)
                sample = await self._sample(poll)
                self._tell(QueuesPolled(self.name, anyio.current_time() - began_at, poll.problems))
                await put([sample])
                await self._sleep(self._interval)

    async def _check(self, connection: Connection) -> None:
        """Refuse at once, and not when the first queue is known, where LLEN is forbidden."""
        poll = _Poll(connection)
        poll.require(await connection.pipeline([("LLEN", _DEFAULT_QUEUE)]), "llen")

    async def _sample(self, poll: "_Poll") -> QueueSample:
        queues = await self._find(poll)
        depths = await poll.depths(queues)
        heads = await self._heads(poll, depths)
        unacknowledged, oldest_at = await poll.unacknowledged()
        return QueueSample(
            received_at=self._now(),
            source=self.name,
            queues=tuple(_depth(name, ready, heads) for name, ready in depths.items()),
            unacknowledged=unacknowledged,
            oldest_unacknowledged_at=oldest_at,
        )

    async def _find(self, poll: "_Poll") -> list[str]:
        """The queues to measure, sorted; if there are too many, the configured ones first."""
        named = {*self._configured, *self._known()}
        bound, problems = await self._bindings.look(poll.connection, {_DEFAULT_QUEUE, *named})
        wanted = [*dict.fromkeys(self._configured)]
        wanted += sorted((named | bound).difference(wanted))
        poll.problems += problems + max(0, len(wanted) - _MAX_QUEUES)
        return sorted(wanted[:_MAX_QUEUES])

    async def _heads(
        self, poll: "_Poll", depths: dict[str, dict[int, int]]
    ) -> dict[str, keys.Head]:
        """The heads of the queues that hold something; if there are too many, by turns."""
        filled = [name for name, ready in depths.items() if any(ready.values())]
        first = self._first_head % len(filled) if filled else 0
        turn = (filled[first:] + filled[:first])[:_MAX_HEADS]
        heads = await poll.heads({name: _oldest_key(name, depths[name]) for name in turn})
        self._first_head = first + len(heads)
        return heads


class _Poll:
    """One look at the keys; counts those that could not be read."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.problems = 0

    async def depths(self, queues: list[str]) -> dict[str, dict[int, int]]:
        """Messages by queue and step; a queue of which one step is unreadable is left out."""
        places = [(name, *place) for name in queues for place in keys.priority_keys(name)]
        lengths = await self._ask([("LLEN", key) for _, _, key in places])
        self.require(lengths, "llen")
        depths: dict[str, dict[int, int]] = {name: {} for name in queues}
        for (name, step, _), length in zip(places, lengths, strict=True):
            if isinstance(length, int):
                depths[name][step] = length
        return {
            name: ready for name, ready in depths.items() if len(ready) == len(keys.PRIORITY_STEPS)
        }

    async def heads(self, places: dict[str, str]) -> dict[str, keys.Head]:
        """The heads of list keys, by queue, as many as the budget of bytes allows."""
        heads: dict[str, keys.Head] = {}
        names, size = list(places), 0
        for start in range(0, len(names), _HEAD_CHUNK):
            chunk = names[start : start + _HEAD_CHUNK]
            replies = await self._ask([("LINDEX", places[name], -1) for name in chunk])
            for name, reply in zip(chunk, replies, strict=True):
                message = reply if isinstance(reply, bytes) else b""  # None: taken meanwhile
                heads[name] = keys.read_head(message)
                size += len(message)
            if size > _MAX_HEAD_BYTES:
                break
        return heads

    async def unacknowledged(self) -> tuple[int | None, float | None]:
        """How many messages workers hold, and when the oldest of them was fetched."""
        index = keys.UNACKNOWLEDGED_INDEX
        count, oldest = await self._ask([("ZCARD", index), ("ZRANGE", index, 0, 0, "WITHSCORES")])
        return count if isinstance(count, int) else None, _score(oldest)

    def require(self, replies: list[Reply], command: str) -> None:
        """Refuse to go on where a command itself, and not some key, is forbidden."""
        for reply in replies:
            if isinstance(reply, ReplyError) and f"'{command}' command" in str(reply):
                doing, grant = "measure the queues", f"+{command} (see the README for all)"
                raise self.connection.explain(reply, doing, grant)

    async def _ask(self, commands: list[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for start in range(0, len(commands), _CHUNK):
            replies += await self.connection.pipeline(commands[start : start + _CHUNK])
        self.problems += sum(isinstance(reply, ReplyError) for reply in replies)
        return replies


def _depth(name: str, ready: dict[int, int], heads: dict[str, keys.Head]) -> QueueDepth:
    head = heads.get(name, keys.Head())
    return QueueDepth(name, ready, oldest=head.uuid, oldest_timelimit=head.timelimit)


def _oldest_key(name: str, ready: dict[int, int]) -> str:
    """The key of the least urgent step that holds something.

    Workers empty the urgent steps first, so that is where messages grow old.
    """
    return [key for step, key in keys.priority_keys(name) if ready[step]][-1]


def _score(reply: Reply) -> float | None:
    match reply:
        case [_, bytes(score)]:
            try:
                return float(score)
            except ValueError:
                return None
        case _:
            return None
