"""What a request may ask for: its parameters, each with a meaning and a check, in one table.

The OpenAPI document is made of the same table.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from ..core.search import LONGEST, Search
from ..core.states import State
from .tasks import Wanted

LIMIT: Final = 100
MOST: Final = 500
"""Tasks in one answer."""


class QueryError(Exception):
    """A parameter has no meaning; the message is a sentence for whoever asks."""


class Parameter(Struct, frozen=True):
    """One parameter of a query."""

    name: str
    about: str
    schema: dict[str, object]


_TEXT: Final[dict[str, object]] = {"type": "string", "maxLength": LONGEST}
WHERE: Final = ("all", "in_flight", "ended")
TASK_PARAMETERS: Final = (
    Parameter(
        "q",
        "Part of the task's name, its queue or its worker, or the beginning of its uuid.",
        _TEXT,
    ),
    Parameter(
        "state",
        "States, separated by commas.",
        {"type": "string", "pattern": "^[A-Za-z]+(,[A-Za-z]+)*$"},
    ),
    Parameter("name", "Pattern of the task's name, as in a shell: `mail.*`.", _TEXT),
    Parameter("queue", "Pattern of the queue's name.", _TEXT),
    Parameter("worker", "Pattern of the worker's node name.", _TEXT),
    Parameter("uuid", "The beginning of the task's uuid.", _TEXT),
    Parameter("broker", "Name of the broker; empty for all.", _TEXT),
    Parameter(
        "where",
        "Tasks in flight, those that ended and are kept, or both.",
        {"type": "string", "enum": list(WHERE), "default": "all"},
    ),
    Parameter(
        "limit",
        "Tasks in the answer.",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT},
    ),
)


def wanted(query: Mapping[str, str]) -> Wanted:
    """Read which tasks are asked for.

    Raises:
        QueryError: a parameter is not known or has a value that it cannot have.
    """
    known = {parameter.name for parameter in TASK_PARAMETERS}
    if unknown := [name for name in query if name not in known]:
        raise QueryError(
            f"{_shown(unknown[0])} is no parameter; there are {_listed(sorted(known))}"
        )
    where = query.get("where") or "all"
    if where not in WHERE:
        raise QueryError(f"where={_shown(where)} is none of {_listed(WHERE)}")
    search = Search(
        query.get("q", ""),
        states=_states(query.get("state", "")),
        **{name: query.get(name, "") for name in ("name", "queue", "worker", "uuid")},
    )
    return Wanted(
        search,
        in_flight=where != "ended",
        ended=where != "in_flight",
        broker=query.get("broker", ""),
        limit=_limit(query.get("limit") or str(LIMIT)),
    )


def _states(text: str) -> frozenset[State]:
    names = [name for part in text.split(",") if (name := part.strip().upper())]
    for name in names:
        if name not in State.__members__:
            raise QueryError(f"state={_shown(name)} is none of {_listed(tuple(State))}")
    return frozenset(State(name) for name in names)


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST:
        return int(text)
    raise QueryError(f"limit={_shown(text)} is no whole number from 1 to {MOST}")


def _shown(text: str) -> str:
    return repr(text[:40])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
