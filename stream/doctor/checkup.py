"""The doctor's composition root: settings to a diagnosis, and that to a terminal.

Uses the settings of ``run`` and the same sources, connections and requests; where those keep
something (a retained queue of RabbitMQ), it uses one that is gone afterwards, so that no event is
taken from a service that runs.
"""

import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

import anyio
import click
import msgspec
from rich.console import Console

from .. import __version__
from ..brokers import RABBITMQ, Named, named, system_of
from ..config import OtlpSettings, Settings
from ..sources.address import redact
from .check_rabbitmq import RabbitMqCheck
from .check_redis import RedisCheck
from .diagnosis import Checkup, Diagnosis, diagnosis_of
from .judge_export import judge_export
from .look_export import look_at_export, targets_of
from .screen import show

_BROKEN = 1


def doctor(settings: Settings, *, seconds: float, as_json: bool) -> int:
    """Look at everything, print what was found, and return the exit code.

    Args:
        settings: those of ``run``.
        seconds: of listening to events.
        as_json: print a `Diagnosis` as JSON instead of a table.

    Raises:
        ConfigError: a setting has a value that cannot work.
    """
    with _waiting(seconds):
        diagnosis = anyio.run(diagnose, settings, seconds)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(diagnosis)))
    else:
        show(diagnosis, Console())
    return _BROKEN if diagnosis.broken else 0


def _waiting(seconds: float) -> AbstractContextManager[object]:
    """Say on a terminal why nothing happens; stdout is kept for the result."""
    if not sys.stderr.isatty():
        return nullcontext()
    return Console(stderr=True).status(f"looking, and listening to events for {seconds:g} s …")


async def diagnose(settings: Settings, seconds: float) -> Diagnosis:
    """Look at each broker and at the receiver, all at once.

    Raises:
        ConfigError: a setting has a value that cannot work.
    """
    checks = [_check_of(each, seconds).run for each in named(settings)]
    checkups: dict[int, Checkup] = {}

    async def run(place: int, check: Callable[[], Awaitable[Checkup]]) -> None:
        checkups[place] = await check()

    async with anyio.create_task_group() as tasks:
        for place, check in enumerate((*checks, _ReceiverCheck(settings.otlp).run)):
            tasks.start_soon(run, place, check, name=f"check {place}")
    found = [checkups[place] for place in sorted(checkups)]
    return diagnosis_of(found, version=__version__, listened=seconds)


def _check_of(watched: Named, seconds: float) -> RedisCheck | RabbitMqCheck:
    if system_of(watched.settings) == RABBITMQ:
        return RabbitMqCheck(watched, seconds=seconds)
    return RedisCheck(watched, seconds=seconds)


class _ReceiverCheck:
    """The check-up of where telemetry goes."""

    def __init__(self, settings: OtlpSettings) -> None:
        self._settings = settings

    async def run(self) -> Checkup:
        """Send a test export of each signal, and judge."""
        posted = await look_at_export(targets_of(self._settings))
        findings = tuple(judge_export(posted, disabled=self._settings.disabled))
        endpoint = self._settings.endpoint
        return Checkup("otlp", redact(endpoint) if endpoint else "", findings)
