import resource
import shutil
from collections import deque
from contextlib import contextmanager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stream.errors import ConfigError
from stream.export import segment
from stream.export.batch import Batch
from stream.export.spool import Losses, Spool


def batch(n, *, items=3, size=100):
    return Batch(items, (b"%d;" % n) * size, gzip=False)


@contextmanager
def opened(directory, *, max_bytes=1_000_000):
    spool = Spool(directory, max_bytes=max_bytes)
    try:
        yield spool
    finally:
        spool.close()


def drain(spool):
    found = []
    while (oldest := spool.oldest()) is not None:
        found.append(oldest)
        spool.done()
    return found


def files(directory):
    return sorted(directory.glob("*.spool"))


def fill(directory, count, **size):
    batches = [batch(n) for n in range(count)]
    with opened(directory, **size) as spool:
        for each in batches:
            spool.append(each)
    return batches


def test_what_went_in_first_comes_out_first(tmp_path):
    with opened(tmp_path) as spool:
        for n in range(5):
            spool.append(batch(n))
        assert spool.items == 15
        assert drain(spool) == [batch(n) for n in range(5)]
        assert spool.items == spool.size_bytes == 0
    assert files(tmp_path) == []


def test_a_batch_stays_the_oldest_until_it_is_done(tmp_path):
    with opened(tmp_path) as spool:
        spool.append(batch(1))
        spool.append(batch(2))
        assert spool.oldest() == spool.oldest() == batch(1)
        assert spool.done()
        assert spool.oldest() == batch(2)


def test_compression_is_remembered(tmp_path):
    compressed = Batch.of(2, b"message" * 100, gzip=True)
    with opened(tmp_path) as spool:
        spool.append(compressed)
    with opened(tmp_path) as spool:
        assert spool.oldest() == compressed
        assert spool.oldest().message() == b"message" * 100


def test_another_process_goes_on_where_this_one_ended(tmp_path):
    batches = fill(tmp_path, 6)
    with opened(tmp_path) as spool:
        assert spool.recovered == 18
        for _ in range(2):
            spool.oldest()
            spool.done()
    with opened(tmp_path) as spool:
        assert spool.recovered == 12
        spool.append(batch(6))
        assert drain(spool) == [*batches[2:], batch(6)]


def test_what_was_read_and_not_done_is_read_again_by_the_next_process(tmp_path):
    fill(tmp_path, 1)
    with opened(tmp_path) as spool:
        spool.oldest()
    with opened(tmp_path) as spool:
        assert spool.oldest() == batch(0)


def test_a_new_file_is_not_taken_for_one_that_was_delivered(tmp_path):
    for n in range(3):
        with opened(tmp_path) as spool:
            for each in range(4):
                spool.append(batch(n * 10 + each))
            for _ in range(3):  # the cursor now points into this file
                spool.oldest()
                spool.done()
            assert drain(spool) == [batch(n * 10 + 3)]


@pytest.mark.parametrize("cut", range(1, 340, 13))
def test_a_torn_tail_costs_only_the_batch_that_it_tore(tmp_path, cut):
    batches = fill(tmp_path, 3)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    torn = 1 if cut <= 220 else 2
    with opened(tmp_path) as spool:
        assert drain(spool) == batches[: 3 - torn]
        assert spool.damaged == 1
        spool.append(batch(9))
        assert drain(spool) == [batch(9)]


def test_a_damaged_body_costs_its_batch_and_is_counted(tmp_path):
    batches = fill(tmp_path, 3)
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"1;") + 50] ^= 0xFF
    path.write_bytes(content)
    with opened(tmp_path) as spool:
        assert spool.recovered == 9
        assert drain(spool) == [batches[0], batches[2]]
        assert spool.losses() == Losses(damaged=3)
        assert spool.damaged == 1


def test_a_damaged_header_costs_the_rest_of_its_file(tmp_path):
    batches = fill(tmp_path, 3)
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"1;") - segment.HEADER_BYTES] ^= 0xFF
    path.write_bytes(content)
    with opened(tmp_path) as spool:
        assert (spool.recovered, spool.damaged) == (3, 1)
        assert drain(spool) == batches[:1]


@pytest.mark.parametrize("content", [b"", b"no", b"not a segment at all", segment.MAGIC])
def test_a_file_without_any_batch_is_removed(tmp_path, content):
    (tmp_path / f"{1:016d}.spool").write_bytes(content)
    with opened(tmp_path) as spool:
        assert spool.oldest() is None
    assert files(tmp_path) == []


def test_a_damaged_cursor_delivers_again(tmp_path):
    batches = fill(tmp_path, 3)
    with opened(tmp_path) as spool:
        spool.oldest()
        spool.done()
    (tmp_path / "cursor").write_bytes(b"\xff" * 20)
    with opened(tmp_path) as spool:
        assert drain(spool) == batches


def test_a_full_spool_gives_up_its_oldest_and_counts_them(tmp_path):
    with opened(tmp_path, max_bytes=2_000) as spool:
        for n in range(40):
            spool.append(batch(n))
            assert spool.size_bytes <= 2_000
        lost = spool.losses()
        left = drain(spool)
    assert lost.evicted + 3 * len(left) == 120
    assert left == [batch(n) for n in range(40 - len(left), 40)]
    assert spool.losses() == Losses()


def test_what_is_larger_than_the_spool_is_given_up_at_once(tmp_path):
    with opened(tmp_path, max_bytes=300) as spool:
        spool.append(batch(1, size=400))
        assert spool.losses() == Losses(evicted=3)
        assert spool.items == 0


