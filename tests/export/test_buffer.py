import pytest

from stream.export.buffer import Buffer
from stream.occurrences import (
    Drop,
    Exported,
    ItemsDropped,
    ItemsRecovered,
    ItemsSpooled,
    Occurrence,
    Signal,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def told() -> list[Occurrence]:
    return []


@pytest.fixture
def buffer(told):
    return Buffer[int](Signal.TRACES, limit=4, tell=told.append)


def test_a_full_buffer_drops_the_oldest_and_counts_it(buffer, told):
    buffer.extend([1, 2, 3])
    buffer.extend([4, 5, 6])

    ledger = buffer.statistics()
    assert (ledger.accepted, ledger.waiting, ledger.dropped[Drop.OVERFLOW]) == (6, 4, 2)
    assert told == [ItemsDropped(Signal.TRACES, Drop.OVERFLOW, 2)]
    assert buffer.take(10) == [3, 4, 5, 6]


def test_more_than_fits_at_once_leaves_the_newest(buffer):
    buffer.extend(list(range(10)))

    assert buffer.take(10) == [6, 7, 8, 9]
    assert buffer.statistics().balanced


def test_items_on_their_way_are_waiting(buffer):
    buffer.extend([1, 2, 3])
    buffer.take(2)

    assert buffer.statistics().waiting == 3
    assert buffer.statistics().balanced


def test_what_was_delivered_is_sent_but_for_what_was_rejected(buffer, told):
    buffer.extend([1, 2, 3])
    buffer.take(3)
    buffer.settle(3, rejected=1)

    ledger = buffer.statistics()
    assert (ledger.sent, ledger.rejected, ledger.waiting) == (2, 1, 0)
    assert ledger.balanced
    assert told == [Exported(Signal.TRACES, 3, 1)]


def test_what_cannot_be_delivered_is_dropped_for_its_reason(buffer):
    buffer.extend([1, 2, 3])
    buffer.take(2)
    buffer.drop(2, Drop.PERMANENT)

    ledger = buffer.statistics()
    assert (ledger.dropped[Drop.PERMANENT], ledger.waiting) == (2, 1)
    assert ledger.balanced


def test_closing_gives_up_what_waits_and_what_is_on_its_way(buffer):
    buffer.extend([1, 2, 3])
    buffer.take(1)

    assert buffer.close() == 3
    assert buffer.close() == 0
    assert buffer.statistics().dropped[Drop.SHUTDOWN] == 3
    assert buffer.statistics().balanced


def test_what_comes_after_closing_is_dropped_at_once(buffer):
    buffer.close()
    buffer.extend([1, 2])

    assert buffer.statistics().dropped[Drop.SHUTDOWN] == 2
    assert buffer.statistics().balanced


def test_a_buffer_needs_room(told):
    with pytest.raises(ValueError, match="holds nothing"):
        Buffer[int](Signal.TRACES, limit=0, tell=told.append)


async def test_waiting_ends_when_enough_items_are_there(buffer):
    buffer.extend([1])
    await buffer.until(lambda: len(buffer) == 1)
    buffer.take(1)
    buffer.settle(1, rejected=0)
    await buffer.until_empty()


def test_memory_is_bounded_too(told):
    buffer = Buffer[int](Signal.TRACES, limit=100, limit_bytes=10, size_of=int, tell=told.append)
    buffer.extend([4, 5])
    buffer.extend([3])

    assert buffer.statistics().dropped[Drop.OVERFLOW] == 1
    assert buffer.take(10) == [5, 3]
    buffer.extend([9])
    assert len(buffer) == 1, "what was taken takes no room any more"
    buffer.extend([11])
    assert len(buffer) == 0, "nothing fits beside it, nor it"
    assert buffer.statistics().balanced


def test_it_is_high_above_half_of_either_bound(told):
    buffer = Buffer[int](Signal.TRACES, limit=4, limit_bytes=100, size_of=int, tell=told.append)
    buffer.extend([1, 1])
    assert not buffer.is_high
    buffer.extend([1])
    assert buffer.is_high
    buffer.take(3)
    buffer.extend([51])
    assert buffer.is_high


def test_what_is_given_back_is_the_oldest_again(buffer):
    buffer.extend([1, 2, 3])
    buffer.give_back(buffer.take(2))

    assert buffer.take(10) == [1, 2, 3]
    assert buffer.statistics().balanced


def test_what_is_given_back_to_a_full_buffer_goes_first(buffer):
    buffer.extend([1, 2])
    taken = buffer.take(2)
    buffer.extend([3, 4, 5])
    buffer.give_back(taken)

    assert buffer.statistics().dropped[Drop.OVERFLOW] == 1
    assert buffer.take(10) == [2, 3, 4, 5]
    assert buffer.statistics().balanced


def test_what_is_on_disk_is_in_the_ledger(buffer, told):
    buffer.extend([1, 2, 3])
    buffer.take(3)
    buffer.spool(3)
    assert buffer.statistics().spooled == buffer.spooled == 3
    buffer.unspool(1)
    buffer.settle(1, rejected=0)
    buffer.lose_spooled(1, Drop.EVICTED)

    ledger = buffer.statistics()
    assert (ledger.sent, ledger.spooled, ledger.dropped[Drop.EVICTED]) == (1, 1, 1)
    assert ledger.balanced
    assert told[0] == ItemsSpooled(Signal.TRACES, 3)


def test_what_an_earlier_process_left_is_accepted(buffer, told):
    buffer.recover(5, damaged=1)

    ledger = buffer.statistics()
    assert (ledger.accepted, ledger.recovered, ledger.spooled) == (5, 5, 5)
    assert ledger.balanced
    assert told == [ItemsRecovered(Signal.TRACES, 5, 1)]


def test_finding_nothing_is_not_told(buffer, told):
    buffer.recover(0, damaged=0)
    assert told == []
