import pytest

from stream.events import Tick
from stream.sources.ticker import Ticker

pytestmark = pytest.mark.anyio


class EnoughError(Exception):
    pass


async def test_a_tick_comes_at_once_and_then_after_each_interval():
    slept, frames = [], []

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            raise EnoughError

    async def put(given):
        frames.extend(given)

    deaf = iter([True, False, False])
    ticker = Ticker(
        interval=2.0, is_deaf=lambda: next(deaf), now=lambda: 10.0 + sum(slept), sleep=sleep
    )
    with pytest.raises(EnoughError):
        await ticker.run(put)
    assert frames == [Tick(10.0, deaf=True), Tick(12.0), Tick(14.0)]
    assert slept == [2.0, 2.0, 2.0]
