"""``celery-stream demo``: start everything in order, show it, end everything in reverse order."""

import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
from anyio.abc import Process
from msgspec import Struct
from rich.console import Console
from rich.live import Live

from ..app import first_problem, serve
from ..config import Settings
from ..configure import inherited_environment, load
from ..errors import StreamError
from .processes import embedded_broker, python
from .screen import draw, line
from .shop import QUEUES
from .summary import Running, Summary, summarise

# Seconds. The demo's reports sleep for 14: most of that they are stuck.
_STUCK_RUNNING: Final = 6.0
_POLL_INTERVAL: Final = 1.0
_TABLE_EVERY: Final = 1.0
_LINE_EVERY: Final = 3.0
_WORKER_GRACE: Final = 3.0
_SERVICE_GRACE: Final = 3.0
# Three for the shop while the fourth sleeps over a report.
_CONCURRENCY: Final = 4
_LOG_TAIL_CHARACTERS: Final = 500
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Options(Struct, frozen=True):
    """What the command was told."""

    listen: str | None = None
    """None: as for the service."""
    duration: float | None = None
    """Seconds until it stops by itself; None: when it is told to."""
    rate: float = 2.0
    """Orders a second."""
    plain: bool = False
    """Lines, even where stdout is a terminal."""


def run_demo(options: Options) -> int:
    """Run the demo until a signal or the end of its duration, and return the exit code.

    Raises:
        StreamError: something did not start, or ended by itself.
    """
    with TemporaryDirectory(prefix="celery-stream-demo-") as directory:
        demo = _Demo(options, Path(directory))
        try:
            anyio.run(demo.run)
        except* StreamError as group:
            demo.problems.append(first_problem(group))
    if demo.problems:
        raise demo.problems[0]
    return 0


class _Demo:
    def __init__(self, options: Options, directory: Path) -> None:
        self.options = options
        self.problems: list[StreamError] = []
        self._directory = directory
        self._console = Console()
        self._running: Running | None = None
        # Made in `run`, where there is an event loop.
        self._started: anyio.Event
        self._stop: anyio.Event

    async def run(self) -> None:
        self._started, self._stop = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_on_signal, group.cancel_scope, name="demo signals")
            async with embedded_broker(self._directory) as url:
                await self._serve_and_show(url)
            group.cancel_scope.cancel()

    async def _stop_on_signal(self, scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(*_STOP_SIGNALS) as signals:
            async for _ in signals:
                if self._stop.is_set():  # asked twice: without waiting for the worker
                    scope.cancel()
                self._stop.set()

    async def _serve_and_show(self, url: str) -> None:
        settings = _settings(url, self.options)
        end_service = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(self._serve, settings, end_service, name="demo service")
            await self._started.wait()
            if self._running is not None:
                self._announce(settings, self._running.url)
                await self._show_shop(url, self._running)
            end_service.set()

    async def _serve(self, settings: Settings, end: anyio.Event) -> None:
        try:
            await serve(settings, stop=end, ready=self._on_ready)
        finally:
            self._stop.set()
            self._started.set()

    def _on_ready(self, running: Running) -> None:
        self._running = running
        self._started.set()

    async def _show_shop(self, url: str, running: Running) -> None:
        """Run worker and customers, show what the service sees, until told to stop."""
        env = inherited_environment(
            CELERY_BROKER_URL=url,
            CELERY_RESULT_BACKEND=f"{url.removesuffix('/0')}/1",
            TMPDIR=str(self._directory),  # a pool that is killed leaves a directory behind
        )
        worker_log, traffic_log = self._directory / "worker.log", self._directory / "traffic.log"
        worker = ("-m", "celery", "-A", f"{__package__}.shop", "worker", "-E", "--without-mingle")
        options = ("-n", "shop@demo", "-c", str(_CONCURRENCY), "-Q", ",".join(QUEUES))
        traffic = ("-m", f"{__package__}.traffic", str(self.options.rate))
        async with (
            python(*worker, *options, env=env, log=worker_log, grace=_WORKER_GRACE) as shop,
            python(*traffic, env=env, log=traffic_log, grace=1.0) as customers,
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._watch, shop, "worker", worker_log)
            group.start_soon(self._watch, customers, "traffic", traffic_log)
            with anyio.move_on_after(self.options.duration):
                await self._show(running)
            group.cancel_scope.cancel()
        self._console.print("Stopped.")

    async def _watch(self, process: Process, name: str, log: Path) -> None:
        code = await process.wait()
        tail = (await anyio.Path(log).read_text(errors="replace"))[-_LOG_TAIL_CHARACTERS:].strip()
        self.problems.append(
            StreamError(f"The demo's {name} ended with code {code}; its last words:\n{tail}")
        )
        self._stop.set()

    async def _show(self, running: Running) -> None:
        if self._console.is_terminal and not self.options.plain:
            await self._show_table(running)
        else:
            await self._show_lines(running)

    async def _show_table(self, running: Running) -> None:
        speed = _Speed()
        with Live(console=self._console, auto_refresh=False) as live:
            while not self._stop.is_set():
                summary = summarise(running)
                live.update(draw(summary, events_per_second=speed.at(summary)), refresh=True)
                await self._pause(_TABLE_EVERY)

    async def _show_lines(self, running: Running) -> None:
        speed = _Speed()
        while not self._stop.is_set():
            await self._pause(_LINE_EVERY)
            summary = summarise(running)
            self._console.print(line(summary, speed.at(summary)), soft_wrap=True)

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._stop.wait()

    def _announce(self, settings: Settings, url: str) -> None:
        say = self._console.print
        say("A shop on Celery, and celery-stream watching it. Ctrl-C ends both.")
        if settings.page.enabled:
            say(f"\n  Open [bold underline]{url}/[/] to look at it.\n")
        say(f"  {url}/metrics\n  {url}/health")
        if _sends(settings):
            say("Traces, metrics and logs go to the OTLP endpoint of your environment.")
        else:
            say("No OTLP endpoint: counting and showing only (set OTEL_EXPORTER_OTLP_ENDPOINT).")


class _Speed:
    """Events a second between two looks."""

    def __init__(self) -> None:
        self._events = 0
        self._at = anyio.current_time()

    def at(self, summary: Summary) -> float:
        now = anyio.current_time()
        events, lasted = summary.events - self._events, now - self._at
        self._events, self._at = summary.events, now
        return events / lasted if lasted > 0 else 0.0


def _settings(url: str, options: Options) -> Settings:
    return load(
        flags={
            "broker": url,
            "listen": options.listen,
            "poll_interval": _POLL_INTERVAL,
            "stuck_running": _STUCK_RUNNING,
            "grace": _SERVICE_GRACE,
            # Neither the records nor the service's own log may tear the table.
            "records": False,
            "log_level": "error",
        }
    )


def _sends(settings: Settings) -> bool:
    otlp = settings.otlp
    endpoints = (
        otlp.endpoint,
        otlp.traces_endpoint,
        otlp.metrics_endpoint,
        otlp.logs_endpoint,
    )
    return not otlp.disabled and any(endpoints)
