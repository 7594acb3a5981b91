"""One request in all its time."""

import threading

import pytest

from stream.backoff import Backoff
from stream.config import OtlpSettings
from stream.export import line as line_module
from stream.export.batch import Batch
from stream.export.line import Line
from stream.export.post import Taken
from stream.export.target import target_for
from stream.occurrences import ExportFailed, Signal

pytestmark = pytest.mark.anyio


@pytest.fixture
def ended():
    """Ends all requests that are still on their way."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def posters(monkeypatch, ended):
    """What was made to post with: the first is at it for as long as the receiver trickles."""
    made = []

    class Trickled:
        def __init__(self, _target):
            self.closed = False
            made.append(self)

        def post(self, _body, **_options):
            if self is made[0]:
                ended.wait()
            return Taken(0)

        def close(self):
            self.closed = True

    monkeypatch.setattr(line_module, "Poster", Trickled)
    return made


async def test_a_receiver_that_never_ends_its_answer_holds_nothing_up(posters):
    told = []
    target = target_for(OtlpSettings(endpoint="http://127.0.0.1"), Signal.TRACES)
    line = Line(target, Backoff(), told.append)
    batch = Batch.of(1, b"", gzip=True)

    assert await line.send(batch, timeout=0.01) is None
    (failure,) = told
    assert isinstance(failure, ExportFailed)
    assert failure.reason == "no answer within 0.02 s"
    assert await line.send(batch, timeout=1000) == Taken(0)
    assert [poster.closed for poster in posters] == [True, False], "nobody uses one twice at a time"
