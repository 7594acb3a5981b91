"""Messages in memory, through decoder, engine and metrics; beside it Celery's own State.

No I/O: what the core costs, in CPU seconds of this process.
"""

import json
import time
from collections.abc import Callable

from celery.events.state import State

from stream.channel import Channel, Overflow
from stream.core.engine import Engine
from stream.events import Message, Tick, Transport
from stream.occurrences import EventsDecoded, Occurrence
from stream.pipeline import Pipeline
from stream.sinks.aggregate import Aggregate
from stream.sinks.metrics import MetricsSink
from stream.wire.codec import decode
from stream.wire.envelope import unwrap

from .result import Result
from .workload import BEGAN_AT, Lifecycles, fingerprint, payloads

FRAMES_PER_READ = 50


def run(events: int, *, seed: int, batch: int) -> list[Result]:
    """Measure each stage on the same frames."""
    published = list(payloads(Lifecycles(events // 4, seed=seed).events(), batch=batch))
    name = fingerprint(published)
    frames = [
        Message(BEGAN_AT + number // FRAMES_PER_READ * 0.001, "bench", Transport.REDIS, b"", body)
        for number, (_, body) in enumerate(published)
    ]
    stages: list[tuple[str, Callable[[list[Message]], int]]] = [
        ("decode", _decode),
        ("decode, engine", _engine),
        ("decode, engine, metrics", _metrics),
        ("json.loads, celery.events.state.State", _celery),
    ]
    return [_measure(stage, work, frames, workload=name, batch=batch) for stage, work in stages]


def _measure(
    stage: str,
    work: Callable[[list[Message]], int],
    frames: list[Message],
    *,
    workload: str,
    batch: int,
) -> Result:
    began = time.process_time()
    events = work(frames)
    return Result("capture_to_null", stage, workload, batch, events, time.process_time() - began)


def _decode(frames: list[Message]) -> int:
    return sum(len(decode(frame).events) for frame in frames)


def _engine(frames: list[Message]) -> int:
    return _pipeline(frames, [])


def _metrics(frames: list[Message]) -> int:
    return _pipeline(frames, [MetricsSink(Aggregate(started_at=0.0))])


def _pipeline(frames: list[Message], sinks: list[MetricsSink]) -> int:
    decoded = 0

    def tell(occurrence: Occurrence) -> None:
        nonlocal decoded
        if isinstance(occurrence, EventsDecoded):
            decoded += occurrence.count

    channel = Channel(1, Overflow.WAIT, tell=tell)
    pipeline = Pipeline(Engine(), sinks, channel=channel, tell=tell)
    ticked_at = 0.0
    for start in range(0, len(frames), FRAMES_PER_READ):
        read = frames[start : start + FRAMES_PER_READ]
        pipeline.process(read)
        if read[0].received_at >= ticked_at + 1.0:
            ticked_at = read[0].received_at
            pipeline.process([Tick(ticked_at)])
    return decoded


def _celery(frames: list[Message]) -> int:
    """What a monitor built on Celery's library does with the same messages."""
    state = State()
    events = 0
    for frame in frames:
        body = json.loads(unwrap(frame).data)  # type: ignore[union-attr] # our own envelope
        for event in body if isinstance(body, list) else [body]:
            event["local_received"] = frame.received_at
            state.event(event)
            events += 1
    return events
