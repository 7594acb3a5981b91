"""Label values: bounded text, made of what events say.

Any text becomes a value that a page and a protobuf message can carry. How many different values
there are is not bounded here but by the aggregate's limit of series.
"""

from typing import TypeAlias

from ..core.kinds import Kind
from ..core.states import State

Labels: TypeAlias = tuple[str, ...]
"""In the order of the instrument's attributes; ``""`` where the attribute is absent."""

MAX_LABEL_CHARS = 200
"""A label is a name; what is longer is data by mistake."""

# Looked up once: a member of an enumeration costs 50 ns at each access on Python 3.11.
_SUCCESS = State.SUCCESS

RAN = frozenset({State.SUCCESS, State.FAILURE, State.RETRY})
"""Deliveries that end so have run, and should say for how long."""


def label(value: str | None, *, missing: str = "unknown") -> str:
    """Make a label value of any text: encodable as UTF-8, and not longer than a name is.

    Args:
        value: what an event said; None where it said nothing.
        missing: stands for None and for the empty string.
    """
    if not value:
        return missing
    value = value[:MAX_LABEL_CHARS]
    # JSON can carry lone surrogates, which neither a page nor a protobuf string can.
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def names(kind: Kind) -> tuple[str, str]:
    """Return ``task`` and ``queue``."""
    return label(kind.name), label(kind.queue)


def conventional(system: str, kind: Kind, operation: str) -> tuple[str, str, str, str]:
    """Return what the semantic conventions of messaging ask for, in their instruments' order.

    Args:
        system: the broker, as ``messaging.system`` names it.
        kind: the task's name and queue.
        operation: ``send``, ``receive`` or ``process``.
    """
    return system, label(kind.queue), operation, label(kind.name)


def error(state: State, error_type: str | None) -> str | None:
    """Name the error of a delivery that ended so; None for a success.

    An error without a class has the conventions' word, or is named by how the delivery ended.
    """
    if state is _SUCCESS:
        return None
    return error_type or ("_OTHER" if state in RAN else state)
