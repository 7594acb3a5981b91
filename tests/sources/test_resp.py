import contextlib
import shutil
import ssl
import subprocess
from pathlib import Path

import anyio
import anyio.abc
import pytest
from anyio.streams.tls import TLSStream
from hiredis import ReplyError

from stream.errors import LostError, RefusedError
from stream.sources.address import RedisAddress, parse
from stream.sources.resp import connect
from tests.servers import Valkey, free_port
from tests.sources.redis_helpers import address_of

pytestmark = pytest.mark.anyio


async def ask(address, *words):
    async with connect(address, timeout=5) as connection:
        return await connection.call(*words, doing="ask", grant="+@all")


def port_of(listener):
    return listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django's extra


@contextlib.asynccontextmanager
async def scripted(*answers):
    """A server that gives one scripted answer to each read, then is silent."""

    async def talk(stream):
        async with stream:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                for answer in answers:
                    await stream.receive()
                    await stream.send(answer)
                while True:
                    await stream.receive()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        port = port_of(listener)
        tasks.start_soon(listener.serve, talk)
        yield RedisAddress(port=port)
        tasks.cancel_scope.cancel()


async def test_a_call_returns_the_reply(valkey):
    assert await ask(parse(valkey.url), "ECHO", "hi") == b"hi"


async def test_a_connection_selects_its_database_and_has_a_name(valkey):
    info = await ask(address_of(valkey, db=3), "CLIENT", "INFO")
    assert b" db=3 " in info
    assert b" name=celery-stream " in info


async def test_a_pipeline_returns_one_reply_for_each_command(valkey):
    async with connect(parse(valkey.url), timeout=5) as connection:
        sizes = [("ECHO", "x" * 100_000)] * 20
        replies = await connection.pipeline([*sizes, ("LLEN", "no"), ("NONSENSE",)])
    assert [len(reply) for reply in replies[:20]] == [100_000] * 20
    assert replies[20] == 0
    assert isinstance(replies[21], ReplyError)


async def test_a_unix_socket_works(tmp_path):
    path = str(tmp_path / "r.sock")
    with Valkey(tmp_path / "v", unixsocket=path):
        assert await ask(parse(f"redis+socket://{path}?virtual_host=2"), "ECHO", "hi") == b"hi"


async def test_a_password_alone_works(valkey):
    with valkey.client() as client:
        client.config_set("requirepass", "s3cret")
    assert await ask(address_of(valkey, password="s3cret"), "ECHO", "hi") == b"hi"


async def test_a_user_with_a_password_works(valkey):
    with valkey.client() as client:
        client.acl_setuser("me", enabled=True, passwords=["+s3cret"], categories=["+@all"])
    assert await ask(address_of(valkey, username="me", password="s3cret"), "ECHO", "hi") == b"hi"


async def test_a_wrong_password_is_refused_in_a_sentence(valkey):
    with pytest.raises(RefusedError, match="refused the user name or password") as caught:
        await ask(address_of(valkey, username="me", password="hidden"), "PING")
    assert "hidden" not in str(caught.value)


async def test_a_missing_password_is_refused_in_a_sentence(valkey):
    with valkey.client() as client:
        client.config_set("requirepass", "s3cret")
    with pytest.raises(RefusedError, match="wants a password"):
        await ask(parse(valkey.url), "PING")


async def test_a_database_that_does_not_exist_is_refused(valkey):
    with pytest.raises(RefusedError, match="refused to select database 99"):
        await ask(address_of(valkey, db=99), "PING")


async def test_a_missing_permission_is_named_with_the_rule_that_grants_it(valkey):
    with valkey.client() as client:
        client.acl_setuser("me", enabled=True, passwords=["+pw"], commands=["+ping"])
    with pytest.raises(RefusedError, match=r"ACL SETUSER me \+select$"):
        await ask(address_of(valkey, username="me", password="pw", db=1), "PING")


async def test_a_name_that_may_not_be_set_is_no_reason_to_give_up(valkey):
    with valkey.client() as client:
        client.acl_setuser("me", enabled=True, passwords=["+pw"], commands=["+ping"])
    assert await ask(address_of(valkey, username="me", password="pw"), "PING") == b"PONG"


async def test_a_server_that_is_not_there_is_lost():
    with pytest.raises(LostError, match=r"127\.0\.0\.1"):
        await ask(RedisAddress(port=free_port()), "PING")


