"""Whether the service of this machine answers, as an exit code: ``python -m stream.alive``.

For the health check of a container, and for probes that run a command. It asks for ``/live`` where
the argument, or else ``STREAM_LISTEN``, says that the service listens, over HTTP or HTTPS. An image
holds no bytecode, so that whatever is imported is compiled at each check: this brings a socket, and
TLS where it is spoken, and nothing else of this package.
"""

import os
import socket
import sys
from contextlib import suppress
from typing import Final

_USUAL: Final = "127.0.0.1:9540"
_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound
_PATIENCE: Final = 2.0
"""Seconds for an answer: less than the three after which the check of the image is given up."""
_REQUEST: Final = b"GET /live HTTP/1.0\r\n\r\n"
_HEAD_BYTES: Final = 64
"""Enough for the line with the status."""


def is_alive(listen: str) -> bool:
    """Whether the service that listens on *listen* (HOST:PORT) says that it runs."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    place = _LOOPBACK.get(host, host), int(port)
    try:
        said = _ask(place)
        if not said.startswith(b"HTTP/"):
            said = _ask_encrypted(place)
    except OSError:  # nobody is there, or not in time, or it is no TLS either
        return False
    return b" 200 " in said


def _ask(place: tuple[str, int]) -> bytes:
    """Return how the answer begins; of who expects TLS, an alert or nothing."""
    with socket.create_connection(place, _PATIENCE) as connection:
        with suppress(ConnectionError):  # closed before all was read
            connection.sendall(_REQUEST)
            return connection.recv(_HEAD_BYTES)
        return b""


def _ask_encrypted(place: tuple[str, int]) -> bytes:
    import ssl  # noqa: PLC0415 - as slow as all the rest, and seldom needed

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Its certificate names it as others call it, and nothing that is secret is said or heard.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(place, _PATIENCE) as plain,
        context.wrap_socket(plain) as connection,
    ):
        connection.sendall(_REQUEST)
        return connection.recv(_HEAD_BYTES)


if __name__ == "__main__":
    # The one setting that is read here and not by `configure`, which would be all of this again.
    listen = os.environ.get("STREAM_LISTEN") or _USUAL
    sys.exit(not is_alive(sys.argv[1] if sys.argv[1:] else listen))
