"""Delivery with a spool: what the receiver does not take waits on disk, in every case counted."""

import resource
import shutil
import threading

import anyio
import pytest
from anyio import to_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.export.circuit import State
from stream.export.spool import Spool
from stream.occurrences import Drop, ItemsSpooled, SpoolFailed
from tests.export.rig import SECONDS, Rig, drafts, names, running, sizes
from tests.otlp import Answer, Receiver
from tests.servers import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def nowhere():
    return f"http://127.0.0.1:{free_port()}"


def numbers(first, last):
    return [str(n) for n in range(first, last + 1)]


async def test_what_a_receiver_that_is_away_does_not_take_goes_to_the_disk(tmp_path):
    port = free_port()
    async with running(Rig(f"http://127.0.0.1:{port}", spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(10))
        await rig.until(lambda: rig.ledger.spooled + rig.ledger.waiting == 10)
        await rig.spooled(10)
        with Receiver(port) as receiver:
            await rig.empty()
            arrived = names(receiver)

    assert sorted(arrived, key=int) == numbers(1, 10)
    assert (rig.ledger.accepted, rig.ledger.sent) == (10, 10)


async def test_a_receiver_that_answers_in_time_leaves_the_disk_alone(receiver, tmp_path):
    receiver.script(Answer(503), Answer(503))
    async with running(Rig(receiver.url, spool=tmp_path, patience=1000)) as rig:
        rig.buffer.extend(drafts(10))
        await rig.empty()

    assert rig.heard(ItemsSpooled) == []
    assert names(receiver) == numbers(1, 10)


async def test_patience_ends_a_long_pause(receiver, tmp_path):
    receiver.script(Answer(503, retry_after="1000"))
    async with running(Rig(receiver.url, spool=tmp_path, patience=0.05)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.spooled(4)

        assert rig.ledger.spooled == 4
        assert rig.delivery.health.circuit is State.OPEN
        assert rig.delivery.health.retry_in > 900
    assert len(receiver.requests()) == 1


async def test_a_receiver_that_is_too_slow_fills_the_disk_and_not_the_memory(receiver, tmp_path):
    receiver.script(Answer(hang=True))
    rig = Rig(receiver.url, spool=tmp_path, limit=20, patience=1000, timeout=1000)
    async with running(rig):
        rig.buffer.extend(drafts(4))
        await receiver.until(receiver.requests)
        for start in range(5, 45, 4):
            rig.buffer.extend(drafts(4, start=start))
            await rig.until(lambda: not rig.buffer.is_high)

        assert rig.ledger.dropped[Drop.OVERFLOW] == 0
        assert rig.ledger.spooled >= 20
        assert rig.ledger.spooled + rig.ledger.waiting == 44
        receiver.release()


async def test_another_process_sends_what_this_one_left(receiver, tmp_path):
    async with running(Rig(nowhere(), spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(10))
        await rig.failure()
        assert await rig.delivery.flush(SECONDS) == 0, "nothing is dropped"
        assert rig.ledger.spooled == 10
    async with running(Rig(receiver.url, spool=tmp_path)) as later:
        await later.empty()

    assert sorted(names(receiver), key=int) == numbers(1, 10)
    assert (later.ledger.recovered, later.ledger.accepted, later.ledger.sent) == (10, 10, 10)


async def test_a_flush_does_not_wait_for_a_receiver_that_is_away(tmp_path):
    async with running(Rig(nowhere(), spool=tmp_path, delay=1000)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.spooled(4)
        rig.buffer.extend(drafts(3, start=5))
        with anyio.fail_after(SECONDS):
            assert await rig.delivery.flush(1000) == 0

    assert rig.ledger.spooled == 7


async def test_a_flush_stores_a_batch_whose_request_hangs(receiver, tmp_path):
    receiver.script(Answer(hang=True))
    async with running(Rig(receiver.url, spool=tmp_path, patience=1000)) as rig:
        rig.buffer.extend(drafts(4))
        await receiver.until(receiver.requests)
        assert await rig.delivery.flush(0.5) == 0
        assert rig.ledger.spooled == 4
        receiver.release()


async def test_a_flush_leaves_a_stored_batch_whose_request_hangs_where_it_is(receiver, tmp_path):
    async with running(Rig(nowhere(), spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.spooled(4)
    receiver.script(Answer(hang=True))
    async with running(Rig(receiver.url, spool=tmp_path)) as rig:
        await receiver.until(receiver.requests)
        assert rig.ledger.waiting == 4
        assert await rig.delivery.flush(0.5) == 0
        assert rig.ledger.spooled == 4
        receiver.release()
    async with running(Rig(receiver.url, spool=tmp_path)) as rig:
        await rig.empty()

    assert names(receiver) == numbers(1, 4), "once, and not once for each process"


async def test_what_is_new_does_not_wait_behind_what_an_outage_left(receiver, tmp_path):
    async with running(Rig(nowhere(), spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(40))
        await rig.spooled(40)
    rig = Rig(receiver.url, spool=tmp_path)
    rig.buffer.extend(drafts(4, start=101))
    async with running(rig):
        await rig.empty()

    arrived = names(receiver)
    assert arrived.index("101") < 12
    old = [name for name in arrived if int(name) <= 40]
    assert old == numbers(1, 40), "the oldest first"


async def test_a_stored_batch_that_is_too_large_is_halved(receiver, tmp_path):
    async with running(Rig(nowhere(), spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.spooled(4)
    receiver.script(Answer(413), Answer(413))
    async with running(Rig(receiver.url, spool=tmp_path)) as rig:
        await rig.empty()

    assert sizes(receiver) == [4, 2, 1, 1, 2]
    assert sorted(names(receiver)) == numbers(1, 4)
    assert rig.ledger.sent == 4


@pytest.fixture
async def half_taken(receiver, tmp_path):
    """A stored batch was too large; its first half was taken, the other has no answer."""
    async with running(Rig(nowhere(), spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.spooled(4)
    receiver.script(Answer(413), Answer(), Answer(hang=True))
    async with running(Rig(receiver.url, spool=tmp_path)) as rig:
        await receiver.until(lambda: len(receiver.requests()) == 3)
        yield rig
        receiver.release()


async def test_a_flush_stores_of_a_stored_batch_only_what_was_not_taken(
    receiver, tmp_path, half_taken
):
    assert await half_taken.delivery.flush(0.5) == 0
    assert (half_taken.ledger.sent, half_taken.ledger.spooled) == (2, 2)
    await half_taken.store.close()
    async with running(Rig(receiver.url, spool=tmp_path)) as later:
        assert later.ledger.recovered == 2
        await later.empty()

    assert names(receiver) == numbers(1, 4), "once, and not once for each process"


async def test_a_half_that_the_disk_does_not_take_stays_there_with_the_whole(
    receiver, tmp_path, half_taken, monkeypatch
):
    def full(_spool, _batch):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "append", full)
        assert await half_taken.delivery.flush(0.5) == 0
    assert half_taken.ledger.spooled == 2
    await half_taken.store.close()
    async with running(Rig(receiver.url, spool=tmp_path)) as later:
        await later.empty()

    assert set(names(receiver)) == set(numbers(1, 4))


async def test_a_stored_batch_that_will_never_be_taken_is_dropped(receiver, tmp_path):
    async with running(Rig(nowhere(), spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(8))
        await rig.spooled(8)
    receiver.script(Answer(400))
    async with running(Rig(receiver.url, spool=tmp_path)) as rig:
        await rig.empty()

    assert (rig.ledger.dropped[Drop.PERMANENT], rig.ledger.sent) == (4, 4)
    assert names(receiver) == numbers(5, 8)


async def test_what_is_stored_outlives_a_header_that_cannot_be_sent(receiver, tmp_path):
    async with running(Rig(nowhere(), spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.spooled(4)
    wrong = Rig(receiver.url, spool=tmp_path, headers={"authorization": "Bearer x\n"})
    async with running(wrong):
        await wrong.failure()
        assert wrong.ledger.dropped[Drop.PERMANENT] == 0
    async with running(Rig(receiver.url, spool=tmp_path)) as rig:
        await rig.empty()

    assert names(receiver) == numbers(1, 4)


async def test_a_spool_that_is_too_small_tells_exactly_what_it_gave_up(tmp_path):
    port = free_port()
    rig = Rig(f"http://127.0.0.1:{port}", spool=tmp_path, spool_bytes=2_000)
    async with running(rig):
        for start in range(1, 401, 4):
            rig.buffer.extend(drafts(4, start=start))
            await rig.until(lambda: len(rig.buffer) < 20)
        await rig.until(lambda: not len(rig.buffer))
        with Receiver(port) as receiver:
            await rig.empty()
            arrived = names(receiver)

    assert rig.ledger.dropped[Drop.EVICTED] > 200
    assert len(arrived) == len(set(arrived)) == 400 - rig.ledger.dropped[Drop.EVICTED]
    assert rig.ledger.sent == len(arrived)


async def test_while_the_disk_takes_nothing_delivery_goes_on_in_memory(tmp_path):
    port = free_port()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with running(Rig(f"http://127.0.0.1:{port}", spool=tmp_path)) as rig:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
        try:
            rig.buffer.extend(drafts(10))
            await rig.until(lambda: rig.heard(SpoolFailed))
            assert rig.ledger.waiting == 10
            with Receiver(port) as receiver:
                await rig.empty()
                arrived = names(receiver)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert sorted(arrived, key=int) == numbers(1, 10)
    assert rig.heard(SpoolFailed)[0].reason == "File too large"


async def test_a_disk_that_cannot_be_read_does_not_keep_the_rest_from_its_receiver(tmp_path):
    port = free_port()
    spool = tmp_path / "spool"
    async with running(Rig(f"http://127.0.0.1:{port}", spool=spool)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.spooled(4)
        shutil.rmtree(spool)
        with Receiver(port) as receiver:
            rig.buffer.extend(drafts(4, start=5))
            await rig.empty()
            arrived = names(receiver)

    assert rig.ledger.dropped[Drop.DAMAGED] + len(arrived) == 8
    assert set(numbers(5, 8)) <= set(arrived)


async def test_what_was_taken_while_stopping_is_not_sent_again(receiver, tmp_path):
    async with running(Rig(nowhere(), spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.spooled(4)
    async with running(Rig(receiver.url, spool=tmp_path)) as rig:
        await receiver.until(receiver.requests)
        await rig.delivery.flush(SECONDS)
    async with running(Rig(receiver.url, spool=tmp_path)) as later:
        assert later.ledger.recovered == 0

    assert names(receiver) == numbers(1, 4)


async def test_a_flush_without_any_time_stores_what_waits(tmp_path, monkeypatch):
    monkeypatch.setattr("stream.export.delivery._LEAST_STORING", SECONDS)  # the disk may be slow
    async with running(Rig(nowhere(), spool=tmp_path, patience=1000)) as rig:
        rig.buffer.extend(drafts(8))
        assert await rig.delivery.flush(0) == 0
        assert rig.ledger.spooled == 8


@pytest.fixture
def hung(monkeypatch):
    """Makes a method of the spool hang; returns the event that says that it was called."""
    end = threading.Event()

    def hang(name):
        called = threading.Event()
        work = getattr(Spool, name)

        def hanging(*args):
            called.set()
            end.wait()
            return work(*args)

        monkeypatch.setattr(Spool, name, hanging)
        return called

    monkeypatch.setattr("stream.export.delivery._LEAST_STORING", 0.05)
    monkeypatch.setattr("stream.export.store._CLOSING", 0.05)
    yield hang
    end.set()


async def test_a_flush_does_not_wait_for_a_disk_that_hangs_while_it_writes(tmp_path, hung):
    hung("append")
    async with running(Rig(nowhere(), spool=tmp_path, patience=1000)) as rig:
        rig.buffer.extend(drafts(8))
        await rig.failure()
        assert await rig.delivery.flush(0) == 8

    assert (rig.ledger.dropped[Drop.SHUTDOWN], rig.ledger.spooled) == (8, 0)


@pytest.mark.parametrize("step", ["oldest", "done"])
async def test_a_flush_does_not_wait_for_a_disk_that_hangs_while_it_reads(
    receiver, tmp_path, hung, step
):
    async with running(Rig(nowhere(), spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.spooled(4)
    called = hung(step)
    async with running(Rig(receiver.url, spool=tmp_path)) as rig:
        await to_thread.run_sync(called.wait)
        rig.buffer.extend(drafts(3, start=5))
        assert await rig.delivery.flush(0.05) == 3

    assert rig.ledger.dropped[Drop.SHUTDOWN] == 3
    assert rig.ledger.sent + rig.ledger.spooled == 4


async def test_a_flush_does_not_wait_for_a_storer_whose_disk_hangs(receiver, tmp_path, hung):
    called = hung("append")
    receiver.script(Answer(hang=True))
    async with running(Rig(receiver.url, spool=tmp_path, limit=10, patience=1000)) as rig:
        rig.buffer.extend(drafts(10))
        await to_thread.run_sync(called.wait)
        assert await rig.delivery.flush(0.05) == 10
        receiver.release()

    assert rig.ledger.dropped[Drop.SHUTDOWN] == 10


async def test_the_circuit_closes_when_the_receiver_is_back(receiver, tmp_path):
    receiver.script(Answer(503), Answer(503), Answer(503))
    async with running(Rig(receiver.url, spool=tmp_path)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.failure()
        assert rig.delivery.health.circuit is not State.CLOSED
        assert not rig.delivery.health.ok
        await rig.empty()

    assert rig.delivery.health.circuit is State.CLOSED
    assert rig.delivery.health.ok
    assert rig.delivery.health.last_error == "HTTP 503 Service Unavailable"


FAULTS = st.sampled_from(
    [
        Answer(),
        Answer(rejected=1),
        Answer(503),
        Answer(429, retry_after="0"),
        Answer(413),
        Answer(400),
        Answer(401),
        Answer(302, location="/elsewhere"),
        Answer(reset=True),
        Answer(hang=True),
    ]
)
STEPS = st.lists(
    st.one_of(st.integers(1, 9), st.just("restart"), st.just("kill")), min_size=1, max_size=8
)


class Life:
    """Several processes, one after another on one spool, and what they told of their items."""

    def __init__(self, receiver, **options):
        self.receiver = receiver
        self.options = options
        self.extended = 0
        self.lost = 0

    async def go(self, steps):
        rest = [*steps, "finish"]
        while rest:
            rig = Rig(self.receiver.url, **self.options)
            async with running(rig):
                killed = await self._process(rig, rest)
                ledger = rig.ledger
            self.lost += sum(ledger.dropped.values()) + ledger.rejected
            self.lost += ledger.waiting if killed else 0
        self.receiver.release()

    async def _process(self, rig, rest):
        """Take steps until the end of a process; whether it was killed."""
        while (step := rest.pop(0)) not in ("finish", "restart", "kill"):
            rig.buffer.extend(drafts(step, start=self.extended + 1))
            self.extended += step
            await anyio.wait_all_tasks_blocked()
        if step == "finish":
            await rig.empty()
        elif step == "restart":
            await rig.delivery.flush(SECONDS)
        return step == "kill"


def versions(receiver):
    """The different bytes in which each span was sent, taken or not."""
    found = {}
    for request in receiver.requests():
        for span in request.message.resource_spans[0].scope_spans[0].spans:
            found.setdefault(span.name, set()).add(span.SerializeToString())
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    answers=st.lists(FAULTS, max_size=8),
    steps=STEPS,
    patience=st.sampled_from([0.0, 1000.0]),
    spool_bytes=st.sampled_from([400, 10**6]),
)
def test_whatever_happens_every_item_has_one_fate(
    tmp_path_factory, answers, steps, patience, spool_bytes
):
    with Receiver() as receiver:
        receiver.script(*answers)
        life = Life(
            receiver,
            spool=tmp_path_factory.mktemp("spool"),
            patience=patience,
            spool_bytes=spool_bytes,
            # An answer that is late is one that was not heard: with a short limit, on a busy
            # machine, any of them.
            timeout=0.2 if any(answer.hang for answer in answers) else SECONDS,
            limit=12,
        )
        anyio.run(life.go, steps)

    assert all(len(each) == 1 for each in versions(receiver).values()), "the same bytes each time"
    arrived = names(receiver)
    rejected = sum(request.answer.rejected for request in receiver.requests())
    missing = life.extended - len(set(arrived))
    assert missing <= life.lost, "what is not there was counted"
    if "kill" not in steps and not any(answer.hang or answer.reset for answer in answers):
        assert len(arrived) == len(set(arrived)), "nothing twice without a reason"
        assert missing == life.lost - rejected
