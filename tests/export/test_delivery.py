import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.backoff import Backoff, spread
from stream.occurrences import Drop
from tests.export.rig import SECONDS, Rig, drafts, names, running, sizes
from tests.otlp import Answer, Receiver
from tests.servers import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


async def test_items_arrive_in_batches_and_in_order(receiver):
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(10))
        await rig.empty()

    assert names(receiver) == [str(n) for n in range(1, 11)]
    assert sizes(receiver) == [4, 4, 2]
    assert rig.ledger.sent == 10
    assert rig.delivery.health.ok


async def test_a_batch_that_does_not_fill_is_sent_when_it_is_old_enough(receiver):
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(1))
        await rig.empty()

    assert names(receiver) == ["1"]


async def test_what_a_receiver_rejects_is_counted_and_not_sent_again(receiver):
    receiver.script(Answer(rejected=3))
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.empty()

    assert (rig.ledger.sent, rig.ledger.rejected) == (1, 3)
    assert len(receiver.requests()) == 1


async def test_a_receiver_cannot_reject_more_than_it_got(receiver):
    receiver.script(Answer(rejected=99))
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.empty()

    assert (rig.ledger.sent, rig.ledger.rejected) == (0, 4)


@pytest.mark.parametrize("answer", [Answer(503), Answer(429), Answer(reset=True)])
async def test_a_batch_is_sent_again_until_it_is_taken(receiver, answer):
    receiver.script(answer, answer)
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(2))
        await rig.empty()

    bodies = {request.body for request in receiver.requests()}
    assert len(bodies) == 1, "the same bytes each time"
    assert len(receiver.requests()) == 3
    assert rig.ledger.sent == 2
    assert rig.delivery.health.ok
    assert rig.delivery.health.last_error is not None


async def test_a_receiver_that_hangs_is_tried_again(receiver):
    receiver.script(Answer(hang=True))
    async with running(Rig(receiver.url, timeout=0.3)) as rig:
        rig.buffer.extend(drafts(1))
        await rig.empty()

    assert rig.ledger.sent == 1
    assert rig.failures[0].reason.startswith("no answer within")


async def test_what_waits_while_the_receiver_is_down_arrives_when_it_comes():
    port = free_port()
    async with running(Rig(f"http://127.0.0.1:{port}")) as rig:
        rig.buffer.extend(drafts(3))
        await rig.failure()
        assert rig.ledger.waiting == 3
        assert not rig.delivery.health.ok
        with Receiver(port) as receiver:
            await rig.empty()
            assert names(receiver) == ["1", "2", "3"]

    assert rig.ledger.sent == 3


async def test_the_oldest_go_when_too_many_wait_for_a_receiver_that_is_down():
    async with running(Rig(f"http://127.0.0.1:{free_port()}", limit=5, delay=1000)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.failure()
        rig.buffer.extend(drafts(8, start=5))

        assert rig.ledger.waiting == 9, "four on their way and five behind them"
        assert rig.ledger.dropped[Drop.OVERFLOW] == 3


async def test_the_wait_is_as_long_as_the_receiver_asks(receiver):
    receiver.script(Answer(429, retry_after="1000"))
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(1))
        await rig.failure()

    assert rig.failures[0].retry_in == 1000


async def test_the_wait_is_no_shorter_than_our_own(receiver):
    receiver.script(Answer(429, retry_after="0"))
    async with running(Rig(receiver.url, delay=500)) as rig:
        rig.buffer.extend(drafts(1))
        await rig.failure()

    assert rig.failures[0].retry_in == 500


async def test_a_batch_that_is_too_large_is_halved(receiver):
    receiver.script(Answer(413), Answer(413))
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.empty()

    assert sizes(receiver) == [4, 2, 1, 1, 2]
    assert names(receiver) == ["1", "2", "3", "4"]
    assert rig.ledger.sent == 4


async def test_a_single_item_that_is_too_large_is_dropped(receiver):
    receiver.script(Answer(413), Answer(413))
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(2))
        await rig.empty()

    assert (rig.ledger.sent, rig.ledger.dropped[Drop.PERMANENT]) == (1, 1)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500])
