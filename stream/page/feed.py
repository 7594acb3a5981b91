"""What changes, sent to everybody who looks: server-sent events, made once for all.

Each second one sample is taken, and where somebody listens, each part of the page is written once
and sent where it changed. Who listens is bounded, and who does not keep up is let go: the browser
comes back by itself. Parts that are large are sent less often, so that a listener gets some tens of
kilobytes a second at the most.
"""

from collections.abc import Callable
from typing import Final

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from .live import LivePage

MOST: Final = 50
"""Listeners: half of the connections that the server has."""
_WAITING: Final = 4
"""Messages that may wait for one listener: seconds."""
_BYTES_PER_SECOND: Final = 20_000
"""Of one part, on average."""
INTERVAL: Final = 1.0
_PATIENCE: Final = 10.0

Listener = MemoryObjectReceiveStream[bytes]


class Feed:
    """Sends what changes.

    Args:
        page: read each second.
        interval: seconds between two looks.
        most: listeners at once.
        patience: seconds that a listener may take nothing of what is written to it.
    """

    def __init__(
        self,
        page: LivePage,
        *,
        interval: float = INTERVAL,
        most: int = MOST,
        patience: float = _PATIENCE,
    ) -> None:
        self.page = page
        self.patience = patience
        self._interval = interval
        self._most = most
        self._listeners: set[MemoryObjectSendStream[bytes]] = set()
        self._parts: dict[str, Callable[[], msgspec.Struct]] = {
            "overview": page.overview,
            "queues": page.queues,
            "workers": page.workers,
            "periodic": page.periodic,
            "failures": page.failures,
            "stuck": page.stuck,
        }
        self._sent: dict[str, bytes] = {}
        self._due: dict[str, float] = {}
        self.dropped = 0
        """Listeners that did not keep up."""

    def __len__(self) -> int:
        return len(self._listeners)

    async def run(self, stop: anyio.Event) -> None:
        """Look once an interval, until told to stop or cancelled; then nobody is left listening."""
        try:
            while not stop.is_set():
                self.page.sample()
                if self._listeners:
                    self.publish(anyio.current_time())
                with anyio.move_on_after(self._interval):
                    await stop.wait()
        finally:
            self.close()

    def listen(self) -> Listener | None:
        """Begin to listen, with the whole page as the first message; None where too many do."""
        if len(self._listeners) >= self._most:
            return None
        if not self._listeners:
            self._sent.clear()
            self._due.clear()
        send, receive = anyio.create_memory_object_stream[bytes](_WAITING)
        send.send_nowait(b"".join(_event(name, self._written(name)) for name in self._parts))
        self._listeners.add(send)
        return receive

    def publish(self, now: float) -> None:
        """Send what changed to everybody; *now* is of the loop's clock."""
        message = b"".join(self._changed(now))
        for listener in tuple(self._listeners):
            if listener.statistics().open_receive_streams == 0:
                self._leave(listener)
                continue
            try:
                listener.send_nowait(message)
            except anyio.WouldBlock:
                self.dropped += 1
                self._leave(listener)

    def close(self) -> None:
        """Let everybody go, and nobody in."""
        self._most = 0
        for listener in tuple(self._listeners):
            self._leave(listener)

    def _leave(self, listener: MemoryObjectSendStream[bytes]) -> None:
        self._listeners.discard(listener)
        listener.close()

    def _changed(self, now: float) -> list[bytes]:
        events = []
        for name in self._parts:
            if now < self._due.get(name, 0.0):
                continue
            written = self._written(name)
            if written != self._sent.get(name):
                self._sent[name] = written
                self._due[name] = now + len(written) / _BYTES_PER_SECOND
                events.append(_event(name, written))
        return events

    def _written(self, name: str) -> bytes:
        return msgspec.json.encode(self._parts[name]())


def _event(name: str, written: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), written)
