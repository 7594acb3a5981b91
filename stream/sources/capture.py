"""Capture files as a source: their frames in the order of arrival, and the seconds between them.

No clock is asked. What this program recorded holds the ticks of its run, and they are all there
are. Elsewhere time passes by the arrival times in the files: a tick for each whole second after
the first frame, so that the same files always give the same frames; a long silence is told in
fewer, longer steps.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from typing import Final, NamedTuple

from anyio import to_thread

from ..errors import RefusedError
from ..events import Frame, Message, Reason, Rejected
from ..occurrences import EventsRejected, Tell
from ..wire.capture import SOURCE, read_lines
from ..wire.capture_lines import Gap, Header
from .base import Put
from .capture_files import File, check, recordings
from .lines import BrokenOffError, blocks_of
from .seconds import Seconds

_SLICE: Final = 2_000
"""Frames that are read at a time: 1 MB or two, in some 10 ms."""
# Without a step of the interpreter for each frame: half of what a frame costs here.
_arrival: Final[Callable[[Frame], float]] = attrgetter("received_at")
_source: Final[Callable[[Frame], str]] = attrgetter("source")
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
        blocks = await to_thread.run_sync(self._open, abandon_on_cancel=True)
        while batches := await to_thread.run_sync(self._slice, blocks, abandon_on_cancel=True):
            for batch in batches:
                await put(batch)
        if self._undecoded:
            self._tell(EventsRejected(Reason.CONTENT_TYPE, self._undecoded))

    def _open(self) -> Iterator[list[Frame]]:
        found = recordings(self._files)
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
        if not frames:
            return
        latest = max(map(_arrival, frames))
        if latest < self._seconds.due_at and _are_messages_of_one_source(frames):
            self.last_at = max(self.last_at, latest)
            batches.append(frames)
            return
        source: str | None = None
        for frame in frames:
            at = frame.received_at
            if at >= self._seconds.due_at and (ticks := self._seconds.until(at)):
                batches.append(ticks)
                source = None
            origin = frame.source if isinstance(frame, Message) else None
            if origin is None or origin != source:
                batches.append([])
                source = origin
            batches[-1].append(frame)
            self.last_at = max(self.last_at, at)

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
        if _are_messages(read):
            self._anything = True
            self._lines += len(read)
            return read  # type: ignore[return-value] # just looked
        frames: list[Frame] = []
        lines = block.split(b"\n")
        for number, (each, line) in enumerate(zip(read, lines, strict=True), self._lines + 1):
            if isinstance(each, Rejected):
                self._reject(number, each, line)
                continue
            self._anything = True
            if isinstance(each, Header):
                check(self._file, each)
                self._capture.begin(each)
            elif isinstance(each, Gap):
                self._capture.unrecorded += each.count
            elif each is not None:
                frames.append(each)
        self._lines += len(read)
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


def _are_messages(frames: Iterable[object]) -> bool:
    return set(map(type, frames)) == {Message}


def _are_messages_of_one_source(frames: list[Frame]) -> bool:
    return _are_messages(frames) and len(set(map(_source, frames))) == 1


def _nothing_in(name: str, first: Damage | None) -> str:
    if first is None:
        return f"{name} is empty: a capture has a frame or an event on each line"
    return (
        f"{name} is no capture: no line is a frame or an event (line {first.line}: {first.detail})"
    )
