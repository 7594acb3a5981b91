"""What `top` reads over HTTP, and how it says that it cannot."""

import http.server
import ssl
import threading
from contextlib import contextmanager

import pytest

from stream.config import AccessSettings
from stream.errors import LostError, RefusedError
from stream.top.site import Site
from tests.page.cluster import Cluster
from tests.page.site import site
from tests.server.certificates import certificate_in


def test_everything_is_read():
    cluster = Cluster()
    cluster.start("runs")
    with site(cluster) as served, Site(served.url) as found:
        seen = found.look()
    assert seen.overview.in_flight.started == 1
    assert seen.periodic.total == 0
    assert [task.uuid for task in seen.running.tasks] == ["runs"]


def test_a_token_is_sent():
    with site(Cluster(), access=AccessSettings(token="sesame")) as served:
        with Site(served.url, token="sesame") as found:
            assert found.look().overview.in_flight.total == 0
        with Site(served.url) as found, pytest.raises(RefusedError, match="wants a password"):
            found.look()


def test_a_user_and_a_password_in_the_url_are_sent():
    with site(Cluster(), access=AccessSettings(basic="ann:secret")) as served:
        url = served.url.replace("://", "://ann:secret@")
        with Site(url) as found:
            assert found.look().overview.in_flight.total == 0


def test_nobody_there_is_lost_and_may_come_back():
    with Site("http://127.0.0.1:9") as found, pytest.raises(LostError, match="no answer"):
        found.look()


@contextmanager
def answering(status, body=b"", *, certificate=None, asked=None):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if asked is not None:
                asked.append(self.headers)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (404, b"", "there is no live page"),
        (500, b"", "it answers 500"),
        (200, b"<html>", "this is no celery-stream"),
        (200, b"{}", "this is no celery-stream"),
    ],
)
def test_another_server_is_refused_with_a_sentence(status, body, sentence):
    with (
        answering(status, body) as url,
        Site(url) as found,
        pytest.raises(RefusedError, match=sentence),
    ):
        found.look()


def elsewhere(monkeypatch):
    """Have this machine taken for another one: the environment counts only for others."""
    monkeypatch.setattr("stream.top.site.is_loopback", lambda _: False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_authorities_that_were_given_win_over_those_of_the_environment(monkeypatch, tmp_path):
    elsewhere(monkeypatch)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    certificate = certificate_in(tmp_path)
    with answering(500, certificate=certificate) as url:
        encrypted = url.replace("http://", "https://")
        with Site(encrypted, ca=certificate[0]) as found, pytest.raises(RefusedError, match="500"):
            found.look()


@pytest.mark.parametrize(
    ("user", "token", "authorization"),
    [("", "sesame", "Bearer sesame"), ("ann:secret@", None, "Basic YW5uOnNlY3JldA==")],
)
def test_a_netrc_file_replaces_nothing(monkeypatch, tmp_path, user, token, authorization):
    elsewhere(monkeypatch)
    netrc, asked = tmp_path / "netrc", []
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with answering(500, asked=asked) as url:
        named = url.replace("://", f"://{user}")
        with Site(named, token=token) as found, pytest.raises(RefusedError, match="500"):
            found.look()
    assert asked[0]["authorization"] == authorization


def test_what_is_on_this_machine_is_not_asked_through_a_proxy(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with site(Cluster()) as served, Site(served.url) as found:
        assert found.look().overview.in_flight.total == 0


def test_what_is_no_url_is_not_answered():
    with Site("http://[::1") as found, pytest.raises(LostError, match="no answer"):
        found.look()
