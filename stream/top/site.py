"""What a running service says of its cluster, asked over HTTP: the API of its live page."""

from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec
import requests
from msgspec import Struct

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
        if token is not None:
            self._session.headers["authorization"] = f"Bearer {token}"
        if ca is not None:
            self._session.verify = ca

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
            response = self._session.get(f"{self._url}/api/{path}", timeout=_TIMEOUT)
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


def _refusal(status: int) -> str:
    match status:
        case 401:
            return "it wants a password or a token: --token, or user:password@ in the URL"
        case 404:
            return "there is no live page: is it a celery-stream, and not run with --no-page?"
        case _:
            return f"it answers {status}"
