"""Keep a source open: reopen what was lost, give up on what will never work."""

import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from .backoff import Backoff
from .errors import LostError, RefusedError
from .events import Frame
from .occurrences import SourceLost, SourceOpened, Tell
from .sources.base import Put, Source


class _Spell:
    """One attempt of a source: notes when its first frames came, and a failure to take them."""

    def __init__(self, put: Put, opened: Callable[[], None]) -> None:
        self._put = put
        self._opened = opened
        self._since: float | None = None
        self.put_failed: Exception | None = None

    async def put(self, frames: list[Frame]) -> None:
        if self._since is None:
            self._since = anyio.current_time()
            self._opened()
        try:
            await self._put(frames)
        except Exception as exc:
            self.put_failed = exc
            raise

    def lasted(self) -> float:
        """Seconds since it opened; 0 where it never did."""
        return 0.0 if self._since is None else anyio.current_time() - self._since


async def keep_open(
    source: Source,
    put: Put,
    *,
    backoff: Backoff,
    tell: Tell,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ask_again: float | None = None,
) -> None:
    """Run *source*, again and again after it was lost, until its input ends.

    Tells `SourceOpened` when an attempt hands over its first frames, and `SourceLost` when it
    ends. An exception that nobody foresaw counts as lost too: a bug in one source must not stop
    the others, and its place is told. What *put* raises is passed on.

    Args:
        source: what to keep open.
        put: takes its frames.
        backoff: how long to wait after a loss.
        tell: hears what becomes of it.
        sleep: waits for so many seconds.
        ask_again: seconds to wait where it is refused; None: it is not asked again.

    Raises:
        RefusedError: the source will never work as configured, and is not to be asked again.
    """
    epoch = 0

    def opened() -> None:
        nonlocal epoch
        epoch += 1
        tell(SourceOpened(source.name, epoch))

    while True:
        spell, refused = _Spell(put, opened), False
        try:
            return await source.run(spell.put)
        except RefusedError as exc:
            if ask_again is None:
                raise
            reason, refused = str(exc), True
        except LostError as exc:
            reason = str(exc)
        except Exception as exc:
            if exc is spell.put_failed:
                raise
            reason = _place(exc)
        delay = backoff.after(spell.lasted())
        if refused and ask_again is not None:
            delay = ask_again
        tell(SourceLost(source.name, reason, delay, refused))
        await sleep(delay)


def _place(exc: Exception) -> str:
    """Class and place, not the text: a foreign exception may quote credentials."""
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    return f"unexpected {type(exc).__name__} in {Path(frame.filename).name}:{frame.lineno}"
