"""The engines of a reading: one, but for brokers that were recorded together.

Each of those has an engine of its own, as it had when it was recorded, and what is told of it
carries its name.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby

from msgspec import Struct, structs

from .assembly import decoder_of, engine_of
from .brokers import RABBITMQ, REDIS
from .channel import Channel, Overflow
from .config import Graces
from .core.early import PATIENCE
from .core.engine import Engine
from .core.record import WorkerRecord
from .core.view import View
from .events import Frame, Message, Tick, Transport
from .exporting import Exporting
from .occurrences import Tell
from .pipeline import Pipeline
from .sinks.base import Sink
from .sources.amqp_address import SCHEMES
from .sources.capture import Capture
from .wire.codec import decode

_ALONE = ""
"""Stands for the one engine of all brokers that were not recorded together."""


class _Machine(Struct, frozen=True):
    engine: Engine
    pipeline: Pipeline


class Machines:
    """Processes the frames of captures.

    Args:
        capture: where they come from.
        sinks: told of the effects of all engines.
        export: sends what they come to, and says as what engines they are read; None: nothing is
            sent, and the usual ones.
        tell: hears what was decoded and rejected.
    """

    def __init__(
        self, capture: Capture, sinks: Sequence[Sink], *, export: Exporting | None, tell: Tell
    ) -> None:
        self._capture = capture
        self._sinks = sinks
        self._export = export
        self._tell = tell
        self._decode = decode if export is None else decoder_of(export.settings.log_records)
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
        export, sinks = self._export, self._sinks
        if export is None:
            engine = Engine(records=True, patience=PATIENCE)
        else:
            engine = engine_of(export.settings, records=True)
            begun = export.begin(
                source or None, first.received_at, system=self._system_of(first), view=engine.view
            )
            sinks = (*sinks, begun)
        channel = Channel(1, Overflow.WAIT, tell=self._tell)  # unused: nothing comes between
        pipeline = Pipeline(engine, sinks, channel=channel, tell=self._tell, decode=self._decode)
        return _Machine(engine, pipeline)

    def _system_of(self, first: Frame) -> str:
        """Return which broker a frame is of, as ``messaging.system`` names it."""
        if isinstance(first, Message) and first.transport is Transport.AMQP:
            return RABBITMQ
        for header in self._capture.headers:
            if header.brokers and first.source not in header.brokers:
                continue
            at = header.brokers.index(first.source) if header.brokers else 0
            if header.origin[at : at + 1] and header.origin[at].partition("://")[0] in SCHEMES:
                return RABBITMQ
        return REDIS

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
        return (Graces() if self._export is None else self._export.settings.graces).longest


def _source_within(brokers: set[str]) -> Callable[[Frame], str]:
    return lambda frame: frame.source if frame.source in brokers else _ALONE
