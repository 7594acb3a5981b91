"""The composition root: settings to a running service. The only module that names every class.

Sinks start first and sources last; stopping goes the other way: intake is cancelled, what has
arrived is processed, what was made of it is sent, and what was left is told.
"""

import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from socket import socket

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct, to_builtins
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from structlog.typing import FilteringBoundLogger

from . import __version__
from .channel import Channel, Overflow
from .config import Settings
from .core.engine import Engine, Limits
from .core.view import View
from .errors import ConfigError, RefusedError, StreamError
from .export.telemetry import Telemetry
from .log import OccurrenceLog, logger
from .occurrences import Occurrence, Signal, SourceLost, SourceOpened, Tell
from .pipeline import Pipeline
from .server.health import Health, SourceStatus, Status, health
from .server.health import Limits as HealthLimits
from .server.http import application, listen
from .server.http import serve as serve_http
from .sinks.aggregate import Aggregate, Family
from .sinks.gauges import gauges
from .sinks.logs import LogSink
from .sinks.metrics import MetricsSink
from .sinks.otel_metrics import metrics_data
from .sinks.spans import SpanSink
from .sinks.stdout import JsonLines
from .sinks.telemetry import SelfTelemetry, ledgers
from .sources.address import parse
from .sources.base import Source
from .sources.queues import RedisQueues
from .sources.redis import RedisEvents
from .sources.ticker import Ticker
from .supervise import Backoff, keep_open

_BROKER = "redis"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DRAIN_SHARE = 0.5
"""Of the grace: draining reads memory and is quick, flushing waits for a receiver."""


_LEAVING = 0.5
"""Seconds of the grace that are kept for ending the process."""


class Left(Struct, frozen=True):
    """What a stop left behind."""

    frames: int
    """Messages that arrived and were not processed."""
    items: dict[Signal, int]
    """Spans, points and records that were made and not sent."""


def run(settings: Settings) -> int:
    """Watch a broker until SIGINT or SIGTERM; return the exit code.

    Raises:
        StreamError: the broker refuses us, the port is taken, or the like.
    """
    try:
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
    with anyio.open_signal_receiver(*_STOP_SIGNALS) as signals:
        async for _ in signals:
            if stop.is_set():
                everything.cancel()  # asked twice: now
            stop.set()


