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
        text = text.strip()[:LONGEST]
        self._text = text.casefold()
        self._name = _pattern(name)
        self._queue = _pattern(queue)
        self._worker = _pattern(worker)
        self._uuid = uuid.strip()[:LONGEST]
        self.exactly = self._uuid or text
        """A whole uuid, if what is looked for is one."""
        self._workers: dict[str | None, tuple[bool, bool]] = {}

    def state(self, state: State) -> bool:
        """Whether tasks in this state may be wanted."""
        return not self.states or state in self.states

    def kind(self, kind: Kind) -> bool:
        """Whether tasks of this kind may be wanted."""
        return _fits(self._name, kind.name) and _fits(self._queue, kind.queue)

    def all_of(self, kind: Kind) -> bool:
        """Whether every task of a kind that may be wanted is."""
        return self._worker is None and not self._uuid and self._in_kind(kind)

    def of(self, kind: Kind) -> Callable[[str, str | None], bool]:
        """Return what decides about a task of a kind that may be wanted, by its uuid and worker.

        Asked of tens of thousands, so all that can be decided once has been.
        """
        text, prefix, worker = self._text, self._uuid, self._of_worker
        in_kind = self._in_kind(kind)

        def wanted(uuid: str, hostname: str | None) -> bool:
            if prefix and not uuid.startswith(prefix):
                return False
            fits, is_named = worker(hostname)
            return fits and (in_kind or is_named or uuid.startswith(text))

        return wanted

    def task(self, kind: Kind, uuid: str, hostname: str | None) -> bool:
        """Whether one task is wanted."""
        return self.kind(kind) and self.of(kind)(uuid, hostname)

    def _of_worker(self, hostname: str | None) -> tuple[bool, bool]:
        """Whether a worker fits the pattern, and whether the text is part of its name."""
        known = self._workers.get(hostname)
        if known is None:
            is_named = self._text in (hostname or "").casefold()
            known = self._workers[hostname] = _fits(self._worker, hostname), is_named
        return known

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
