"""One connection to a RabbitMQ server that hands over whole socket reads at once.

A client library of AMQP parses, wraps and calls back per message; here one read of up to 256 KiB
becomes one list of messages. It speaks heartbeats while it is read, and never reconnects by
itself: a lost connection is a `LostError`, because the caller must know. How it is opened is in
`amqp_login`.
"""

from collections.abc import Callable
from typing import NoReturn

import anyio
import anyio.abc

from ..errors import ForbiddenError, LostError, RefusedError, StreamError
from . import amqp_frames as frames
from .amqp_address import AmqpAddress
from .amqp_frames import Argument, FrameError, Method, Name, Received
from .closed import CLOSED, why

# As large as one read of the event loop's transport can be.
_READ_BYTES = 256 * 1024
ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED = 403, 404, 406
_NOT_ALLOWED = 530
_PASSES = ("is reached", "is down")
"""How the texts end that tell of a limit of connections, or of a virtual host that starts."""


class ChannelClosedError(Exception):
    """The server refused what was asked of a channel, and closed the channel.

    Args:
        code: AMQP's reply code.
        text: the server's words. Not for a log: it may quote what was sent.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code)
        self.code = code
        self.text = text


class Connection:
    """An open, authenticated connection. Not for concurrent use."""

    def __init__(
        self,
        stream: anyio.abc.ByteStream,
        reader: frames.Reader,
        *,
        address: AmqpAddress,
        now: Callable[[], float],
        timeout: float,
    ) -> None:
        self.address = address
        self.heartbeat = 0.0
        """Seconds of silence after which each side sends a sign of life; 0: none is sent."""
        self.heard_at = now()
        """When something was read last, epoch seconds."""
        self._stream = stream
        self._reader = reader
        self._now = now
        self._timeout = timeout
        self._early: list[Received] = []
        self._sent_at = self._heard_at = anyio.current_time()

    async def send(self, data: bytes) -> None:
        """Send frames.

        Raises:
            LostError: the connection broke, or took nothing for the timeout.
        """
        try:
            with anyio.fail_after(self._timeout):
                await self._stream.send(data)
        except CLOSED as exc:
            self._lost(exc)
        self._sent_at = anyio.current_time()

    async def call(
        self, channel: int, name: Name, *arguments: Argument, answer: Name
    ) -> tuple[Argument, ...]:
        """Send a method and return the arguments of its answer.

        Messages that come meanwhile are kept for `receive`.

        Raises:
            ChannelClosedError: the server refused, and closed the channel.
            LostError: the connection broke, or no answer came in time.
            RefusedError: the server closed the connection for good.
        """
        return await self.ask(frames.method(channel, name, *arguments), channel, answer)

    async def ask(self, data: bytes, channel: int, answer: Name) -> tuple[Argument, ...]:
        """Send bytes and return the arguments of the method that answers them.

        Raises:
            ChannelClosedError: as `call`.
            LostError: as `call`.
            RefusedError: as `call`.
        """
        await self.send(data)
        while True:
            received = await self._receive_soon()
            if received.messages:
                self._early.append(received)
            for method in received.methods:
                if method.channel == channel and method.name is answer:
                    return method.arguments
                await self._check(method)

    async def open_channel(self, channel: int) -> None:
        """Open a channel.

        Raises:
            LostError: as `call`.
            RefusedError: as `call`.
        """
        await self.call(channel, Name.CHANNEL_OPEN, "", answer=Name.CHANNEL_OPEN_OK)

    async def receive(self, patience: float) -> Received:
        """Return what one read completed: nothing after *patience* seconds, or half a message.

        Heartbeats go out as long as this is called.

        Raises:
            ChannelClosedError: the server closed a channel.
            LostError: the connection broke or fell silent.
            RefusedError: the server closed the connection for good.
        """
        if self._early:
            return self._early.pop(0)
        received = Received([], [])
        with anyio.move_on_after(min(patience, self.heartbeat / 2 or patience)):
            received = await self._read()
        for method in received.methods:
            await self._check(method)
        if self.heartbeat:
            await self._beat()
        return received

    async def _beat(self) -> None:
        """Send a sign of life where one is due, and miss those of the server.

        A peer that vanished without a FIN would otherwise look like a quiet cluster for ever.
        """
        now = anyio.current_time()
        if now - self._heard_at > 2 * self.heartbeat:
            self._lost(TimeoutError())
        if now - self._sent_at >= self.heartbeat / 2:
            await self.send(frames.heartbeat())

    async def _receive_soon(self) -> Received:
        try:
            with anyio.fail_after(self._timeout):
                return await self._read()
        except TimeoutError as exc:
            self._lost(exc)

    async def _read(self) -> Received:
        try:
            data = await self._stream.receive(_READ_BYTES)
            self.heard_at = self._now()
            received = self._reader.feed(data, self.heard_at)
        except (*CLOSED, FrameError) as exc:
            self._lost(exc)
        self._heard_at = anyio.current_time()
        return received

    async def _check(self, method: Method) -> None:
        """Answer and raise what the server ends; ignore what we did not ask for.

        Raises:
            ChannelClosedError: it closed the channel.
            StreamError: it closed the connection, or the consumer.
        """
        match method:
            case Method(channel, Name.CHANNEL_CLOSE, (int(code), str(text), *_)):
                await self.send(frames.method(channel, Name.CHANNEL_CLOSE_OK))
                raise ChannelClosedError(code, text)
            case Method(_, Name.CONNECTION_CLOSE, (int(code), str(text), *_)):
                await self.send(frames.method(0, Name.CONNECTION_CLOSE_OK))
                raise self._ended(code, text)
            case Method(_, Name.BASIC_CANCEL):
                raise LostError(f"{self.place} took the queue of ours away.")
            case _:
                pass

    @property
    def place(self) -> str:
        """The server, for a sentence."""
        return f"RabbitMQ at {self.address.redacted}"

    def _ended(self, code: int, text: str) -> StreamError:
        """Turn the end of the connection into what to raise."""
        vhost, user = self.address.vhost, self.address.username
        if code == ACCESS_REFUSED:
            return RefusedError(
                f"{self.place} refused the user name or password in the broker URL."
            )
        # By its end: what comes before quotes names, and those may hold any words.
        if code == _NOT_ALLOWED and not text.endswith(_PASSES):
            if text.endswith("not found"):
                return RefusedError(
                    f"{self.place} has no virtual host {vhost!r}: correct the path of the "
                    "broker URL (/ is written as %2F)."
                )
            return ForbiddenError(
                f"{self.place} does not let user {user!r} use virtual host {vhost!r}: "
                f"grant it with rabbitmqctl set_permissions (see the README for the rights)."
            )
        return LostError(f"{self.place} closed the connection ({code}).")

    def _lost(self, exc: Exception) -> NoReturn:
        garbled = isinstance(exc, FrameError)
        reason = "the answer is not AMQP 0-9-1" if garbled else why(exc)
        raise LostError(f"{self.place}: {reason}.") from exc
