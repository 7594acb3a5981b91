"""The highest rate at which nothing is lost between a broker and a service beside it.

Made-up events go to the broker's event channel; the service reads them as a process of its own,
which is watched from outside. Bounded in time and in number, and whoever else listens to that
broker hears the events, too: all names in them begin with ``bench``. What others publish there
meanwhile counts as read as well; it cannot hide a loss, since Redis loses no message of a
subscription without cutting it off, and the service counts what it sheds itself.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Final, TypeVar

import redis
from msgspec import Struct

from ..errors import RefusedError, StreamError
from ..sources.address import redact
from .messages import outgoing
from .outlets import Outlet
from .processes import Watched, wait_for, watched
from .publisher import Pace, Packed, Packer, publish
from .receiver import receiver
from .search import Search
from .traffic import Cluster, Kind, Traffic

T = TypeVar("T")

MOST_RATE: Final = 500_000.0
TRIES: Final = 12
SECONDS: Final = 3.0
"""Of a try."""
_MOST_AT_ONCE: Final = 300_000
"""Events of a try, which are made before it: about 150 MB."""
_ENOUGH: Final = 0.5
"""Of the events that a try should have: with fewer it says little."""
_LATE: Final = 0.15
"""Of a try's duration: a service that is later than that at its end does not keep up."""
_LOOK: Final = 0.05
_PATIENCE: Final = 20.0
_SCHEMES: Final = ("redis://", "rediss://", "redis+socket://", "unix://")


class Try(Struct, frozen=True):
    """One rate that was tried."""

    rate: float
    """Events a second that were wanted."""
    reached: float
    """That were published."""
    events: int
    shed: int
    """Messages that the service gave up."""
    disconnections: int
    missing: int
    """Events that it had not read some seconds after the last was published."""
    late: float
    """Seconds from the last event published to the last one read."""
    held: bool
    paced: bool
    """Whether the publisher reached the rate; what was not published says nothing."""
    cpu: float | None
    """CPU seconds of the service for each second; None where that is not known."""
    resident_bytes: int | None


class LiveFound(Struct, frozen=True):
    """What was found."""

    outlet: Outlet
    kind: Kind
    batch: int
    highest: float
    """Events a second, the highest rate without loss; 0: none."""
    bounded_by: str
    """What ended the search: ``service``, ``publisher`` or ``limit``."""
    tries: tuple[Try, ...]
    events: int
    """All that were published."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is tried."""

    kind: Kind = Kind.LIFECYCLE
    seed: int = 1
    batch: int = 24
    outlet: Outlet = Outlet.METRICS
    first: float = 5_000.0
    """Events a second of the first try."""
    seconds: float = SECONDS
    tries: int = TRIES
    most_events: int = 3_000_000
    """That are published in all."""


def live(url: str, plan: Plan, *, told: Callable[[Try], None] = lambda _: None) -> LiveFound:
    """Find the highest rate without loss.

    Args:
        url: of a Redis broker.
        plan: what to try.
        told: hears of each try.

    Raises:
        RefusedError: it is no Redis, or does not answer.
        StreamError: the service ended, or nothing arrives.
    """
    if not url.startswith(_SCHEMES):
        raise RefusedError(f"bench --live publishes to Redis only, not to {redact(url)}")
    with (
        redis.Redis.from_url(url.replace("redis+socket://", "unix://", 1)) as client,
        _service(url, plan.outlet, client) as service,
    ):
        return _Live(client, service, plan).run(told)


@contextmanager
def _service(url: str, outlet: Outlet, client: "redis.Redis") -> Iterator[Watched]:
    try:
        client.ping()
    except redis.RedisError as error:
        raise RefusedError(f"{redact(url)} does not answer: {error}") from None
    with ExitStack() as stack:
        options = ["--otlp-disabled"]
        if outlet is Outlet.OTLP:
            endpoint = stack.enter_context(receiver()).endpoint
            options = ["--otlp-endpoint", endpoint, "--spans-wait", "0"]
        yield stack.enter_context(watched(url, options))


