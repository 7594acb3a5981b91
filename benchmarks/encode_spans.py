"""Spans to an OTLP request: ours beside the SDK's encoder, on the spans of one workload.

The spans come out of the whole pipeline (events, engine, span sink); every second task is a failure
with its traceback.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as encode_sdk_spans
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from stream import __version__
from stream.bench.measure import Measurement
from stream.bench.outlets import Outlet
from stream.bench.synthetic import Synthetic
from stream.bench.traffic import Kind, Traffic
from stream.channel import Channel, Overflow
from stream.config import OtlpSettings
from stream.core.engine import Engine
from stream.export.batch import Batch
from stream.export.buffer import Buffer
from stream.export.encoding import SCHEMA_URL, SCOPE, encode_spans
from stream.export.records import Resource, Span, SpanDraft
from stream.export.resources import Resources
from stream.occurrences import Occurrence, Signal
from stream.pipeline import Pipeline
from stream.sinks.spans import SpanSink

from .result import Result
from .stages import by_turns, timed
from .turns import Plan

T = TypeVar("T")

BATCH: Final = 512
"""Spans in a request."""
ROUNDS: Final = 3
"""Times those that are asked for: a round takes half a second."""
_MOST_EVENTS: Final = 20_000


def run(plan: Plan) -> list[Result]:
    """Encode the spans of some tasks, in each way."""
    events = min(plan.events, _MOST_EVENTS)
    traffic = Traffic(kind=Kind.FAILURES, seed=plan.seed)
    source = Synthetic(traffic, events, batch=plan.batch)
    drafts = _drafts(source, limit=events)
    spans = [draft() for draft in drafts]
    made = _batches([_made(span) for span in spans], BATCH)
    readable = _batches(_readable(spans), BATCH)
    unmade = _batches(drafts, BATCH)
    work: dict[str, Callable[[], int]] = {
        "drafts to spans": lambda: sum(map(_make, unmade)),
        "drafts to request": lambda: sum(len(encode_spans(part)) for part in unmade),
        "drafts to request, compressed": lambda: sum(map(_compress, unmade)),
        "spans to request": lambda: sum(len(encode_spans(part)) for part in made),
        "spans to request, opentelemetry-sdk": lambda: sum(map(_encode_with_sdk, readable)),
    }
    return by_turns(
        "encode_spans",
        {stage: timed(each) for stage, each in work.items()},
        workload=Measurement(source, Outlet.NULL).run().workload,
        items=len(spans),
        batch=plan.batch,
        unit="spans",
        rounds=ROUNDS * plan.rounds,
        sizes={stage: {"bytes_per_span": each() / len(spans)} for stage, each in work.items()},
    )


def _make(drafts: list[SpanDraft]) -> int:
    """Make the spans, as the export thread does; no bytes yet."""
    for draft in drafts:
        draft()
    return 0


def _compress(drafts: list[SpanDraft]) -> int:
    return len(Batch.of(len(drafts), encode_spans(drafts), gzip=True).body)


def _encode_with_sdk(spans: list[ReadableSpan]) -> int:
    return len(encode_sdk_spans(spans).SerializeToString())


def _drafts(source: Synthetic, *, limit: int) -> list[SpanDraft]:
    """Run the events through the pipeline, and keep what waits for export."""
    buffer: Buffer[SpanDraft] = Buffer(Signal.TRACES, limit=limit, tell=_ignore)
    sink = SpanSink(buffer, Resources(OtlpSettings()))
    channel = Channel(1, Overflow.WAIT, tell=_ignore)
    pipeline = Pipeline(Engine(), [sink], channel=channel, tell=_ignore)
    for read in source.reads():
        pipeline.process(read)
    return buffer.take(limit)


def _ignore(_: Occurrence) -> None:
    """Nobody is told."""


def _made(span: Span) -> SpanDraft:
    return lambda: span


def _batches(items: Sequence[T], size: int) -> list[list[T]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def _readable(spans: list[Span]) -> list[ReadableSpan]:
    """Make the SDK's spans that say the same; each resource once, as an application has it."""
    scope = InstrumentationScope(SCOPE, __version__, SCHEMA_URL)
    resources: dict[Resource, SdkResource] = {}
    for span in spans:
        resources.setdefault(span.resource, SdkResource(dict(span.resource.attributes)))
    return [
        ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id, is_remote=False),
            parent=None
            if span.parent_span_id is None
            else _context(span.trace_id, span.parent_span_id, is_remote=True),
            resource=resources[span.resource],
            attributes=dict(span.all_attributes()),
            links=[Link(_context(x.trace_id, x.span_id, is_remote=True)) for x in span.links],
            kind=SpanKind[span.kind.name],
            status=Status(StatusCode.ERROR, span.error)
            if span.error is not None
            else Status(StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=scope,
        )
        for span in spans
    ]


def _context(trace_id: int, span_id: int, *, is_remote: bool) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote, TraceFlags(TraceFlags.SAMPLED))
