"""Whether a receiver can be reached, and when to ask it again."""

from collections.abc import Callable
from enum import StrEnum

import anyio
from msgspec import Struct

from ..backoff import Backoff


class State(StrEnum):
    """The states of a circuit breaker, by their usual names."""

    CLOSED = "closed"
    """Requests go through."""
    OPEN = "open"
    """The last one failed; none is made until a delay has passed."""
    HALF_OPEN = "half_open"
    """The delay has passed: one request shows whether the receiver is back."""


class Health(Struct, frozen=True):
    """How delivery of one signal goes."""

    ok: bool
    """False after a request that failed, until one is taken."""
    last_error: str | None
    """One line without credentials; kept after recovery. None: there was none."""
    circuit: State = State.CLOSED
    retry_in: float | None = None
    """Seconds until the next request where the circuit is open."""


class Circuit:
    """Keeps the state of one receiver.

    Args:
        backoff: delays between requests that fail.
        clock: seconds, as `anyio.current_time`.
    """

    def __init__(
        self, backoff: Backoff, *, clock: Callable[[], float] = anyio.current_time
    ) -> None:
        self._backoff = backoff
        self._clock = clock
        self._ok = True
        self._last_error: str | None = None
        self._retry_at = 0.0
        self.failing_since: float | None = None
        """When the first of the failures came that nothing was taken since; on the clock."""

    @property
    def health(self) -> Health:
        """How it stands."""
        if self.failing_since is None:
            return Health(self._ok, self._last_error)
        left = self._retry_at - self._clock()
        if left <= 0:
            return Health(self._ok, self._last_error, State.HALF_OPEN)
        return Health(self._ok, self._last_error, State.OPEN, left)

    def taken(self) -> None:
        """The receiver took a request."""
        self._ok = True
        self._close()

    def refused(self, reason: str) -> None:
        """It answered that it will never take this request: it is there, and something is wrong."""
        self._ok = False
        self._last_error = reason
        self._close()

    def failed(self, reason: str, *, after: float) -> float:
        """It did not answer, or asked to come again; return the seconds to wait.

        Args:
            reason: one line without credentials.
            after: seconds that it asked for.
        """
        now = self._clock()
        self._ok = False
        self._last_error = reason
        if self.failing_since is None:
            self.failing_since = now
        delay = max(after, self._backoff.failed())
        self._retry_at = now + delay
        return delay

    def hurry(self) -> None:
        """Let the next request be made now, and delays begin with the shortest again."""
        self._backoff.succeeded()
        self._retry_at = self._clock()

    def left(self) -> float:
        """Seconds until the next request may be made."""
        return max(0.0, self._retry_at - self._clock())

    def _close(self) -> None:
        self._backoff.succeeded()
        self.failing_since = None
        self._retry_at = 0.0
