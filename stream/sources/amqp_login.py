"""Open a connection to RabbitMQ: reach a server, log in, agree on limits, open the virtual host.

Of several addresses the first that answers is taken. What the server refuses is a sentence that
says what to do; the server's own text is not repeated where it could quote what was sent.
"""

import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.abc

from .. import __version__
from ..errors import LostError, RefusedError
from . import amqp_frames as frames
from .amqp_address import AmqpAddress
from .amqp_connection import ChannelClosedError, Connection
from .amqp_frames import Argument, Name
from .closed import CLOSED, why
from .stages import Note, Stage, unnoted

# More than are ever open at once.
_CHANNELS = 16
_OK = 200
# Seconds for a goodbye to a server that does not take it.
_FAREWELL = 1.0
_PROPERTIES: dict[str, object] = {
    "product": "celery-stream",
    "version": __version__,
    "connection_name": "celery-stream",
    # Say that a login failed instead of hanging up, and that a queue of ours is gone.
    "capabilities": {"authentication_failure_close": True, "consumer_cancel_notify": True},
}


@asynccontextmanager
async def connect(
    addresses: Sequence[AmqpAddress],
    reader: frames.Reader,
    *,
    timeout: float,  # noqa: ASYNC109 - the connection's, kept for later calls
    heartbeat: float = 0.0,
    now: Callable[[], float] = time.time,
    note: Note = unnoted,
) -> AsyncGenerator[Connection]:
    """Open a connection to the first address that answers and log in; close it on leaving.

    Args:
        addresses: at least one.
        reader: takes the bytes that come.
        timeout: seconds for connecting, and for each answer later.
        heartbeat: whole seconds without a sign of life that are tolerated; 0: for ever.
        now: the clock, epoch seconds.
        note: is told how far it came.

    Raises:
        LostError: no server can be reached, or not now.
        RefusedError: it refuses the user, the password, the certificate or the virtual host.
    """
    stream, address = await _open_first(addresses, timeout)
    note(Stage.REACHED, address.redacted)
    try:
        connection = Connection(stream, reader, address=address, now=now, timeout=timeout)
        await _greet(connection, int(heartbeat), note)
        try:
            yield connection
        finally:
            await _part(connection)
    finally:
        await anyio.aclose_forcefully(stream)


async def _open_first(
    addresses: Sequence[AmqpAddress], seconds: float
) -> tuple[anyio.abc.ByteStream, AmqpAddress]:
    lost = LostError("The broker URL names no server.")
    for address in addresses:
        try:
            return await _open(address, seconds), address
        except LostError as exc:
            lost = exc
    raise lost


async def _open(address: AmqpAddress, seconds: float) -> anyio.abc.ByteStream:
    context = address.tls.context() if address.tls else None
    place = f"RabbitMQ at {address.redacted}"
    try:
        with anyio.fail_after(seconds):
            if context is None:
                return await anyio.connect_tcp(address.host, address.port)
            return await anyio.connect_tcp(
                address.host,
                address.port,
                tls=True,
                ssl_context=context,
                tls_standard_compatible=False,  # RabbitMQ closes without a TLS goodbye
            )
    except ssl.SSLCertVerificationError as exc:
        raise RefusedError(
            f"The certificate of {place} is not trusted ({exc.verify_message}): "
            "name its authority with ssl_ca_certs in the broker URL."
        ) from exc
    except CLOSED as exc:
        # A plain listener answers a TLS greeting with its own.
        hint = " (does this port speak TLS?)" if context else ""
        raise LostError(f"{place}: {why(exc)}{hint}.") from exc


async def _greet(connection: Connection, heartbeat: int, note: Note) -> None:
    """Log in, agree on the limits, and open the virtual host."""
    address = connection.address
    try:
        start = await connection.ask(frames.GREETING, 0, Name.CONNECTION_START)
        answer = _login(connection, str(start[3]))
        _, frame_max, offered = await connection.ask(answer, 0, Name.CONNECTION_TUNE)
        note(Stage.LOGGED_IN, address.redacted)
        beat = min(int(str(offered)), heartbeat) if offered and heartbeat else heartbeat
        size = min(int(str(frame_max)) or frames.FRAME_MAX, frames.FRAME_MAX)
        tuned = frames.method(0, Name.CONNECTION_TUNE_OK, _CHANNELS, size, beat)
        opening = frames.method(0, Name.CONNECTION_OPEN, address.vhost, "", False)
        await connection.ask(tuned + opening, 0, Name.CONNECTION_OPEN_OK)
        note(Stage.OPENED, address.redacted)
    except ChannelClosedError as exc:  # there is no channel yet
        raise LostError(f"{connection.place}: the answer is not AMQP 0-9-1.") from exc
    connection.heartbeat = float(beat)


async def _part(connection: Connection) -> None:
    """Say goodbye, so that RabbitMQ has read all that we sent and logs no broken connection."""
    broken = (LostError, RefusedError, ChannelClosedError)
    with anyio.move_on_after(_FAREWELL, shield=True), contextlib.suppress(*broken):
        await connection.call(
            0, Name.CONNECTION_CLOSE, _OK, "", 0, 0, answer=Name.CONNECTION_CLOSE_OK
        )


def _login(connection: Connection, mechanisms: str) -> bytes:
    address = connection.address
    mechanism = "EXTERNAL" if address.external else "PLAIN"
    if mechanism not in mechanisms.split():
        raise RefusedError(f"{connection.place} offers no login by {mechanism}.")
    response = "" if address.external else f"\0{address.username}\0{address.password}"
    words: tuple[Argument, ...] = (_PROPERTIES, mechanism, response, "en_US")
    return frames.method(0, Name.CONNECTION_START_OK, *words)
