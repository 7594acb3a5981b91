"""A connection to a broker, whatever it takes to find its server; and notice of its moving.

What `resp.connect` is for one server, `reach` is for any broker. On Sentinel the connection ends
with a `LostError` also when the broker moved on and the server at the other end did not tell: a
former master may stay up, cut off, with old queues and no events.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import anyio

from ..errors import LostError, RefusedError
from .address import RedisAddress
from .broker import Alternates, Broker, SentinelBroker, Serve
from .resp import Connection, Reply, connect
from .sentinel import Place, locate
from .stages import Note, Stage, unnoted

# A check costs each sentinel one connection and us 2 ms; by default they wait for 30 s before they
# replace a master.
_CHECK_SECONDS = 10.0


@asynccontextmanager
async def reach(
    broker: Broker,
    *,
    timeout: float,  # noqa: ASYNC109 - the connection's, kept for later calls
    check: float = _CHECK_SECONDS,
    note: Note = unnoted,
) -> AsyncGenerator[Connection]:
    """Open a connection to the server that a broker is at now; close it on leaving.

    Args:
        broker: where to look.
        timeout: seconds for connecting, for each answer later, and for each sentinel.
        check: seconds between two questions to the sentinels whether it is still there.
        note: is told how far it came.

    Raises:
        LostError: no server can be reached, or, within the block, the broker moved.
        RefusedError: a server refuses us, or the sentinels do not know the broker.
    """
    async with AsyncExitStack() as stack:
        match broker:
            case RedisAddress():
                yield await stack.enter_async_context(connect(broker, timeout=timeout, note=note))
            case Alternates(addresses):
                yield await _first(stack, addresses, timeout, note)
            case SentinelBroker():
                connection = await _serving(stack, broker, timeout, note)
                async with _watched(broker, connection.address, timeout, check):
                    yield connection


async def _first(
    stack: AsyncExitStack, addresses: Iterable[RedisAddress], seconds: float, note: Note
) -> Connection:
    """The first of several servers that can be reached."""
    problems: list[LostError] = []
    for address in addresses:
        try:
            return await stack.enter_async_context(connect(address, timeout=seconds, note=note))
        except LostError as exc:
            problems.append(exc)
    raise LostError(" ".join(map(str, problems)))


async def _serving(
    stack: AsyncExitStack, broker: SentinelBroker, seconds: float, note: Note
) -> Connection:
    """The first server that the sentinels name and that says itself that it serves."""
    problems: list[LostError] = []
    for topology in await locate(broker, timeout=seconds):
        for place in topology.candidates(broker.serve):
            address = replace(broker.server, host=place.host, port=place.port)
            note(Stage.LOCATED, address.redacted)
            try:
                opening = _serving_at(address, broker.serve, seconds, note)
                return await stack.enter_async_context(opening)
            except LostError as exc:
                problems.append(exc)
    raise problems[-1]


@asynccontextmanager
async def _serving_at(
    address: RedisAddress, serve: Serve, seconds: float, note: Note = unnoted
) -> AsyncGenerator[Connection]:
    async with connect(address, timeout=seconds, note=note) as connection:
        (role,) = await connection.pipeline([("ROLE",)])
        if not _serves(role, serve):
            raise LostError(f"Redis at {address.redacted} is no working {serve} now.")
        yield connection


def _serves(role: Reply, serve: Serve) -> bool:
    """Whether an answer to ROLE is that of a server as wanted."""
    match role:
        case [b"master", *_]:
            return True
        case [b"slave", _, _, state, *_]:
            return serve is Serve.REPLICA and state == b"connected"
        case [bytes(), *_]:  # a sentinel
            return False
        case _:
            return True  # not granted: then the sentinels' word counts


@asynccontextmanager
async def _watched(
    broker: SentinelBroker, address: RedisAddress, seconds: float, check: float
) -> AsyncGenerator[None]:
    """End the block with a `LostError` when the broker is not at *address* any more."""
    problem: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_moved, broker, address, seconds, check, name="sentinel watch")
            yield
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        problem = group.exceptions[0]  # whoever is first ends the other, so there is one
    if problem is not None:
        raise problem


async def _until_moved(
    broker: SentinelBroker, address: RedisAddress, seconds: float, check: float
) -> None:
    here = Place(address.host, address.port)
    while True:
        await anyio.sleep(check)
        try:
            (topology, *_) = await locate(broker, timeout=seconds)
        except (LostError, RefusedError):
            # No reason to leave a server that works; whether it still serves, it says itself.
            await _require_service(address, broker.serve, seconds)
            continue
        if here not in {topology.master, *topology.candidates(broker.serve)}:
            raise LostError(f"Redis at {address.redacted} is no {broker.serve} any more.")


async def _require_service(address: RedisAddress, serve: Serve, seconds: float) -> None:
    """Ask a server for its role.

    Raises:
        LostError: it says that it does not serve, or it cannot be reached.
    """
    try:
        async with _serving_at(address, serve, seconds):
            pass
    except RefusedError:
        return
