"""One connection to a Redis server that hands over whole socket reads at once.

redis-py's message loop parses, wraps and awaits per message; here one read of up to 256 KiB
becomes one list of replies. It speaks RESP2, connects over TCP, TLS or a unix socket, and never
reconnects by itself: a lost connection is a `LostError`, because what was published meanwhile is
lost too and must be marked.

Memory is bounded by the server: it cuts off a subscriber at ``client-output-buffer-limit pubsub``
(32 MB) and takes no single value above ``proto-max-bulk-len`` (512 MB).
"""

import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn, TypeAlias, TypeGuard, cast

import anyio
import anyio.abc
from hiredis import HiredisError, Reader, ReplyError, pack_command

from ..errors import ForbiddenError, LostError, RefusedError, StreamError
from .address import RedisAddress
from .closed import CLOSED, why
from .stages import Note, Stage, unnoted

Word: TypeAlias = str | bytes | int
Command: TypeAlias = tuple[Word, ...]
Reply: TypeAlias = "bytes | int | list[Reply] | ReplyError | None"
"""What the server answered; an error reply is a value."""

# As large as one read of the event loop's transport can be.
_READ_BYTES = 256 * 1024
_TLS_READ_BYTES = 16 * 1024
"""Likewise with TLS: one record (RFC 8446, section 5.1)."""
# hiredis moves all that is left in its buffer after each reply that it has read: fed with 256 KiB
# of short ones at once it takes three times as long.
_FED_BYTES = 24 * 1024
# hiredis frees its buffer after each read that outgrew this: keep one that fits a read.
_KEPT_BYTES = 1024 * 1024
MESSAGE_WORDS = 4
"""Of a ``pmessage``; the confirmation of a subscription and a pong have fewer."""
_NOTHING = object()
# The last four are of writes, of which there are a few where workers are asked something.
_TRANSIENT = frozenset(
    (
        *("LOADING", "MASTERDOWN", "BUSY", "TRYAGAIN"),
        *("READONLY", "OOM", "MISCONF", "NOREPLICAS"),
    )
)
_CLUSTER = frozenset(("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"))
_FATAL = _TRANSIENT | _CLUSTER | {"NOAUTH", "DENIED"}
_CROWDED = "max number of clients"
"""After this, and after DENIED, the server ends the connection."""
# What a server says of our certificate; in TLS 1.3 only after the handshake.
_CERTIFICATE_ALERTS = ("CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE")


