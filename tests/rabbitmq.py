"""A real RabbitMQ server for tests: a node of its own, with its own ports, files and epmd.

One server serves many tests, each in a virtual host of its own, because a node takes seconds to
start; a test that stops the server starts one for itself. Administration goes through the
management API, since each ``rabbitmqctl`` starts an Erlang machine of its own.
"""

import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import amqp
import pytest
import requests

from tests.needs import lacking
from tests.servers import free_port, wait_for

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's; the one in the path insists on a user of its own."""
USER, PASSWORD = "admin", "admin-secret"
_SECONDS = 200.0
"""Ten seconds on a calm machine."""
_EPMD = "epmd"


def require_rabbitmq() -> None:
    """Skip where RabbitMQ is not installed; fail instead where ``STREAM_CI`` says it must be."""
    if not (SERVER.is_file() and shutil.which(_EPMD)):
        lacking("Debian's package rabbitmq-server")


def free_low_port() -> int:
    """A free port below those that the system hands out to clients, kept as `free_port` does.

    A server that restarts on a port from that range may find it taken by a connection.
    """
    while True:
        with suppress(OSError):
            return free_port(random.randint(20_000, 32_000))  # noqa: S311 - any will do


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class RabbitMq:
    """A node that can be stopped, killed and started again with its data.

    Args:
        directory: for its files.
        certificate: paths of a key, a certificate and the authority that must have signed a
            client's; None: no TLS.
        config: further lines of rabbitmq.conf.
    """

    def __init__(
        self,
        directory: Path,
        *,
        certificate: tuple[Path, Path, Path] | None = None,
        config: tuple[str, ...] = (),
    ) -> None:
        self.port = free_low_port()
        self.management_port = free_low_port()
        self.tls_port = free_low_port() if certificate else 0
        self._directory = directory
        self._lines = (*self._config(certificate), *config)
        self._epmd_port = free_low_port()
        self._dist_port = free_low_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.auth = (USER, PASSWORD)
        self._session.trust_env = False

    @property
    def management(self) -> str:
        """Where the management API is, with the credentials of the administrator."""
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.management_port}"

    def url(self, vhost: str = "/", *, user: str = USER, password: str = PASSWORD) -> str:
        """A broker URL."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def start(self) -> None:
        """Start it and wait until it takes connections and answers about itself."""
        try:
            self._start()
        except BaseException:
            self.kill()
            raise

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "rabbitmq.conf").write_text("\n".join(self._lines) + "\n")
        (self._directory / "enabled_plugins").write_text("[rabbitmq_management].\n")
        # Started by the node it would outlive it, as a daemon.
        self._epmd = subprocess.Popen(
            [_EPMD, "-address", "127.0.0.1", "-port", str(self._epmd_port)],
            stdin=subprocess.DEVNULL,
        )
        wait_for(lambda: _listens(self._epmd_port), what="epmd")
        with (self._directory / "out.log").open("ab") as output:
            self._process = subprocess.Popen(
                [SERVER],
                env=self._environment(),
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that all of it can be ended
            )
        wait_for(self._answers, _SECONDS, what="RabbitMQ to start")

    def stop(self) -> None:
        """End it in good order; nothing happens when it does not run."""
        if self._process is not None:
            self._signal(self._process, signal.SIGTERM)
        self._end()

    def kill(self) -> None:
        """End it with SIGKILL, so that connections break without a word."""
        if self._process is not None:
            self._signal(self._process, signal.SIGKILL)
        self._end()

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Ask the management API; return what it answers, decoded."""
        url = f"http://127.0.0.1:{self.management_port}/api/{path}"
        answer = self._session.request(method, url, json=body, timeout=20)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def add_user(
        self,
        vhost: str,
        *,
        configure: str = "",
        write: str = "",
        read: str = "",
        tags: str = "",
        password: str = "secret",  # noqa: S107 - of a server of our own
    ) -> str:
        """Make a user with these permissions; return its name."""
        name = f"user-{uuid4().hex[:8]}"
        self.api("PUT", f"users/{name}", {"password": password, "tags": tags})
        rights = {"configure": configure, "write": write, "read": read}
        self.api("PUT", f"permissions/{quote(vhost, safe='')}/{name}", rights)
        return name

    def queue(self, vhost: str, name: str) -> dict[str, Any]:
        """What the management API knows of a queue; empty where there is none."""
        found = self.api("GET", f"queues/{quote(vhost, safe='')}")
        return next((queue for queue in found if queue["name"] == name), {})

    def ctl(self, line: str) -> None:
        """Run a line of ``rabbitmqctl``, as an administrator would in a shell."""
        program, *words = shlex.split(line)
        assert program == "rabbitmqctl"
        subprocess.run(
            [SERVER.with_name(program), *words],
            env=self._environment(),
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )

    @contextmanager
    def channel(self, vhost: str = "/") -> Iterator[amqp.Channel]:
        """A channel of the administrator's, for publishing and declaring."""
        place = f"127.0.0.1:{self.port}"
        with (
            amqp.Connection(place, USER, PASSWORD, virtual_host=vhost) as connection,
            connection.channel() as channel,
        ):
            yield channel

    def _config(self, certificate: tuple[Path, Path, Path] | None) -> tuple[str, ...]:
        lines = (
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
            f"default_user = {USER}",
            f"default_pass = {PASSWORD}",
            "loopback_users = none",
            "collect_statistics_interval = 500",
            "vm_memory_high_watermark.absolute = 1GB",
            "disk_free_limit.absolute = 50MB",
        )
        if certificate is None:
            return lines
        key, cert, authority = certificate
        return (
            *lines,
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            f"ssl_options.keyfile = {key}",
            f"ssl_options.certfile = {cert}",
            f"ssl_options.cacertfile = {authority}",
            "ssl_options.verify = verify_peer",
        )

    def _environment(self) -> dict[str, str]:
        home = str(self._directory)
        return {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"stream{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            # One scheduler is enough for a test and leaves the machine to the others.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._tail()
        try:
            self.api("GET", "overview")
            with self.channel():
                return True
        except (requests.RequestException, OSError, amqp.AMQPError):
            return False

    def _tail(self) -> str:
        return (self._directory / "out.log").read_text(errors="replace")[-3000:]

    def _signal(self, process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def _end(self) -> None:
        """Wait until it has ended, and end what is left of it."""
        process, self._process = self._process, None
        epmd, self._epmd = self._epmd, None
        if process is not None:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                self._signal(process, signal.SIGKILL)
                process.wait()
        if epmd is not None:
            epmd.kill()
            epmd.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._session.close()


class VirtualHost:
    """A virtual host of one test's own on a server that others use as well."""

    def __init__(self, server: RabbitMq) -> None:
        self.server = server
        self.name = f"test-{uuid4().hex[:8]}"
        server.api("PUT", f"vhosts/{self.name}", {})
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        server.api("PUT", f"permissions/{self.name}/{USER}", rights)

    def url(self, **user: str) -> str:
        return self.server.url(self.name, **user)

    def channel(self) -> Any:
        return self.server.channel(self.name)

    def queue(self, name: str) -> dict[str, Any]:
        return self.server.queue(self.name, name)

    def queues(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.api("GET", f"queues/{self.name}")
        return found

    def delete(self) -> None:
        self.server.api("DELETE", f"vhosts/{self.name}")


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """A running server for all tests that do not stop it."""
    require_rabbitmq()
    with RabbitMq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
def rabbitmq(rabbitmq_server: RabbitMq) -> Iterator[VirtualHost]:
    """A virtual host of this test's own."""
    vhost = VirtualHost(rabbitmq_server)
    yield vhost
    vhost.delete()


@pytest.fixture
def own_rabbitmq(tmp_path: Path) -> Iterator[RabbitMq]:
    """A running server that this test may stop."""
    require_rabbitmq()
    with RabbitMq(tmp_path / "rabbitmq") as server:
        yield server
