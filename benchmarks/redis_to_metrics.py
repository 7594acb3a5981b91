"""A real server, a paced publisher, and whole processes beside each other, metrics only.

The service, with and without spans, and what else people watch Celery with (see `peers`), in turns
on the same server.
"""

from functools import partial

from stream.bench.processes import Watched, samples_in
from stream.bench.receiver import receiver
from stream.bench.traffic import Traffic

from .peers import EXPORTER, PEERS, environment, measure
from .peers import PACE as PEERS_PACE
from .result import Result
from .servers import Measured, Workload, redis_server, service, workload
from .turns import Contestant, Plan, take_turns

METRICS = "celery-stream run, metrics"
SPANS = "celery-stream run, metrics and a span per attempt over OTLP"
ALL_SPANS = "celery-stream run, metrics and spans of sending too over OTLP"
"""Two a task, as without any setting."""
OURS = (METRICS, SPANS, ALL_SPANS)
PACE = 160_000.0
"""Events a second: near what a core takes of messages with many events, as the pace of the peers is
near what they take, and no more than the machine can publish beside them."""
SINGLE_PACE = 60_000.0
"""Likewise, of messages with one event."""
SPANS_SHARE = 0.5
"""Of the pace, with spans."""
_FEWER_ROUNDS = 3
"""Of the peers that no bar is set by."""
_TRACES = ("signal", "traces")


def run(plan: Plan) -> list[Result]:
    """Measure all of them in turns."""
    ours = _load(plan, plan.events, _pace(plan.batch))
    few = _load(plan, min(plan.events, plan.peer_events), PEERS_PACE)
    peers = PEERS if plan.peers else ()
    for peer in peers:
        environment(peer)
    with redis_server() as url, receiver() as sent_to:
        contestants = {
            METRICS: Contestant(ours.name, ours.events, partial(_metrics, url, ours)),
            SPANS: Contestant(
                ours.name,
                ours.events,
                partial(_spans, url, ours, sent_to.endpoint, ("--spans-send", "never")),
            ),
            ALL_SPANS: Contestant(
                ours.name, ours.events, partial(_spans, url, ours, sent_to.endpoint, ())
            ),
        }
        for peer in peers:
            rounds = None if peer is EXPORTER else _FEWER_ROUNDS
            contestants[peer.name] = Contestant(
                few.name, few.events, partial(measure, peer, url, few), rounds
            )
        return take_turns("redis_to_metrics", contestants, plan)


def _load(plan: Plan, events: int, pace: float) -> Workload:
    traffic = Traffic(seed=plan.seed, rate=pace)
    return workload(events, seed=plan.seed, batch=plan.batch, traffic=traffic)


def _metrics(url: str, load: Workload) -> Measured:
    return service(url, load, pace=_pace(load.batch), arguments=["--otlp-disabled"])


def _pace(batch: int) -> float:
    return PACE if batch > 1 else SINGLE_PACE


def _spans(url: str, load: Workload, endpoint: str, options: tuple[str, ...]) -> Measured:
    """With spans over OTLP/HTTP with gzip."""
    return service(
        url,
        load,
        pace=SPANS_SHARE * _pace(load.batch),
        arguments=["--otlp-endpoint", endpoint, "--spans-wait", "0", *options],
        delivered=all_sent,
    )


def all_sent(running: Watched) -> bool:
    """Whether no span waits any more; a batch that is not full waits for two seconds."""
    page = running.page.get() or ""
    accepted, sent, dropped = (
        sum(count for labels, count in samples_in(page, name).items() if _TRACES in labels)
        for name in (
            "stream_export_accepted_total",
            "stream_export_sent_total",
            "stream_export_dropped_total",
        )
    )
    return 0 < accepted == sent + dropped
