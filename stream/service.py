"""The running service: what can be read of it, and the order in which it starts and stops.

Sinks start first and sources last; stopping goes the other way: intake is cancelled, what has
arrived is processed, what was made of it is sent, and what was left is told.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from socket import socket

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct, structs, to_builtins
from opentelemetry.sdk.metrics.export import MetricsData
from structlog.typing import FilteringBoundLogger

from . import __version__
from .backoff import Backoff
from .channel import Channel
from .config import AccessSettings
from .core.engine import Engine
from .core.view import View
from .export.telemetry import Telemetry
from .occurrences import LoopDelayed, Occurrence, Signal, SourceLost, SourceOpened, Tell
from .page.feed import Feed
from .page.live import LivePage
from .page.routes import routes
from .page.telling import Telling
from .page.watched import Watched
from .pipeline import Pipeline
from .server.access import Access, is_loopback, is_open
from .server.compat import Asked
from .server.health import (
    ExportStatus,
    Health,
    Limits,
    SourceStatus,
    Status,
    health,
    is_stale,
    of_all,
)
from .server.http import application
from .server.http import serve as serve_http
from .sinks.aggregate import Family
from .sinks.history import History
from .sinks.recorder import Recorder
from .sinks.stdout import JsonLines
from .sources.base import Source
from .sources.ticker import Ticker
from .supervise import keep_open

_DRAIN_SHARE = 0.5
"""Of the grace: draining reads memory and is quick, flushing waits for a receiver."""
_LOOK = 0.05
"""Seconds between two looks at the event loop."""
_ASK_AGAIN = 60.0
"""Seconds until one of several brokers that refused us is asked again: somebody mends a password
while the others are watched, and a server that locks out who fails often is left in peace."""
_LEAVING = 0.5
"""Seconds of the grace that are kept for ending the process."""


class Left(Struct, frozen=True):
    """What a stop left behind."""

    frames: int
    """Messages that arrived and were not processed."""
    items: dict[Signal, int]
    """Spans, points and records that were made and are lost; a spool keeps its own."""


class Watch(Struct, frozen=True):
    """One broker that is watched, apart from the others from its sources to its effects.

    Task ids and workers of two brokers never meet, so each has an engine; and a channel, so that
    a flood on one sheds nothing of another.
    """

    engine: Engine
    channel: Channel
    pipeline: Pipeline
    sources: Mapping[str, Source]
    """By their role, that of the events first."""
    poll_age: float
    """Seconds after which what its queues hold is not known any more."""
    tell: Tell
    history: History | None = None
    """What ended lately, for the page; None: there is no page."""


class Parts(Struct, frozen=True):
    """What the service is made of, put together by the composition root."""

    watches: Mapping[str, Watch]
    """By the broker's name."""
    named: bool
    """Whether the names are told: not where there is one broker that nobody named."""
    telemetry: Telemetry
    lines: JsonLines
    recorder: Recorder | None
    """Records what the pipeline is given; None: nothing is recorded."""
    families: Callable[[], Sequence[Family]]
    """Collects all metrics of this moment."""
    compat: Callable[[Asked], Iterable[Family]]
    """Copies what those under the names of others are made of; they are made when they are read,
    on any thread."""
    usual: Asked
    """Whose names a scrape gets that does not say; none: ours."""
    metrics: Callable[[], MetricsData]
    """All metrics of this moment, for export."""
    tell: Tell
    log: FilteringBoundLogger
    access: AccessSettings
    telling: Telling
    """What the page may tell of a task."""


