"""What the page reads: of each broker, its engine and what ended lately there."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from ..core.look import Looked, Overdue, TaskLook
from ..core.search import Search
from ..core.view import View
from ..sinks.history import History


class Readable(Protocol):
    """The readings of an engine. All of them are bounded, change nothing and ask nobody."""

    def view(self, now: float) -> View:
        """Read the gauges from the tables."""

    def task(self, uuid: str) -> TaskLook | None:
        """Look at one task; None where it is not known or not any more."""

    def find(self, search: Search, *, limit: int, budget: int) -> Looked:
        """Look for tasks in flight."""

    def overdue(self, limit: int) -> tuple[Overdue, ...]:
        """Return the tasks that are over the limit of their phase."""


class Watched(Struct, frozen=True):
    """One broker, as the page reads it: on the event loop, from which it is fed too."""

    engine: Readable
    history: History


Brokers = Mapping[str, Watched]
"""By the broker's name."""
