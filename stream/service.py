"""The running service: what can be read of it, and the order in which it starts and stops.

Sinks start first and sources last; stopping goes the other way: intake is cancelled, what has
arrived is processed, what was made of it is sent, and what was left is told.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from socket import socket

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct, to_builtins
from opentelemetry.sdk.metrics.export import MetricsData
from structlog.typing import FilteringBoundLogger

from . import __version__
from .backoff import Backoff
from .channel import Channel
from .core.engine import Engine
from .core.view import View
from .export.telemetry import Telemetry
from .occurrences import LoopDelayed, Occurrence, Signal, SourceLost, SourceOpened, Tell
from .pipeline import Pipeline
from .server.health import ExportStatus, Health, Limits, SourceStatus, Status, health, is_stale
from .server.http import application
from .server.http import serve as serve_http
from .sinks.aggregate import Family
from .sinks.recorder import Recorder
from .sinks.stdout import JsonLines
from .sources.base import Source
from .sources.ticker import Ticker
from .supervise import keep_open

_DRAIN_SHARE = 0.5
"""Of the grace: draining reads memory and is quick, flushing waits for a receiver."""
_LOOK = 0.05
"""Seconds between two looks at the event loop."""
_LEAVING = 0.5
"""Seconds of the grace that are kept for ending the process."""


class Left(Struct, frozen=True):
    """What a stop left behind."""

    frames: int
    """Messages that arrived and were not processed."""
    items: dict[Signal, int]
    """Spans, points and records that were made and are lost; a spool keeps its own."""


class Parts(Struct, frozen=True):
    """What the service is made of, put together by the composition root."""

    engine: Engine
    channel: Channel
    pipeline: Pipeline
    sources: Mapping[str, Source]
    """By their role: a broker has two."""
    telemetry: Telemetry
    lines: JsonLines
    recorder: Recorder | None
    """Records what the pipeline is given; None: nothing is recorded."""
    families: Callable[[], Sequence[Family]]
    """Collects all metrics of this moment."""
    metrics: Callable[[], MetricsData]
    """The same, for export."""
    tell: Tell
    log: FilteringBoundLogger


class Service:
    """Runs the parts.

    Args:
        parts: what it is made of.
        bound: the socket that it answers on.
        grace: seconds for draining and flushing.
        poll_age: seconds after which what the queues hold is not known any more.
    """

    def __init__(self, parts: Parts, bound: socket, *, grace: float, poll_age: float) -> None:
        self._parts = parts
        self._bound = bound
        self._grace = grace
        self._limits = Limits(poll_age=poll_age)
        self._status = {role: SourceStatus(role, connected=False) for role in parts.sources}

    # -- what can be read ----------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where it listens, ``host:port``."""
        host, port = self._bound.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def view(self) -> View:
        """Read the gauges from the tables."""
        return self._parts.engine.view(time.time())

    def families(self) -> Sequence[Family]:
        """Collect all metrics of this moment."""
        return self._parts.families()

    def health(self) -> Health:
        """Judge whether the cluster is seen."""
        telemetry = self._parts.telemetry
        ledgers = telemetry.statistics()
        exports = [
            ExportStatus(
                name=signal,
                ok=each.ok,
                circuit=each.circuit,
                retry_in=each.retry_in,
                last_error=each.last_error,
                waiting=ledgers[signal].waiting,
                spooled=ledgers[signal].spooled,
            )
            for signal, each in telemetry.health().items()
        ]
        status = Status(tuple(self._status.values()), tuple(exports))
        return health(self.view(), status, now=time.time(), limits=self._limits)

    def is_ready(self) -> bool:
        """Whether every source is connected, and what workers send arrives."""
        connected = all(status.connected for status in self._status.values())
        return connected and not is_stale(self.view(), now=time.time())

    # -- running -------------------------------------------------------------------------------

    async def run(self, stop: anyio.Event, ready: "Callable[[Service], None] | None") -> Left:
        """Run until *stop* is set; return what was left.

        Raises:
            ConfigError: the spool, or where to record, cannot be used.
        """
        parts = self._parts
        await parts.telemetry.open()
        if parts.recorder is not None:
            await parts.recorder.open()
        app = application(metrics=self.families, health=self.health, ready=self.is_ready)
        async with anyio.create_task_group() as tasks:
            end_http = anyio.Event()
            http = partial(serve_http, app, self._bound, stop=end_http)
            await tasks.start(http, name="http")
            tasks.start_soon(parts.telemetry.run, parts.metrics, name="export")
            tasks.start_soon(parts.lines.run, name="records")
            if parts.recorder is not None:
                tasks.start_soon(parts.recorder.run, name="capture")
            tasks.start_soon(self._watch_loop, name="loop")
            processed = anyio.Event()
            tasks.start_soon(self._process, processed, name="pipeline")
            self._announce()
            if ready is not None:
                ready(self)
            try:
                await self._take_in(stop)
            except ExceptionGroup:  # the broker refuses us: what came of it is sent, or kept
                await self._drain(processed, end_http)
                raise
            left = await self._drain(processed, end_http)
            tasks.cancel_scope.cancel()
        return left

    def _announce(self) -> None:
        log = self._parts.log
        log.info("service.listening", address=self.address, version=__version__)
        if not self._parts.telemetry.active:
            log.info(
                "export.off",
                hint="set OTEL_EXPORTER_OTLP_ENDPOINT to send metrics, spans and logs",
            )

    async def _take_in(self, stop: anyio.Event) -> None:
        async with anyio.create_task_group() as intake:
            for role, source in self._parts.sources.items():
                self._open(intake, role, source)
            intake.start_soon(Ticker().run, self._parts.channel.put, name="ticker")
            await stop.wait()
            intake.cancel_scope.cancel()

    def _open(self, intake: TaskGroup, role: str, source: Source) -> None:
        opening = partial(
            keep_open,
            source,
            self._parts.channel.put,
            backoff=Backoff(),
            tell=partial(self._tell_of_source, role),
        )
        intake.start_soon(opening, name=role)

    async def _watch_loop(self) -> None:
        """Measure how late the event loop is."""
        while True:
            due = anyio.current_time() + _LOOK
            await anyio.sleep(_LOOK)
            self._parts.tell(LoopDelayed(max(0.0, anyio.current_time() - due)))

    async def _process(self, processed: anyio.Event) -> None:
        await self._parts.pipeline.run()
        processed.set()

    async def _drain(self, processed: anyio.Event, end_http: anyio.Event) -> Left:
        """Process what has arrived and send what came of it, within the grace."""
        parts = self._parts
        deadline = anyio.current_time() + self._grace
        parts.channel.close()
        with anyio.move_on_after(self._grace * _DRAIN_SHARE):
            await processed.wait()
        end_http.set()  # it takes a second, and must not come on top of the grace
        with anyio.move_on_after(self._grace * _DRAIN_SHARE / 2):
            if parts.recorder is not None:
                await parts.recorder.close()
        with anyio.move_on_after(self._grace * _DRAIN_SHARE / 2):
            await parts.lines.until_written()  # last: nobody may be reading
        items = await parts.telemetry.flush(max(0.0, deadline - anyio.current_time() - _LEAVING))
        left = Left(parts.channel.statistics().waiting, items)
        parts.log.info(
            "service.stopped",
            frames_left=left.frames,
            items_left={signal.value: count for signal, count in items.items()},
            ledgers={
                signal.value: to_builtins(ledger)
                for signal, ledger in parts.telemetry.statistics().items()
            },
        )
        return left

    def _tell_of_source(self, role: str, occurrence: Occurrence) -> None:
        """Keep the status of a source, and name it by its role."""
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
        self._parts.tell(occurrence)