class _Live:
    def __init__(self, client: "redis.Redis", service: Watched, plan: Plan) -> None:
        self._client = client
        self._service = service
        self._plan = plan
        self._cluster = Cluster(Traffic(kind=plan.kind, seed=plan.seed))
        self._events = self._cluster.events()
        db = int(client.connection_pool.connection_kwargs.get("db") or 0)
        self._pack = Packer(db, plan.seed).pack
        self._published = 0

    def run(self, told: Callable[[Try], None]) -> LiveFound:
        plan = self._plan
        search = Search(plan.first, most=MOST_RATE, tries=plan.tries)
        tries: list[Try] = []
        bounded_by = "service"
        while (rate := search.following) is not None:
            count = min(int(rate * plan.seconds), max(_MOST_AT_ONCE, int(rate)))
            left = plan.most_events - self._published
            if left < count * _ENOUGH:
                bounded_by = "limit"
                break
            tries.append(self._try(rate, min(count, left)))
            told(tries[-1])
            if tries[-1].held and not tries[-1].paced:
                bounded_by = "publisher"
                break
            search.tell(held=tries[-1].held)
        else:
            bounded_by = "service" if search.failed is not None else "limit"
        held = (each.reached for each in tries if each.held)
        return LiveFound(
            outlet=plan.outlet,
            kind=plan.kind,
            batch=plan.batch,
            highest=max(held, default=0.0),
            bounded_by=bounded_by,
            tries=tuple(tries),
            events=self._published,
        )

    def _try(self, rate: float, events: int) -> Try:
        messages = self._made(rate, events)
        per_second = rate * len(messages) / events
        service = self._service
        decoded, shed, lost = service.decoded(), service.shed(), service.lost()
        cpu = _known(service.cpu_seconds)
        pace = self._publish(messages, rate=per_second)
        self._published += pace.events
        ended = time.monotonic()
        missing = self._wait(decoded + events, shed, lost)
        late = time.monotonic() - ended
        after = _known(service.cpu_seconds)
        seconds = pace.seconds + late
        shed, lost = int(service.shed() - shed), int(service.lost() - lost)
        return Try(
            rate=rate,
            reached=events / pace.seconds,
            events=events,
            shed=shed,
            disconnections=lost,
            missing=missing,
            late=late,
            held=not (shed or lost or missing) and late <= max(2 * _LOOK, _LATE * pace.seconds),
            paced=pace.kept(per_second),
            cpu=None if cpu is None or after is None else (after - cpu) / seconds,
            resident_bytes=_known(service.resident_bytes),
        )

    def _made(self, rate: float, events: int) -> Sequence[Packed]:
        self._cluster.go_on(time.time(), rate=rate)
        messages = outgoing(islice(self._events, events), batch=self._plan.batch)
        return [self._pack(each) for each in messages]

    def _publish(self, messages: Sequence[Packed], *, rate: float) -> Pace:
        try:
            return publish(self._client, messages, rate=rate)
        except redis.RedisError as error:
            raise StreamError(f"The broker took no more events: {error}") from None

    def _wait(self, decoded: float, shed: float, lost: float) -> int:
        """Wait until all is read, or some of it never will be; return how many events are not."""
        service = self._service
        deadline = time.monotonic() + _PATIENCE

        def settled() -> bool:
            if service.decoded() >= decoded or time.monotonic() > deadline:
                return True
            return service.shed() > shed or service.lost() > lost

        wait_for(settled, every=_LOOK, what="the service to read what was published")
        if service.shed() > shed or service.lost() > lost:
            self._settle()
        return max(0, int(decoded - service.decoded()))

    def _settle(self) -> None:
        """Wait until the service has worked off what still waits, so that the next try is its own.

        It has when it reads nothing more.
        """
        seen = [-1.0]

        def quiet() -> bool:
            seen.append(self._service.decoded())
            return seen[-1] == seen[-2]

        wait_for(quiet, every=0.5, patience=_PATIENCE, what="the service to work off what waits")


def _known(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except OSError:  # no Linux
        return None