async def serve(
    settings: Settings,
    *,
    stop: anyio.Event,
    ready: "Callable[[Service], None] | None" = None,
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
    service = Service(settings, bound, log or logger(settings.log_level))
    return await service.run(stop, ready)


class Service:
    """The running service: what it is made of, and what can be read of it."""

    def __init__(self, settings: Settings, bound: socket, log: FilteringBoundLogger) -> None:
        """Put the parts together; opens nothing."""
        self._settings = settings
        self._bound = bound
        self._log = log
        self._started_at = time.time()
        self._aggregate = Aggregate(started_at=self._started_at)
        self._listeners: tuple[Tell, ...] = (SelfTelemetry(self._aggregate), OccurrenceLog(log))
        self._telemetry = Telemetry(settings.otlp, self._tell)
        self._lines = JsonLines(sys.stdout, tell=self._tell)
        self._engine = Engine(
            Limits(tasks=settings.max_tasks, kinds=settings.max_kinds),
            settings.graces,
            stuck=settings.stuck,
            stuck_rules=settings.stuck_rules,
        )
        self._channel = Channel(settings.channel_frames, Overflow.SHED, tell=self._tell)
        self._pipeline = Pipeline(
            self._engine, self._sinks(), channel=self._channel, tell=self._tell
        )
        self._sources = self._make_sources()
        self._status = {role: SourceStatus(role, connected=False) for role in self._sources}

    # -- what can be read ----------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where it listens, ``host:port``."""
        host, port = self._bound.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def view(self) -> View:
        """Read the gauges from the tables."""
        return self._engine.view(time.time())

    def families(self) -> tuple[Family, ...]:
        """Collect all metrics of this moment."""
        return (
            *self._aggregate.collect(),
            *gauges(self.view()),
            *ledgers(self._telemetry.statistics(), started_at=self._started_at),
        )

    def health(self) -> Health:
        """Judge whether the cluster is seen."""
        states = self._telemetry.health().values()
        failing = next((each for each in states if not each.ok), None)
        status = Status(
            tuple(self._status.values()),
            exporting=self._telemetry.active,
            export_ok=failing is None,
            export_error=None if failing is None else failing.last_error,
        )
        limits = HealthLimits(poll_age=max(30.0, 3 * self._settings.poll_interval))
        return health(self.view(), status, now=time.time(), limits=limits)

    def is_ready(self) -> bool:
        """Whether every source is connected."""
        return all(status.connected for status in self._status.values())

    # -- running -------------------------------------------------------------------------------

    async def run(self, stop: anyio.Event, ready: "Callable[[Service], None] | None") -> Left:
        """Run until *stop* is set; return what was left."""
        app = application(metrics=self.families, health=self.health, ready=self.is_ready)
        async with anyio.create_task_group() as tasks:
            end_http = anyio.Event()
            http = partial(serve_http, app, self._bound, stop=end_http)
            await tasks.start(http, name="http")
            tasks.start_soon(self._telemetry.run, self._metrics_data, name="export")
            tasks.start_soon(self._lines.run, name="records")
            processed = anyio.Event()
            tasks.start_soon(self._process, processed, name="pipeline")
            self._announce()
            if ready is not None:
                ready(self)
            await self._take_in(stop)
            left = await self._drain(processed, end_http)
            tasks.cancel_scope.cancel()
        return left

    def _announce(self) -> None:
        self._log.info("service.listening", address=self.address, version=__version__)
        if not self._telemetry.active:
            self._log.info(
                "export.off",
                hint="set OTEL_EXPORTER_OTLP_ENDPOINT to send metrics, spans and logs",
            )

    async def _take_in(self, stop: anyio.Event) -> None:
        async with anyio.create_task_group() as intake:
            for role, source in self._sources.items():
                self._open(intake, role, source)
            intake.start_soon(Ticker().run, self._channel.put, name="ticker")
            await stop.wait()
            intake.cancel_scope.cancel()

    def _open(self, intake: TaskGroup, role: str, source: Source) -> None:
        opening = partial(
            keep_open,
            source,
            self._channel.put,
            backoff=Backoff(),
            tell=partial(self._tell_of_source, role),
        )
        intake.start_soon(opening, name=role)

    async def _process(self, processed: anyio.Event) -> None:
        await self._pipeline.run()
        processed.set()

    async def _drain(self, processed: anyio.Event, end_http: anyio.Event) -> Left:
        """Process what has arrived and send what came of it, within the grace."""
        deadline = anyio.current_time() + self._settings.grace
        self._channel.close()
        with anyio.move_on_after(self._settings.grace * _DRAIN_SHARE):
            await processed.wait()
        end_http.set()  # it takes a second, and must not come on top of the grace
        with anyio.move_on_after(self._settings.grace * _DRAIN_SHARE):
            await self._lines.until_written()
        items = await self._telemetry.flush(max(0.0, deadline - anyio.current_time() - _LEAVING))
        left = Left(self._channel.statistics().waiting, items)
        self._log.info(
            "service.stopped",
            frames_left=left.frames,
            items_left={signal.value: count for signal, count in items.items()},
            ledgers={
                signal.value: to_builtins(ledger)
                for signal, ledger in self._telemetry.statistics().items()
            },
        )
        return left

    # -- parts ---------------------------------------------------------------------------------

    def _sinks(self) -> tuple[MetricsSink, SpanSink, LogSink]:
        telemetry = self._telemetry
        return (
            MetricsSink(self._aggregate, system=_BROKER),
            SpanSink(telemetry.spans, telemetry.resources, system=_BROKER),
            LogSink(
                telemetry.logs,
                telemetry.resources,
                lines=self._lines if self._settings.records else None,
            ),
        )

    def _make_sources(self) -> dict[str, Source]:
        settings = self._settings
        try:
            address = parse(settings.broker)
        except RefusedError as error:
            raise ConfigError(f"broker is wrong: {error}") from None
        queues = RedisQueues(
            address,
            _BROKER,
            known=lambda: self._engine.queue_names,
            configured=settings.queues,
            interval=settings.poll_interval,
            tell=self._tell,
        )
        return {f"{_BROKER} events": RedisEvents(address, _BROKER), f"{_BROKER} queues": queues}

    def _metrics_data(self) -> MetricsData:
        otlp = self._settings.otlp
        attributes = {"service.name": "celery-stream", **otlp.resource_attributes}
        if otlp.service_name is not None:
            attributes["service.name"] = otlp.service_name
        return metrics_data(self.families(), Resource(attributes), time.time())

    def _tell(self, occurrence: Occurrence) -> None:
        for listener in self._listeners:
            listener(occurrence)

    def _tell_of_source(self, role: str, occurrence: Occurrence) -> None:
        """Keep the status of a source, and name it by its role: a broker has two."""
        match occurrence:
            case SourceOpened(_, epoch):
                self._status[role] = SourceStatus(role, connected=True, epoch=epoch)
                occurrence = SourceOpened(role, epoch)
            case SourceLost(_, reason, retry_in):
                epoch = self._status[role].epoch
                self._status[role] = SourceStatus(
                    role, connected=False, epoch=epoch, last_error=reason
                )
                occurrence = SourceLost(role, reason, retry_in)
            case _:
                pass
        self._tell(occurrence)
