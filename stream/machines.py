"""The engines of a reading: one, but for brokers that were recorded together.

Each of those has an engine of its own, as it had when it was recorded, and what is told of it
carries its name.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain, groupby
from typing import Protocol

from msgspec import Struct, structs

from .channel import Channel, Overflow
from .config import Graces
from .core.early import PATIENCE
from .core.engine import Engine
from .core.record import WorkerRecord
from .core.view import View
from .events import Frame, Tick
from .occurrences import Tell
from .pipeline import Pipeline
from .sinks.base import Sink
from .sources.capture import Capture
from .wire.capture_lines import Header
from .wire.codec import Decoder, plain

_ALONE = ""
"""Stands for the one engine of all brokers that were not recorded together."""


class Making(Protocol):
    """What the engines of a reading are: their limits, their patience, what they read."""

    @property
    def decoder(self) -> Decoder:
        """Reads messages."""

    @property
    def longest_grace(self) -> float:
        """Seconds after which its engines have given up whoever was silent."""

    def engine(self) -> Engine:
        """Make an engine; it tells the records of what it forgets."""


class Export(Making, Protocol):
    """What sends the effects of a reading; see `exporting`, which brings all that a delivery needs.

    Those who send nothing do not wait for that to be imported.
    """

    def begin(
        self,
        broker: str | None,
        first: Frame,
        *,
        headers: Sequence[Header],
        view: Callable[[float], View],
    ) -> Sink:
        """Return the sink of the effects of an engine, whose first frame has come."""

    def pass_time(self, now: float) -> None:
        """Time passed."""

    def close(self, at: float) -> None:
        """The capture ends."""

    async def until_room(self) -> None:
        """Wait until more may be made."""

    async def send(self, read: Callable[[], Awaitable[None]]) -> None:
        """Deliver what comes while *read* runs, and then the rest."""


class Usual:
    """The engines of who asks for nothing else."""

    @property
    def decoder(self) -> Decoder:
        """Reads messages."""
        return plain

    @property
    def longest_grace(self) -> float:
        """Seconds after which its engines have given up whoever was silent."""
        return Graces().longest

    def engine(self) -> Engine:
        """Make an engine; it tells the records of what it forgets."""
        return Engine(records=True, in_one=True, patience=PATIENCE)


class _Machine(Struct, frozen=True):
    engine: Engine
    pipeline: Pipeline


class Machines:
    """Processes the frames of captures.

    Args:
        capture: where they come from.
        sinks: told of the effects of all engines.
        making: makes the engines.
        export: sends what they come to; None: nothing is sent.
        tell: hears what was decoded and rejected.
    """

    def __init__(
        self,
        capture: Capture,
        sinks: Sequence[Sink],
        *,
        making: Making,
        export: Export | None,
        tell: Tell,
    ) -> None:
        self._capture = capture
        self._sinks = sinks
        self._export = export
        self._tell = tell
        self._making = making
        self._machines: dict[str, _Machine] = {}

    # -- frames --------------------------------------------------------------------------------

    def process(self, frames: list[Frame]) -> None:
        """Process frames, in order."""
        brokers = self._capture.brokers
        if not brokers:  # nearly always
            self._machine(_ALONE, frames[0]).pipeline.process(frames)
            return
        for source, group in groupby(frames, _source_within(brokers)):
            some = list(group)
            self._machine(source, some[0]).pipeline.process(some)

    def tick(self, at: float) -> None:
        """Let time pass for all engines."""
        for machine in self._machines.values():
            machine.pipeline.process([Tick(at)])

    def _machine(self, source: str, first: Frame) -> _Machine:
        machine = self._machines.get(source)
        if machine is None:
            machine = self._machines[source] = self._made(source, first)
        return machine

    def _made(self, source: str, first: Frame) -> _Machine:
        engine, sinks = self._making.engine(), self._sinks
        if self._export is not None:
            headers = self._capture.headers
            begun = self._export.begin(source or None, first, headers=headers, view=engine.view)
            sinks = (*sinks, begun)
        channel = Channel(1, Overflow.WAIT, tell=self._tell)  # unused: nothing comes between
        pipeline = Pipeline(
            engine, sinks, channel=channel, tell=self._tell, decoder=self._making.decoder
        )
        return _Machine(engine, pipeline)

    # -- tables --------------------------------------------------------------------------------

    def view(self, now: float) -> View:
        """Read the tables of all engines as if they were one's. There must have been a frame."""
        views = list(self._views(now))
        if len(views) == 1:
            return views[0]
        return structs.replace(
            views[0],
            tasks=tuple(chain.from_iterable(view.tasks for view in views)),
            workers=tuple(chain.from_iterable(view.workers for view in views)),
            queues=tuple(chain.from_iterable(view.queues for view in views)),
            brokers=tuple(chain.from_iterable(view.brokers for view in views)),
            tasks_in_flight=sum(view.tasks_in_flight for view in views),
            tasks_remembered=sum(view.tasks_remembered for view in views),
        )

    def _views(self, now: float) -> Iterator[View]:
        return (machine.engine.view(now) for machine in self._machines.values())

    def worker_records(self) -> list[WorkerRecord]:
        """Read the records of all worker processes that are known."""
        each = (machine.engine.worker_records() for machine in self._machines.values())
        return list(chain.from_iterable(each))

    def are_empty(self, now: float) -> bool:
        """Whether every task has left."""
        return all(view.tasks_in_flight == view.tasks_remembered == 0 for view in self._views(now))

    @property
    def longest_grace(self) -> float:
        """Seconds after which whoever was silent was given up."""
        return self._making.longest_grace


def _source_within(brokers: set[str]) -> Callable[[Frame], str]:
    return lambda frame: frame.source if frame.source in brokers else _ALONE
