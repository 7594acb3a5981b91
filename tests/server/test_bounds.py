"""Clients that say nothing, or too much at once, over real sockets."""

import resource
import ssl
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from stream.config import AccessSettings
from stream.server.bounds import Bounds, usual_bounds
from stream.server.http import listen, serve
from tests.server.certificates import certificate_in

pytestmark = pytest.mark.anyio

LONG = 1_000.0
SHORT = 0.05


def request(path):
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


class Service:
    """A server on a free port, whose `/slow` begins to answer and ends when it is told to."""

    def __init__(self):
        self.begun = anyio.Event()
        self.end = anyio.Event()
        self.bound = listen("127.0.0.1:0")
        self.address = self.bound.getsockname()
        self.app = Starlette(
            routes=[
                Route("/slow", lambda _: StreamingResponse(self._slowly())),
                *(Route(path, lambda _: PlainTextResponse("here")) for path in ("/", "/live")),
            ]
        )

    async def _slowly(self):
        yield "beginning"
        self.begun.set()
        await self.end.wait()
        yield "end"

    async def connect(self):
        return await anyio.connect_tcp(*self.address)

    async def status(self, path):
        async with await self.connect() as client:
            await client.send(request(path))
            return int((await client.receive()).split()[1])


@asynccontextmanager
async def running(bounds, **options):
    service = Service()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:

            async def served(*, task_status):
                await serve(
                    service.app, service.bound, bounds=bounds, task_status=task_status, **options
                )

            await tasks.start(served)
            yield service
            tasks.cancel_scope.cancel()


async def is_closed(client):
    """Whether the server closes it; waits until it does."""
    try:
        await client.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return True
    return False


@pytest.mark.parametrize("path", ["/live", "/"])
async def test_who_asks_is_answered_among_many_who_say_nothing(path):
    async with (
        running(Bounds(200, requests=10, patience=LONG)) as service,
        AsyncExitStack() as all_,
    ):
        for _ in range(120):
            await all_.enter_async_context(await service.connect())
        assert await service.status(path) == 200


@pytest.mark.parametrize("said", [b"", b"GET /live HTTP/1.1\r\nhos"], ids=["nothing", "a part"])
async def test_who_does_not_ask_in_time_is_closed(said):
    async with running(Bounds(10, patience=SHORT)) as service, await service.connect() as client:
        await client.send(said)
        assert await is_closed(client)


async def test_who_asked_once_has_no_more_time_for_the_next_request():
    async with running(Bounds(10, patience=SHORT)) as service, await service.connect() as client:
        await client.send(request("/"))
        assert b"here" in await client.receive()
        await client.send(b"GET /")
        assert await is_closed(client)


async def test_a_connection_may_ask_several_times():
    async with running(Bounds(10, patience=LONG)) as service, await service.connect() as client:
        for _ in range(3):
            await client.send(request("/"))
            assert (await client.receive()).startswith(b"HTTP/1.1 200")


async def test_an_answer_may_take_longer_than_a_request():
    async with running(Bounds(10, patience=SHORT)) as service, await service.connect() as client:
        await client.send(request("/slow"))
        await service.begun.wait()
        async with await service.connect() as later:  # whose time ends after that of the first
            assert await is_closed(later)
        service.end.set()
        received = b""
        while b"end\r\n" not in received:
            received += await client.receive()


async def test_beyond_the_bound_who_waits_for_longest_is_closed():
    async with (
        running(Bounds(2, patience=LONG)) as service,
        await service.connect() as busy,
        await service.connect() as idle,
    ):
        await busy.send(request("/slow"))
        await service.begun.wait()
        assert await service.status("/live") == 200
        assert await is_closed(idle)
        service.end.set()
        assert b"beginning" in await busy.receive()


async def test_beyond_the_bound_nobody_who_is_being_answered_is_closed():
    async with running(Bounds(1, patience=LONG)) as service, await service.connect() as busy:
        await busy.send(request("/slow"))
        await service.begun.wait()
        async with await service.connect() as another:
            assert await is_closed(another)
        service.end.set()
        assert b"beginning" in await busy.receive()


async def test_too_many_requests_are_refused_and_probes_are_not():
    bounds = Bounds(10, requests=1, patience=LONG)
    async with running(bounds) as service, await service.connect() as busy:
        await busy.send(request("/slow"))
        await service.begun.wait()
        assert [await service.status(path) for path in ("/", "/live")] == [503, 200]
        service.end.set()
        received = b""
        while b"0\r\n\r\n" not in received:
            received += await busy.receive()
        assert await service.status("/") == 200


async def test_who_does_not_agree_upon_tls_is_closed(tmp_path):
    cert, key = certificate_in(tmp_path)
    tls = AccessSettings(certificate=cert, key=key)
    bounds = Bounds(10, patience=SHORT)
    async with running(bounds, tls=tls) as service, await service.connect() as client:
        assert await is_closed(client)


async def test_beyond_the_bound_an_encrypted_connection_is_closed_likewise(tmp_path):
    cert, key = certificate_in(tmp_path)
    tls = AccessSettings(certificate=cert, key=key)
    trust = ssl.create_default_context(cafile=cert)
    async with running(Bounds(1, patience=LONG), tls=tls) as service:

        async def connect():
            return await anyio.connect_tcp(
                *service.address, ssl_context=trust, tls_standard_compatible=False
            )

        async with await connect() as idle, await connect() as client:
            await client.send(request("/"))
            assert b"200" in await client.receive()
            assert await is_closed(idle)


@pytest.mark.parametrize(("descriptors", "connections"), [(64, 16), (1, 1), (1_000_000, 512)])
def test_few_descriptors_bear_few_connections(monkeypatch, descriptors, connections):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    bounds = usual_bounds()
    assert (bounds.connections, bounds.backlog) == (connections, min(connections, 100))
