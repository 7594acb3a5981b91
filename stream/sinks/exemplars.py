"""Exemplars: the newest run behind a series, so that one can go from a number to its trace.

One for each series, the newest: the bound is that of the series. They are kept as they came and
get their ids when somebody reads them, because in a storm of failures nearly all are replaced
before that.
"""

from msgspec import Struct

from ..core.effects import AttemptEnded
from ..core.trace import Trace
from .identity import origin, process_span_id
from .labels import Labels


class Exemplar(Struct, frozen=True, gc=False):
    """One measurement and the span that it was made in."""

    value: float
    at: float
    """Epoch seconds."""
    trace_id: int
    span_id: int


class Example(Struct, frozen=True, gc=False):
    """One measurement and what the ids of its span are derived from."""

    value: float
    at: float
    trace: Trace | None
    root_id: str | None
    uuid: str
    retries: int
    ordinal: int

    def identified(self) -> Exemplar:
        """Derive the ids; the same that the span of the run has."""
        where = origin(self.trace, self.root_id, self.uuid)
        span_id = process_span_id(self.uuid, self.retries, self.ordinal)
        return Exemplar(self.value, self.at, where.trace_id, span_id)


def example(value: float, run: AttemptEnded) -> Example:
    """Make an example of a value of a run."""
    return Example(value, run.ended_at, run.trace, run.root_id, run.uuid, run.retries, run.ordinal)


class Exemplars:
    """The newest exemplar for each series of an instrument."""

    __slots__ = ("_identified", "_new")

    def __init__(self) -> None:
        self._new: dict[Labels, Example] = {}
        self._identified: dict[Labels, Exemplar] = {}

    def keep(self, labels: Labels, newest: Example) -> None:
        """Keep the newest of a series; who calls bounds how many series there are."""
        self._new[labels] = newest

    def read(self) -> dict[Labels, Exemplar]:
        """Return them by series: to be looked at now, and not changed."""
        for labels, newest in self._new.items():
            self._identified[labels] = newest.identified()
        self._new.clear()
        return self._identified