class Connection:
    """An open, authenticated connection. Not for concurrent use."""

    def __init__(
        self, stream: anyio.abc.ByteStream, *, address: RedisAddress, timeout: float
    ) -> None:
        self.address = address
        self.drained = True
        """Whether the last read took all that there was."""
        self._stream = stream
        self._most_at_once = _READ_BYTES if address.tls is None else _TLS_READ_BYTES
        self._timeout = timeout
        self._reader = Reader(notEnoughData=_NOTHING)
        self._reader.setmaxbuf(_KEPT_BYTES)
        self._gets = cast("Callable[[], Reply]", self._reader.gets)

    async def send(self, *commands: Command) -> None:
        """Send commands; their replies are read with `receive`.

        Raises:
            LostError: the connection broke, or took nothing for the timeout.
        """
        packed = b"".join(_pack(command) for command in commands)
        try:
            with anyio.fail_after(self._timeout):
                await self._stream.send(packed)
        except CLOSED as exc:
            self._lost(exc)

    async def receive(self) -> list[Reply]:
        """Return all replies that one socket read completed; waits for as long as it takes.

        The list is empty where a read held only a part of a reply.

        Raises:
            LostError: the connection broke.
        """
        try:
            read = await self._stream.receive(_READ_BYTES)
            self.drained = len(read) < self._most_at_once
            return self._parse(read)
        except (*CLOSED, HiredisError) as exc:
            self._lost(exc)

    def _parse(self, read: bytes) -> list[Reply]:
        """Return the replies that a read completed, in C loops: the subscription's hot path."""
        feed, gets, size = self._reader.feed, self._gets, len(read)
        replies: list[Reply] = []
        for begin in range(0, size, _FED_BYTES):
            feed(read, begin, min(_FED_BYTES, size - begin))
            replies += iter(gets, cast("Reply", _NOTHING))
        return replies

    async def receive_alive(self, idle: float) -> list[Reply]:
        """`receive`, but after *idle* seconds of silence the server must prove that it lives.

        A peer that vanished without a FIN would otherwise look like a quiet cluster for ever.

        Raises:
            LostError: also where a PING was not answered within the timeout.
        """
        with anyio.move_on_after(idle):
            return await self.receive()
        await self.send(("PING",))
        return await self.receive_soon()

    async def receive_soon(self) -> list[Reply]:
        """`receive` under the timeout.

        Raises:
            LostError: also where nothing came in time.
        """
        try:
            with anyio.fail_after(self._timeout):
                return await self.receive()
        except TimeoutError as exc:
            self._lost(exc)

    async def pipeline(
        self, commands: Sequence[Command], *, subscribing: bool = False
    ) -> list[Reply]:
        """Send all, return one reply for each; a refused command's reply is a `ReplyError`.

        Args:
            commands: what to send.
            subscribing: one of them subscribes to a pattern: what is published meanwhile is no
                reply, and is passed over.

        Raises:
            LostError: the connection broke, or the server cannot answer now (it is loading).
            RefusedError: the server wants a password, or is a node of a cluster.
        """
        await self.send(*commands)
        replies: list[Reply] = []
        while len(replies) < len(commands):
            received = await self.receive_soon()
            replies += [each for each in received if not (subscribing and is_message(each))]
        for reply in replies:
            if isinstance(reply, ReplyError) and (_code(reply) in _FATAL or _is_crowded(reply)):
                raise self.explain(reply, "answer", "")
        return replies

    async def call(self, *command: Word, doing: str, grant: str) -> Reply:
        """Send one command and return its reply.

        Args:
            command: the command's words.
            doing: what it is for, to complete "Redis does not let … *doing*".
            grant: the ACL rule that permits it.

        Raises:
            LostError: as `pipeline`.
            RefusedError: the server refused the command.
        """
        reply = (await self.pipeline([command]))[0]
        if isinstance(reply, ReplyError):
            raise self.explain(reply, doing, grant)
        return reply

    def explain(self, error: ReplyError, doing: str, grant: str) -> StreamError:
        """Turn an error reply into the exception to raise; arguments as for `call`.

        The server's text is not repeated: it may quote what was sent.
        """
        code, where = _code(error), self.address.redacted
        user = self.address.username or "default"
        crowded = _is_crowded(error)
        if crowded or code in _TRANSIENT:
            says = f"has its {_CROWDED} already" if crowded else f"cannot answer now ({code})"
            return LostError(f"Redis at {where} {says}.")
        if code in _CLUSTER:
            return RefusedError(
                f"Redis at {where} is a node of a Redis Cluster, for which Celery has no "
                "transport: give the broker that it uses."
            )
        if code == "NOPERM":
            return ForbiddenError(
                f"Redis at {where} does not let user {user!r} {doing}: "
                f"grant it with ACL SETUSER {user} {grant}"
            )
        if code == "NOAUTH":
            return RefusedError(
                f"Redis at {where} wants a password: put it into the broker URL, "
                "as in redis://user:password@host."
            )
        if code == "DENIED":
            return RefusedError(f"Redis at {where} is in protected mode: give it a password.")
        return RefusedError(f"Redis at {where} refused to {doing} ({code}).")

    def _lost(self, exc: Exception) -> NoReturn:
        if isinstance(exc, ssl.SSLError) and (exc.reason or "").endswith(_CERTIFICATE_ALERTS):
            raise RefusedError(
                f"Redis at {self.address.redacted} wants another client certificate: give one that "
                "it trusts with ssl_certfile and ssl_keyfile in the broker URL."
            ) from exc
        garbled = isinstance(exc, HiredisError)
        reason = "the answer is not the Redis protocol" if garbled else why(exc)
        raise LostError(f"Redis at {self.address.redacted}: {reason}.") from exc


