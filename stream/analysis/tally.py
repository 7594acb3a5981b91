"""What was read of a capture, by what the pipeline tells."""

from collections import Counter

from msgspec import Struct, field

from ..events import Reason
from ..occurrences import EventsDecoded, EventsRejected, Occurrence


class Tally(Struct):
    """Counts what was read; call it with each occurrence."""

    events: int = 0
    rejected: Counter[Reason] = field(default_factory=Counter)

    def __call__(self, occurrence: Occurrence) -> None:
        """Count an occurrence."""
        if isinstance(occurrence, EventsDecoded):  # one for each time of arrival; first, no match
            self.events += occurrence.count
        elif isinstance(occurrence, EventsRejected):
            self.rejected[occurrence.reason] += occurrence.count
