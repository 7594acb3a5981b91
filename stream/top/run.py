"""Show a cluster in the terminal: that of a running service, or of a broker, watched meanwhile."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread
from msgspec import Struct
from rich.console import Console, RenderableType
from rich.live import Live

from ..app import first_problem, serve
from ..configure import load
from ..errors import LostError, StreamError
from ..log import logger
from ..service import Service
from ..sources.address import redact
from .screen import draw, problem
from .site import Seen, Site

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_FIRST_SIGHT: Final = 6.0
"""Seconds until what a broker shows is told once: two heartbeats, one look at the queues."""


class Options(Struct, frozen=True):
    """What the command was told."""

    url: str
    """Of a service, or of a broker."""
    interval: float = 1.0
    """Seconds between two looks."""
    once: bool = False
    """One look, as text, instead of a live screen."""
    token: str | None = None
    ca: str | None = None


def top(options: Options) -> int:
    """Show it until a signal comes; return the exit code.

    Raises:
        StreamError: the service, or the broker, refuses us; with *once* also: it does not answer.
    """
    show = _show if options.url.startswith(("http://", "https://")) else _watch_and_show
    try:
        anyio.run(show, options)
    except* StreamError as group:
        raise first_problem(group) from None
    return 0


async def _show(options: Options, *, patience: float = 0.0) -> None:
    console = Console()
    with Site(options.url, token=options.token, ca=options.ca) as site:
        if options.once or not console.is_terminal:
            await anyio.sleep(patience)
            seen = await _look(site, options)
            console.print(draw(seen, width=console.width, height=10_000))
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_signal, tasks.cancel_scope, name="signals")
            with Live(console=console, screen=True, auto_refresh=False) as live:
                await _refresh(site, options, console, live.update)


async def _refresh(
    site: Site, options: Options, console: Console, update: Callable[..., None]
) -> None:
    while True:
        update(await _drawn(site, options, console), refresh=True)
        await anyio.sleep(options.interval)


async def _look(site: Site, options: Options) -> Seen:
    """Look once, and say in a problem's sentence where."""
    try:
        return await to_thread.run_sync(site.look, abandon_on_cancel=True)
    except StreamError as problem:
        raise type(problem)(f"{redact(options.url)}: {problem}") from None


async def _drawn(site: Site, options: Options, console: Console) -> RenderableType:
    try:
        seen = await _look(site, options)
    except LostError as lost:  # it may come back
        return problem(str(lost))
    return draw(seen, width=console.width, height=console.height)


async def _cancel_on_signal(everything: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(*_STOP_SIGNALS) as signals:
        async for _ in signals:
            everything.cancel()


async def _watch_and_show(options: Options) -> None:
    """Run a service of our own beside the screen, which nobody else sees."""
    flags = {
        "broker": options.url,
        "listen": "127.0.0.1:0",
        "records": False,
        "otlp_disabled": True,
        "grace": 1.0,
    }
    settings = load(env={}, flags=flags)
    stop, started = anyio.Event(), anyio.Event()
    found: list[str] = []

    def on_ready(service: Service) -> None:
        found.append(service.url)
        started.set()

    # The screen belongs to the tables.
    with Path(os.devnull).open("w") as nowhere:  # noqa: ASYNC230 - it never blocks
        serving = partial(serve, settings, stop=stop, ready=on_ready, log=logger("error", nowhere))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serving, name="service")
            await started.wait()
            own = Options(found[0], options.interval, options.once)
            await _show(own, patience=_FIRST_SIGHT)
            stop.set()