def is_message(reply: Reply) -> TypeGuard[list[Reply]]:
    """Whether what came on a connection that subscribed to patterns is a message."""
    return isinstance(reply, list) and len(reply) == MESSAGE_WORDS


@asynccontextmanager
async def connect(
    address: RedisAddress,
    *,
    timeout: float,  # noqa: ASYNC109 - the connection's, kept for later calls
    note: Note = unnoted,
) -> AsyncGenerator[Connection]:
    """Open a connection, log in, select the database; close it on leaving.

    Args:
        address: the server.
        timeout: seconds for connecting, and for each answer later.
        note: is told how far it came.

    Raises:
        LostError: the server cannot be reached, or not now.
        RefusedError: it refuses the user, the password, the certificate or the database.
    """
    stream = await _open(address, timeout)
    note(Stage.REACHED, address.redacted)
    try:
        connection = Connection(stream, address=address, timeout=timeout)
        await _log_in(connection, address)
        note(Stage.LOGGED_IN, address.redacted)
        await _select(connection, address)
        note(Stage.OPENED, address.redacted)
        yield connection
    finally:
        await anyio.aclose_forcefully(stream)


async def _open(address: RedisAddress, seconds: float) -> anyio.abc.ByteStream:
    context = address.tls.context() if address.tls else None
    try:
        with anyio.fail_after(seconds):
            if address.path is not None:
                return await anyio.connect_unix(address.path)
            if context is None:
                return await anyio.connect_tcp(address.host, address.port)
            return await anyio.connect_tcp(
                address.host,
                address.port,
                tls=True,
                ssl_context=context,
                tls_standard_compatible=False,  # Redis closes without a TLS goodbye
            )
    except ssl.SSLCertVerificationError as exc:
        raise RefusedError(
            f"The certificate of Redis at {address.redacted} is not trusted "
            f"({exc.verify_message}): name its authority with ssl_ca_certs in the broker URL, or "
            "trust any with ssl_cert_reqs=none, as Celery does where the URL says nothing."
        ) from exc
    except CLOSED as exc:
        # A plain server takes a TLS greeting for half a command and waits for the rest.
        hint = " (does it speak TLS?)" if context and isinstance(exc, TimeoutError) else ""
        raise LostError(f"Redis at {address.redacted}: {why(exc)}{hint}.") from exc


async def _log_in(connection: Connection, address: RedisAddress) -> None:
    if address.password is not None or address.username is not None:
        user = () if address.username is None else (address.username,)
        reply = (await connection.pipeline([("AUTH", *user, address.password or "")]))[0]
        if isinstance(reply, ReplyError):
            raise _login_refused(connection, address, reply)
    # A name for CLIENT LIST; not worth a permission, so a refusal is ignored.
    await connection.pipeline([("CLIENT", "SETNAME", "celery-stream")])


async def _select(connection: Connection, address: RedisAddress) -> None:
    if address.db:
        doing = f"select database {address.db}"
        await connection.call("SELECT", address.db, doing=doing, grant="+select")


def _login_refused(connection: Connection, address: RedisAddress, error: ReplyError) -> StreamError:
    if _code(error) in {"WRONGPASS", "ERR"} and not _is_crowded(error):
        return RefusedError(
            f"Redis at {address.redacted} refused the user name or password in the broker URL."
        )
    return connection.explain(error, "log in", "+auth")


def _pack(command: Command) -> bytes:
    return cast("bytes", pack_command(command))  # type: ignore[arg-type] # its stub allows one word


def _is_crowded(error: ReplyError) -> bool:
    return _CROWDED in str(error)


def _code(error: ReplyError) -> str:
    return str(error).partition(" ")[0]
