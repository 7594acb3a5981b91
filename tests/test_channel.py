"""The channel is bounded, and what it gives up is counted."""

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from stream.channel import Channel, ChannelStatistics, Overflow
from stream.events import Message, QueueSample, Subscribed, Tick, Transport
from stream.occurrences import FramesReceived, FramesShed
from tests.builders import T0

pytestmark = pytest.mark.anyio


def messages(*names, source="redis"):
    return [Message(T0, source, Transport.REDIS, b"c", name.encode()) for name in names]


def tick(at=0.0):
    return Tick(T0 + at)


def channel_of(limit=4, overflow=Overflow.SHED, told=None):
    return Channel(limit, overflow, tell=[].append if told is None else told.append)


async def drained(channel):
    """Every frame that comes out once nothing more goes in, messages by their payload."""
    channel.close()
    found = []
    while batch := await channel.get():
        found += [each.payload.decode() if isinstance(each, Message) else each for each in batch]
    return found


# -- in order ------------------------------------------------------------------------------------


async def test_batches_come_out_as_they_went_in():
    channel = channel_of()
    first, second = messages("a", "b"), [tick()]
    await channel.put(first)
    await channel.put(second)
    assert [await channel.get(), await channel.get()] == [first, second]


async def test_whoever_waits_for_frames_gets_those_that_come():
    channel = channel_of()
    got = []

    async def taker():
        got.extend(await channel.get())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(taker)
        await wait_all_tasks_blocked()
        await channel.put([tick()])
    assert got == [tick()]


async def test_what_waits_and_what_came_is_counted():
    channel = channel_of()
    await channel.put(messages("a", "b"))
    await channel.put([tick()])
    await channel.get()
    assert channel.statistics() == ChannelStatistics(waiting=1, limit=4, received=3, shed=0)


async def test_only_messages_are_told_as_received_by_the_source_they_are_of():
    told = []
    channel = channel_of(limit=10, told=told)
    await channel.put(messages("a", "b", source="main"))
    for frame in (tick(), QueueSample(T0, "main", ()), Subscribed(T0, "main", 1)):
        await channel.put([frame])
    assert told == [FramesReceived("main", 2)]


# -- shedding ------------------------------------------------------------------------------------


async def test_a_channel_at_its_limit_sheds_nothing():
    channel = channel_of(limit=4)
    for name in "abcd":
        await channel.put(messages(name))
    assert channel.statistics().shed == 0
    assert await drained(channel) == ["a", "b", "c", "d"]


async def test_a_full_channel_gives_up_its_oldest_messages_and_counts_them():
    told = []
    channel = channel_of(limit=4, told=told)
    for name in "abcdef":
        await channel.put(messages(name))
    assert channel.statistics() == ChannelStatistics(waiting=4, limit=4, received=6, shed=2)
    assert [each for each in told if isinstance(each, FramesShed)] == [FramesShed(1)] * 2
    assert await drained(channel) == ["c", "d", "e", "f"]


async def test_ticks_samples_and_marks_are_kept_in_their_order():
    channel = channel_of(limit=4)
    kept = [tick(1), QueueSample(T0 + 2, "redis", ()), Subscribed(T0 + 3, "redis", 2)]
    for frame in kept:
        await channel.put(messages("old"))
        await channel.put([frame])
    await channel.put(messages("new"))
    assert await drained(channel) == [*kept, "new"]


async def test_a_batch_of_mixed_frames_loses_only_its_messages():
    channel = channel_of(limit=4)
    await channel.put([*messages("a"), tick(1), *messages("b")])
    await channel.put(messages("c", "d"))
    assert channel.statistics().shed == 1
    assert await drained(channel) == [tick(1), "b", "c", "d"]


async def test_of_a_batch_that_is_larger_than_the_channel_the_newest_messages_stay():
    channel = channel_of(limit=2)
    await channel.put(messages("a", "b", "c"))
    assert await drained(channel) == ["b", "c"]


