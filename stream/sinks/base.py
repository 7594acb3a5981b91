"""The seam between the engine and everything that tells the world what happened."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ..core.effects import Effect


class Sink(Protocol):
    """Takes effects."""

    def accept(self, effects: Sequence[Effect]) -> None:
        """Take in what happened, in order.

        Called by the pipeline on the event loop, once per batch. Must not block, await, raise or
        keep *effects* itself (the pipeline reuses the list). What cannot be taken is counted.
        """


class Selective:
    """A sink that takes some types of effects and passes over the others.

    Args:
        handlers: what takes them, by exact type: an effect costs one look-up.
    """

    def __init__(self, handlers: Mapping[type, Callable[..., None]]) -> None:
        self._handlers = handlers

    def accept(self, effects: Sequence[Effect]) -> None:
        """Take in what is of interest."""
        handler_of = self._handlers.get
        for effect in effects:
            handler = handler_of(type(effect))
            if handler is not None:
                handler(effect)
