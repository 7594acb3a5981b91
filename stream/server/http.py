"""The HTTP endpoints, and a server for them that leaves signals and logs to the process.

A request reads memory: no broker, worker or receiver is asked. The page is written on a worker
thread, because thousands of series take tens of milliseconds, and by one request at a time.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Generator, Iterable, Sequence
from html import escape

import anyio
import msgspec
import uvicorn
from anyio import to_thread
from anyio.abc import TaskStatus
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from ..config import AccessSettings
from ..errors import RefusedError
from ..sinks.aggregate import Family
from .bounds import Bounded, Bounds, Connection, usual_bounds
from .compat import Asked, NotKnownError, asked
from .health import Health
from .prometheus import page

_MAX_PORT = 65535

GRACE = 1
"""Whole seconds for answering requests that have begun when the server is told to stop."""

_LINKS = {
    "/metrics": "metrics for Prometheus (text or OpenMetrics)",
    "/metrics?compat=celery-exporter": "the same under the names of celery-exporter",
    "/metrics?compat=flower": "the same under the names of flower",
    "/health": "whether the cluster is seen, as JSON",
    "/ready": "whether every source is connected",
    "/live": "whether the process runs",
}


def application(
    *,
    metrics: Callable[[], Iterable[Family]],
    health: Callable[[], Health],
    ready: Callable[[], bool],
    compat: Callable[[Asked], Iterable[Family]] | None = None,
    usual: Asked = frozenset(),
    pages: Sequence[BaseRoute] = (),
) -> Starlette:
    """Make the application.

    Args:
        metrics: collects all families; called on the event loop for each scrape, so it may read
            what belongs to the loop and must be quick.
        health: likewise, for each request of ``/health``.
        ready: likewise, for each request of ``/ready``.
        compat: like ``metrics``, under the names of others, and what it returns is read on
            another thread; None: under ours only.
        usual: whose names are told when a scrape does not say; none: ours.
        pages: the routes of the live page, at ``/`` among others; none: ``/`` lists what there is.
    """
    one_at_a_time = anyio.CapacityLimiter(1)

    async def show_metrics(request: Request) -> Response:
        try:
            wanted = asked(request.query_params.getlist("compat"), usual)
        except NotKnownError as error:
            return _text(str(error), 400)
        families = compat(wanted) if wanted and compat is not None else tuple(metrics())
        accept = request.headers.get("accept", "")
        written = await to_thread.run_sync(page, families, accept, limiter=one_at_a_time)
        return Response(written.body, headers={"content-type": written.content_type})

    async def show_health(_: Request) -> Response:
        answer = health()
        body = msgspec.json.encode(answer)
        return Response(body, 200 if answer.ok else 503, media_type="application/json")

    async def show_ready(_: Request) -> Response:
        is_ready = ready()
        return _text("ready" if is_ready else "not ready", 200 if is_ready else 503)

    return Starlette(
        routes=[
            *(pages or [Route("/", _show_links)]),
            Route("/metrics", show_metrics),
            Route("/health", show_health),
            Route("/live", _show_live),
            Route("/ready", show_ready),
        ]
    )


async def _show_links(_: Request) -> Response:
    items = "".join(
        f'<li><a href="{path}">{path}</a> {escape(about)}</li>' for path, about in _LINKS.items()
    )
    return HTMLResponse(
        f"<!doctype html><title>celery-stream</title><h1>celery-stream</h1><ul>{items}</ul>"
    )


async def _show_live(_: Request) -> Response:
    return _text("live", 200)


def _text(word: str, status: int) -> Response:
    return PlainTextResponse(f"{word}\n", status)


def listen(address: str) -> socket.socket:
    """Bind a socket and let it queue connections, before anything else is started.

    Args:
        address: ``host:port``; ``[::1]:9540`` for IPv6, ``:9540`` for all addresses, port 0 for
            any free one.

    Raises:
        RefusedError: the address is wrong, or somebody else has it.
    """
    host, port = _parse(address)
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, target = found[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # the latter: no name at all, to the IDNA codec
        raise _refused(address, error) from error
    try:
        # Connections of a previous process in TIME_WAIT are no reason to refuse.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(target)
        bound.listen(usual_bounds().backlog)
    except OSError as error:
        bound.close()
        raise _refused(address, error) from error
    return bound


def _parse(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= len("65535") else -1
    if not colon or not 0 <= number <= _MAX_PORT:
        raise RefusedError(
            f"cannot listen on {address}: not HOST:PORT with a port up to {_MAX_PORT}; "
            "choose another with --listen"
        )
    return host.removeprefix("[").removesuffix("]"), number


def _refused(address: str, error: OSError | UnicodeError) -> RefusedError:
    why = (getattr(error, "strerror", None) or str(error)).lower()
    return RefusedError(f"cannot listen on {address}: {why}; choose another with --listen")


async def serve(
    app: ASGIApp,
    bound: socket.socket,
    *,
    stop: anyio.Event | None = None,
    tls: AccessSettings | None = None,
    bounds: Bounds | None = None,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests until told to stop or cancelled; closes the socket.

    Requests that have begun are answered, for at most `GRACE` seconds, in either case.

    Args:
        app: what answers.
        bound: from `listen`.
        stop: set by whoever wants it to return; None if only cancellation ends it.
        tls: the certificate to serve HTTPS with; where it has none, or for None, HTTP.
        bounds: what clients may take; None: what this process can bear.
        task_status: told once requests are answered, so ``await tasks.start(serve, …)`` works.
    """
    bounds = bounds or usual_bounds()
    config = _config(Bounded(app, bounds.requests), tls or AccessSettings())
    server = _Server(config, bounds, task_status)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_server, server, stop or anyio.Event(), name="stop http")
            # uvicorn leaves connections behind when it is cancelled, so it is told instead.
            with anyio.CancelScope(shield=True):
                await server.serve(sockets=[bound])
            tasks.cancel_scope.cancel()
    finally:
        bound.close()


async def _stop_server(server: uvicorn.Server, stop: anyio.Event) -> None:
    try:
        await stop.wait()
    finally:
        server.should_exit = True


class _Server(uvicorn.Server):
    """A server inside a process that has its own signal handlers, and bounds for its clients."""

    def __init__(
        self, config: uvicorn.Config, bounds: Bounds, task_status: TaskStatus[None]
    ) -> None:
        super().__init__(config)
        self._bounds = bounds
        self._waiting: dict[Connection, asyncio.TimerHandle] = {}
        self._task_status = task_status

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn itself would wait for a minute for who connects and does not speak TLS.
        await super().startup([])
        loop, encrypted = asyncio.get_running_loop(), self.config.ssl
        for bound in sockets or ():
            server = await loop.create_server(
                self._connection,
                sock=bound,
                backlog=self._bounds.backlog,
                ssl=encrypted,
                ssl_handshake_timeout=self._bounds.patience if encrypted else None,
            )
            self.servers.append(server)
        self._task_status.started()

    def _connection(self) -> Connection:
        return Connection(
            self.config,
            self.server_state,
            self.lifespan.state,
            bounds=self._bounds,
            waiting=self._waiting,
        )


def _config(app: ASGIApp, tls: AccessSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ssl_certfile=tls.certificate,
        ssl_keyfile=tls.key,
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
