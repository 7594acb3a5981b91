"""What `top` reads over HTTP, and how it says that it cannot."""

import http.server
import threading
from contextlib import contextmanager

import pytest

from stream.config import AccessSettings
from stream.errors import LostError, RefusedError
from stream.top.site import Site
from tests.page.cluster import Cluster
from tests.page.site import site


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
def answering(status, body=b""):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
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
