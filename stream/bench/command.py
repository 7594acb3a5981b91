"""The command ``bench``: a measurement of this machine, for people and as JSON."""

import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack

import click
import msgspec
from msgspec import Struct, structs
from rich.console import Console

from .. import __version__
from ..export.buffer import Ledger
from ..garbage import seldom_collected
from ..occurrences import Signal
from ..sources.address import redact
from ..sources.capture import Capture
from .live import LiveFound, Plan, live
from .measure import Found, Measurement
from .messages import BUFFER_LIMIT
from .outlets import Outlet
from .receiver import Received, receiver
from .screen import progress, show, show_live, show_try
from .synthetic import Synthetic
from .traffic import Kind, Traffic

LOST = 1
"""The exit code where something is not accounted for."""


class Machine(Struct, frozen=True):
    """Where it was measured."""

    system: str
    python: str
    cores: int
    version: str = __version__
    """Of celery-stream."""


class Report(Struct, frozen=True):
    """What ``--json`` writes."""

    machine: Machine
    what: str
    found: Found
    events_per_cpu_second: float
    events_per_second: float
    losses: tuple[str, ...]
    """What is not accounted for, in words; empty where nothing was lost."""


class LiveReport(Struct, frozen=True):
    """What ``--live --json`` writes."""

    machine: Machine
    broker: str
    found: LiveFound


class Options(Struct, frozen=True, kw_only=True):
    """What the command was told."""

    kind: Kind = Kind.LIFECYCLE
    events: int = 500_000
    seed: int = 1
    batch: int = BUFFER_LIMIT
    rate: float = 20_000.0
    """Events in a second of stream time."""
    outlet: Outlet = Outlet.METRICS
    json: bool = False


def run(
    files: Sequence[str],
    live: str | None,
    *,
    workload: str | None,
    events: int | None,
    seed: int,
    batch: int,
    rate: float | None,
    sink: str,
    json: bool,
) -> int:
    """Do what the command line says; None takes the default.

    Raises:
        StreamError: as `bench` and `bench_live`.
    """
    kind, outlet = Kind(workload or Kind.LIFECYCLE), Outlet(sink)
    if live is None:
        usual = Options(kind=kind, seed=seed, batch=batch, outlet=outlet, json=json)
        chosen = {"events": events or usual.events, "rate": rate or usual.rate}
        return bench(files, structs.replace(usual, **chosen))
    plan = Plan(kind=kind, seed=seed, batch=batch, outlet=outlet)
    chosen = {"most_events": events or plan.most_events, "first": rate or plan.first}
    return bench_live(live, structs.replace(plan, **chosen), json=json)


def bench(files: Sequence[str], options: Options) -> int:
    """Measure captures, or made-up traffic, in this process; returns the exit code.

    Raises:
        RefusedError: a file cannot be read or is no capture.
    """
    console = Console(stderr=True, highlight=False)
    with ExitStack() as stack:
        sent_to = stack.enter_context(receiver()) if options.outlet is Outlet.OTLP else None
        advance = stack.enter_context(progress(console, None if files else options.events))
        stack.enter_context(seldom_collected())  # as the service is
        found = Measurement(
            _source(files, options),
            options.outlet,
            endpoint=sent_to.endpoint if sent_to else None,
            advance=advance,
        ).run()
        received = sent_to.received() if sent_to else None
    expected = None if files else options.events
    losses = (*_unread(found, expected), *_unsent(found.ledgers, received))
    report = _report(found, losses, _what(files, options))
    if options.json:
        click.echo(_json(report))
    else:
        show(Console(highlight=False), found, what=report.what)
        click.echo(_verdict(found, losses))
    return LOST if losses else 0


def bench_live(url: str, plan: Plan, *, json: bool) -> int:
    """Find the highest rate that a service beside a broker takes; returns the exit code.

    Raises:
        RefusedError: it is no Redis, or does not answer.
        StreamError: the service ended, or nothing arrives.
    """
    console = Console(stderr=json, highlight=False)
    console.print(
        f"Publishing at most {plan.most_events:,} made-up events (tasks bench.*, workers "
        f"celery@bench-*) to {redact(url)}: whoever listens there hears them.",
        soft_wrap=True,
    )
    found = live(url, plan, told=lambda tried: show_try(console, tried))
    if json:
        click.echo(_json(LiveReport(machine(), redact(url), found)))
    else:
        show_live(console, found)
    return 0


def machine() -> Machine:
    """Describe this machine."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cores=os.cpu_count() or 1,
    )


def _source(files: Sequence[str], options: Options) -> Capture | Synthetic:
    if files:
        return Capture(files, tell=lambda _: None)
    traffic = Traffic(kind=options.kind, seed=options.seed, rate=options.rate)
    return Synthetic(traffic, options.events, batch=options.batch)


def _what(files: Sequence[str], options: Options) -> str:
    if files:
        return ", ".join(files)
    return (
        f"{options.kind}, seed {options.seed}, {options.batch} events a message, "
        f"{options.rate:,.0f} events/s of stream time"
    )


def _report(found: Found, losses: tuple[str, ...], what: str) -> Report:
    return Report(
        machine(), what, found, found.events_per_cpu_second, found.events_per_second, losses
    )


def _unread(found: Found, expected: int | None) -> list[str]:
    """What of the events was not fed; those of captures are counted by who reads them."""
    if expected is None or found.events + found.rejected == expected:
        return []
    return [f"of {expected:,} events {found.events:,} were fed, {found.rejected:,} not readable"]


def _unsent(ledgers: dict[Signal, Ledger], received: Received | None) -> list[str]:
    """Which items are not where they should be, by our books and by the receiver's."""
    losses = [
        f"of {ledger.accepted:,} {signal} {ledger.sent:,} were sent"
        for signal, ledger in ledgers.items()
        if ledger.sent != ledger.accepted or not ledger.balanced
    ]
    if received is not None:
        theirs = {Signal.TRACES: received.spans, Signal.LOGS: received.log_records}
        losses += [
            f"of {ledgers[signal].sent:,} {signal} sent {count:,} were received"
            for signal, count in theirs.items()
            if ledgers[signal].sent != count
        ]
    return losses


def _verdict(found: Found, losses: Sequence[str]) -> str:
    if losses:
        return f"LOST: {'; '.join(losses)}."
    sent = "".join(f", {book.sent:,} {signal}" for signal, book in found.ledgers.items())
    return f"Nothing was lost: {found.events:,} events{sent}."


def _json(report: Report | LiveReport) -> str:
    return msgspec.json.format(msgspec.json.encode(report)).decode()
