import contextlib
import os
import socket
import ssl

import anyio
import anyio.abc
import anyio.to_thread
import pytest
from hiredis import ReplyError

from stream.errors import LostError, RefusedError
from stream.sources.address import RedisAddress, parse
from stream.sources.resp import connect
from tests.redis_forms import authority, needs_openssl, signed, tls_proxy
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
        (b"-READONLY You can't write against a read only replica.\r\n", LostError, "READONLY"),
        (b"-OOM command not allowed\r\n", LostError, "OOM"),
        (b"-ERR max number of clients reached\r\n", LostError, "max number of clients already"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", RefusedError, "node of a Redis Cluster"),
        (b"-DENIED Redis is running in protected mode\r\n", RefusedError, "protected mode"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", LostError, "not the Redis protocol"),
    ],
)
async def test_an_answer_says_whether_to_try_again(answer, error, text):
    async with scripted(b"+OK\r\n", answer) as address:
        with pytest.raises(error, match=text):
            await ask(address, "ECHO", "hi")


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (b"-DENIED Redis is running in protected mode\r\n", RefusedError, "protected mode"),
        (b"-ERR max number of clients reached\r\n", LostError, "max number of clients already"),
    ],
)
async def test_what_a_server_says_of_any_connection_is_told(answer, error, text):
    async with scripted(answer) as address:
        with pytest.raises(error, match=text):
            async with connect(address, timeout=20):
                pass


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
    # Long enough for the answer before, on a busy machine.
    async with scripted(b"+OK\r\n") as address, connect(address, timeout=1.0) as connection:
        with pytest.raises(LostError, match="no answer in time"):
            await connection.receive_alive(idle=0.01)


async def test_a_reply_in_pieces_is_put_together():
    pieces = (b"*1\r\n$5\r\nhe", b"llo\r\n:7\r\n:")
    async with scripted(b"+OK\r\n", *pieces) as address, connect(address, timeout=5) as connection:
        await connection.send(("PING",))
        assert await connection.receive_soon() == []
        await connection.send(("PING",))
        assert await connection.receive_soon() == [[b"hello"], 7]


async def test_a_cluster_is_refused_in_a_sentence(tmp_path):
    with (
        Valkey(tmp_path, cluster_enabled="yes") as server,
        pytest.raises(RefusedError, match="node of a Redis Cluster"),
    ):
        await ask(parse(server.url), "LLEN", "celery")


@needs_openssl
async def test_tls_works_with_the_authority_in_the_url(valkey, tmp_path):
    ca = authority(tmp_path)
    async with tls_proxy(valkey.port, signed(tmp_path, "localhost", ca)) as port:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={ca.cert}"
        assert await ask(parse(url), "ECHO", "hi") == b"hi"


@needs_openssl
async def test_tls_works_unverified_where_the_url_says_so(valkey, tmp_path):
    ca = authority(tmp_path)
    async with tls_proxy(valkey.port, signed(tmp_path, "elsewhere", ca)) as port:
        url = f"rediss://localhost:{port}/0?ssl_cert_reqs=CERT_NONE"
        assert await ask(parse(url), "ECHO", "hi") == b"hi"


@needs_openssl
async def test_tls_works_for_another_host_where_the_url_says_so(valkey, tmp_path):
    ca = authority(tmp_path)
    async with tls_proxy(valkey.port, signed(tmp_path, "elsewhere", ca)) as port:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={ca.cert}&ssl_check_hostname=False"
        assert await ask(parse(url), "ECHO", "hi") == b"hi"


@needs_openssl
async def test_tls_works_with_a_client_certificate(valkey, tmp_path):
    ca = authority(tmp_path)
    ours = signed(tmp_path, "ours", ca)
    async with tls_proxy(valkey.port, signed(tmp_path, "localhost", ca), clients=ca) as port:
        files = f"ssl_ca_certs={ca.cert}&ssl_certfile={ours.cert}&ssl_keyfile={ours.key}"
        url = f"rediss://localhost:{port}/0?{files}"
        assert await ask(parse(url), "ECHO", "hi") == b"hi"


def greet_in_vain(listener, context):
    """Shake hands with one client until OpenSSL says why it cannot be; let it have its say."""
    plain, _ = listener.accept()
    with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as tls:
        with pytest.raises(ssl.SSLError):
            tls.do_handshake()
        tls.shutdown(socket.SHUT_WR)
        while os.read(tls.fileno(), 4096):
            pass


@needs_openssl
async def test_a_client_certificate_that_is_missing_is_refused_in_a_sentence(tmp_path):
    ca = authority(tmp_path)
    server = signed(tmp_path, "localhost", ca)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca.cert)
    context.load_cert_chain(server.cert, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"rediss://localhost:{listener.getsockname()[1]}/0?ssl_ca_certs={ca.cert}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, greet_in_vain, listener, context)
            with pytest.raises(RefusedError, match=r"another client certificate: .*ssl_certfile"):
                await ask(parse(url), "PING")


@needs_openssl
async def test_a_certificate_that_is_not_trusted_is_refused_in_a_sentence(valkey, tmp_path):
    server = signed(tmp_path, "localhost", authority(tmp_path))
    async with tls_proxy(valkey.port, server) as port:
        with pytest.raises(RefusedError, match=r"not trusted .*: name its authority"):
            await ask(parse(f"rediss://localhost:{port}/0"), "PING")


@needs_openssl
async def test_a_certificate_of_another_host_is_refused_in_a_sentence(valkey, tmp_path):
    ca = authority(tmp_path)
    async with tls_proxy(valkey.port, signed(tmp_path, "elsewhere", ca)) as port:
        with pytest.raises(RefusedError, match="localhost"):
            await ask(parse(f"rediss://localhost:{port}/0?ssl_ca_certs={ca.cert}"), "PING")


async def test_tls_towards_a_plain_server_is_lost_with_a_hint(valkey):
    address = parse(f"rediss://127.0.0.1:{valkey.port}/0?ssl_cert_reqs=none")
    with pytest.raises(LostError, match="does it speak TLS"):
        async with connect(address, timeout=0.2):
            pass