async def test_where_there_are_only_ticks_nothing_is_shed():
    told = []
    channel = channel_of(limit=2, told=told)
    ticks = [tick(at) for at in range(5)]
    for each in ticks:
        await channel.put([each])
    assert (told, channel.statistics().waiting) == ([], 5)
    assert await drained(channel) == ticks


async def test_what_is_taken_in_time_is_never_shed():
    channel = channel_of(limit=2)
    for name in "abcdef":
        await channel.put(messages(name))
        await channel.get()
    assert channel.statistics() == ChannelStatistics(waiting=0, limit=2, received=6, shed=0)


batches = st.lists(
    st.lists(st.booleans(), min_size=1, max_size=4).map(
        lambda kinds: [messages("m")[0] if each else tick() for each in kinds]
    )
    | st.just("take"),
    max_size=30,
)


@given(steps=batches, limit=st.integers(1, 6))
async def test_every_frame_is_taken_or_waits_or_was_shed(steps, limit):
    told = []
    channel = channel_of(limit=limit, told=told)
    taken = put = 0
    for step in steps:
        if step == "take":
            taken += len(await channel.get()) if channel.statistics().waiting else 0
            continue
        put += len(step)
        await channel.put(step)
        counts = channel.statistics()
        assert counts.received == put == taken + counts.waiting + counts.shed
    counts = channel.statistics()
    assert counts.shed == sum(each.count for each in told if isinstance(each, FramesShed))
    left = await drained(channel)
    assert len(left) == counts.waiting
    assert left.count("m") <= limit


# -- waiting -------------------------------------------------------------------------------------


async def test_a_full_channel_may_make_the_source_wait_instead():
    channel = channel_of(limit=2, overflow=Overflow.WAIT)
    await channel.put(messages("a", "b"))
    done = []

    async def source():
        await channel.put(messages("c"))
        done.append("put")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source)
        await wait_all_tasks_blocked()
        assert done == []
        done.append(len(await channel.get()))
    assert done == [2, "put"]
    assert channel.statistics() == ChannelStatistics(waiting=1, limit=2, received=3, shed=0)


async def test_a_source_that_waits_loses_nothing_and_keeps_the_order():
    channel = channel_of(limit=3, overflow=Overflow.WAIT)
    names = [str(number) for number in range(100)]

    async def source():
        for name in names:
            await channel.put(messages(name))
        channel.close()

    found = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source)
        while batch := await channel.get():
            assert channel.statistics().waiting <= 3
            found += [each.payload.decode() for each in batch]
            await checkpoint()
    assert found == names


async def test_where_sources_wait_a_batch_larger_than_the_channel_loses_nothing():
    channel = channel_of(limit=2, overflow=Overflow.WAIT)
    await channel.put(messages("a", "b", "c"))
    assert channel.statistics() == ChannelStatistics(waiting=3, limit=2, received=3, shed=0)


async def test_a_source_that_waits_can_be_cancelled():
    channel = channel_of(limit=1, overflow=Overflow.WAIT)
    await channel.put(messages("a"))
    with anyio.move_on_after(0) as scope:
        await channel.put(messages("b"))
    assert scope.cancelled_caught
    assert await drained(channel) == ["a"]


# -- closing -------------------------------------------------------------------------------------


async def test_a_closed_channel_gives_what_waits_and_then_nothing():
    channel = channel_of()
    await channel.put(messages("a"))
    channel.close()
    channel.close()
    assert [len(await channel.get()) for _ in range(3)] == [1, 0, 0]


async def test_whoever_waits_for_frames_is_told_that_none_will_come():
    channel = channel_of()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(channel.get)
        await wait_all_tasks_blocked()
        channel.close()


async def test_an_empty_batch_is_not_the_end():
    channel = channel_of()
    await channel.put([])
    await channel.put(messages("a"))
    assert await drained(channel) == ["a"]
