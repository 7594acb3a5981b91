"""The page served over a real socket, with a cluster behind it that the test feeds."""

from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from stream.config import AccessSettings
from stream.page.feed import Feed
from stream.page.routes import routes
from stream.server.access import Access
from stream.server.http import application, listen, serve
from tests.page.cluster import WELL, Cluster, page_of


def served(page, *, access=None, loopback=True, interval=0.2, most=50, patience=10.0):
    """The whole application, and what feeds its listeners."""
    feed = Feed(page, interval=interval, most=most, patience=patience)
    app = application(
        metrics=lambda: (), health=lambda: WELL, ready=lambda: True, pages=routes(feed)
    )
    return Access(app, access or AccessSettings(), loopback=loopback), feed


@asynccontextmanager
async def running(page, **options):
    """A server on a free port; yields a client of it, and the feed."""
    app, feed = served(page, **options)
    bound, stop = listen("127.0.0.1:0"), anyio.Event()
    base_url = "http://{}:{}".format(*bound.getsockname())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve, app, bound)
            tasks.start_soon(feed.run, stop)
            async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:
                yield client, feed
            stop.set()
            tasks.cancel_scope.cancel()


class Site:
    """A page that a browser can open, and the cluster that it shows."""

    def __init__(self, portal, url, cluster: Cluster):
        self._portal = portal
        self.url = url
        self.cluster = cluster

    def do(self, what):
        """Call something on the loop that serves, between two requests."""
        return self._portal.call(what)


@contextmanager
def site(cluster: Cluster, **options) -> Iterator[Site]:
    """Serve from a thread of its own, as long as the block lasts."""
    page = options.pop("page", None) or page_of(cluster)
    app, feed = served(page, **options)
    bound = listen("127.0.0.1:0")
    with start_blocking_portal("asyncio") as portal:
        stop = portal.call(anyio.Event)

        async def run():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run, stop)
                await serve(app, bound, stop=stop)

        served_until = portal.start_task_soon(run)
        yield Site(portal, "http://{}:{}".format(*bound.getsockname()), cluster)
        portal.call(stop.set)
        served_until.result(20)
