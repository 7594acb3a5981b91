"""Capture files as a source: their frames in the order of arrival, and the seconds between them.

No clock is asked. Time passes by the arrival times in the files: a tick for each whole second
after the first frame, so that the same files always give the same frames. A long silence is told
in fewer, longer steps.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import islice
from math import ceil
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from anyio import to_thread

from ..errors import RefusedError
from ..events import Frame, Message, Reason, Rejected, Tick
from ..occurrences import EventsRejected, Tell
from ..wire.capture import SOURCE, read_line
from .base import Put
from .lines import STDIN, BrokenOffError, lines_of

_SLICE: Final = 2_000
"""Messages that are read at a time: 1 MB or two, in some 10 ms."""
_TICKS_PER_SILENCE: Final = 3_600
"""An hour is told by the second; a week in steps of three minutes, which no grace is shorter than
by much."""


class Damage(NamedTuple):
    """A line that could not be read."""

    file: str
    line: int
    """From 1."""
    detail: str


class Capture:
    """The frames of one or more capture files, merged by arrival.

    Args:
        files: their names; ``-`` is standard input.
        tell: hears of events that the capturing side had left undecoded.
        damaged: called for each line that could not be read.
    """

    name = SOURCE

    def __init__(
        self, files: Sequence[str], *, tell: Tell, damaged: Callable[[Damage], None]
    ) -> None:
        self._files = files
        self._tell = tell
        self._damaged = damaged
        self._damages: list[Damage] = []
        self._undecoded = 0
        self._seconds = _Seconds()

    @property
    def last_at(self) -> float:
        """The latest arrival so far, epoch seconds; 0 before the first."""
        return self._seconds.last_at

    async def run(self, put: Put) -> None:
        """Hand over everything, ticks apart from messages, and return at the end.

        Raises:
            RefusedError: a file cannot be read, is empty, or is no capture.
        """
        with ExitStack() as files:
            messages = self._messages(files)
            while batches := await to_thread.run_sync(
                self._slice, messages, abandon_on_cancel=True
            ):
                self._account()
                for batch in batches:
                    await put(batch)
            self._account()

    def _slice(self, messages: Iterator[Message]) -> list[list[Frame]]:
        """Read some messages, and put the ticks that are due between them; empty at the end."""
        batches: list[list[Frame]] = []
        batch: list[Frame] = []
        for message in islice(messages, _SLICE):
            if message.received_at >= self._seconds.due_at:
                if batch:
                    batches.append(batch)
                    batch = []
                if ticks := self._seconds.until(message.received_at):
                    batches.append(ticks)
            batch.append(message)
        if batch:
            batches.append(batch)
        return batches

    def _account(self) -> None:
        """Tell, on the event loop, what the thread that reads has noted."""
        for damage in self._damages:
            self._damaged(damage)
        self._damages.clear()
        if self._undecoded:
            self._tell(EventsRejected(Reason.CONTENT_TYPE, self._undecoded))
            self._undecoded = 0

    # -- files ---------------------------------------------------------------------------------

    def _messages(self, files: ExitStack) -> Iterator[Message]:
        opened = [(name, files.enter_context(_opened(name))) for name in self._files]
        readers = [self._read(name, file) for name, file in opened]
        if len(readers) == 1:
            return readers[0]
        return merge(*readers, key=lambda message: message.received_at)

    def _read(self, name: str, file: BinaryIO) -> Iterator[Message]:
        """The messages of one file. Refuses one in which nothing at all can be read."""
        number = 0
        anything = False
        first: Damage | None = None
        try:
            for number, line in enumerate(lines_of(name, file), start=1):
                read = read_line(line)
                if type(read) is Message:
                    anything = True
                    yield read
                elif not isinstance(read, Rejected):
                    anything = True
                elif read.reason is Reason.CONTENT_TYPE:
                    anything = True
                    self._undecoded += 1
                elif line.strip():
                    damage = Damage(name, number, read.detail)
                    first = first or damage
                    self._damages.append(damage)
        except BrokenOffError as error:
            first = Damage(name, number + 1, f"the compressed data break off: {error}")
            self._damages.append(first)
        if first is None and not anything:
            raise RefusedError(f"{name} is empty: a capture has a frame or an event on each line")
        if first is not None and not anything:
            raise RefusedError(
                f"{name} is no capture: no line is a frame or an event (line {first.line}: "
                f"{first.detail})"
            )


class _Seconds:
    """The whole seconds since the first arrival, as ticks."""

    def __init__(self) -> None:
        self._first_at = 0.0
        self._passed = 0
        self.last_at = 0.0
        self.due_at = 0.0
        """When the next tick is due; before the first arrival: at once."""

    def until(self, at: float) -> list[Frame]:
        """Return the ticks that are due when something arrives at *at*."""
        if self.due_at == 0.0:
            self._first_at = at
            self.due_at = at + 1.0
            return []
        step = max(1, ceil((at - self.due_at) / _TICKS_PER_SILENCE))
        ticks: list[Frame] = []
        while self.due_at <= at:
            ticks.append(Tick(self.due_at))
            self._passed += step
            self.due_at = self._first_at + self._passed + 1
        return ticks


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")
    except OSError as error:
        raise RefusedError(f"{name} cannot be read: {error.strerror}") from None
    with file:
        yield file
