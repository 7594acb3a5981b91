"""How quickly messages come, and whether it pays to let them gather before they are read.

A process that wakes up finds the processor's caches filled by others, and reading a message or two
at a time costs a tenth more than reading dozens. Where thousands come in a second nobody notices
that some wait for a moment; where few come each is read at once. No clock: it is told the time.
"""

from typing import Final

GATHERING: Final = 0.05
"""Seconds that messages are left to gather: on a page they are within the second."""
_MANY: Final = 500.0
"""Messages a second; so many bring at least a dozen each time."""
_WINDOW: Final = 0.25
"""Seconds over which they are counted."""


class Flow:
    """Counts messages in windows of time."""

    def __init__(self, at: float) -> None:
        self._began_at = at
        self._counted = 0
        self._rate = 0.0

    def is_quick(self, messages: int, at: float) -> bool:
        """Take note of a read at *at* (seconds); return whether many messages come."""
        self._counted += messages
        elapsed = at - self._began_at
        if elapsed >= _WINDOW:
            self._rate = self._counted / elapsed
            self._began_at, self._counted = at, 0
        return self._rate >= _MANY