async def test_a_socket_file_that_is_not_there_is_lost(tmp_path):
    with pytest.raises(LostError, match="No such file"):
        await ask(RedisAddress(path=str(tmp_path / "r.sock")), "PING")


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (b"-LOADING Redis is loading\r\n", LostError, "cannot answer now"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", LostError, "cannot answer now"),
        (b"-ERR max number of clients reached\r\n", LostError, "cannot answer now"),
        (b"-DENIED Redis is running in protected mode\r\n", RefusedError, "protected mode"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", LostError, "not the Redis protocol"),
    ],
)
async def test_an_answer_says_whether_to_try_again(answer, error, text):
    async with scripted(b"+OK\r\n", answer) as address:
        with pytest.raises(error, match=text):
            await ask(address, "ECHO", "hi")


async def test_a_server_that_accepts_and_says_nothing_is_lost():
    async with scripted() as address:
        with pytest.raises(LostError, match="no answer in time"):
            async with connect(address, timeout=0.05):
                pass


async def test_silence_is_broken_by_a_ping(valkey):
    async with connect(parse(valkey.url), timeout=5) as connection:
        await connection.send(("PSUBSCRIBE", "x*"))
        await connection.receive_soon()
        assert await connection.receive_alive(idle=0.01) == [[b"pong", b""]]


async def test_a_peer_that_does_not_answer_the_ping_is_lost():
    async with scripted(b"+OK\r\n") as address, connect(address, timeout=0.05) as connection:
        with pytest.raises(LostError, match="no answer in time"):
            await connection.receive_alive(idle=0.01)


async def test_a_reply_in_pieces_is_put_together():
    pieces = (b"*1\r\n$5\r\nhe", b"llo\r\n:7\r\n:")
    async with scripted(b"+OK\r\n", *pieces) as address, connect(address, timeout=5) as connection:
        await connection.send(("PING",))
        assert await connection.receive_soon() == []
        await connection.send(("PING",))
        assert await connection.receive_soon() == [[b"hello"], 7]


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes its certificates with the openssl command"
)


def certificate(directory: Path, name: str) -> tuple[str, str]:
    """A key and a self-signed certificate for *name*, as paths."""
    key, cert = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", cert),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        ],
        check=True,
        capture_output=True,
    )
    return str(key), str(cert)


@contextlib.asynccontextmanager
async def tls_proxy(server, key, cert):
    """A port that takes TLS off and goes on to *server*."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def copy(source, target):
        try:
            async for data in source:
                await target.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            await anyio.aclose_forcefully(target)

    async def talk(plain):
        async with plain:
            with contextlib.suppress(ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream):
                stream = await TLSStream.wrap(
                    plain, server_side=True, ssl_context=context, standard_compatible=False
                )
                await join(stream)

    async def join(stream):
        async with (
            await anyio.connect_tcp("127.0.0.1", server.port) as behind,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(copy, stream, behind)
            tasks.start_soon(copy, behind, stream)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, talk)
        yield port_of(listener)
        tasks.cancel_scope.cancel()


@needs_openssl
async def test_tls_works_with_the_authority_in_the_url(valkey, tmp_path):
    key, cert = certificate(tmp_path, "localhost")
    async with tls_proxy(valkey, key, cert) as port:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={cert}"
        assert await ask(parse(url), "ECHO", "hi") == b"hi"


@needs_openssl
async def test_tls_works_unverified_where_the_url_says_so(valkey, tmp_path):
    key, cert = certificate(tmp_path, "elsewhere")
    async with tls_proxy(valkey, key, cert) as port:
        url = f"rediss://localhost:{port}/0?ssl_cert_reqs=CERT_NONE"
        assert await ask(parse(url), "ECHO", "hi") == b"hi"


@needs_openssl
async def test_a_certificate_that_is_not_trusted_is_refused_in_a_sentence(valkey, tmp_path):
    key, cert = certificate(tmp_path, "localhost")
    async with tls_proxy(valkey, key, cert) as port:
        with pytest.raises(RefusedError, match=r"not trusted .*: name its authority"):
            await ask(parse(f"rediss://localhost:{port}/0"), "PING")


async def test_tls_towards_a_plain_server_is_lost_with_a_hint(valkey):
    address = parse(f"rediss://127.0.0.1:{valkey.port}/0?ssl_cert_reqs=none")
    with pytest.raises(LostError, match="does it speak TLS"):
        async with connect(address, timeout=0.2):
            pass
