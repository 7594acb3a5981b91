"""What a running service says of its cluster, asked over HTTP: the API of its live page."""

from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
from msgspec import Struct
from requests.utils import get_auth_from_url

from ..errors import LostError, RefusedError
from ..page.answers import (
    Failures,
    Overview,
    PeriodicTasks,
    Queues,
    StuckTasks,
    Tasks,
    Workers,
)
from ..server.access import is_loopback

_TIMEOUT: Final = 5.0
"""Seconds for one answer: each reads memory, so one that takes longer will not come."""
_RUNNING: Final = 50
"""Tasks that are asked for: more than any terminal has lines."""

A = TypeVar("A", bound=Struct)


class Seen(Struct, frozen=True):
    """The cluster at one moment."""

    overview: Overview
    queues: Queues
    workers: Workers
    periodic: PeriodicTasks
    stuck: StuckTasks
    failures: Failures
    running: Tasks
    """In flight, those that run first and the longest first."""


class Site:
    """The service at an address. Blocks while it asks, so it belongs into a worker thread.

    Args:
        url: where it is, like ``http://127.0.0.1:9540``; a user and a password in it are sent.
        token: sent as a bearer token; None: none.
        ca: file with the authorities that its certificate is checked with; None: the usual ones.
    """

    def __init__(self, url: str, *, token: str | None = None, ca: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._ca = ca
        host, pair = _host_and_user(self._url)
        # A proxy would take this machine's own address for its own.
        self._session.trust_env = not is_loopback(host)
        # What was given wins over a netrc file, which requests would put in its place.
        if any(pair):
            self._session.auth = pair
        elif token is not None:
            self._session.headers["authorization"] = f"Bearer {token}"
            self._session.auth = _keep_headers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.close()

    def look(self) -> Seen:
        """Ask for everything.

        Raises:
            LostError: nobody answers, or not in time.
            RefusedError: it wants a password or a token, or is no service with a page.
        """
        return Seen(
            self._ask("overview", Overview),
            self._ask("queues", Queues),
            self._ask("workers", Workers),
            self._ask("periodic", PeriodicTasks),
            self._ask("stuck", StuckTasks),
            self._ask("failures", Failures),
            self._ask(f"tasks?where=in_flight&state=started&limit={_RUNNING}", Tasks),
        )

    def _ask(self, path: str, answer: type[A]) -> A:
        try:
            # For each request: REQUESTS_CA_BUNDLE wins over what the session says.
            response = self._session.get(
                f"{self._url}/api/{path}", timeout=_TIMEOUT, verify=self._ca
            )
        except requests.exceptions.SSLError:
            raise RefusedError(
                "its certificate is not trusted; name its authority with --ca"
            ) from None
        except requests.RequestException as problem:
            raise LostError(f"no answer ({type(problem).__name__})") from None
        if response.status_code == requests.codes.ok:
            return self._read(response.content, answer)
        raise RefusedError(_refusal(response.status_code))

    def _read(self, body: bytes, answer: type[A]) -> A:
        try:
            return msgspec.json.decode(body, type=answer)
        except msgspec.DecodeError:
            raise RefusedError("this is no celery-stream, or another version of it") from None


def _host_and_user(url: str) -> tuple[str, tuple[str, str]]:
    """Return the host of a URL, and its user and password; nothing where there is none."""
    try:
        return urlsplit(url).hostname or "", get_auth_from_url(url)
    except ValueError:  # no URL: requests will say so
        return "", ("", "")


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _refusal(status: int) -> str:
    match status:
        case 401:
            return "it wants a password or a token: --token, or user:password@ in the URL"
        case 404:
            return "there is no live page: is it a celery-stream, and not run with --no-page?"
        case _:
            return f"it answers {status}"
