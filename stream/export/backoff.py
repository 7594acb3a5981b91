"""How long to wait before the next try: doubling, capped, jittered."""

from collections.abc import Callable


class Backoff:
    """Delays between tries at one receiver.

    Args:
        first: seconds before the second try.
        most: seconds that no delay exceeds.
        jitter: returns the factor of a delay, about 0.5 to 1.
    """

    def __init__(self, *, first: float, most: float, jitter: Callable[[], float]) -> None:
        self._first = first
        self._most = most
        self._jitter = jitter
        self._next = first

    def failed(self) -> float:
        """Return the seconds to wait now; the next ones are twice that."""
        delay = self._next
        self._next = min(delay * 2, self._most)
        return delay * self._jitter()

    def succeeded(self) -> None:
        """Begin with the shortest delay again."""
        self._next = self._first
