"""What somebody looks for among single tasks: by state, name, queue, worker, uuid, or any of them.

A kind is asked first, since it decides about all its tasks at once; a task only where its kind
leaves that open.
"""

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Final

from .kinds import Kind
from .states import State

LONGEST: Final = 200
"""Characters of a pattern or text; nothing that is looked for is longer."""

Matches = Callable[[str], object]


class Search:
    """Decides which tasks are wanted. Nothing given: all.

    Args:
        text: part of the name, the queue or the worker, or the beginning of the uuid; in any case.
        states: of the task; empty: any.
        name: pattern of the task's name (``fnmatch``, in any case); what is not known matches
            no pattern.
        queue: likewise.
        worker: likewise, of the node name of the newest delivery.
        uuid: the beginning of it.
    """

    def __init__(
        self,
        text: str = "",
        *,
        states: frozenset[State] = frozenset(),
        name: str = "",
        queue: str = "",
        worker: str = "",
        uuid: str = "",
    ) -> None:
        self.states = states
        self._text = text.strip()[:LONGEST].casefold()
        self._name = _pattern(name)
        self._queue = _pattern(queue)
        self._worker = _pattern(worker)
        self._uuid = uuid.strip()[:LONGEST]

    def state(self, state: State) -> bool:
        """Whether tasks in this state may be wanted."""
        return not self.states or state in self.states

    def kind(self, kind: Kind) -> bool:
        """Whether tasks of this kind may be wanted."""
        return _fits(self._name, kind.name) and _fits(self._queue, kind.queue)

    def all_of(self, kind: Kind) -> bool:
        """Whether every task of a kind that may be wanted is."""
        return not (self._worker or self._uuid) and self._in_kind(kind)

    def task(self, kind: Kind, uuid: str, hostname: str | None) -> bool:
        """Whether one task is wanted whose kind and state may be."""
        if self._uuid and not uuid.startswith(self._uuid):
            return False
        if self._worker is not None and not _fits(self._worker, hostname):
            return False
        return (
            self._in_kind(kind)
            or uuid.startswith(self._text)
            or self._text in (hostname or "").casefold()
        )

    def _in_kind(self, kind: Kind) -> bool:
        text = self._text
        return not text or any(
            text in part.casefold() for part in (kind.name, kind.queue) if part is not None
        )


def _pattern(text: str) -> Matches | None:
    text = text.strip()[:LONGEST].casefold()
    return re.compile(translate(text)).match if text else None


def _fits(pattern: Matches | None, text: str | None) -> bool:
    return pattern is None or (text is not None and bool(pattern(text.casefold())))
