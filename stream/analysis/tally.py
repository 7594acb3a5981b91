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
        match occurrence:
            case EventsDecoded(count):
                self.events += count
            case EventsRejected(reason, count):
                self.rejected[reason] += count
            case _:
                pass
