"""The tap that records frames as the pipeline takes them, for a replay that finds what it found.

`Recorder.take` keeps references and costs next to nothing; rendering, compressing and writing are
done in a thread, about every second, and what was written then survives a kill. What waits is
bounded in frames and bytes. Frames for which there is no room, or which the disk does not take, are
not recorded: that is told, counted and noted at their place in the file, and nothing else suffers.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread
from msgspec import Struct

from ..events import Frame, Message
from ..occurrences import CaptureFailed, CaptureOpened, FramesUnrecorded, Tell, Unrecorded
from ..wire.arguments import Editor
from ..wire.capture_lines import Gap
from .capture_batch import Batch
from .capture_set import CaptureSet

_payload: Final[Callable[[Frame], bytes]] = attrgetter("payload")
_URGENT_SHARE: Final = 0.25
"""Of the room: fuller than this it is written at once."""


class RecorderStatistics(Struct, frozen=True, gc=False):
    """What a recorder holds and has done."""

    waiting: int
    """Frames that are not written yet."""
    waiting_bytes: int
    """Of their payloads."""
    recorded: int
    """Frames that are in the capture."""
    unrecorded: dict[Unrecorded, int]


class Recorder:
    """Records what `take` is given.

    Args:
        captures: the files.
        editor: decides what becomes of arguments.
        tell: hears of new files, failures and losses; called on the event loop.
        max_frames: that wait: about 100 bytes each besides their payloads.
        max_bytes: of payloads that wait.
        interval: seconds between two writes; so much is lost when the process is killed.
    """

    def __init__(
        self,
        captures: CaptureSet,
        *,
        editor: Editor,
        tell: Tell,
        max_frames: int = 100_000,
        max_bytes: int = 64 * 1024 * 1024,
        interval: float = 1.0,
    ) -> None:
        self._captures = captures
        self._editor = editor
        self._tell = tell
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._urgent_frames = max_frames * _URGENT_SHARE
        self._urgent_bytes = max_bytes * _URGENT_SHARE
        self._interval = interval
        self._waiting: list[Sequence[Frame] | Gap] = []
        self._frames = 0
        self._bytes = 0
        self._recorded = 0
        self._unrecorded = dict.fromkeys(Unrecorded, 0)
        self._left_out = 0  # since it was last told
        self._path: Path | None = None
        self._failed = False
        self._urgent = anyio.Event()
        self._writing = anyio.Lock()
        self._limiter = anyio.CapacityLimiter(1)  # the files take one call at a time

    def take(self, frames: Sequence[Frame]) -> None:
        """Record frames, which nobody changes any more. Never blocks, never raises.

        All of them or none: frames that arrived together. More than all the room together holds
        is taken where nothing else waits.
        """
        size = _size(frames)
        waiting, waiting_bytes = self._frames + len(frames), self._bytes + size
        if self._frames and (waiting > self._max_frames or waiting_bytes > self._max_bytes):
            self._leave_out(len(frames))
            return
        self._waiting.append(frames)
        self._frames, self._bytes = waiting, waiting_bytes
        if waiting > self._urgent_frames or waiting_bytes > self._urgent_bytes:
            self._urgent.set()

    async def open(self) -> None:
        """See to it that files can be made.

        Raises:
            ConfigError: the directory cannot be used.
        """
        await to_thread.run_sync(self._captures.open, limiter=self._limiter)

    async def run(self) -> None:
        """Write what is taken until cancelled; `close` writes the rest."""
        while True:
            with anyio.move_on_after(self._interval):
                await self._urgent.wait()
            await self.write()

    async def write(self) -> None:
        """Write what waits, and tell what became of it."""
        async with self._writing:
            left_out, self._left_out = self._left_out, 0
            self._lose(Unrecorded.FULL, left_out)
            if not self._frames:
                return
            waiting, self._waiting = self._waiting, []
            frames, size, self._urgent = self._frames, self._bytes, anyio.Event()
            batch = Batch(waiting, self._captures, self._editor)
            try:
                # Abandoned where the disk hangs: the thread waits, the service does not.
                await to_thread.run_sync(batch.write, limiter=self._limiter, abandon_on_cancel=True)
            finally:
                self._frames -= frames
                self._bytes -= size
            self._account(batch, frames)

    async def close(self) -> None:
        """Write what waits and end the file; what is taken later is not recorded."""
        await self.write()
        await to_thread.run_sync(
            self._captures.close, limiter=self._limiter, abandon_on_cancel=True
        )

    def statistics(self) -> RecorderStatistics:
        """Read the counts."""
        unrecorded = {**self._unrecorded}
        unrecorded[Unrecorded.FULL] += self._left_out  # told with the next write
        return RecorderStatistics(self._frames, self._bytes, self._recorded, unrecorded)

    def _leave_out(self, count: int) -> None:
        """Note that frames are missing here."""
        self._left_out += count
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, Gap):
            last.count += count
        else:
            self._waiting.append(Gap(count))

    def _account(self, batch: Batch, frames: int) -> None:
        lost = frames - batch.recorded
        self._recorded += batch.recorded
        self._lose(Unrecorded.DISK, lost)
        self._lose(Unrecorded.BODY, batch.emptied)
        missing = lost + batch.gaps
        if missing:  # to be noted when the disk takes something again
            self._waiting.insert(0, Gap(missing))
        self._tell_of_files(batch.error)

    def _tell_of_files(self, error: OSError | None) -> None:
        if error is not None and not self._failed:
            self._tell(CaptureFailed(error.strerror or type(error).__name__))
        self._failed = error is not None
        path = self._captures.path
        if path is not None and path != self._path:
            self._tell(CaptureOpened(str(path)))
            self._path = path

    def _lose(self, reason: Unrecorded, count: int) -> None:
        if count:
            self._unrecorded[reason] += count
            self._tell(FramesUnrecorded(reason, count))


def _size(frames: Sequence[Frame]) -> int:
    """The bytes of their payloads; without a step of the interpreter for each."""
    try:
        return sum(map(len, map(_payload, frames)))
    except AttributeError:  # not only messages
        return sum(len(frame.payload) for frame in frames if isinstance(frame, Message))
