"""An hour without a receiver at 1,000 tasks a second, each with two spans; compressed in time.

The ordinary run has a hundredth of the spans; ``--long`` has them all.
"""

import pytest

from stream.occurrences import Drop
from tests.export.rig import Rig, drafts, running
from tests.otlp import Receiver
from tests.servers import free_port

pytestmark = pytest.mark.anyio

HOUR = 3600 * 1000 * 2
CHUNK = 2_000


@pytest.fixture
def spans(long_form):
    return HOUR if long_form else HOUR // 100


async def outage(rig, spans, port):
    """Fill the rig while nobody listens, then let the receiver return; what arrived, by name."""
    async with running(rig):
        for start in range(1, spans + 1, CHUNK):
            rig.buffer.extend(drafts(min(CHUNK, spans + 1 - start), start=start))
            await rig.until(lambda: len(rig.buffer) < CHUNK)
        await rig.until(lambda: not len(rig.buffer))
        with Receiver(port) as receiver:
            await rig.empty()
            return [span.name for span in receiver.spans()]


async def test_a_spool_of_the_right_size_loses_nothing(tmp_path, spans):
    port = free_port()
    rig = Rig(f"http://127.0.0.1:{port}", spool=tmp_path, limit=50_000, batch_items=512)
    arrived = await outage(rig, spans, port)

    assert len(arrived) == len(set(arrived)) == spans
    assert rig.ledger.sent == spans
    assert sum(rig.ledger.dropped.values()) == 0


async def test_a_smaller_one_says_exactly_how_much_it_lost(tmp_path, spans):
    port = free_port()
    rig = Rig(
        f"http://127.0.0.1:{port}",
        spool=tmp_path,
        spool_bytes=spans,  # a byte for each is a fraction of what they take
        limit=50_000,
        batch_items=512,
    )
    arrived = await outage(rig, spans, port)

    lost = rig.ledger.dropped[Drop.EVICTED]
    assert lost > 0
    assert len(arrived) == len(set(arrived)) == spans - lost == rig.ledger.sent
    assert rig.ledger.accepted == spans
