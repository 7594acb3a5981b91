"""The bar: what is to be reached, each row measured as its text says.

A row is a function from the plan and what was measured before to rows with their verdict. Ratios
are of the same rounds, so they mean something on a machine that others use; times that a user
would see (lag, visibility) are what they are on this machine.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from msgspec import structs

from stream.bench.receiver import receiver
from stream.bench.traffic import Traffic
from stream.config import Graces

from . import capture_to_report, in_flight, rabbitmq_to_metrics, redis_to_metrics
from .peers import EXPORTER
from .result import Result, Row
from .servers import redis_server
from .turns import Plan
from .under_load import Loaded, flood, highest_rate, load, quantile

FEW = in_flight.FEW
_MEGABYTE = 1e6
_SERIES = 10_000
_NAMES_FOR_SERIES = 75
_RESIDENT = 150
_HUGE_RUN = 1e8
_BYTES_PER_TASK = 700
_FILLED = 0.2
"""Of a run, the share in which the table of ended tasks fills."""
_MOST_RATE = 20_000.0
_WARM = 3
"""Tenths of a run until the tables are full."""
_TINY_CHANNEL = 20
_SAFE = 0.8
_PACED = 0.95
"""Of a pace: with less published the load was another one."""
_WHOLE_FROM = 100

Rows: TypeAlias = tuple[list[Result], list[Row]]
Found: TypeAlias = list[Result]
Measure: TypeAlias = Callable[[Plan, Found], Rows]


def _at_least(name: str, value: float, wanted: float, unit: str, detail: str = "") -> Row:
    return Row(
        name, f"≥ {_number(wanted)} {unit}", _text(value, unit, detail), value >= wanted, value
    )


def _at_most(name: str, value: float, wanted: float, unit: str, detail: str = "") -> Row:
    return Row(
        name, f"≤ {_number(wanted)} {unit}", _text(value, unit, detail), value <= wanted, value
    )


def _text(value: float, unit: str, detail: str) -> str:
    return f"{_number(value)} {unit}{f' ({detail})' if detail else ''}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE_FROM or value == int(value) else f"{value:,.3g}"


def _rate(result: Result) -> str:
    return f"{result.rate:,.0f} {result.unit} a CPU second"


def _stage(found: Found, stage: str, batch: int) -> Result:
    return next(each for each in found if each.stage == stage and each.batch == batch)


# -- against the peers -------------------------------------------------------------------------


def redis(plan: Plan, _: Found, *, batch: int) -> Rows:
    """Redis → metrics, and with spans, as multiples of the exporter in the same rounds."""
    found = redis_to_metrics.run(structs.replace(plan, batch=batch))
    if not plan.peers:
        return found, []
    peer = _stage(found, EXPORTER.name, batch)
    ours = _stage(found, redis_to_metrics.METRICS, batch)
    spans = _stage(found, redis_to_metrics.SPANS, batch)
    frames = "batched frames (24)" if batch > 1 else "single-event frames"
    unit = "times exporter 0.11.2"
    rows = [
        _at_least(
            f"Redis → metrics, {frames}",
            ours.ratio_to(peer),
            15 if batch > 1 else 13,
            unit,
            _rate(ours),
        )
    ]
    if batch > 1:
        name = "Redis → metrics and a span per attempt over OTLP/HTTP with gzip"
        rows.append(_at_least(name, spans.ratio_to(peer), 8, unit, _rate(spans)))
    return found, rows


def rabbitmq(plan: Plan, _: Found) -> Rows:
    """RabbitMQ → metrics."""
    found = rabbitmq_to_metrics.run(structs.replace(plan, batch=1))
    ours = _stage(found, rabbitmq_to_metrics.SERVICE, 1)
    name = "RabbitMQ → metrics, single-event frames"
    return found, [_at_least(name, ours.rate, 25_000, "frames a CPU second")]


def replay(plan: Plan, _: Found) -> Rows:
    """A capture to its report."""
    found = capture_to_report.run(plan)
    name = "Replay of a .zst capture → report"
    return found, [_at_least(name, found[0].rate, 150_000, "events a CPU second")]


# -- memory ------------------------------------------------------------------------------------


def tasks_in_flight(plan: Plan, _: Found) -> Rows:
    """Bytes of a task, and what an event costs among many."""
    many = in_flight.MANY if plan.rounds > 1 else in_flight.QUICK
    found = in_flight.run(structs.replace(plan, rounds=min(2, plan.rounds)), many)
    fewer, more = (_stage(found, in_flight.stage(size), plan.batch) for size in (FEW, many))
    grown = more.sizes["filled_bytes"] - fewer.sizes["filled_bytes"]
    cost = f"{more.microseconds:.2f} µs against {fewer.microseconds:.2f} µs"
    return found, [
        _at_most("Memory of a task in flight", grown / (many - FEW), _BYTES_PER_TASK, "bytes"),
        _at_most(
            f"Cost of an event at {many:,} tasks in flight",
            fewer.ratio_to(more),
            1.3,
            f"times that at {FEW:,}",
            cost,
        ),
    ]


def flat(plan: Plan, _: Found, *, events: int | None = None) -> Rows:
    """What memory grows by once the tables are full.

    Stream time runs slowly enough for ended tasks to be forgotten as fast as others end.
    """
    events = events or plan.events * 10
    rate = min(_MOST_RATE, events * _FILLED / Graces().remembered)
    found = in_flight.measured(FEW, events, batch=plan.batch, rate=rate)
    seen = found.events * (in_flight.SAMPLES - _WARM) / in_flight.SAMPLES
    grown = found.growth[-1] - found.growth[_WARM - 1]
    name = f"Memory flat: growth over the last {_number(seen)} events"
    allowed = max(1.0, 50 * seen / _HUGE_RUN)
    return [], [_at_most(name, grown / _MEGABYTE, allowed, "MB")]


# -- under load --------------------------------------------------------------------------------


def resident(plan: Plan, _: Found) -> Rows:
    """The whole service with ten thousand tasks in flight."""
    pace = 10_000.0
    traffic = Traffic(in_flight=FEW, rate=pace)
    with redis_server() as url:
        seen = load(url, pace=pace, seconds=max(4.0, plan.events / 15_000), traffic=traffic)
    megabytes = seen.resident_bytes / _MEGABYTE
    return [], [_at_most("Resident at 10,000 tasks in flight", megabytes, _RESIDENT, "MB")]


def lag(plan: Plan, found: Found) -> Rows:
    """How late the loop is while it exports all it can."""
    pace = 0.8 * _known_rate(found, redis_to_metrics.ALL_SPANS, plan)
    with redis_server() as url, receiver() as sent_to:
        options = ("--otlp-endpoint", sent_to.endpoint, "--spans-wait", "0")
        seen = load(url, pace=pace, seconds=_seconds(plan, 8.0), arguments=options)
    name = "Event-loop lag while exporting at full load, p99"
    return [], [_at_most(name, seen.loop_p99 * 1e3, 20, "ms", _busy(seen))]


def scrape(plan: Plan, _: Found) -> Rows:
    """What a page of ten thousand series takes, and how much of a core it takes once a second."""
    seconds, pace = _seconds(plan, 6.0), 10_000.0
    traffic = Traffic(names=_NAMES_FOR_SERIES, rate=pace)
    quiet: list[Loaded] = []
    scraped: list[Loaded] = []
    with redis_server() as url:
        for _round in range(min(3, plan.rounds)):
            quiet.append(load(url, pace=pace, seconds=seconds, traffic=traffic))
            scraped.append(
                load(url, pace=pace, seconds=seconds, traffic=traffic, scraped_every=1.0)
            )
    took = sorted(each for seen in scraped for each in seen.scrapes)
    series = max(seen.series for seen in scraped)
    pairs = zip(scraped, quiet, strict=True)
    losses = sorted((busy.cpu - idle.cpu) / busy.seconds for busy, idle in pairs)
    loss = losses[len(losses) // 2] * 100
    return [], [
        _at_most(
            "Scrape, p50",
            quantile(took, 0.5) * 1e3,
            50,
            "ms",
            f"least {took[0] * 1e3:.0f} ms, {series:,} series",
        ),
        _at_most("Share of a core for one scrape a second", loss, 5, "%", f"{series:,} series"),
    ]


def at_the_limit(plan: Plan, _: Found) -> Rows:
    """The highest rate beside this broker, and what happens below and above it."""
    with redis_server() as url:
        most = highest_rate(url, events=plan.events * 20)
        half = load(
            url, pace=most / 2, seconds=_seconds(plan, 10.0), probes=100 if plan.rounds > 1 else 10
        )
        below = load(url, pace=_SAFE * most, seconds=_seconds(plan, 60.0))
        above = flood(url, messages=plan.events // 3, channel_frames=_TINY_CHANNEL)
    counted = above.decoded + above.shed
    lost = below.shed + below.disconnections + max(0, below.events - below.decoded)
    held = lost == 0 and below.pace >= _SAFE * _PACED * most
    return [], [
        _at_most(
            "Event on the wire → on /metrics at half of the maximum, p99",
            quantile(half.visible, 0.99),
            1,
            "s",
            f"p50 {quantile(half.visible, 0.5):.2f} s",
        ),
        Row(
            f"Nothing shed at 80 % of the maximum for {below.seconds:.0f} s",
            f"0 lost at {_SAFE * most:,.0f} events a second",
            f"{lost} lost of {below.events:,} at {below.pace:,.0f} a second",
            held,
            lost,
        ),
        Row(
            "Above it: shed and counted exactly",
            "published = decoded + shed",
            f"{above.published:,} = {above.decoded:,} + {above.shed:,}",
            counted == above.published and above.shed > 0,
            counted - above.published,
        ),
    ]


def _busy(seen: Loaded) -> str:
    return f"{seen.pace:,.0f} events a second, CPU {seen.cpu / seen.seconds:.0%}"


def _known_rate(found: Found, stage: str, plan: Plan) -> float:
    return next((r.rate for r in found if r.stage == stage and r.batch == plan.batch), 30_000.0)


def _seconds(plan: Plan, full: float) -> float:
    return full if plan.rounds > 1 else min(full, 3.0)


ROWS: dict[str, Measure] = {
    "redis": partial(redis, batch=24),
    "redis_single": partial(redis, batch=1),
    "rabbitmq": rabbitmq,
    "replay": replay,
    "in_flight": tasks_in_flight,
    "flat": flat,
    "resident": resident,
    "lag": lag,
    "scrape": scrape,
    "limit": at_the_limit,
}
"""In the order in which they are measured; later ones may use what earlier ones found."""
