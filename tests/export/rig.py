"""A buffer and its delivery to a receiver, with a spool or without."""

from contextlib import asynccontextmanager

import anyio

from stream.backoff import Backoff
from stream.config import OtlpSettings
from stream.export.buffer import Buffer
from stream.export.delivery import Delivery
from stream.export.encoding import encode_spans
from stream.export.records import Resource, Span, SpanKind
from stream.export.store import Store
from stream.export.target import target_for
from stream.occurrences import ExportFailed, Signal

RESOURCE = Resource((("service.name", "celery"),))
SECONDS = 20.0


def drafts(count, *, start=1):
    def make(n):
        return Span(
            resource=RESOURCE,
            trace_id=1,
            span_id=n,
            parent_span_id=None,
            flags=1,
            trace_state="",
            name=str(n),
            kind=SpanKind.CONSUMER,
            start_ns=1,
            end_ns=2,
            attributes=[],
        )

    return [lambda n=n: make(n) for n in range(start, start + count)]


class Rig:
    """What is tested, and what it told.

    Args:
        url: of the receiver.
        limit: items in memory.
        delay: seconds between tries.
        spool: a directory; None for none.
        spool_bytes: its size.
        patience: seconds until a batch goes there.
        options: settings of the delivery.
    """

    def __init__(
        self,
        url,
        *,
        limit=1000,
        delay=0.001,
        spool=None,
        spool_bytes=10**8,
        patience=0.0,
        **options,
    ):
        values = {"batch_items": 4, "batch_age": 0.01, "timeout": SECONDS, **options}
        configured = OtlpSettings(endpoint=url, **values)
        self.told = []
        self.buffer = Buffer(Signal.TRACES, limit=limit, tell=self.told.append)
        self.store = spool and Store(
            spool, max_bytes=spool_bytes, books=self.buffer, tell=self._tell
        )
        self.delivery = Delivery(
            self.buffer,
            encode=encode_spans,
            target=target_for(configured, Signal.TRACES),
            settings=configured,
            tell=self._tell,
            store=self.store,
            patience=patience,
            backoff=Backoff(first=delay, most=delay, jitter=lambda: 1.0),
        )

    def _tell(self, occurrence):
        self.told.append(occurrence)
        self.buffer.notify()
        assert self.buffer.statistics().balanced

    @property
    def ledger(self):
        ledger = self.buffer.statistics()
        assert ledger.balanced
        return ledger

    @property
    def failures(self):
        return self.heard(ExportFailed)

    def heard(self, kind):
        return [occurrence for occurrence in self.told if isinstance(occurrence, kind)]

    async def until(self, condition):
        with anyio.fail_after(SECONDS):
            await self.buffer.until(condition)

    async def failure(self):
        await self.until(lambda: self.failures)

    async def empty(self):
        """Until nothing waits, in memory or on disk; for as long as it becomes less."""
        while left := self._left():
            await self.until(lambda: self._left() < left)

    def _left(self):
        ledger = self.ledger
        return ledger.waiting + ledger.spooled

    async def spooled(self, items):
        """Until so many items are on the disk, none of them on their way."""
        await self.until(lambda: self.ledger.spooled >= items)


@asynccontextmanager
async def running(rig):
    """Run it; the spool is open meanwhile, and left as by a process that was killed."""
    if rig.store:
        await rig.store.open()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.delivery.run)
            await anyio.wait_all_tasks_blocked()
            yield rig
            tasks.cancel_scope.cancel()
    finally:
        if rig.store:
            await rig.store.close()


def names(receiver):
    """The spans that arrived."""
    return [span.name for span in receiver.spans()]


def sizes(receiver):
    """How many spans each request had."""
    return [
        len(request.message.resource_spans[0].scope_spans[0].spans)
        for request in receiver.requests()
    ]
