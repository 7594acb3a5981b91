"""The seam between the outside and the pipeline."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from ..events import Frame

Put: TypeAlias = Callable[[list[Frame]], Awaitable[None]]
"""Hands frames over, in order, and takes ownership of the list. A source that may have nothing to
say for long hands over an empty one, which says that it is connected."""


class Source(Protocol):
    """Something that frames come from."""

    name: str

    async def run(self, put: Put) -> None:
        """Connect, and hand over frames until the input ends or the connection is lost.

        Called again after `LostError` (a new connection, a new epoch). Everything it opened is
        closed when it returns, raises or is cancelled.

        Raises:
            LostError: the connection could not be made or broke.
            RefusedError: it will never work as configured.
        """