async def test_what_will_never_be_taken_is_dropped_and_delivery_goes_on(receiver, status):
    receiver.script(Answer(status))
    async with running(Rig(receiver.url, batch_items=2)) as rig:
        rig.buffer.extend(drafts(4))
        await rig.empty()

    assert (rig.ledger.sent, rig.ledger.dropped[Drop.PERMANENT]) == (2, 2)
    assert rig.failures[0].retry_in is None
    assert names(receiver) == ["3", "4"]


async def test_flushing_sends_what_waits_without_waiting_for_more(receiver):
    async with running(Rig(receiver.url, batch_age=1000, batch_items=100)) as rig:
        rig.buffer.extend(drafts(3))
        await anyio.wait_all_tasks_blocked()

        assert await rig.delivery.flush(SECONDS) == 0

    assert rig.ledger.sent == 3


async def test_flushing_cuts_a_long_wait_short(receiver):
    receiver.script(Answer(503, retry_after="1000"))
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(1))
        await rig.failure()
        await anyio.wait_all_tasks_blocked()

        assert await rig.delivery.flush(SECONDS) == 0

    assert rig.ledger.sent == 1


async def test_flushing_gives_up_at_its_deadline_and_counts_what_is_left():
    async with running(Rig(f"http://127.0.0.1:{free_port()}")) as rig:
        rig.buffer.extend(drafts(10))
        await rig.failure()

        assert await rig.delivery.flush(0.05) == 10

    assert rig.ledger.dropped[Drop.SHUTDOWN] == 10


async def test_flushing_does_not_wait_for_a_request_that_hangs(receiver):
    receiver.script(Answer(hang=True))
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(2))
        await receiver.until(receiver.requests)

        with anyio.fail_after(SECONDS / 2):
            assert await rig.delivery.flush(0.05) == 2
        receiver.release()

    assert rig.ledger.dropped[Drop.SHUTDOWN] == 2


async def test_flushing_what_never_ran_drops_what_waits(receiver):
    rig = Rig(receiver.url)
    rig.buffer.extend(drafts(2))

    assert await rig.delivery.flush(SECONDS) == 2
    assert rig.ledger.dropped[Drop.SHUTDOWN] == 2


async def test_a_delivery_that_was_cancelled_keeps_its_ledger_balanced(receiver):
    receiver.script(Answer(503, retry_after="1000"))
    async with running(Rig(receiver.url)) as rig:
        rig.buffer.extend(drafts(6))
        await rig.failure()

    assert rig.ledger.waiting == 6
    assert await rig.delivery.flush(SECONDS) == 6


def test_delays_double_up_to_a_limit_and_begin_again_after_a_success():
    backoff = Backoff(first=1.0, most=5.0, jitter=lambda: 1.0)
    assert [backoff.failed() for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]
    backoff.succeeded()
    assert backoff.failed() == 1.0


def test_the_spread_never_lengthens_a_delay():
    assert all(0.5 <= spread() <= 1.0 for _ in range(100))


ANSWERS = st.sampled_from(
    [
        Answer(),
        Answer(rejected=1),
        Answer(503),
        Answer(429, retry_after="0"),
        Answer(413),
        Answer(400),
        Answer(302),
        Answer(reset=True),
    ]
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(ANSWERS, max_size=8), st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_whatever_the_answers_every_item_has_one_fate(answers, counts):
    async def scenario():
        with Receiver() as receiver:
            receiver.script(*answers)
            async with running(Rig(receiver.url, limit=12)) as rig:
                start = 1
                for count in counts:
                    rig.buffer.extend(drafts(count, start=start))
                    start += count
                await rig.empty()
            return rig, receiver

    rig, receiver = anyio.run(scenario)

    ledger = rig.ledger
    assert (ledger.accepted, ledger.waiting) == (sum(counts), 0)
    arrived = names(receiver)
    assert len(set(arrived)) == len(arrived) == ledger.sent + ledger.rejected
