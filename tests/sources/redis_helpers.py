"""What the tests of Redis sources share."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import redis

from stream.errors import StreamError
from stream.sources.address import RedisAddress, parse


def address_of(server, **changes) -> RedisAddress:
    address = parse(server.url)
    return RedisAddress(**{"host": address.host, "port": address.port, **changes})


class Run:
    """A source that runs in the background: the frames it gave, and how it ended."""

    def __init__(self, source):
        self.source = source
        self.frames = []
        self.error = None
        self.ended = anyio.Event()

    def of(self, kind):
        return [frame for frame in self.frames if isinstance(frame, kind)]

    async def _put(self, frames):
        self.frames += frames

    async def run(self):
        try:
            await self.source.run(self._put)
        except StreamError as exc:
            self.error = exc
        finally:
            self.ended.set()

    async def until_ended(self):
        with anyio.fail_after(15):
            await self.ended.wait()
        return self.error


@asynccontextmanager
async def running(source) -> AsyncGenerator[Run]:
    """Run *source* for the length of the block."""
    run = Run(source)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        yield run
        tasks.cancel_scope.cancel()


async def error_of(source) -> str:
    """Run *source* until it fails; return the class and text of the failure."""
    async with running(source) as run:
        error = await run.until_ended()
    return f"{type(error).__name__}: {error}"


def connections(client: redis.Redis) -> int:
    """Connections of ours that the server has open."""
    return sum(row["name"] == "celery-stream" for row in client.client_list())