def test_a_batch_that_is_being_delivered_is_not_lost_when_it_is_evicted(tmp_path):
    with opened(tmp_path, max_bytes=500) as spool:
        spool.append(batch(1))
        assert spool.oldest() == batch(1)
        spool.append(batch(2, size=150))
        assert spool.losses() == Losses()
        assert not spool.done(), "it is not there any more"
        assert drain(spool) == [batch(2, size=150)]


def test_a_batch_that_is_released_stays_and_is_lost_when_it_is_evicted(tmp_path):
    with opened(tmp_path, max_bytes=500) as spool:
        spool.append(batch(1))
        spool.oldest()
        assert spool.release()
        assert spool.oldest() == batch(1)
        assert spool.release()
        spool.append(batch(2, size=150))
        assert spool.losses() == Losses(evicted=3)


def test_a_smaller_limit_gives_up_the_oldest_of_an_earlier_process(tmp_path):
    fill(tmp_path, 40, max_bytes=16_000)
    with opened(tmp_path, max_bytes=4_000) as spool:
        assert spool.recovered == 120
        assert spool.losses().evicted == 120 - spool.items
        assert 0 < spool.size_bytes <= 4_000


def test_two_processes_do_not_share_a_directory(tmp_path):
    with opened(tmp_path), pytest.raises(ConfigError, match="used by another process"):
        Spool(tmp_path, max_bytes=1000)
    with opened(tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_a_wrong_setting(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used: Not a directory"):
        Spool(tmp_path / "file" / "spool", max_bytes=1000)


def test_a_disk_that_takes_no_more_leaves_what_it_has(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as spool:
        spool.append(batch(1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                spool.append(batch(2))
            with pytest.raises(OSError, match="File too large"):
                spool.append(batch(2, size=400))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert spool.items == 3
        spool.append(batch(3))
        assert drain(spool) == [batch(1), batch(3)]
    with opened(tmp_path) as spool:
        assert spool.damaged == 0


def test_a_file_that_somebody_removed_is_counted_and_does_not_block_the_others(tmp_path):
    with opened(tmp_path, max_bytes=16_000) as spool:
        for n in range(10):
            spool.append(batch(n, size=300))
        first, *others = files(tmp_path)
        first.unlink()
        held = drain(spool)
        lost = spool.losses().damaged
    assert others
    assert lost > 0
    assert lost + 3 * len(held) == 30


def test_a_directory_that_somebody_removed_is_made_again(tmp_path):
    directory = tmp_path / "spool"
    with opened(directory) as spool:
        spool.append(batch(1))
        shutil.rmtree(directory)
        spool.append(batch(2))
        assert spool.losses() == Losses(damaged=3)
        assert drain(spool) == [batch(2)]


def test_a_batch_that_is_being_delivered_is_not_lost_when_its_file_is_removed(tmp_path):
    directory = tmp_path / "spool"
    with opened(directory) as spool:
        spool.append(batch(1))
        spool.append(batch(2))
        assert spool.oldest() == batch(1)
        shutil.rmtree(directory)
        spool.append(batch(3))
        assert spool.losses() == Losses(damaged=3), "the second, not the one in hand"
        assert not spool.done()
        assert drain(spool) == [batch(3)]


def test_a_damaged_file_of_which_nothing_can_be_read_is_kept_for_a_person(tmp_path):
    fill(tmp_path, 3)
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(segment.MAGIC)] ^= 0xFF
    path.write_bytes(content)
    with opened(tmp_path) as spool:
        assert (spool.items, spool.damaged) == (0, 1)
    assert path.with_suffix(".damaged").read_bytes() == bytes(content)


class Model(RuleBasedStateMachine):
    """A spool beside a queue in memory; processes that end without closing anything."""

    directories = None

    def __init__(self):
        super().__init__()
        self.directory = next(Model.directories)
        self.limit = 3_000
        self.spool = Spool(self.directory, max_bytes=self.limit)
        self.expected = deque()
        self.evicted = 0
        self.taken = False
        self.n = 0

    @rule(size=st.integers(1, 200), items=st.integers(1, 9))
    def append(self, size, items):
        self.n += 1
        self.spool.append(batch(self.n, items=items, size=size))
        self.expected.append(batch(self.n, items=items, size=size))
        self._evict()

    @rule()
    def look(self):
        oldest = self.spool.oldest()
        self.taken = oldest is not None
        if oldest is None:
            assert not self.expected
        else:
            assert oldest == self.expected[0]

    @precondition(lambda self: self.taken)
    @rule()
    def done(self):
        self.taken = False
        if self.spool.done():
            self.expected.popleft()

    @rule()
    def crash(self):
        self.spool.close()
        self.spool = Spool(self.directory, max_bytes=self.limit)
        self.taken = False
        assert self.spool.recovered == sum(each.items for each in self.expected)

    def _evict(self):
        lost = self.spool.losses().evicted
        gone = []
        while sum(each.items for each in self.expected) > self.spool.items:
            gone.append(self.expected.popleft())
        in_hand = gone[0].items if gone and self.taken else 0
        assert lost == sum(each.items for each in gone) - in_hand
        if gone:
            self.taken = False

    @invariant()
    def holds_what_is_expected(self):
        assert self.spool.items == sum(each.items for each in self.expected)
        assert self.spool.size_bytes <= self.limit
        assert self.spool.damaged == 0

    def teardown(self):
        self.spool.close()


def test_it_is_a_bounded_queue_whatever_happens(tmp_path_factory):
    Model.directories = iter(lambda: tmp_path_factory.mktemp("spool"), None)
    machine = Model.TestCase
    machine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
    machine("runTest").runTest()
