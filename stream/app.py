"""The composition root: settings to a running service. With `brokers`, it names every class."""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from socket import socket
from uuid import uuid4

import anyio
from msgspec import Struct
from opentelemetry.sdk.metrics.export import MetricsData
from structlog.typing import FilteringBoundLogger

from . import __version__
from .assembly import (
    aggregate_of,
    decoder_of,
    engine_of,
    log_sink,
    metrics_resource,
    metrics_sink,
    span_sink,
)
from .brokers import Broker, Named, broker_of, named
from .channel import Channel, Overflow
from .config import Settings
from .core.engine import Engine
from .errors import StreamError
from .export.telemetry import Telemetry
from .garbage import seldom_collected
from .log import OccurrenceLog, logger
from .occurrences import Occurrence, Tell
from .page.telling import Telling
from .pipeline import Pipeline
from .server.access import tls
from .server.compat import Asked
from .server.http import listen
from .service import Left, Parts, Service, Watch
from .sinks import instruments as table
from .sinks.aggregate import Aggregate, Family
from .sinks.base import Sink
from .sinks.by_broker import merged
from .sinks.capture_set import CaptureSet, Rotation
from .sinks.compat import CompatSink
from .sinks.compat_families import families_of, lazily
from .sinks.compat_table import Compat
from .sinks.gauges import gauges
from .sinks.history import History
from .sinks.logs import log_bytes
from .sinks.otel_metrics import metrics_data
from .sinks.recorder import Recorder
from .sinks.redaction import redaction_of
from .sinks.sampling import Sampler
from .sinks.spans import SpanSink, draft_bytes, together
from .sinks.stdout import JsonLines
from .sinks.telemetry import (
    IntakeTelemetry,
    SelfTelemetry,
    circuits,
    ledgers,
    sampling,
    spools,
)
from .wire.arguments import Arguments, Editor
from .wire.capture_lines import FORMAT, Header
from .wire.codec import Decoder, in_full

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_AGE = 30.0
"""Seconds: so old may be what is known of the queues, or three polls if that is longer."""


def run(settings: Settings) -> int:
    """Watch the brokers until SIGINT, SIGTERM or SIGHUP; return the exit code.

    Raises:
        StreamError: the broker refuses us, the port is taken, or the like.
    """
    try:
        with seldom_collected():
            anyio.run(_run_until_signal, settings)
    except* StreamError as group:
        raise first_problem(group) from None
    return 0


def first_problem(group: BaseExceptionGroup[StreamError]) -> StreamError:
    """Return one of the problems in a group: where several failed at once, one says enough."""
    problem: BaseException = group
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem if isinstance(problem, StreamError) else StreamError(str(problem))


async def _run_until_signal(settings: Settings) -> None:
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, stop, tasks.cancel_scope, name="signals")
        await serve(settings, stop=stop)
        tasks.cancel_scope.cancel()


