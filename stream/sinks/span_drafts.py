"""Spans that wait to be made: an effect and what was decided about it.

Making one costs twenty times as much as keeping its draft, so it is left to the export thread, and
to nobody where an absent receiver makes us drop it.
"""

from sys import getsizeof
from typing import Final

from ..core.effects import AttemptEnded, Sent, Succeeded, WaitedLong
from ..export.records import Draft, Resource, Span, SpanDraft
from .span_bytes import process_bytes, send_bytes
from .span_records import Observed, process_span, send_span, wait_span

# No garbage collection: tens of thousands may wait, and none can be part of a cycle.


class ProcessDraft(Draft, frozen=True, eq=False, gc=False):
    """A ``process`` span; ``threshold`` is as in `sampling.Kept`, also below."""

    ended: AttemptEnded
    observed: Observed
    threshold: int | None

    def __call__(self) -> Span:
        """Make it, the same each time."""
        return process_span(self.ended, self.observed, threshold=self.threshold)

    def write(self) -> tuple[Resource, bytes] | None:
        """Write it at once, where it is as usual."""
        return process_bytes(self.ended, self.observed) if self.threshold is None else None


class SendDraft(Draft, frozen=True, eq=False, gc=False):
    """A ``send`` span."""

    sent: Sent
    observed: Observed
    threshold: int | None

    def __call__(self) -> Span:
        """Make it, the same each time."""
        return send_span(self.sent, self.observed, threshold=self.threshold)

    def write(self) -> tuple[Resource, bytes] | None:
        """Write it at once, where it is as usual."""
        return send_bytes(self.sent, self.observed) if self.threshold is None else None


class WaitDraft(Draft, frozen=True, eq=False, gc=False):
    """A ``wait`` span."""

    waited: WaitedLong
    observed: Observed
    threshold: int | None

    def __call__(self) -> Span:
        """Make it, the same each time."""
        return wait_span(self.waited, self.observed, threshold=self.threshold)


# What `tracemalloc` finds for a draft with its effect and its place in a deque, of effects that
# share nothing but their kind and their worker's name. A run: 490 bytes of a root task, 660 of a
# child, 810 of a child in a trace of somebody else. The others: 240 to 480.
_PROCESS_BYTES: Final = 700
_OTHER_BYTES: Final = 350


def draft_bytes(draft: SpanDraft) -> int:
    """Return about how much memory *draft* takes while it waits; exact for exceptions."""
    if type(draft) is not ProcessDraft:  # asked for each on the event loop; has no subclasses
        return _OTHER_BYTES
    size, ended = _PROCESS_BYTES, draft.ended
    if type(ended) is Succeeded:
        return size
    if ended.exception is not None:
        size += getsizeof(ended.exception)
    if ended.traceback is not None:
        size += getsizeof(ended.traceback)
    return size
