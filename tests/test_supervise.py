import anyio
import pytest

from stream.backoff import Backoff
from stream.errors import LostError, RefusedError
from stream.events import Tick
from stream.occurrences import SourceLost, SourceOpened
from stream.supervise import keep_open

pytestmark = pytest.mark.anyio


class Scripted:
    """A source whose attempts each do one thing: hand over frames, or raise."""

    name = "main"

    def __init__(self, *attempts):
        self._attempts = list(attempts)

    async def run(self, put):
        for step in self._attempts.pop(0):
            if isinstance(step, Exception):
                raise step
            await put([step])


class Log:
    """What was told, slept and handed over, in order."""

    def __init__(self):
        self.told, self.slept, self.frames = [], [], []

    async def sleep(self, seconds):
        self.slept.append(seconds)

    async def put(self, frames):
        self.frames += frames

    async def keep_open(self, *attempts, put=None, ask_again=None):
        backoff = Backoff(first=1.0, most=4.0, jitter=lambda: 1.0)
        await keep_open(
            Scripted(*attempts),
            put or self.put,
            backoff=backoff,
            tell=self.told.append,
            sleep=self.sleep,
            ask_again=ask_again,
        )


LOST = LostError("gone")


async def test_frames_are_handed_on_until_the_input_ends():
    log = Log()
    await log.keep_open([Tick(1.0), Tick(2.0)])
    assert log.frames == [Tick(1.0), Tick(2.0)]
    assert log.told == [SourceOpened("main", 1)]


async def test_a_lost_source_is_opened_again_after_a_delay():
    log = Log()
    await log.keep_open([Tick(1.0), LOST], [Tick(2.0)])
    assert log.told == [
        SourceOpened("main", 1),
        SourceLost("main", "gone", 1.0),
        SourceOpened("main", 2),
    ]
    assert log.slept == [1.0]
    assert log.frames == [Tick(1.0), Tick(2.0)]


async def test_an_attempt_without_frames_did_not_open():
    log = Log()
    await log.keep_open([LOST], [LOST], [])
    assert log.told == [SourceLost("main", "gone", 1.0), SourceLost("main", "gone", 2.0)]


async def test_a_refusal_is_passed_on_at_once():
    log = Log()
    with pytest.raises(RefusedError, match="wrong password"):
        await log.keep_open([RefusedError("wrong password")])
    assert log.told == []


async def test_a_refusal_after_a_reconnection_is_passed_on_too():
    log = Log()
    with pytest.raises(RefusedError):
        await log.keep_open([Tick(1.0), LOST], [RefusedError("no longer")])
    assert log.frames == [Tick(1.0)]


async def test_an_unforeseen_exception_is_told_by_class_and_place_and_tried_again():
    log = Log()
    await log.keep_open([KeyError("a secret")], [Tick(1.0)])
    (lost, _opened) = log.told
    assert lost.reason.startswith("unexpected KeyError in test_supervise.py:")
    assert "secret" not in lost.reason


async def test_a_failure_of_the_taker_is_not_the_source_s():
    async def put(_frames):
        raise anyio.ClosedResourceError

    log = Log()
    with pytest.raises(anyio.ClosedResourceError):
        await log.keep_open([Tick(1.0)], put=put)
    assert log.slept == []


async def test_cancellation_ends_it():
    class Endless:
        name = "main"

        async def run(self, _put):
            await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await keep_open(Endless(), Log().put, backoff=Backoff(), tell=print)
    assert scope.cancelled_caught


def test_delays_double_up_to_a_limit():
    backoff = Backoff(first=1.0, most=5.0, jitter=lambda: 1.0)
    assert [backoff.after(0.0) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_healthy_spell_makes_the_delays_start_anew():
    backoff = Backoff(first=1.0, most=8.0, healthy_after=30.0, jitter=lambda: 1.0)
    assert [backoff.after(lasted) for lasted in (0.0, 0.0, 29.9, 30.0, 0.0)] == [1, 2, 4, 1, 2]


def test_jitter_only_shortens_a_delay():
    backoff = Backoff(first=1.0, most=1.0)
    assert all(0.5 <= backoff.after(0.0) <= 1.0 for _ in range(100))


async def test_one_that_is_to_be_asked_again_says_that_it_was_refused_and_waits():
    log = Log()
    refused = RefusedError("wrong password")
    await log.keep_open([refused], [refused], [Tick(1.0)], ask_again=60.0)
    assert log.told == [
        SourceLost("main", "wrong password", 60.0, refused=True),
        SourceLost("main", "wrong password", 60.0, refused=True),
        SourceOpened("main", 1),
    ]
    assert log.slept == [60.0, 60.0]


async def test_a_loss_after_a_refusal_waits_no_longer_than_any_other():
    log = Log()
    await log.keep_open([RefusedError("no")], [Tick(1.0), LOST], [], ask_again=60.0)
    assert log.slept == [60.0, 2.0]
