"""What tasks are grouped by: their name and their queue, each pair one interned object.

Metrics use a kind as the key of their series, so that the hot path hashes an identity instead of
two strings.
"""

from typing import Final

from msgspec import Struct

OTHER: Final = "other"
"""The name that stands for all beyond the limit of distinct ones."""
INTERNAL_TASKS: Final = frozenset({"celery.chord_unlock"})
"""Sent by Celery itself; it retries about once a second until its chord is done."""


class Kind(Struct, eq=False, gc=False, frozen=True):
    """A task name and a queue.

    Equality is identity: there is one object for each pair.
    """

    name: str | None
    """None where no event told it (an unregistered task, a worker seen halfway)."""
    queue: str | None
    """None where no event told it; a default is never assumed."""
    internal: bool = False
    """True for tasks that Celery itself sends (``celery.chord_unlock``)."""


class Kinds:
    """All kinds there are, at most *limit* of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.known: dict[tuple[str | None, str | None], Kind] = {}
        """By name and queue; to be read only."""
        self._other = Kind(OTHER, OTHER)
        self.overflowed = 0
        """How often a pair did not fit."""

    def __len__(self) -> int:
        return len(self.known)

    def all(self) -> list[Kind]:
        """Every kind; the first is the one for all others."""
        return [self._other, *self.known.values()]

    def restore(self, pairs: list[tuple[str | None, str | None]]) -> list[Kind]:
        """Take over the pairs of a snapshot's kinds but the first; return them like `all`."""
        self.known = {
            (name, queue): Kind(name, queue, name in INTERNAL_TASKS) for name, queue in pairs
        }
        return self.all()

    def get(self, name: str | None, queue: str | None) -> Kind:
        """Return the one kind for this pair, or the one for all others when there are too many."""
        kind = self.known.get((name, queue))
        if kind is not None:
            return kind
        if len(self.known) >= self._limit:
            self.overflowed += 1
            return self._other
        kind = self.known[name, queue] = Kind(name, queue, name in INTERNAL_TASKS)
        return kind
