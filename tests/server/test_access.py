"""Who may ask: credentials, names, certificates, and what browsers are told about answers."""

import base64
import ssl

import anyio
import httpx
import pytest

from stream.config import AccessSettings
from stream.errors import ConfigError
from stream.server.access import HEADERS, Access, is_loopback, is_open, tls
from stream.server.http import application, listen, serve
from tests.page.cluster import WELL, Cluster, page_of
from tests.page.site import served
from tests.server.certificates import certificate_in

pytestmark = pytest.mark.anyio

PATHS = ("/", "/api", "/api/overview", "/api/events", "/assets/page.js", "/metrics", "/health")


def basic(user, password):
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def status_of(path, headers=None, *, loopback=True, host="127.0.0.1:9540", **settings):
    """Ask without a socket, which is enough for what is decided before anything is read."""
    app = application(metrics=lambda: (), health=lambda: WELL, ready=lambda: True)
    access = Access(app, AccessSettings(**settings), loopback=loopback)
    transport = httpx.ASGITransport(access)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get(path, headers={"host": host, **(headers or {})})
    return answer.status_code


async def test_without_credentials_in_the_settings_anybody_may_ask():
    assert await status_of("/health") == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("settings", [{"basic": "me:pass"}, {"token": "t0ken"}])
async def test_nothing_but_probes_is_told_without_credentials(path, settings):
    app, _ = served(page_of(Cluster()), access=AccessSettings(**settings))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.text == "Who are you?\n"


@pytest.mark.parametrize("path", ["/live", "/ready"])
async def test_probes_are_answered_to_anybody_under_any_name(path):
    assert await status_of(path, host="pod.example", basic="me:pass", token="t0ken") == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (basic("me", "pä:ss"), 200),
        (basic("me", "pass"), 401),
        (basic("you", "pä:ss"), 401),
        (basic("", ""), 401),
        (bearer("me:pä:ss".encode().hex()), 401),
        ({"authorization": "Basic"}, 401),
        ({"authorization": "Basic !!!"}, 401),
        ({"authorization": "Digest x"}, 401),
        ({"authorization": ""}, 401),
    ],
)
async def test_a_user_and_a_password_are_asked_for(headers, expected):
    assert await status_of("/health", headers, basic="me:pä:ss") == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (bearer("t0ken"), 200),
        ({"authorization": "bearer t0ken"}, 200),
        (basic("anybody", "t0ken"), 200),
        (bearer("t0kem"), 401),
        (bearer(""), 401),
        (basic("t0ken", ""), 401),
    ],
)
async def test_a_token_is_asked_for_and_a_browser_can_give_it_as_a_password(headers, expected):
    assert await status_of("/health", headers, token="t0ken") == expected


async def test_either_will_do_where_both_are_set():
    settings = {"basic": "me:pass", "token": "t0ken"}
    assert await status_of("/health", basic("me", "pass"), **settings) == 200
    assert await status_of("/health", bearer("t0ken"), **settings) == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:9540", 200),
        ("localhost:9540", 200),
        ("localhost", 200),
        ("LOCALHOST.:9540", 200),
        ("app.localhost:9540", 200),
        ("[::1]:9540", 200),
        ("192.0.2.7", 200),
        ("evil.example:9540", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
    ],
)
async def test_on_loopback_a_name_that_is_not_this_machines_is_refused(host, expected):
    assert await status_of("/health", host=host) == expected


async def test_beyond_loopback_any_name_will_do_until_some_are_set():
    assert await status_of("/health", loopback=False, host="shop.example") == 200
    hosts = ("*.shop.example", "Stream")
    for host, expected in (
        ("a.shop.example:80", 200),
        ("stream", 200),
        ("10.0.0.1", 200),
        ("other.example", 403),
    ):
        assert await status_of("/health", loopback=False, host=host, hosts=hosts) == expected


async def test_names_that_are_set_are_known_on_loopback_too():
    assert await status_of("/health", host="proxy.example", hosts=("proxy.example",)) == 200


@pytest.mark.parametrize("path", [*PATHS, "/live", "/nothing"])
async def test_every_answer_tells_browsers_to_be_careful(path):
    app, feed = served(page_of(Cluster()), most=0)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(path)
    assert HEADERS.items() <= dict(answer.headers).items()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert len(feed) == 0


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.1.2.3", False),
        ("fe80::1%eth0", False),
    ],
)
def test_loopback_is_told_from_the_rest(host, expected):
    assert is_loopback(host) is expected


def test_it_is_open_without_any_credentials():
    assert is_open(AccessSettings())
    assert not is_open(AccessSettings(token="t"))
    assert not is_open(AccessSettings(basic="a:b"))


# -- certificates -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Paths of a certificate for localhost and of its key."""
    return certificate_in(tmp_path_factory.mktemp("tls"))


async def test_it_serves_https_with_a_certificate(certificate):
    cert, key = certificate
    settings = AccessSettings(certificate=cert, key=key)
    app, _ = served(page_of(Cluster()), access=settings)
    bound = listen("127.0.0.1:0")
    trust = ssl.create_default_context(cafile=cert)
    url = f"https://127.0.0.1:{bound.getsockname()[1]}/health"
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            await tasks.start(
                lambda *, task_status: serve(app, bound, tls=settings, task_status=task_status)
            )
            async with httpx.AsyncClient(verify=trust, trust_env=False) as client:
                assert (await client.get(url)).status_code == 200
            tasks.cancel_scope.cancel()


def test_a_certificate_is_loaded_with_its_key(certificate):
    cert, key = certificate
    assert tls(AccessSettings(certificate=cert, key=key)) is not None
    assert tls(AccessSettings()) is None


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("/nowhere/cert.pem", None, "access.certificate = /nowhere/cert.pem cannot be used"),
        (__file__, None, "cannot be used with its key (in the same file)"),
        (None, "/nowhere/key.pem", "access.key is set without access.certificate"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_said_at_once(certificate, key, said):
    with pytest.raises(ConfigError, match=said.replace("(", r"\(").replace(")", r"\)")):
        tls(AccessSettings(certificate=certificate, key=key))
