"""A web front of the demo's shop: a request becomes a task.

``python -m stream.demo.web HOST:PORT``. ``POST /orders`` places an order and says which task that
is; a ``traceparent`` header goes along with it.
"""

import itertools
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..config import host_and_port
from .shop import place

_NUMBERS = itertools.count(1)


async def _order(request: Request) -> Response:
    trace = request.headers.get("traceparent")
    headers = {"traceparent": trace} if trace else None
    # Publishing may wait for the broker.
    sent = await run_in_threadpool(place.apply_async, (next(_NUMBERS),), headers=headers)
    return JSONResponse({"task_id": sent.id}, 202)


async def _hint(_: Request) -> Response:
    return PlainTextResponse("POST /orders places an order.\n")


app = Starlette(
    routes=[Route("/orders", _order, methods=["POST"]), Route("/", _hint, methods=["GET"])]
)


if __name__ == "__main__":
    host, port = host_and_port(sys.argv[1])
    uvicorn.run(app, host=host, port=port, log_level="warning")
