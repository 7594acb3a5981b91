"""How far the opening of a connection came, for whoever wants to know."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias


class Stage(StrEnum):
    """What was passed, in this order."""

    LOCATED = "located"
    """Sentinels named a server."""
    REACHED = "reached"
    """The server took the connection, and where it speaks TLS both sides trust each other."""
    LOGGED_IN = "logged in"
    """It took the user and the password, or wants none."""
    OPENED = "opened"
    """The database, or the virtual host, is there and may be used."""


Note: TypeAlias = Callable[[Stage, str], None]
"""Is told of each stage that was passed, and of the place: a URL without user and password."""


def unnoted(_stage: Stage, _place: str) -> None:
    """For nobody who wants to know."""
