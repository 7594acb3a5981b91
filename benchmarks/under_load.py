"""The whole service under a steady load, looked at from outside, on its page.

What is shed, how late its event loop is, how soon an event can be seen, what a scrape takes, and
whether what could not be taken is counted.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from tempfile import TemporaryFile

import redis
from msgspec import Struct, structs

from stream.bench.live import Plan as LivePlan
from stream.bench.live import live
from stream.bench.messages import outgoing
from stream.bench.processes import Labels, Watched, samples_in, wait_for, watched
from stream.bench.publisher import Packer, publish
from stream.bench.traffic import PREFIX, PRODUCER, Event, Traffic

from .made_ahead import store, stored
from .servers import workload

_LOOK = 0.05
_BETWEEN_PROBES = 0.05
_MAKING = 10e-6
"""Seconds in which an event is made and stored, at most: when those that are made now will happen.
Where it takes longer they come late, all of them alike."""
_STARTING = 3.0
"""Seconds in which a service starts."""


class Loaded(Struct, frozen=True):
    """What was seen of a service under load. Durations are seconds."""

    events: int
    messages: int
    pace: float
    """Events a second that were published; below what was asked for where the machine is busy."""
    decoded: int
    shed: int
    """Messages."""
    disconnections: int
    cpu: float
    """CPU seconds of the service."""
    seconds: float
    """From the first message to the last one read."""
    loop_p99: float
    """At most: the upper bound of its bucket."""
    visible: tuple[float, ...]
    """From publishing an event to its being on the page, ascending."""
    scrapes: tuple[float, ...]
    """How long each took, ascending."""
    series: int
    resident_bytes: int


def highest_rate(url: str, *, events: int, batch: int = 24, first: float = 40_000.0) -> float:
    """Find the highest rate that the service holds beside this broker, events a second."""
    plan = LivePlan(batch=batch, first=first, most_events=events)
    return live(url, plan).highest


def load(
    url: str,
    *,
    pace: float,
    seconds: float,
    batch: int = 24,
    traffic: Traffic | None = None,
    arguments: Sequence[str] = ("--otlp-disabled",),
    probes: int = 0,
    scraped_every: float | None = None,
) -> Loaded:
    """Load a service steadily, and say what was seen of it.

    Args:
        url: of a Redis server.
        pace: events a second.
        seconds: for how long.
        batch: events in a message.
        traffic: what happens; None: lifecycles.
        arguments: of the service.
        probes: single events whose appearance on the page is waited for.
        scraped_every: seconds between two scrapes; None: the page is not read meanwhile.
    """
    events = int(pace * seconds)
    begins_at = time.time() + events * _MAKING + _STARTING
    made = structs.replace(traffic or Traffic(rate=pace), began_at=begins_at)
    with TemporaryFile() as file:
        messages = outgoing(islice(made.events(), events), batch=batch)
        rate = pace * store(map(Packer().pack, messages), file) / events
        with watched(url, arguments) as service, _scraping(service, scraped_every) as scrapes:
            visible: list[float] = []
            looking = threading.Thread(target=_look, args=(url, service, probes, visible))
            time.sleep(max(0.0, begins_at - time.time()))  # or they would come from the future
            looking.start()
            before, began = service.cpu_seconds(), time.monotonic()
            with redis.Redis.from_url(url) as client:
                done = publish(client, stored(file), rate=rate)
            looking.join()
            wait_for(lambda: service.decoded() >= events + probes or service.shed() > 0)
            cpu, seconds = service.cpu_seconds() - before, time.monotonic() - began
            page = service.page.get() or ""
            resident = service.resident_bytes()
    return Loaded(
        events=done.events,
        messages=done.messages,
        pace=done.events / done.seconds,
        decoded=int(_sum(page, "stream_events_decoded_total")) - probes,
        shed=int(_sum(page, "stream_frames_shed_total")),
        disconnections=int(_sum(page, "stream_source_lost_total")),
        cpu=cpu,
        seconds=seconds,
        loop_p99=_quantile(samples_in(page, "stream_loop_delay_seconds_bucket"), 0.99),
        visible=tuple(sorted(visible)),
        scrapes=tuple(sorted(scrapes)),
        series=sum(not line.startswith("#") for line in page.splitlines()),
        resident_bytes=resident,
    )


class Flood(Struct, frozen=True):
    """What became of more than a service could take. Messages, each with one event."""

    published: int
    decoded: int
    shed: int
    rate: float
    """Messages a second that were published."""


def flood(url: str, *, messages: int, channel_frames: int) -> Flood:
    """Publish as fast as can be to a service that keeps few messages waiting."""
    made = workload(messages, seed=1, batch=1)
    options = ("--otlp-disabled", f"--channel-frames={channel_frames}")
    with watched(url, options) as service, redis.Redis.from_url(url) as client:
        done = publish(client, made.packed)
        wait_for(
            lambda: service.decoded() + service.shed() >= done.messages,
            what="the service to work off what waits",
        )
        return Flood(
            published=done.messages,
            decoded=int(service.decoded()),
            shed=int(service.shed()),
            rate=done.messages / done.seconds,
        )


def quantile(ascending: Sequence[float], share: float) -> float:
    """Return the value below which so many lie; infinity for none at all."""
    if not ascending:
        return float("inf")
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def _sum(page: str, name: str) -> float:
    return sum(samples_in(page, name).values())


def _quantile(buckets: dict[Labels, float], share: float) -> float:
    """Return the upper bound of the bucket that a quantile falls in."""
    total = max(buckets.values(), default=0.0)
    for labels, below in sorted(buckets.items(), key=lambda item: item[1]):
        if below >= share * total:
            return float(dict(labels)["le"])
    return float("inf")


def _look(url: str, service: Watched, probes: int, visible: list[float]) -> None:
    """Publish events that stand out, and measure how long it takes until the page has them."""
    with redis.Redis.from_url(url) as client:
        for number in range(probes):
            name = f"{PREFIX}.probe_{number}"
            pack = Packer().pack(next(outgoing([_probe(name, number)])))
            began = time.monotonic()
            publish(client, [pack])
            wait_for(lambda name=name: name in (service.page.get() or ""), every=_LOOK)  # type: ignore[misc] # mypy infers no type for the default
            visible.append(time.monotonic() - began)
            time.sleep(_BETWEEN_PROBES)  # so that they are spread over the load


def _probe(name: str, number: int) -> Event:
    return {
        "type": "task-sent",
        "uuid": f"{number:08x}-0000-4000-8000-00000000bead",
        "name": name,
        "queue": f"{PREFIX}-0",
        "retries": 0,
        "hostname": f"{PRODUCER}-probe",
        "pid": 99,
        "clock": number + 1,
        "utcoffset": 0,
        "timestamp": time.time(),
    }


@contextmanager
def _scraping(service: Watched, every: float | None) -> Iterator[list[float]]:
    """Read the page again and again; yields how long each time took."""
    over = threading.Event()
    took: list[float] = []

    def scrape() -> None:
        for _ in count():
            if over.wait(every):
                return
            began = time.monotonic()
            service.page.get()
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=scrape)
    if every is not None:
        thread.start()
    try:
        yield took
    finally:
        over.set()
        if every is not None:
            thread.join()
