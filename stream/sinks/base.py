"""The seam between the engine and everything that tells the world what happened."""

from collections.abc import Sequence
from typing import Protocol

from ..core.effects import Effect


class Sink(Protocol):
    """Takes effects."""

    def accept(self, effects: Sequence[Effect]) -> None:
        """Take in what happened, in order.

        Called by the pipeline on the event loop, once per batch. Must not block, await, raise or
        keep *effects* itself (the pipeline reuses the list). What cannot be taken is counted.
        """
