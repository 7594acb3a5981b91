"""What RabbitMQ's management API knows of the queues of one virtual host.

It is optional: AMQP tells how many messages wait in a queue whose name is known; this also lists
the queues, and tells what consumers hold, the kind of each queue and its rates, some seconds late.
Only GET is sent. The user needs the tag ``management`` and some permission on the virtual host.

Requests run in a worker thread. An answer is bounded, and so is the time for it.
"""

from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import quote, unquote, urlsplit

import anyio.to_thread
import msgspec
import requests
from msgspec import Struct
from requests.auth import HTTPBasicAuth

from ..errors import LostError, RefusedError

# Two pages of the largest size; beyond that the polls of AMQP would take seconds.
_PAGE, _MAX_PAGES = 500, 2
_MAX_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_COLUMNS = (
    "name,type,exclusive,messages_ready,messages_unacknowledged,consumers,"
    "message_stats.publish_details.rate,"
    "message_stats.deliver_get_details.rate,"
    "message_stats.ack_details.rate"
)
_UNAUTHORIZED = (401, 403)
_NOT_FOUND = 404


class Kind(StrEnum):
    """How RabbitMQ keeps a queue."""

    CLASSIC = "classic"
    QUORUM = "quorum"
    STREAM = "stream"
    OTHER = "other"


class _Rate(Struct, frozen=True, gc=False):
    rate: float | None = None


class _Stats(Struct, frozen=True, gc=False):
    publish_details: _Rate = _Rate()
    deliver_get_details: _Rate = _Rate()
    ack_details: _Rate = _Rate()


class _Row(Struct, frozen=True, gc=False):
    name: str
    type: str = "classic"
    exclusive: bool = False
    messages_ready: int | None = None  # null in the first seconds of a quorum queue
    messages_unacknowledged: int | None = None
    consumers: int | None = None
    message_stats: _Stats = _Stats()


class _Page(Struct, frozen=True):
    items: list[_Row]
    page_count: int = 1
    filtered_count: int = 0  # rows on all pages


class ManagedQueue(Struct, frozen=True, gc=False):
    """One queue as the management API tells it. None: not told (yet)."""

    name: str
    kind: Kind
    exclusive: bool = False
    ready: int | None = None
    unacknowledged: int | None = None
    """Messages that consumers hold."""
    consumers: int | None = None
    published: float | None = None
    """Messages a second that come in."""
    delivered: float | None = None
    """Messages a second that consumers take."""
    acknowledged: float | None = None
    """Messages a second that consumers have done with."""


class Listing(Struct, frozen=True):
    """The queues of a virtual host, as far as they are asked for."""

    queues: list[ManagedQueue]
    missing: int
    """Those on further pages."""


_decode = msgspec.json.Decoder(_Page).decode
_KINDS = {kind.value: kind for kind in Kind}


class Management:
    """The management API of one broker.

    Args:
        url: ``http(s)://user:password@host:15672``.
        vhost: the virtual host whose queues are asked for.
        ca_certs: a file of authorities for https; None: those of the system.
        timeout: seconds for connecting and for each part of an answer.

    Raises:
        RefusedError: the URL cannot be read.
    """

    def __init__(
        self, url: str, vhost: str, *, ca_certs: str | None = None, timeout: float = 5.0
    ) -> None:
        try:
            parts = urlsplit(url)
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            self._place = f"{parts.scheme}://{host}:{parts.port or 15672}{parts.path.rstrip('/')}"
        except ValueError:  # its text may quote a password
            parts = urlsplit("")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RefusedError(
                "The management URL must be like http://user:password@host:15672, special "
                "characters percent-encoded."
            )
        self._auth = (unquote(parts.username or "guest"), unquote(parts.password or "guest"))
        self._vhost = vhost
        self._verify: str | bool = ca_certs or True
        self._timeout = timeout

    @property
    def user(self) -> str:
        """Who asks."""
        return self._auth[0]

    async def queues(self) -> list[ManagedQueue]:
        """Ask for the queues, at most 1000.

        Raises:
            LostError: as `listing`.
            RefusedError: as `listing`.
        """
        return (await self.listing()).queues

    async def listing(self) -> Listing:
        """Ask for the queues, at most 1000, and how many more there are.

        Raises:
            LostError: no answer, or none that can be read.
            RefusedError: the user may not ask.
        """
        return await anyio.to_thread.run_sync(self._all_pages, abandon_on_cancel=True)

    def _all_pages(self) -> Listing:
        with requests.Session() as session:
            user, password = self._auth
            # Of text requests makes latin-1, and RabbitMQ takes UTF-8.
            session.auth = HTTPBasicAuth(user.encode(), password.encode())
            pages = list(self._pages(session))
        queues = [_managed(row) for page in pages for row in page.items]
        # Between two pages queues come and go: only what is on further pages is missing.
        is_cut = pages[-1].page_count > len(pages)
        missing = max(0, pages[-1].filtered_count - len(queues)) if is_cut else 0
        return Listing(queues, missing)

    def _pages(self, session: requests.Session) -> Iterator[_Page]:
        for number in range(1, _MAX_PAGES + 1):
            try:
                page = _decode(self._get(session, number))
            except (requests.RequestException, OSError) as exc:
                raise LostError(f"{self._name}: {type(exc).__name__}.") from exc
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
                raise LostError(f"{self._name}: the answer cannot be read.") from exc
            yield page
            if number >= page.page_count:
                return

    def _get(self, session: requests.Session, page: int) -> bytes:
        url = f"{self._place}/api/queues/{quote(self._vhost, safe='')}"
        query = {"columns": _COLUMNS, "page": str(page), "page_size": str(_PAGE)}
        asked = session.get(
            url,
            params=query,
            timeout=self._timeout,
            # Not of the session: REQUESTS_CA_BUNDLE would come before it.
            verify=self._verify,
            stream=True,
            allow_redirects=False,
        )
        with asked as answer:
            self._check(answer.status_code)
            body = bytearray()
            for chunk in answer.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise LostError(f"{self._name}: the answer is too large.")
            return bytes(body)

    def _check(self, status: int) -> None:
        if status in _UNAUTHORIZED:
            raise RefusedError(
                f"{self._name} refuses user {self._auth[0]!r}: check the password and "
                f"grant it with rabbitmqctl set_user_tags {self._auth[0]} management, and with "
                f"some permission on virtual host {self._vhost!r}"
            )
        if status == _NOT_FOUND:
            raise RefusedError(f"{self._name} has no virtual host {self._vhost!r}.")
        if status != requests.codes.ok:
            raise LostError(f"{self._name} answered {status}.")

    @property
    def _name(self) -> str:
        return f"The management API at {self._place}"


def _managed(row: _Row) -> ManagedQueue:
    stats = row.message_stats
    return ManagedQueue(
        name=row.name,
        kind=_KINDS.get(row.type, Kind.OTHER),
        exclusive=row.exclusive,
        ready=row.messages_ready,
        unacknowledged=row.messages_unacknowledged,
        consumers=row.consumers,
        published=stats.publish_details.rate,
        delivered=stats.deliver_get_details.rate,
        acknowledged=stats.ack_details.rate,
    )
