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


def pages_of(count):
    """The two first pages of so many queues."""
    rows = [{"name": f"q{number}"} for number in range(count)]
    return [
        {
            "items": rows[start : start + 500],
            "page_count": -(-count // 500),
            "filtered_count": count,
        }
        for start in (0, 500)
    ]


@pytest.mark.parametrize(("count", "missing"), [(1000, 0), (1001, 1), (2345, 1345)])
async def test_queues_beyond_the_pages_that_are_read_are_counted(api_of, count, missing):
    api_of(*pages_of(count))
    listing = await Management("http://host", "/").listing()
    assert (len(listing.queues), listing.missing) == (1000, missing)


async def test_a_queue_that_goes_between_two_pages_is_not_missing(api_of):
    first, second = pages_of(900)
    second["items"].pop()
    api_of(first, second)
    assert (await Management("http://host", "/").listing()).missing == 0


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
