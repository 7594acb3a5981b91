"""What is asked of the management API, and what becomes of its answers; no server."""

import json
from base64 import b64encode
from io import BytesIO

import pytest
import requests

from stream.sources.rabbitmq_management import Management

pytestmark = pytest.mark.anyio


class Api:
    """Answers each request with the next page, and keeps how it was asked."""

    def __init__(self, *pages):
        self.headers = []
        self.verified = []
        self._pages = iter(pages)

    def send(self, request, **options):
        self.headers.append(request.headers)
        self.verified.append(options["verify"])
        answer = requests.Response()
        answer.status_code = 200
        answer.raw = BytesIO(json.dumps(next(self._pages)).encode())
        return answer


@pytest.fixture
def api_of(monkeypatch):
    def made(*pages):
        api = Api(*pages)
        monkeypatch.setattr(requests.Session, "send", lambda _, *args, **kw: api.send(*args, **kw))
        return api

    return made


EMPTY = {"items": []}


async def test_user_and_password_are_sent_as_utf_8(api_of):
    api = api_of(EMPTY)
    await Management("http://j%C3%BCrgen:%E2%82%AC@host", "/").queues()
    expected = b64encode("jürgen:€".encode()).decode()
    assert api.headers[0]["Authorization"] == f"Basic {expected}"


async def test_the_authorities_that_are_named_come_before_those_of_the_environment(
    api_of, monkeypatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/of/the/environment.pem")
    api = api_of(EMPTY)
    await Management("https://host", "/", ca_certs="/named.pem").queues()
    assert api.verified == ["/named.pem"]