class Service:
    """Runs the parts.

    Args:
        parts: what it is made of.
        bound: the socket that it answers on.
        grace: seconds for draining and flushing.
    """

    def __init__(self, parts: Parts, bound: socket, *, grace: float) -> None:
        self._parts = parts
        self._bound = bound
        self._grace = grace
        self._status = {
            name: {role: SourceStatus(role, connected=False) for role in watch.sources}
            for name, watch in parts.watches.items()
        }

    # -- what can be read ----------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where it listens, ``host:port``."""
        host, port = self._bound.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def url(self) -> str:
        """Where a browser of this machine finds it, without a slash at the end."""
        host, port = self._bound.getsockname()[:2]
        scheme = "http" if self._parts.access.certificate is None else "https"
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def views(self) -> dict[str, View]:
        """Read the gauges from the tables of each broker, by its name."""
        now = time.time()
        return {name: watch.engine.view(now) for name, watch in self._parts.watches.items()}

    def view(self) -> View:
        """Read those of the first broker."""
        return next(iter(self.views().values()))

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
        found = {name: self._health_of(name, tuple(exports)) for name in self._parts.watches}
        return of_all(found, tuple(exports)) if self._parts.named else next(iter(found.values()))

    def _health_of(self, name: str, exports: tuple[ExportStatus, ...]) -> Health:
        watch, now = self._parts.watches[name], time.time()
        status = Status(tuple(self._status[name].values()), exports)
        limits = Limits(poll_age=watch.poll_age)
        return health(watch.engine.view(now), status, now=now, limits=limits)

    def is_ready(self) -> bool:
        """Whether every source of a broker is connected, and what its workers send arrives.

        Of several brokers one is enough: who takes us out of service loses sight of all of them.
        """
        now = time.time()
        return any(
            all(status.connected for status in self._status[name].values())
            and not is_stale(view, now=now)
            for name, view in self.views().items()
        )

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
        feed = self._feed()
        async with anyio.create_task_group() as tasks:
            end_http = anyio.Event()
            if feed is not None:
                tasks.start_soon(feed.run, end_http, name="page")
            http = partial(
                serve_http, self._application(feed), self._bound, stop=end_http, tls=parts.access
            )
            await tasks.start(http, name="http")
            tasks.start_soon(parts.telemetry.run, parts.metrics, name="export")
            tasks.start_soon(parts.lines.run, name="records")
            if parts.recorder is not None:
                tasks.start_soon(parts.recorder.run, name="capture")
            tasks.start_soon(self._watch_loop, name="loop")
            processed = anyio.Event()
            tasks.start_soon(self._process, processed, name="pipelines")
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

    def _feed(self) -> Feed | None:
        """What the page shows; None where there is none."""
        watched = {
            name: Watched(watch.engine, watch.history)
            for name, watch in self._parts.watches.items()
            if watch.history is not None
        }
        if not watched:
            return None
        page = LivePage(watched, health=self.health, telling=self._parts.telling, clock=time.time)
        return Feed(page)

    def _application(self, feed: Feed | None) -> Access:
        app = application(
            metrics=self.families,
            health=self.health,
            ready=self.is_ready,
            compat=self._parts.compat,
            usual=self._parts.usual,
            pages=() if feed is None else routes(feed),
        )
        loopback = is_loopback(self._bound.getsockname()[0])
        return Access(app, self._parts.access, loopback=loopback)

    def _announce(self) -> None:
        log = self._parts.log
        if is_open(self._parts.access) and not is_loopback(self._bound.getsockname()[0]):
            log.warning(
                "access.open",
                address=self.address,
                hint="anybody who can connect can read this; set access.basic or access.token",
            )
        log.info("service.listening", address=self.address, version=__version__)
        if not self._parts.telemetry.active:
            log.info(
                "export.off",
                hint="set OTEL_EXPORTER_OTLP_ENDPOINT to send metrics, spans and logs",
            )

    async def _take_in(self, stop: anyio.Event) -> None:
        async with anyio.create_task_group() as intake:
            several = len(self._parts.watches) > 1
            for name, watch in self._parts.watches.items():
                for role, source in watch.sources.items():
                    self._open(intake, name, role, source)
                ticker = Ticker(
                    source=name if several else "", is_deaf=partial(self._is_deaf, name)
                )
                intake.start_soon(ticker.run, watch.channel.put, name=f"{name} ticker")
            await stop.wait()
            intake.cancel_scope.cancel()

    def _is_deaf(self, name: str) -> bool:
        """Whether no event of a broker could be heard now."""
        events = next(iter(self._status[name].values()))
        return not events.connected

    def _open(self, intake: TaskGroup, name: str, role: str, source: Source) -> None:
        opening = partial(
            keep_open,
            source,
            self._parts.watches[name].channel.put,
            backoff=Backoff(),
            tell=partial(self._tell_of_source, name, role),
            # A broker that refuses us is no reason to lose sight of the others.
            ask_again=_ASK_AGAIN if len(self._parts.watches) > 1 else None,
        )
        intake.start_soon(opening, name=role)

    async def _watch_loop(self) -> None:
        """Measure how late the event loop is."""
        while True:
            due = anyio.current_time() + _LOOK
            await anyio.sleep(_LOOK)
            self._parts.tell(LoopDelayed(max(0.0, anyio.current_time() - due)))

    async def _process(self, processed: anyio.Event) -> None:
        async with anyio.create_task_group() as pipelines:
            for name, watch in self._parts.watches.items():
                pipelines.start_soon(watch.pipeline.run, name=f"{name} pipeline")
        processed.set()

    async def _drain(self, processed: anyio.Event, end_http: anyio.Event) -> Left:
        """Process what has arrived and send what came of it, within the grace."""
        parts = self._parts
        deadline = anyio.current_time() + self._grace
        for watch in parts.watches.values():
            watch.channel.close()
        with anyio.move_on_after(self._grace * _DRAIN_SHARE):
            await processed.wait()
        end_http.set()  # it takes a second, and must not come on top of the grace
        with anyio.move_on_after(self._grace * _DRAIN_SHARE / 2):
            if parts.recorder is not None:
                await parts.recorder.close()
        with anyio.move_on_after(self._grace * _DRAIN_SHARE / 2):
            await parts.lines.until_written()  # last: nobody may be reading
        items = await parts.telemetry.flush(max(0.0, deadline - anyio.current_time() - _LEAVING))
        left = Left(
            sum(watch.channel.statistics().waiting for watch in parts.watches.values()), items
        )
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

    def _tell_of_source(self, name: str, role: str, occurrence: Occurrence) -> None:
        """Keep the status of a source, and name it by its role."""
        status = self._status[name]
        match occurrence:
            case SourceOpened(_, epoch):
                status[role] = SourceStatus(role, connected=True, epoch=epoch)
                occurrence = SourceOpened(role, epoch)
            case SourceLost(_, reason):
                epoch = status[role].epoch
                status[role] = SourceStatus(role, connected=False, epoch=epoch, last_error=reason)
                occurrence = structs.replace(occurrence, source=role)
            case _:
                pass
        self._parts.watches[name].tell(occurrence)
