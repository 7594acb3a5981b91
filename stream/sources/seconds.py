"""The time that passes between the frames of a file, as ticks. No clock is asked."""

from math import ceil, floor
from typing import Final

from ..events import Frame, Tick

_TICKS_PER_SILENCE: Final = 3_600
"""An hour is told by the second, a week in steps of three minutes."""


class Seconds:
    """The whole seconds since the first arrival, as ticks."""

    def __init__(self) -> None:
        self._first_at = 0.0
        self.due_at = 0.0
        """When the next tick is due; before the first arrival: at once."""

    def stop(self) -> None:
        """Tell no more: the files have ticks."""
        self.due_at = float("inf")

    def until(self, at: float) -> list[Frame]:
        """Return the ticks that are due when something arrives at *at*."""
        if self.due_at == 0.0:
            self._first_at, self.due_at = at, at + 1.0
            return []
        step = max(1, ceil((at - self.due_at) / _TICKS_PER_SILENCE))
        due = round(self.due_at - self._first_at)
        passed = floor(at - self._first_at)
        self.due_at = self._first_at + passed + 1
        return [Tick(self._first_at + second) for second in range(due, passed + 1, step)]
