"""Spans to an OTLP request: ours beside the SDK's encoder, on the spans of one workload.

The spans come out of the whole pipeline (events, engine, span sink); every twentieth is a failure
with its traceback. ``python -m benchmarks.encode_spans [--tasks N] [--seed S] [--batch N]`` prints
JSON. Times are CPU microseconds per span, each the least of several rounds that go by turns, so
that a noisy machine hurts all stages alike.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as encode_sdk_spans
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from stream import __version__
from stream.channel import Channel, Overflow
from stream.config import OtlpSettings
from stream.core.engine import Engine
from stream.events import Message, Transport
from stream.export.batch import Batch
from stream.export.buffer import Buffer
from stream.export.encoding import SCHEMA_URL, SCOPE, encode_spans
from stream.export.records import Resource, Span, SpanDraft
from stream.export.resources import Resources
from stream.occurrences import Occurrence, Signal
from stream.pipeline import Pipeline
from stream.sinks.spans import SpanSink

from .workload import BEGAN_AT, Event, Lifecycles, fingerprint, payloads

T = TypeVar("T")

ROUNDS: Final = 15
FAILING: Final = 20
"""Every how many-th end is a failure."""
FRAMES_PER_READ: Final = 50
_TRACEBACK: Final = "Traceback (most recent call last):\n" + "".join(
    f'  File "/srv/shop/tasks/step{number}.py", line {number}, in charge\n    call(card)\n'
    for number in range(20)
)


class Stage(msgspec.Struct, frozen=True):
    """What one way of encoding costs."""

    stage: str
    microseconds_per_span: float
    bytes_per_span: float


class Report(msgspec.Struct, frozen=True):
    """What was measured on what."""

    benchmark: str
    workload: str
    """Hash of what was published."""
    spans: int
    batch: int
    """Spans in a request."""
    attributes_per_span: float
    stages: list[Stage]


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode_spans")
    parser.add_argument("--tasks", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=512)
    arguments = parser.parse_args()
    report = run(arguments.tasks, seed=arguments.seed, batch=arguments.batch)
    print(msgspec.json.format(msgspec.json.encode(report)).decode())


def run(tasks: int, *, seed: int, batch: int) -> Report:
    """Encode the spans of *tasks* tasks in requests of *batch* spans, in each way."""
    published = list(payloads(_failing(Lifecycles(tasks, seed=seed).events()), batch=24))
    drafts = _drafts(published, limit=3 * tasks)
    spans = [draft() for draft in drafts]
    made = _batches([_made(span) for span in spans], batch)
    readable = _batches(_readable(spans), batch)
    unmade = _batches(drafts, batch)
    stages: dict[str, Callable[[], int]] = {
        "drafts to spans": lambda: sum(map(_make, unmade)),
        "drafts to request": lambda: sum(len(encode_spans(part)) for part in unmade),
        "drafts to request, compressed": lambda: sum(map(_compress, unmade)),
        "spans to request": lambda: sum(len(encode_spans(part)) for part in made),
        "spans to request, opentelemetry-sdk": lambda: sum(map(_encode_with_sdk, readable)),
    }
    return Report(
        benchmark="encode_spans",
        workload=fingerprint(published),
        spans=len(spans),
        batch=batch,
        attributes_per_span=sum(len(span.all_attributes()) for span in spans) / len(spans),
        stages=_measure(stages, len(spans)),
    )


def _measure(stages: dict[str, Callable[[], int]], spans: int) -> list[Stage]:
    seconds = dict.fromkeys(stages, float("inf"))
    sizes = dict.fromkeys(stages, 0)
    for _ in range(ROUNDS):
        for name, work in stages.items():
            began = time.process_time()
            sizes[name] = work()
            seconds[name] = min(seconds[name], time.process_time() - began)
    return [
        Stage(name, round(seconds[name] / spans * 1e6, 2), round(sizes[name] / spans, 1))
        for name in stages
    ]


def _make(drafts: list[SpanDraft]) -> int:
    """Make the spans, as the export thread does; no bytes yet."""
    for draft in drafts:
        draft()
    return 0


def _compress(drafts: list[SpanDraft]) -> int:
    return len(Batch.of(len(drafts), encode_spans(drafts), gzip=True).body)


def _encode_with_sdk(spans: list[ReadableSpan]) -> int:
    return len(encode_sdk_spans(spans).SerializeToString())


def _failing(events: Iterator[Event]) -> Iterator[Event]:
    """Let some of the tasks fail."""
    ends = 0
    for event in events:
        if event["type"] == "task-succeeded":
            ends += 1
            if ends % FAILING == 0:
                exception = "CardDeclined('no funds on the card')"
                failed = {"type": "task-failed", "exception": exception, "traceback": _TRACEBACK}
                yield {**event, **failed}
                continue
        yield event


def _drafts(published: list[tuple[str, bytes]], *, limit: int) -> list[SpanDraft]:
    """Run the events through the pipeline, and keep what waits for export."""
    buffer: Buffer[SpanDraft] = Buffer(Signal.TRACES, limit=limit, tell=_ignore)
    sink = SpanSink(buffer, Resources(OtlpSettings()))
    channel = Channel(1, Overflow.WAIT, tell=_ignore)
    pipeline = Pipeline(Engine(), [sink], channel=channel, tell=_ignore)
    frames = [
        Message(BEGAN_AT + number // FRAMES_PER_READ * 0.001, "bench", Transport.REDIS, b"", body)
        for number, (_, body) in enumerate(published)
    ]
    for part in _batches(frames, FRAMES_PER_READ):
        pipeline.process(part)
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


if __name__ == "__main__":
    main()
