"""Capture files as a source: their frames in the order of arrival, and the seconds between them.

No clock is asked. Time passes by the arrival times in the files: a tick for each whole second
after the first frame, so that the same files always give the same frames. A long silence is told
in fewer, longer steps.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import islice
from math import ceil, floor
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
"""An hour is told by the second, a week in steps of three minutes."""
_DAMAGES_TOLD: Final = 100
"""By line; what comes after them is only counted."""


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
    """

    name = SOURCE

    def __init__(self, files: Sequence[str], *, tell: Tell) -> None:
        self._files = files
        self._tell = tell
        self._undecoded = 0
        self.damages: list[Damage] = []
        """The first lines that could not be read."""
        self.damaged_lines = 0
        self.last_at = 0.0
        """The latest arrival so far, epoch seconds; 0 before the first."""
        self._seconds = _Seconds()

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
                for batch in batches:
                    await put(batch)
        if self._undecoded:
            self._tell(EventsRejected(Reason.CONTENT_TYPE, self._undecoded))

    def _slice(self, messages: Iterator[Message]) -> list[list[Frame]]:
        """Read some messages, and put the ticks that are due between them; empty at the end."""
        batches: list[list[Frame]] = []
        batch: list[Frame] = []
        for message in islice(messages, _SLICE):
            at = message.received_at
            if at >= self._seconds.due_at:
                if batch:
                    batches.append(batch)
                    batch = []
                if ticks := self._seconds.until(at):
                    batches.append(ticks)
            if at > self.last_at:  # noqa: PLR1730 - for each event; a call to max costs
                self.last_at = at
            batch.append(message)
        if batch:
            batches.append(batch)
        return batches

    # -- files ---------------------------------------------------------------------------------

    def _messages(self, files: ExitStack) -> Iterator[Message]:
        opened = [(_label(name), files.enter_context(_opened(name))) for name in self._files]
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
                if not isinstance(read, Rejected):
                    anything = True
                    if read is not None:
                        yield read
                elif read.reason is Reason.CONTENT_TYPE:
                    anything = True
                    self._undecoded += 1
                elif line.strip():
                    damage = self._damage(name, number, read.detail)
                    first = first or damage
        except BrokenOffError as error:
            first = self._damage(name, number + 1, f"the compressed data break off: {error}")
        if not anything:
            raise RefusedError(_nothing_in(name, first))

    def _damage(self, name: str, line: int, detail: str) -> Damage:
        damage = Damage(name, line, detail)
        self.damaged_lines += 1
        if len(self.damages) < _DAMAGES_TOLD:
            self.damages.append(damage)
        return damage


def _nothing_in(name: str, first: Damage | None) -> str:
    if first is None:
        return f"{name} is empty: a capture has a frame or an event on each line"
    return (
        f"{name} is no capture: no line is a frame or an event (line {first.line}: {first.detail})"
    )


class _Seconds:
    """The whole seconds since the first arrival, as ticks."""

    def __init__(self) -> None:
        self._first_at = 0.0
        self.due_at = 0.0
        """When the next tick is due; before the first arrival: at once."""

    def until(self, at: float) -> list[Frame]:
        """Return the ticks that are due when something arrives at *at*."""
        if self.due_at == 0.0:
            self._first_at, self.due_at = at, at + 1.0
            return []
        step = max(1, ceil((at - self.due_at) / _TICKS_PER_SILENCE))
        due = round(self.due_at - self._first_at)
        passed = floor(at - self._first_at)
        self.due_at = self._first_at + passed + 1
        return [Tick(self._first_at + second) for second in range(due, passed + 1, step)]


def _label(name: str) -> str:
    return "standard input" if name == STDIN else name


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below; only opening may fail here
    except OSError as error:
        raise RefusedError(f"{name} cannot be read: {error.strerror}") from None
    with file:
        yield file
