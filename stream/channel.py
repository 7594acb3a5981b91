"""The bounded channel between the sources and the engine.

Frames go through it in the batches in which they arrived. When it is full there are two policies:
a live broker is not kept waiting, since a subscriber that stops reading is cut off, so the oldest
messages are shed and counted; a file waits.
"""

from collections import deque
from enum import StrEnum
from typing import NamedTuple

import anyio

from .events import Frame, Message
from .occurrences import FramesReceived, FramesShed, Tell


class Overflow(StrEnum):
    """What happens when the channel is full."""

    SHED = "shed"
    WAIT = "wait"


class ChannelStatistics(NamedTuple):
    """What a channel holds and has seen."""

    #: frames that wait
    waiting: int
    #: frames it may hold
    limit: int
    #: frames put in since the start
    received: int
    #: messages given up since the start
    shed: int


class Channel:
    """Batches of frames on their way to the engine.

    Args:
        limit: of frames that wait.
        overflow: what to do beyond it.
        tell: hears of what is shed.
    """

    def __init__(self, limit: int, overflow: Overflow, *, tell: Tell) -> None:
        self._limit = limit
        self._overflow = overflow
        self._tell = tell
        self._batches: deque[list[Frame]] = deque()
        self._waiting = 0
        self._received = 0
        self._shed = 0
        self._closed = False
        self._changed = anyio.Event()

    async def put(self, frames: list[Frame]) -> None:
        """Hand frames over. Takes ownership of the list; waits only where the policy is to wait."""
        if not frames:
            return
        if self._overflow is Overflow.WAIT:
            while self._waiting >= self._limit:
                await self._changed.wait()
        self._batches.append(frames)
        self._waiting += len(frames)
        self._received += len(frames)
        if isinstance(frames[0], Message):  # a source hands over one kind at a time
            self._tell(FramesReceived(frames[0].source, len(frames)))
        if self._waiting > self._limit and self._overflow is Overflow.SHED:
            self._shed_oldest()
        self._notify()

    async def get(self) -> list[Frame]:
        """Return the oldest batch; an empty one after `close`, once nothing waits."""
        while not self._batches:
            if self._closed:
                return []
            await self._changed.wait()
        batch = self._batches.popleft()
        self._waiting -= len(batch)
        if self._overflow is Overflow.WAIT:
            self._notify()
        return batch

    def close(self) -> None:
        """Nothing will be put in any more. Safe twice."""
        self._closed = True
        self._notify()

    def statistics(self) -> ChannelStatistics:
        """Read the counts."""
        return ChannelStatistics(self._waiting, self._limit, self._received, self._shed)

    def _shed_oldest(self) -> None:
        """Give up messages, oldest batches first; samples, ticks and marks are kept."""
        kept: list[Frame] = []
        shed = 0
        while self._waiting - shed > self._limit and self._batches:
            for frame in self._batches.popleft():
                if isinstance(frame, Message) and self._waiting - shed > self._limit:
                    shed += 1
                else:
                    kept.append(frame)
        if kept:
            self._batches.appendleft(kept)
        self._waiting -= shed
        self._shed += shed
        if shed:
            self._tell(FramesShed(shed))

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
