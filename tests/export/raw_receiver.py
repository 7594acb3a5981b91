"""A receiver that answers with bytes as they are given: what no server of a library would send."""

import socket
import threading
from contextlib import suppress


class RawReceiver:
    """Answers each request with the next of *answers*, from `with` to its end.

    Args:
        answers: whole HTTP messages; then every connection is closed.
    """

    def __init__(self, *answers):
        self._answers = [*answers]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="raw receiver")
        self.connections = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends `accept`
        self._thread.join()
        self._listener.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with connection, connection.makefile("rb") as stream:
                    self._answer(connection, stream)

    def _answer(self, connection, stream):
        """Answer what comes over one connection, until the other side ends it."""
        with suppress(OSError):
            while self._answers and read_request(stream):
                connection.sendall(self._answers.pop(0))


def read_request(stream):
    """Read one request to its end; whether there was one."""
    length, found = 0, False
    while line := stream.readline().strip().lower():
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
        found = True
    stream.read(length)
    return found


def answer(body, *, status="200 OK", content_type="application/x-protobuf"):
    """A whole answer."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def in_chunks(body, size):
    """A whole answer whose body comes in chunks of *size* bytes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed
