"""The effects that spans are made of: what a test does not say has a default."""

import random

from msgspec import structs

from stream.config import OtlpSettings
from stream.core.effects import AttemptEnded, Sent, WaitedLong
from stream.core.kinds import Kind
from stream.core.states import State
from stream.core.trace import Trace, TraceSource
from stream.export.resources import Resources
from stream.sinks.span_records import Observed
from tests.builders import T0

KIND = Kind("shop.pay", "payments")
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
ROOT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
PARENT = "550e8400-e29b-41d4-a716-446655440000"
TRACE_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736
CREATOR = 0x00F067AA0BA902B7
OBSERVED = Observed(Resources(OtlpSettings()), "redis")


def trace(source=TraceSource.EVENT, *, trace_id=TRACE_ID, sampled=True, state=None):
    """A trace that somebody else began."""
    return Trace(f"00-{trace_id:032x}-{CREATOR:016x}-{int(sampled):02x}", state, source)


def chance(seed):
    """A source of randomness that gives the same each time."""
    return random.Random(seed)  # noqa: S311 - repeatable, not secret


def sent(**changes):
    base = Sent(
        uuid=UUID,
        kind=KIND,
        retries=0,
        sent_at=T0 + 0.5,
        root_id=ROOT,
        parent_id=None,
        parent_attempt=(0, 0),
        trace=None,
    )
    return structs.replace(base, **changes)


def waited(**changes):
    base = WaitedLong(
        uuid=UUID,
        kind=KIND,
        retries=0,
        ordinal=0,
        hostname="w1@box",
        root_id=ROOT,
        parent_id=None,
        parent_attempt=(0, 0),
        sent_at=T0 + 0.5,
        since=T0 + 0.75,
        started_at=T0 + 9.0,
        trace=None,
    )
    return structs.replace(base, **changes)


def ended(**changes):
    base = AttemptEnded(
        uuid=UUID,
        kind=KIND,
        retries=0,
        ordinal=0,
        state=State.SUCCESS,
        inferred=False,
        hostname="w1@box",
        pid=7,
        root_id=ROOT,
        parent_id=None,
        parent_attempt=(0, 0),
        sent_at=T0 + 0.5,
        received_at=T0 + 0.75,
        started_at=T0 + 1.0,
        ended_at=T0 + 2.25,
        wait=0.5,
        run=1.25,
        error_type=None,
        exception=None,
        traceback=None,
        reason=None,
        trace=None,
    )
    return structs.replace(base, **changes)
