"""The way to one receiver: one request at a time, in a thread, and what its answers say of it."""

from functools import partial
from typing import TypeAlias

import anyio
from anyio import to_thread

from ..backoff import Backoff
from ..occurrences import ExportFailed, Tell
from .batch import Batch
from .circuit import Circuit, Health
from .post import Later, Poster, Refused, Taken, TooLarge
from .target import Target

Decided: TypeAlias = Taken | TooLarge | Refused
"""An answer after which the same request is not made again."""

_TIMEOUTS = 2
"""That a request may take in all: for connecting, and for the answer."""


class Line:
    """Sends batches to a target.

    Args:
        target: where to.
        backoff: delays between requests that fail.
        tell: hears of requests that are to be made again.
    """

    def __init__(self, target: Target, backoff: Backoff, tell: Tell) -> None:
        self._target = target
        self._tell = tell
        self._poster = Poster(target)
        self._circuit = Circuit(backoff)
        self._limiter = anyio.CapacityLimiter(1)

    @property
    def health(self) -> Health:
        """How it goes."""
        return self._circuit.health

    @property
    def failing_for(self) -> float | None:
        """Seconds since the first failure that nothing was taken since; None: all is well."""
        since = self._circuit.failing_since
        return None if since is None else anyio.current_time() - since

    @property
    def pause(self) -> float:
        """Seconds until the next request may be made."""
        return self._circuit.left()

    def hurry(self) -> None:
        """Allow the next request now."""
        self._circuit.hurry()

    async def send(self, batch: Batch, *, timeout: float) -> Decided | None:  # noqa: ASYNC109 - of the request, in its thread
        """Make one request; None where it is to be made again after a pause.

        Safe to cancel: a request that hangs is abandoned, its thread ends with the timeout.
        """
        outcome = await self._outcome(batch, timeout)
        match outcome:
            case Later(reason=reason, after=after):
                delay = self._circuit.failed(reason, after=after)
                self._tell(ExportFailed(self._target.signal, batch.items, reason, delay))
                return None
            case Taken():
                self._circuit.taken()
            case TooLarge(reason=reason) | Refused(reason=reason):
                self._circuit.refused(reason)
        return outcome

    async def _outcome(self, batch: Batch, timeout: float) -> Decided | Later:  # noqa: ASYNC109 - likewise
        """Make one request, within twice its timeout in all.

        The timeout bounds each read of a socket, and a receiver may send a byte before each ends.
        """
        most = _TIMEOUTS * timeout
        post = partial(self._post, self._poster, batch, timeout=timeout)
        with anyio.move_on_after(most):
            return await to_thread.run_sync(post, limiter=self._limiter, abandon_on_cancel=True)
        # The thread still has the connection: the next request needs another.
        self._poster.close()
        self._poster = Poster(self._target)
        return Later(f"no answer within {most:g} s")

    def _post(self, poster: Poster, batch: Batch, *, timeout: float) -> Decided | Later:
        try:
            body = batch.fit(gzip=self._target.gzip).body
        except ValueError:  # from a disk that says it is whole
            return Refused("a damaged body")
        return poster.post(body, timeout=timeout)

    def close(self) -> None:
        """Close idle connections."""
        self._poster.close()
