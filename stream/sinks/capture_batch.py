"""What is written to a capture at once: frames, edited and rendered in chunks, in a thread."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from ..events import Frame, Message
from ..wire.arguments import Arguments, Editor
from ..wire.capture_lines import Gap, frame_lines, gap_line
from .capture_set import CaptureSet

_CHUNK: Final = 512
"""Frames that are rendered at once: half a megabyte."""

_TURN: Final = 64
"""Frames between which the event loop gets its turn: it would wait for 5 ms each time it wants one.
With redaction, at 20,000 messages a second, that halves its 99th percentile of delay."""


class Batch:
    """Frames and the gaps between them.

    Args:
        waiting: at least one frame; in the order in which they were taken.
        captures: the files.
        editor: decides what becomes of arguments.
    """

    def __init__(
        self, waiting: list[Sequence[Frame] | Gap], captures: CaptureSet, editor: Editor
    ) -> None:
        self._waiting = waiting
        self._captures = captures
        self._editor = editor
        self.recorded = 0
        """Frames that are written."""
        self.gaps = sum(each.count for each in waiting if isinstance(each, Gap))
        """Frames that are missing, as far as that is not written."""
        self.emptied = 0
        """Frames of which the body was not written."""
        self.error: OSError | None = None

    def write(self) -> None:
        """Write as much as the disk takes."""
        emptied = self._editor.emptied
        try:
            self._write()
        except OSError as error:
            self.error = error
        self.emptied = self._editor.emptied - emptied

    def _write(self) -> None:
        at = next(frame.received_at for frame in self._frames())
        for frames, gap in self._chunks():
            at = frames[0].received_at if frames else at
            lines = b"".join(self._rendered(frames))
            self._captures.append(lines if gap is None else lines + gap_line(gap), at)
            self.recorded += len(frames)
            self.gaps -= 0 if gap is None else gap.count

    def _frames(self) -> Iterator[Frame]:
        return (frame for each in self._waiting if not isinstance(each, Gap) for frame in each)

    def _rendered(self, frames: list[Frame]) -> Iterator[bytes]:
        """Render frames; every now and then the event loop, which has one interpreter, gets it."""
        for start in range(0, len(frames), _TURN):
            yield frame_lines(self._edited(frames[start : start + _TURN]))
            time.sleep(0)

    def _chunks(self) -> Iterator[tuple[list[Frame], Gap | None]]:
        """Yield frames, and the gap after them."""
        frames: list[Frame] = []
        for each in self._waiting:
            if isinstance(each, Gap):
                yield frames, each
                frames = []
                continue
            frames += each
            if len(frames) >= _CHUNK:
                yield frames, None
                frames = []
        if frames:
            yield frames, None

    def _edited(self, frames: list[Frame]) -> list[Frame]:
        if self._editor.arguments is Arguments.KEEP:
            return frames
        edit = self._editor.edit
        return [edit(frame) if isinstance(frame, Message) else frame for frame in frames]
