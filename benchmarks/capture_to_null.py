"""Messages in memory, through decoder, engine and metrics; beside it Celery's own State.

No I/O: what the core costs, in CPU seconds of this process.
"""

import json
import time
from collections.abc import Callable
from functools import partial

from celery.events.state import State

from stream.bench.measure import Measurement
from stream.bench.outlets import Outlet
from stream.bench.synthetic import Synthetic
from stream.bench.traffic import Traffic
from stream.events import Message
from stream.wire.codec import decode
from stream.wire.envelope import unwrap

from .result import Result
from .servers import Measured
from .turns import Contestant, Plan, take_turns

DECODE = "decode"
ENGINE = "decode, engine"
METRICS = "decode, engine, metrics"
STATE = "json.loads, celery.events.state.State"
_MOST_EVENTS = 200_000


def run(plan: Plan) -> list[Result]:
    """Measure each stage on the same messages, in turns."""
    events = min(plan.events, _MOST_EVENTS)
    source = Synthetic(Traffic(seed=plan.seed), events, batch=plan.batch)
    reads = list(source.reads())
    name = Measurement(source, Outlet.NULL).run().workload
    stages: dict[str, Callable[[], float]] = {
        DECODE: partial(_decode, reads),
        ENGINE: partial(_through, source, Outlet.NULL),
        METRICS: partial(_through, source, Outlet.METRICS),
        "decode, engine, metrics, spans encoded": partial(_through, source, Outlet.SPANS),
        STATE: partial(_state, reads),
    }
    contestants = {
        stage: Contestant(name, events, partial(_measured, work)) for stage, work in stages.items()
    }
    return take_turns("capture_to_null", contestants, plan)


def _measured(work: Callable[[], float]) -> Measured:
    return Measured(work(), 0)


def _through(source: Synthetic, outlet: Outlet) -> float:
    return Measurement(source, outlet).run().reading.cpu


def _decode(reads: list[list[Message]]) -> float:
    began = time.process_time()
    for read in reads:
        for frame in read:
            decode(frame)
    return time.process_time() - began


def _state(reads: list[list[Message]]) -> float:
    """What a monitor built on Celery's library does with the same messages."""
    state = State()
    began = time.process_time()
    for read in reads:
        for frame in read:
            body = json.loads(unwrap(frame).data)  # type: ignore[union-attr] # our own envelope
            for event in body if isinstance(body, list) else [body]:
                event["local_received"] = frame.received_at
                state.event(event)
    return time.process_time() - began
