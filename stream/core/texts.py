"""What events tell of arguments and results, where they are asked for.

Celery writes them as texts, a ``repr`` that it shortens. Anything else is not told: it would be
kept for as long as its task, whatever its size.
"""

from typing import TypeAlias

from ..events import TaskReceivedInFull, TaskSentInFull, TaskSucceededInFull

Texts: TypeAlias = tuple[str | None, str | None]
"""Positional and named arguments."""


def arguments_of(event: TaskSentInFull | TaskReceivedInFull) -> Texts | None:
    """Return the positional and the named arguments; None where neither is told."""
    positional, named = _text(event.args), _text(event.kwargs)
    return None if positional is None and named is None else (positional, named)


def result_of(event: TaskSucceededInFull) -> str | None:
    """Return what a task returned; None where that is not told."""
    return _text(event.result)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
