"""The paths of the page: its files, the JSON that it is made of, and what changes as it changes."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import msgspec
from msgspec import Struct, structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from . import assets
from .answers import Problem
from .feed import Feed, Listener
from .openapi import document
from .query import QueryError, wanted

_NO_STORE: Final = {"cache-control": "no-store"}
_STREAM_HEADERS: Final = {
    "content-type": "text/event-stream",
    "x-accel-buffering": "no",  # a proxy must not collect what is to be seen at once
    **_NO_STORE,
}

Show = Callable[[Request], Awaitable[Response]]


def routes(feed: Feed) -> list[BaseRoute]:
    """Make the routes of the page whose changes *feed* sends."""
    page = feed.page
    files = assets.load()
    described = msgspec.json.encode(document())

    async def show_overview(_: Request) -> Response:
        return _json(structs.replace(page.overview(), series=page.series()))

    async def show_tasks(request: Request) -> Response:
        try:
            return _json(page.tasks(wanted(request.query_params)))
        except QueryError as problem:
            return _problem(400, str(problem))

    async def show_task(request: Request) -> Response:
        told = page.task(request.path_params["uuid"])
        return _json(told) if told else _problem(404, "No such task, or it is not kept any more.")

    async def show_document(_: Request) -> Response:
        return Response(described, headers=_NO_STORE, media_type="application/json")

    async def show_asset(request: Request) -> Response:
        found = files.get(request.path_params["name"])
        return assets.answer(found, request) if found else _problem(404, "No such file.")

    async def listen(request: Request) -> Response:
        if request.method == "HEAD":  # nobody would listen
            return Response(headers=_STREAM_HEADERS)
        listener = feed.listen()
        if listener is None:
            return _problem(503, "Too many listen already.")
        return _Events(listener, patience=feed.patience)

    return [
        Route("/", _file(files["index.html"])),
        Route("/api", _file(files["api.html"])),
        Route("/assets/{name}", show_asset),
        Route("/api/openapi.json", show_document),
        Route("/api/overview", show_overview),
        Route("/api/tasks", show_tasks),
        Route("/api/tasks/{uuid:path}", show_task),
        Route("/api/queues", _reading(page.queues)),
        Route("/api/workers", _reading(page.workers)),
        Route("/api/periodic", _reading(page.periodic)),
        Route("/api/failures", _reading(page.failures)),
        Route("/api/stuck", _reading(page.stuck)),
        Route("/api/events", listen, methods=["GET"]),
    ]


class _Events(Response):
    """An answer that goes on until the listener leaves, is let go, or takes nothing any more."""

    media_type = "text/event-stream"

    def __init__(self, listener: Listener, *, patience: float) -> None:
        super().__init__()
        self._listener = listener
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - of ASGI
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_gone, receive, tasks.cancel_scope, name="listener")
            with self._listener:
                await self._send(send)
            tasks.cancel_scope.cancel()

    async def _send(self, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in _STREAM_HEADERS.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for message in self._listener:
            with anyio.move_on_after(self._patience) as within:
                await send({"type": "http.response.body", "body": message, "more_body": True})
            if within.cancelled_caught:
                return  # the server closes what is not complete
        await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _file(asset: assets.Asset) -> Show:
    async def show(request: Request) -> Response:
        return assets.answer(asset, request)

    return show


def _reading(read: Callable[[], Struct]) -> Show:
    async def show(_: Request) -> Response:
        return _json(read())

    return show


def _json(answer: Struct, status: int = 200) -> Response:
    body = msgspec.json.encode(answer)
    return Response(body, status, headers=_NO_STORE, media_type="application/json")


def _problem(status: int, sentence: str) -> Response:
    return _json(Problem(sentence), status)
