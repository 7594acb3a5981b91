"""What keeps some clients from locking out all others, before anybody is asked who it is.

A connection that asks nothing is closed after a while, and sooner where there are too many. How
many requests are in progress is bounded apart from that: idle connections are none of them.
"""

import asyncio
from typing import Any, Final

from msgspec import Struct
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from .access import OPEN

_MOST_CONNECTIONS: Final = 512
_SHARE_OF_DESCRIPTORS: Final = 4
"""One of so many is for clients: brokers, receivers and files need the others, and a burst of
connections is accepted before the first of them can be closed."""
_BACKLOG: Final = 100


class Bounds(Struct, frozen=True):
    """How much clients may take."""

    connections: int
    requests: int = 100
    """In progress; beyond it they are answered 503, so that nobody can hold all memory."""
    patience: float = 10.0
    """Seconds for which a connection may be without a request, and for TLS to be agreed upon."""

    @property
    def backlog(self) -> int:
        """Connections that wait to be accepted, and are accepted at once."""
        return min(_BACKLOG, self.connections)


def usual_bounds() -> Bounds:
    """Return what this process can bear, which depends on the descriptors that it may have."""
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:
        return Bounds(_MOST_CONNECTIONS)
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return Bounds(_MOST_CONNECTIONS)
    return Bounds(min(_MOST_CONNECTIONS, max(1, descriptors // _SHARE_OF_DESCRIPTORS)))


class Connection(H11Protocol):
    """A connection that is closed where it has no request for too long.

    Args:
        config: of the server.
        server_state: what the server's connections share; likewise *app_state*.
        app_state: given to the application.
        bounds: how many connections there may be, and for how long without a request.
        waiting: those of the same server that have no request in progress, and when each will be
            closed; who waits for longest comes first.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        bounds: Bounds,
        waiting: "dict[Connection, asyncio.TimerHandle]",
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._bounds = bounds
        self._waiting = waiting

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request; where there are too many, close who waits for longest."""
        super().connection_made(transport)
        self._look()
        if len(self.connections) > self._bounds.connections:
            next(iter(self._waiting), self).give_up()  # at worst this one

    def data_received(self, data: bytes) -> None:
        """Read on; once the head of a request is complete it is in progress."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for another request."""
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Close at once: who says nothing would not take part in an orderly end either."""
        self._wait_no_longer()
        self.connections.discard(self)
        self.transport.abort()

    def _look(self) -> None:
        """Wait where no request is in progress; a part of one does not start the time anew."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._wait_no_longer()
        elif self not in self._waiting and not self.transport.is_closing():
            timer = self.loop.call_later(self._bounds.patience, self.give_up)
            self._waiting[self] = timer

    def _wait_no_longer(self) -> None:
        timer = self._waiting.pop(self, None)
        if timer is not None:
            timer.cancel()


class Bounded:
    """Wraps what is served: 503 where too many requests are in progress. Probes are answered.

    Args:
        app: answers the others.
        most: requests in progress.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        if self._in_progress >= self._most:
            await PlainTextResponse("Too many requests at once.\n", 503)(scope, receive, send)
            return
        self._in_progress += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_progress -= 1
