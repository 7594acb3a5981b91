"""What every source owes: see `stream.sources.base.Source`."""

from functools import partial

import anyio
import pytest

from stream.errors import LostError, RefusedError
from stream.sources.address import RedisAddress
from stream.sources.control import Rounds
from stream.sources.queues import RedisQueues
from stream.sources.redis import RedisEvents
from stream.sources.redis_control import RedisControl
from stream.sources.ticker import Ticker
from tests.servers import free_port, wait_until

pytestmark = pytest.mark.anyio


def events(address, tell):  # noqa: ARG001 - every maker is called alike
    return RedisEvents(address, "main", idle=0.05, timeout=20.0)


def queues(address, tell):
    return RedisQueues(address, "main", known=tuple, tell=tell, interval=0.02, timeout=20.0)


def control(address, tell):  # noqa: ARG001
    rounds = Rounds(enable=True, inspect=60.0)
    sleep = partial(anyio.sleep, 0.02)
    return RedisControl(
        address,
        "main",
        workers=tuple,
        rounds=rounds,
        inspects=True,
        timeout=20.0,
        idle=0.05,
        sleep=lambda _: sleep(),
    )


def ticker(address, tell):  # noqa: ARG001
    return Ticker(interval=0.02)


every_source = pytest.mark.parametrize("make", [events, queues, ticker])
every_connected_source = pytest.mark.parametrize("make", [events, queues, control])


class Taker:
    """Takes frames, and says how often it was given some."""

    def __init__(self):
        self.lists = []

    async def put(self, frames):
        self.lists.append(frames)


def source_of(make, server=None, **changes):
    address = RedisAddress(port=server.port if server else free_port(), **changes)
    return make(address, lambda _occurrence: None)


def open_connections(server):
    with server.client() as client:
        return len(client.client_list()) - 1


async def run_until_frames(source, taker, tasks):
    before = len(taker.lists)
    tasks.start_soon(source.run, taker.put)
    await wait_until(lambda: len(taker.lists) > before)


@every_source
async def test_a_source_hands_over_lists_that_are_not_empty_and_its_taker_owns(make, valkey):
    taker = Taker()
    async with anyio.create_task_group() as tasks:
        await run_until_frames(source_of(make, valkey), taker, tasks)
        tasks.cancel_scope.cancel()
    assert all(isinstance(frames, list) and frames for frames in taker.lists)
    assert len({id(frames) for frames in taker.lists}) == len(taker.lists)


@every_source
async def test_a_cancelled_source_closes_what_it_opened(make, valkey):
    async with anyio.create_task_group() as tasks:
        await run_until_frames(source_of(make, valkey), Taker(), tasks)
        tasks.cancel_scope.cancel()
    await wait_until(lambda: open_connections(valkey) == 0)


@every_source
async def test_a_source_that_was_cancelled_can_run_again(make, valkey):
    source, taker = source_of(make, valkey), Taker()
    for _ in range(2):
        async with anyio.create_task_group() as tasks:
            await run_until_frames(source, taker, tasks)
            tasks.cancel_scope.cancel()


@every_connected_source
async def test_a_server_that_is_not_there_is_lost(make):
    with pytest.raises(LostError):
        await source_of(make).run(Taker().put)


@every_connected_source
async def test_a_server_that_stops_is_lost(make, valkey):
    source, taker = source_of(make, valkey), Taker()

    async def stop_when_running():
        await wait_until(lambda: taker.lists)
        await anyio.to_thread.run_sync(valkey.kill)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_when_running)
        with anyio.fail_after(20), pytest.raises(LostError):
            await source.run(taker.put)


@every_connected_source
async def test_a_lost_source_works_again_when_the_server_is_back(make, valkey):
    source, taker = source_of(make, valkey), Taker()
    valkey.stop()
    with pytest.raises(LostError):
        await source.run(taker.put)
    valkey.start()
    async with anyio.create_task_group() as tasks:
        await run_until_frames(source, taker, tasks)
        tasks.cancel_scope.cancel()


@every_connected_source
async def test_a_wrong_password_is_refused_without_repeating_it(make, valkey):
    with pytest.raises(RefusedError) as caught:
        await source_of(make, valkey, username="me", password="hidden").run(Taker().put)
    assert "hidden" not in str(caught.value)
    await wait_until(lambda: open_connections(valkey) == 0)


@every_connected_source
async def test_an_error_of_the_taker_passes_through_and_closes_the_connection(make, valkey):
    async def put(_frames):
        raise anyio.BrokenResourceError

    with pytest.raises(anyio.BrokenResourceError):
        await source_of(make, valkey).run(put)
    await wait_until(lambda: open_connections(valkey) == 0)
