"""How long to wait before the next try: doubling, capped, jittered."""

import random
from collections.abc import Callable


def spread() -> float:
    """Return a factor that keeps many clients of one server from coming back together."""
    return random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


class Backoff:
    """Delays between tries at one server.

    Args:
        first: seconds before the second try.
        most: seconds that no delay exceeds.
        healthy_after: seconds that an attempt must have lasted for `after` to forget the failures.
        jitter: returns the factor of a delay, about 0.5 to 1.
    """

    def __init__(
        self,
        *,
        first: float = 0.5,
        most: float = 15.0,
        healthy_after: float = 30.0,
        jitter: Callable[[], float] = spread,
    ) -> None:
        self._first = first
        self._most = most
        self._healthy_after = healthy_after
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

    def after(self, lasted: float) -> float:
        """Return the seconds to wait after an attempt that worked for *lasted* seconds."""
        if lasted >= self._healthy_after:
            self.succeeded()
        return self.failed()
