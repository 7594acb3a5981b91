"""`Succeeded` and the two effects that it stands for are the same thing to every sink."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.config import OtlpSettings, RecordSettings, SpanSettings
from stream.core.effects import Received, Started, Succeeded
from stream.core.engine import Engine
from stream.core.kinds import Kind
from stream.core.states import State
from stream.export.resources import Resources
from stream.sinks import metrics
from stream.sinks.aggregate import Aggregate
from stream.sinks.compat import CompatSink
from stream.sinks.history import History
from stream.sinks.logs import LogSink
from stream.sinks.metrics import MetricsSink
from stream.sinks.redaction import Redaction
from stream.sinks.spans import SpanSink
from tests.sinks.counted import PAY, attempt, finished, revised, sent, succeeded

MAIL = Kind("shop.mail", None)
SLOW = 5.0

kinds = st.sampled_from((PAY, MAIL))
seconds = st.sampled_from((0.0, 0.004, 0.3, 7.0, 1e12))
maybe = st.none() | seconds
failed = st.just(State.FAILURE)
effects_of_tasks = st.one_of(
    st.builds(sent, kinds),
    st.builds(Received, kinds, st.booleans()),
    st.builds(Started, kinds, maybe, maybe, maybe),
    st.builds(succeeded, kinds, run=seconds, total=maybe, retries=st.integers(0, 2)),
    st.builds(
        attempt, kinds, st.just(State.SUCCESS) | failed, run=maybe, retries=st.integers(0, 1)
    ),
    st.builds(finished, kinds, st.just(State.SUCCESS) | failed, run=maybe, total=maybe),
    st.builds(revised),
)
streams = st.lists(effects_of_tasks, max_size=30)


def apart(effects):
    return [
        each
        for effect in effects
        for each in (effect.apart() if isinstance(effect, Succeeded) else (effect,))
    ]


def batches(effects, cuts):
    places = sorted({0, len(effects), *(cut % (len(effects) + 1) for cut in cuts)})
    return [effects[begin:end] for begin, end in pairwise(places)]


def counted(effects, cuts=(), *, exponential=False):
    aggregate = Aggregate(started_at=0.0, exponential=exponential)
    sink = MetricsSink(aggregate, slow=SLOW)
    for batch in batches(effects, cuts):
        sink.accept(batch)
    return {family.instrument.name: set(family.points) for family in aggregate.collect()}


@given(streams, st.booleans())
def test_metrics(effects, exponential):
    assert counted(effects, exponential=exponential) == counted(
        apart(effects), exponential=exponential
    )


@given(streams, st.lists(st.integers(0, 30)), st.integers(1, 10))
def test_metrics_do_not_depend_on_when_they_are_counted(effects, cuts, at_once):
    at_the_end = counted(effects)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_AT_ONCE", at_once)
        assert counted(effects, cuts) == at_the_end  # the sums to the last bit, too


@given(streams)
def test_metrics_whose_cells_are_forgotten_lose_nothing(effects):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream.sinks.cells.Cells.__init__.__defaults__", (1,))
        few = counted(effects)
    assert few == counted(effects)


@given(streams)
def test_history(effects):
    def seen(effects):
        history = History(5, Redaction(()))
        history.accept(effects)
        tasks = [(end.uuid, end.kind, end.state, end.run) for end, _ in history.tasks()]
        return history.counts, len(history), tasks

    assert seen(effects) == seen(apart(effects))


@given(streams)
def test_pages_of_others(effects):
    def read(effects):
        sink = CompatSink(counting=True)
        sink.accept(effects)
        tallies = sink.read(Engine().view(0.0)).tallies
        return [(kind, host, tally.succeeded, tally.runs) for kind, host, tally in tallies]

    assert read(effects) == read(apart(effects))


@given(streams, st.booleans())
def test_log_records(effects, lifecycle):
    settings = RecordSettings(lifecycle=lifecycle)
    made = handed_over(LogSink, effects, settings)
    assert repr(made) == repr(handed_over(LogSink, apart(effects), settings))


@given(streams, st.sampled_from(("always", "anomalies", "never")))
def test_spans(effects, process):
    settings = SpanSettings(process=process)
    made = [draft() for draft in handed_over(SpanSink, effects, settings)]
    assert repr(made) == repr(
        [draft() for draft in handed_over(SpanSink, apart(effects), settings)]
    )


def handed_over(sink, effects, settings):
    waiting = []
    sink(waiting, Resources(OtlpSettings()), settings=settings).accept(effects)
    return waiting