async def _stop_on_signal(stop: anyio.Event, everything: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(*_stop_signals()) as signals:
        async for _ in signals:
            if stop.is_set():
                everything.cancel()  # asked twice: now
            stop.set()


def _stop_signals() -> tuple[signal.Signals, ...]:
    """Return those that ask for an end; a terminal that closes does not where ``nohup`` says so."""
    hang_up: signal.Signals | None = getattr(signal, "SIGHUP", None)  # not on every platform
    if hang_up is None or signal.getsignal(hang_up) is signal.SIG_IGN:
        return _STOP_SIGNALS
    return (*_STOP_SIGNALS, hang_up)


async def serve(
    settings: Settings,
    *,
    stop: anyio.Event,
    ready: Callable[[Service], None] | None = None,
    log: FilteringBoundLogger | None = None,
) -> Left:
    """Run the service until *stop* is set, then drain and flush within the grace.

    Args:
        settings: all of them.
        stop: ends the service.
        ready: called once it listens, with what can be read of it.
        log: the service's own log; None: to stderr, at the level of the settings.

    Raises:
        StreamError: in an exception group if it comes from a running part.
    """
    bound = listen(settings.listen)
    service = compose(settings, bound, log or logger(settings.log_level))
    return await service.run(stop, ready)


class _Watched(Struct, frozen=True):
    """One broker, and what is counted of it."""

    broker: Named
    reader: Broker
    engine: Engine
    aggregate: Aggregate
    compat: CompatSink
    tell: Tell


class _Shared(Struct, frozen=True):
    """What all brokers have in common."""

    settings: Settings
    telemetry: Telemetry
    lines: JsonLines
    recorder: Recorder | None
    sampler: Sampler


def compose(settings: Settings, bound: socket, log: FilteringBoundLogger) -> Service:
    """Put the parts together; opens nothing.

    Raises:
        ConfigError: a setting has a value that cannot work.
    """
    tls(settings.access)  # to refuse now what would fail once all is running
    started_at = time.time()
    aggregate = aggregate_of(settings, started_at=started_at)
    tell = _all((SelfTelemetry(aggregate), OccurrenceLog(log)))
    telemetry = Telemetry(
        settings.otlp, tell, spool=settings.spool, span_bytes=draft_bytes, log_bytes=log_bytes
    )
    lines = JsonLines(sys.stdout, tell=tell)
    brokers = named(settings)
    watched = {each.name: _watched(each, settings, aggregate, log) for each in brokers}
    recorder = _recorder(settings, watched, tell)
    shared = _Shared(settings, telemetry, lines, recorder, Sampler(settings.spans))
    spans = {name: _spans(each, shared) for name, each in watched.items()}
    labelled = any(each.labelled for each in brokers)

    def families() -> Sequence[Family]:
        found = {name: _families(each) for name, each in watched.items()}
        common = (
            *(aggregate.collect() if labelled else chain.from_iterable(found.values())),
            *ledgers(telemetry.statistics(), started_at=started_at),
            *spools(telemetry.spools(), started_at=started_at),
            *circuits(telemetry.health()),
            *sampling(
                together([sink.statistics() for sink in spans.values()]), started_at=started_at
            ),
        )
        return merged(common, found if labelled else {})

    def compatible(wanted: Asked) -> Iterable[Family]:
        found = {name: _compatible(each, wanted) for name, each in watched.items()}
        return lazily(found, labelled=labelled)

    resource = metrics_resource(settings)

    def metrics() -> MetricsData:
        return metrics_data(families(), resource, time.time())

    parts = Parts(
        watches={name: _watch(each, spans[name], shared) for name, each in watched.items()},
        named=labelled,
        telemetry=telemetry,
        lines=lines,
        recorder=recorder,
        families=families,
        compat=compatible,
        usual=frozenset(map(Compat, settings.compat)),
        metrics=metrics,
        tell=tell,
        log=log,
        access=settings.access,
        telling=_telling(settings),
    )
    return Service(parts, bound, grace=settings.grace)


def _watched(
    broker: Named, settings: Settings, aggregate: Aggregate, log: FilteringBoundLogger
) -> _Watched:
    """Make what knows a broker; its counts go into *aggregate* where they need no name."""
    if broker.labelled:
        aggregate = aggregate_of(settings, started_at=aggregate.started_at)
        log = log.bind(broker=broker.name)
    tell = _all((IntakeTelemetry(aggregate), OccurrenceLog(log)))
    engine = engine_of(settings)
    reader = broker_of(
        broker, known=lambda: engine.queue_names, listening=engine.workers_listening, tell=tell
    )
    compat = CompatSink(
        counting=bool(settings.compat),
        overflowed=partial(aggregate.counter(table.COMPAT_OVERFLOW).add, 1),
    )
    return _Watched(broker, reader, engine, aggregate, compat, tell)


def _families(watched: _Watched) -> tuple[Family, ...]:
    """Collect what is counted of a broker, and what its tables hold."""
    return (*watched.aggregate.collect(), *gauges(watched.engine.view(time.time())))


def _compatible(watched: _Watched, wanted: Asked) -> Callable[[], Iterable[Family]]:
    """Copy what the pages of others are made of; return what makes them, on any thread."""
    view = watched.engine.view(time.time())
    counted = watched.compat.read(view)
    prefetched = watched.engine.prefetched() if Compat.FLOWER in wanted else {}
    return partial(
        families_of, wanted, counted, view, prefetched, started_at=watched.aggregate.started_at
    )


def _spans(watched: _Watched, shared: _Shared) -> SpanSink:
    return span_sink(
        shared.settings,
        shared.telemetry,
        system=watched.reader.system,
        sampler=shared.sampler,
        broker=_label(watched.broker),
    )


def _watch(watched: _Watched, spans: SpanSink, shared: _Shared) -> Watch:
    """Put together what makes effects of a broker's frames and tells them."""
    settings, telemetry, recorder = shared.settings, shared.telemetry, shared.recorder
    channel = Channel(settings.channel_frames, Overflow.SHED, tell=watched.tell)
    history = _history(settings)
    sinks: tuple[Sink, ...] = (
        metrics_sink(
            settings,
            watched.aggregate,
            system=watched.reader.system,
            traced=telemetry.spans is not None,
        ),
        spans,
        log_sink(
            settings,
            telemetry,
            lines=shared.lines if settings.records else None,
            broker=_label(watched.broker),
        ),
        watched.compat,
        *(() if history is None else (history,)),
    )
    return Watch(
        engine=watched.engine,
        channel=channel,
        pipeline=Pipeline(
            watched.engine,
            sinks,
            channel=channel,
            tell=watched.tell,
            decoder=_decoder(settings),
            tap=None if recorder is None else recorder.take,
        ),
        sources=watched.reader.sources,
        poll_age=max(_POLL_AGE, 3 * watched.broker.settings.poll_interval),
        tell=watched.tell,
        history=history,
    )


def _history(settings: Settings) -> History | None:
    """What the page shows of what ended; None where there is no page."""
    if not settings.page.enabled:
        return None
    return History(settings.page.history, redaction_of(settings.log_records.redact))


def _telling(settings: Settings) -> Telling:
    records, page = settings.log_records, settings.page
    return Telling(
        redaction_of(records.redact),
        arguments=page.arguments or records.arguments,
        results=page.arguments or records.results,
        argument_characters=records.argument_characters,
        trace_url=page.trace_url,
    )


def _label(broker: Named) -> str | None:
    return broker.name if broker.labelled else None


def _decoder(settings: Settings) -> Decoder:
    """Arguments and results are decoded only where they are told."""
    page = settings.page
    told = page.enabled and page.arguments
    return in_full if told else decoder_of(settings.log_records)


def _recorder(settings: Settings, watched: Mapping[str, _Watched], tell: Tell) -> Recorder | None:
    capture = settings.capture
    if capture.dir is None:
        return None
    mode = Arguments(capture.arguments)
    header = Header(
        FORMAT,
        __version__,
        tuple(each.reader.url for each in watched.values()),
        uuid4().hex,
        brokers=tuple(name for name, each in watched.items() if each.broker.labelled),
        arguments=mode,
    )
    rotation = Rotation(capture.max_bytes, capture.max_age, capture.keep)
    return Recorder(
        CaptureSet(Path(capture.dir), header, rotation),
        editor=Editor(mode, redaction_of(settings.log_records.redact)),
        tell=tell,
        max_frames=capture.buffer_frames,
        max_bytes=capture.buffer_bytes,
    )


def _all(listeners: Sequence[Tell]) -> Tell:
    def tell(occurrence: Occurrence) -> None:
        for listener in listeners:
            listener(occurrence)

    return tell
