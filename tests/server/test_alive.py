"""The check of a container: an exit code, over HTTP and HTTPS alike."""

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from stream.alive import is_alive
from stream.config import AccessSettings
from stream.server.http import application, listen, serve
from tests.page.cluster import WELL
from tests.servers import ROOT


@contextmanager
def serving(tls=None, host="127.0.0.1"):
    """The service's server; yields its port."""
    app = application(metrics=lambda: (), health=lambda: WELL, ready=lambda: True)
    bound = listen(f"{host}:0")
    with start_blocking_portal("asyncio") as portal:
        stop = portal.call(anyio.Event)

        async def run():
            await serve(app, bound, stop=stop, tls=tls)

        done = portal.start_task_soon(run)
        try:
            yield bound.getsockname()[1]
        finally:
            portal.call(stop.set)
            done.result(20)


@contextmanager
def saying(answer):
    """Somebody else's server; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk():
            for _ in range(2):  # it may be asked once more, over TLS
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1_000)
                    connection.sendall(answer)

        talking = threading.Thread(target=talk)
        talking.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        talking.join()


@pytest.fixture(scope="module")
def https(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    cert, key = str(directory / "cert.pem"), str(directory / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=celery-stream.example", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return AccessSettings(certificate=cert, key=key)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "", "localhost"])
def test_a_service_answers_wherever_it_listens(host):
    with serving() as port:
        assert is_alive(f"{host}:{port}")


def test_a_service_with_a_certificate_answers_too(https):
    with serving(tls=https) as port:
        assert is_alive(f"127.0.0.1:{port}")


def test_nobody_there_is_not_alive():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert not is_alive(f"127.0.0.1:{port}")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"what?"])
def test_somebody_else_is_not_alive(answer):
    with saying(answer) as port:
        assert not is_alive(f"127.0.0.1:{port}")


@pytest.mark.parametrize("by", ["environment", "argument"])
def test_it_is_a_command_with_an_exit_code(by):
    def asked(port):
        arguments = [f"127.0.0.1:{port}"] if by == "argument" else []
        listens = {"STREAM_LISTEN": f"0.0.0.0:{port}"} if by == "environment" else {}
        command = [sys.executable, "-m", "stream.alive", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | listens, check=False, timeout=30
        ).returncode

    with serving() as port:
        assert asked(port) == 0
    assert asked(port) == 1
