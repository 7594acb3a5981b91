"""Capture files as a source: their frames in the order of arrival, and the seconds between them.

No clock is asked. What this program recorded holds the ticks of its run, and they are all there
are. Elsewhere time passes by the arrival times in the files: a tick for each whole second after
the first frame, so that the same files always give the same frames; a long silence is told in
fewer, longer steps.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import chain, groupby, islice
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

from anyio import to_thread
from anyio.lowlevel import checkpoint

from ..errors import RefusedError
from ..events import Frame, Message, QueueSample, Reason, Rejected, Subscribed, Tick
from ..occurrences import EventsRejected, Tell
from ..wire.capture import SOURCE, read_lines
from ..wire.capture_lines import Gap, Header
from .base import Put
from .capture_files import File, Recording, check, recordings
from .lines import BrokenOffError, blocks_of
from .seconds import Seconds

T = TypeVar("T")
R = TypeVar("R")

_SLICE: Final = 500
"""Frames that are read at a time: some hundred kB, in a few ms."""
# Without a step of the interpreter for each frame: half of what a frame costs here.
_arrival: Final[Callable[[Frame], float]] = attrgetter("received_at")
_source: Final[Callable[[Frame], str]] = attrgetter("source")
_FRAMES: Final = frozenset({Message, QueueSample, Subscribed, Tick})
_DAMAGES_TOLD: Final = 100
"""By line; what comes after them is only counted."""


class Damage(NamedTuple):
    """A line that could not be read."""

    file: str
    line: int
    """From 1."""
    detail: str


class Capture:
    """The frames of captures, merged by arrival.

    Args:
        files: names of files, directories and sets; ``-`` is standard input.
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
        self.unrecorded = 0
        """Frames that the recording side saw and had no room for."""
        self.headers: list[Header] = []
        """Of the files that have one, as they came."""
        self.brokers: set[str] = set()
        """The sources that were recorded together, as different brokers."""
        self.last_at = 0.0
        """The latest arrival so far, epoch seconds; 0 before the first."""
        self.total_bytes = 0
        """Of the files, as compressed as they are; 0 before they are known and of a pipe."""
        self._done_bytes: dict[File, int] = {}
        self._seconds = Seconds()

    @property
    def done_bytes(self) -> int:
        """How much of `total_bytes` has been read."""
        return sum(self._done_bytes.values())

    async def run(self, put: Put) -> None:
        """Hand over everything, ticks apart from messages, and return at the end.

        Raises:
            RefusedError: a file cannot be read, is empty, or is no capture.
        """
        found = recordings(self._files)
        blocks = self._open(found)
        if any(file.may_wait for files in found for file in files):
            next_slice = partial(to_thread.run_sync, self._slice, blocks, abandon_on_cancel=True)
        else:
            next_slice = partial(_at_once, self._slice, blocks)
        while batches := await next_slice():
            for batch in batches:
                await put(batch)
        if self._undecoded:
            self._tell(EventsRejected(Reason.CONTENT_TYPE, self._undecoded))

    def _open(self, found: Sequence[Recording]) -> Iterator[list[Frame]]:
        self.total_bytes = sum(file.size_bytes for files in found for file in files)
        readers = [chain.from_iterable(map(self._read, files)) for files in found]
        if len(readers) == 1:
            return readers[0]
        frames = merge(*map(chain.from_iterable, readers), key=_arrival)
        return iter(lambda: list(islice(frames, _SLICE)), [])

    def _slice(self, blocks: Iterator[list[Frame]]) -> list[list[Frame]]:
        """Read some frames, in batches of one kind and source; empty at the end."""
        batches: list[list[Frame]] = []
        frames = 0
        for block in blocks:
            self._arrange(block, batches)
            frames += len(block)
            if frames >= _SLICE:
                break
        return batches

    def _arrange(self, frames: list[Frame], batches: list[list[Frame]]) -> None:
        """Append frames in batches of one kind and source, and the ticks due between them."""
        arrivals = list(map(_arrival, frames))
        latest = max(arrivals, default=0.0)
        begin, count = 0, len(frames)
        while begin < count:
            due_at, end = self._seconds.due_at, count
            if latest >= due_at:
                end = next((at for at in range(begin, count) if arrivals[at] >= due_at), count)
            _append_batches(frames[begin:end], batches)
            if end < count and (ticks := self._seconds.until(arrivals[end])):
                batches.append(ticks)
            begin = end
        self.last_at = max(self.last_at, latest)

    # -- files ---------------------------------------------------------------------------------

    def _read(self, file: File) -> Iterator[list[Frame]]:
        """The frames of one file, block by block.

        Refuses one in which nothing at all can be read, where somebody named it.
        """
        reading = _Reading(file, self)
        is_sized = file.size_bytes > 0
        with file.opened() as opened:
            try:
                for block in blocks_of(file.label, opened):
                    yield reading.frames(block)
                    if is_sized:
                        self._done_bytes[file] = opened.tell()
            except BrokenOffError as error:
                reading.break_off(str(error))
        reading.end()

    def damage(self, file: File, line: int, detail: str) -> Damage:
        """Count a line that could not be read."""
        damage = Damage(file.label, line, detail)
        self.damaged_lines += 1
        if len(self.damages) < _DAMAGES_TOLD:
            self.damages.append(damage)
        return damage

    def leave_undecoded(self) -> None:
        """Count an event that the capturing side did not decode."""
        self._undecoded += 1

    def begin(self, header: Header) -> None:
        """Take note of a file that brings its own ticks."""
        self.headers.append(header)
        self.brokers.update(header.brokers)
        self._seconds.stop()


class _Reading:
    """One file: at which line it is, and whether it is a capture."""

    def __init__(self, file: File, capture: Capture) -> None:
        self._file = file
        self._capture = capture
        self._lines = 0
        self._anything = False
        self._first: Damage | None = None

    def frames(self, block: bytes) -> list[Frame]:
        """The frames of some lines; what is no frame is taken note of."""
        read = read_lines(block)
        first, self._lines = self._lines + 1, self._lines + len(read)
        kinds = set(map(type, read))
        if kinds <= _FRAMES:
            self._anything = True
            return read  # type: ignore[return-value] # just looked
        lines = block.split(b"\n") if Rejected in kinds else []
        frames: list[Frame] = []
        for number, each in enumerate(read):
            if isinstance(each, Rejected):
                self._reject(first + number, each, lines[number])
                continue
            self._anything = True
            if isinstance(each, Header):
                check(self._file, each)
                self._capture.begin(each)
            elif isinstance(each, Gap):
                self._capture.unrecorded += each.count
            elif each is not None:
                frames.append(each)
        return frames

    def _reject(self, number: int, rejected: Rejected, line: bytes) -> None:
        if rejected.reason is Reason.CONTENT_TYPE:
            self._anything = True
            self._capture.leave_undecoded()
        elif line.strip():
            damage = self._capture.damage(self._file, number, rejected.detail)
            self._first = self._first or damage

    def break_off(self, reason: str) -> None:
        """The compressed data cannot be read any further."""
        detail = f"the compressed data break off: {reason}"
        damage = self._capture.damage(self._file, self._lines + 1, detail)
        self._first = self._first or damage

    def end(self) -> None:
        """Refuse the file if it is no capture."""
        if self._anything:
            return
        nothing = _nothing_in(self._file.label, self._first)
        if self._file.named:
            raise RefusedError(nothing)
        if self._first is None:  # begun and killed, or left by a full disk
            self._capture.damage(self._file, 1, "the file is empty")


async def _at_once(work: Callable[[T], R], argument: T) -> R:
    """Call without a thread: two that take turns at the interpreter cost a tenth of a replay."""
    await checkpoint()  # or nobody could interrupt it
    return work(argument)


def _append_batches(frames: list[Frame], batches: list[list[Frame]]) -> None:
    """Append frames in batches: messages that follow one another by source, others alone."""
    kinds = list(map(type, frames))
    begin = 0
    for number in [at for at, kind in enumerate(kinds) if kind is not Message]:
        _append_messages(frames[begin:number], batches)
        batches.append([frames[number]])
        begin = number + 1
    _append_messages(frames[begin:], batches)


def _append_messages(messages: list[Frame], batches: list[list[Frame]]) -> None:
    if len(set(map(_source, messages))) == 1:  # nearly always
        batches.append(messages)
        return
    batches.extend(list(group) for _, group in groupby(messages, _source))


def _nothing_in(name: str, first: Damage | None) -> str:
    if first is None:
        return f"{name} is empty: a capture has a frame or an event on each line"
    return (
        f"{name} is no capture: no line is a frame or an event (line {first.line}: {first.detail})"
    )
