"""One look at the keys of a Redis broker's queues, within budgets of messages and bytes.

Replies that are errors are counted and left out; a command that is forbidden as such is refused.
"""

from hiredis import ReplyError

from ..wire.keys import Head, Layout, read_head
from .resp import Command, Connection, Reply

# One pipeline of short replies, and one of messages, of which each may be large.
_CHUNK = 1000
_HEAD_CHUNK = 10
_MAX_HEAD_BYTES = 16 * 1024 * 1024
# Messages besides the heads: some 10 ms of reading.
_MAX_PEEKS = 4000


class Poll:
    """One look at the keys; counts those that could not be read."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self.connection = connection
        self.problems = 0
        self.problem: str | None = None
        """The first of them, in a sentence."""
        self._layout = layout
        self._bytes_left = _MAX_HEAD_BYTES
        self._head_bytes: dict[str, int] = {}

    async def depths(self, queues: list[str]) -> dict[str, dict[int, int]]:
        """Messages by queue and step; a queue of which one step is unreadable is left out."""
        places = [(name, *place) for name in queues for place in self._layout.queue_keys(name)]
        lengths = await self.ask([("LLEN", key) for _, _, key in places])
        self.require(lengths, "llen")
        depths: dict[str, dict[int, int]] = {name: {} for name in queues}
        for (name, step, _), length in zip(places, lengths, strict=True):
            if isinstance(length, int):
                depths[name][step] = length
        return {
            name: ready for name, ready in depths.items() if len(ready) == len(self._layout.steps)
        }

    async def heads(self, places: dict[str, str]) -> dict[str, Head]:
        """The heads of list keys, by queue, as many as the budget of bytes allows."""
        heads: dict[str, Head] = {}
        names = list(places)
        for start in range(0, len(names), _HEAD_CHUNK):
            chunk = names[start : start + _HEAD_CHUNK]
            replies = await self.ask([("LINDEX", places[name], -1) for name in chunk])
            for name, reply in zip(chunk, replies, strict=True):
                message = reply if isinstance(reply, bytes) else b""  # None: taken meanwhile
                heads[name] = read_head(message)
                self._head_bytes[name] = len(message)
                self._bytes_left -= len(message)
            if self._bytes_left < 0:
                break
        return heads

    async def next_ones(self, places: dict[str, str], peek: int) -> dict[str, list[Head]]:
        """Messages at the old end of list keys, by queue, oldest first, as far as budgets allow.

        How large a message is that was not read yet is not known, so that of the head is taken.
        """
        found: dict[str, list[Head]] = {}
        names, left = list(places), _MAX_PEEKS
        for start in range(0, len(names), _HEAD_CHUNK):
            counts: dict[str, int] = {}
            for name in names[start : start + _HEAD_CHUNK]:
                size = max(1, self._head_bytes[name])
                count = max(0, min(peek, left, self._bytes_left // size))
                counts[name], left = count, left - count
                self._bytes_left -= count * size
            if not any(counts.values()):
                break
            found |= await self._last(places, counts)
        return found

    async def _last(self, places: dict[str, str], counts: dict[str, int]) -> dict[str, list[Head]]:
        asked = [name for name, count in counts.items() if count]
        replies = await self.ask([("LRANGE", places[name], -counts[name], -1) for name in asked])
        return {
            name: [read_head(each) for each in reply[::-1] if isinstance(each, bytes)]
            for name, reply in zip(asked, replies, strict=True)
            if isinstance(reply, list)
        }

    async def unacknowledged(self) -> tuple[int | None, float | None]:
        """How many messages workers hold, and when the oldest of them was fetched."""
        index = self._layout.held_index
        count, oldest = await self.ask([("ZCARD", index), ("ZRANGE", index, 0, 0, "WITHSCORES")])
        return count if isinstance(count, int) else None, _score(oldest)

    def require(self, replies: list[Reply], command: str) -> None:
        """Refuse to go on where a command itself, and not some key, is forbidden."""
        for reply in replies:
            if isinstance(reply, ReplyError) and f"'{command}' command" in str(reply):
                doing, grant = "measure the queues", f"+{command} (see the README for all)"
                raise self.connection.explain(reply, doing, grant)

    def note(self, command: Command, error: ReplyError) -> None:
        """Count what could not be read."""
        self.problems += 1
        if self.problem is None:
            verb, key, *_ = (str(word) for word in command)
            doing, grant = f"read {key} with {verb}", f"+{verb.lower()} '%R~{key}'"
            self.problem = str(self.connection.explain(error, doing, grant))

    async def ask(self, commands: list[Command]) -> list[Reply]:
        """Send commands that read a key each, in pieces; count what is refused."""
        replies: list[Reply] = []
        for start in range(0, len(commands), _CHUNK):
            replies += await self.connection.pipeline(commands[start : start + _CHUNK])
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, ReplyError):
                self.note(command, reply)
        return replies


def _score(reply: Reply) -> float | None:
    match reply:
        case [_, bytes(score)]:
            try:
                return float(score)
            except ValueError:
                return None
        case _:
            return None
