"""Builders of effects for the sinks that count them, and what one counted."""

import pytest

from stream.core.effects import (
    AttemptBegan,
    AttemptEnded,
    Sent,
    StuckBegan,
    StuckReason,
    Succeeded,
    TaskFinished,
    TaskForgotten,
    TaskRevised,
    WaitedLong,
)
from stream.core.kinds import Kind
from stream.core.record import TaskRecord
from stream.core.states import Phase, State
from stream.sinks.aggregate import Aggregate
from stream.sinks.metrics import MetricsSink

PAY = Kind("shop.pay", "payments")


def sent(kind=PAY):
    return Sent("u", kind, 0, 1.0, None, None, (0, 0), None)


def attempt(
    kind=PAY,
    state=State.SUCCESS,
    *,
    run=0.3,
    error_type=None,
    reason=None,
    uuid="u",
    retries=0,
    ordinal=0,
    trace=None,
    hostname="w",
    inferred=False,
):
    return AttemptEnded(
        uuid=uuid,
        kind=kind,
        retries=retries,
        ordinal=ordinal,
        state=state,
        inferred=inferred,
        hostname=hostname,
        pid=1,
        root_id=None,
        parent_id=None,
        parent_attempt=(0, 0),
        sent_at=None,
        received_at=None,
        started_at=None,
        ended_at=2.0,
        wait=None,
        run=run,
        error_type=error_type,
        exception=None,
        traceback=None,
        reason=reason,
        trace=trace,
    )


def finished(
    kind=PAY,
    state=State.SUCCESS,
    *,
    error_type=None,
    reason=None,
    attempts=1,
    run=0.3,
    total=4.0,
    uuid="u",
):
    return TaskFinished(
        uuid=uuid,
        kind=kind,
        state=state,
        inferred=False,
        root_id=None,
        error_type=error_type,
        reason=reason,
        attempts=attempts,
        run=run,
        total=total,
        finished_at=3.0,
    )


def succeeded(kind=PAY, *, run=0.3, total=4.0, retries=0, **fields):
    """The only delivery of a task returned."""
    told = attempt(kind, run=run, retries=retries, **fields)
    return Succeeded(*[getattr(told, name) for name in told.__struct_fields__], total)


def stuck():
    return StuckBegan(
        "u", PAY, Phase.RUNNING, StuckReason.RUNS_LONG, 1.0, 2.0, 1.0, 0, 0, "w", None, None, 3.0
    )


def forgotten():
    absent = dict.fromkeys(TaskRecord.__struct_fields__)
    return TaskForgotten(1, TaskRecord(**absent))


def began():
    return AttemptBegan("u", PAY, 0, 0, "w", None, None, 1.0, 2.0, None)


def waited_long():
    return WaitedLong("u", PAY, 0, 0, "w", None, None, (0, 0), 1.0, 1.0, 9.0, None)


def revised():
    return TaskRevised("u", PAY, State.LOST, State.SUCCESS, 0, 0, "w", None, None, 3.0)


class Counted:
    """What a sink counted."""

    def __init__(self, *effects, exponential=False, **options):
        aggregate = Aggregate(started_at=0.0, exponential=exponential)
        MetricsSink(aggregate, system="redis", **options).accept(effects)
        self._families = {family.instrument: family for family in aggregate.collect()}

    def points(self, instrument):
        family = self._families.get(instrument)
        return {point.labels: point for point in family.points} if family else {}

    def values(self, instrument):
        family = self._families.get(instrument)
        return {p.labels: p.value for p in family.points if p.value} if family else {}

    def sums(self, instrument):
        family = self._families.get(instrument)
        return {p.labels: (p.count, pytest.approx(p.sum)) for p in family.points} if family else {}
