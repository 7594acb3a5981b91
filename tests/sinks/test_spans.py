import uuid

import pytest
from msgspec import structs

from stream.config import OtlpSettings, SpanSettings
from stream.core.effects import Received
from stream.core.engine import Engine
from stream.core.kinds import Kind
from stream.core.states import State
from stream.core.trace import TraceSource
from stream.export.records import SpanKind
from stream.export.resources import Resources
from stream.sinks.identity import process_span_id, send_span_id, wait_span_id
from stream.sinks.spans import Left, SpanSink, is_anomaly
from tests.builders import Process, feed, producer
from tests.sinks.span_effects import KIND, PARENT, UUID, ended, sent, trace, waited

UNWISHED = [
    *(State.FAILURE, State.RETRY, State.LOST, State.UNKNOWN),
    *(State.REJECTED, State.REQUEUED, State.CANCELLED),
]
FAILED = ended(state=State.FAILURE)
# The last 14 digits are the randomness of the trace.
ROOT_THAT_IS_KEPT = UUID[:-15] + "ff-" + "f" * 12
NEVER_SAMPLED = SpanSettings(sampler="always_off")


class Waiting(list):
    """A buffer without limits."""


def accepted(*effects, settings=None):
    """The sink after these effects, and what waits for export."""
    waiting = Waiting()
    sink = SpanSink(waiting, Resources(OtlpSettings()), settings=settings or SpanSettings())
    sink.accept(effects)
    return sink, waiting


def spans(*effects, settings=None):
    _, waiting = accepted(*effects, settings=settings)
    return [draft() for draft in waiting]


def names(*effects, settings=None):
    return [span.name for span in spans(*effects, settings=settings)]


def test_each_effect_has_its_span():
    kinds = [span.kind for span in spans(sent(), waited(), ended())]

    assert kinds == [SpanKind.PRODUCER, SpanKind.INTERNAL, SpanKind.CONSUMER]


@pytest.mark.parametrize("source", [TraceSource.EVENT, TraceSource.PEEK])
def test_a_producer_with_a_span_of_its_own_needs_none_of_ours(source):
    assert names(sent(trace=trace(source))) == []


@pytest.mark.parametrize("source", [TraceSource.PARENT, TraceSource.ROOT])
def test_a_trace_that_is_inherited_tells_no_creator(source):
    assert names(sent(trace=trace(source))) == ["send shop.pay"]


def test_a_traceparent_that_cannot_be_read_is_no_creator():
    broken = structs.replace(trace(), traceparent="broken")

    assert names(sent(trace=broken)) == ["send shop.pay"]


def test_other_effects_make_no_span():
    assert names(Received(KIND, redelivered=False)) == []


def test_without_a_buffer_nothing_is_kept():
    sink = SpanSink(None, Resources(OtlpSettings()))
    sink.accept([ended()])

    assert sink.statistics().kept == 0


def test_arguments_and_results_do_not_wait_with_a_span():
    _, (draft,) = accepted(ended(result="x" * 1000))

    assert draft.ended.result is None


def test_by_default_a_span_tells_no_threshold():
    assert [span.trace_state for span in spans(sent(), waited(), FAILED)] == ["", "", ""]


@pytest.mark.parametrize("state", UNWISHED)
def test_an_end_that_nobody_wished_for_is_an_anomaly(state):
    assert is_anomaly(ended(state=state), slow=0.0)


@pytest.mark.parametrize("state", [State.SUCCESS, State.REVOKED, State.REPLACED])
def test_an_end_that_somebody_wished_for_is_none(state):
    assert not is_anomaly(ended(state=state), slow=0.0)


@pytest.mark.parametrize("change", [{"ordinal": 1}, {"redelivered": True}])
def test_a_redelivery_is_an_anomaly(change):
    assert is_anomaly(ended(**change), slow=0.0)


@pytest.mark.parametrize(("run", "expected"), [(29.9, False), (30.0, True), (None, False)])
def test_a_run_is_slow_from_the_limit_on(run, expected):
    assert is_anomaly(ended(run=run), slow=30.0) is expected


def test_without_a_limit_nothing_is_slow():
    assert not is_anomaly(ended(run=1e6), slow=0.0)


@pytest.mark.parametrize(("state", "expected"), [(State.RETRY, False), (State.FAILURE, True)])
def test_a_task_of_celery_itself_retries_to_wait(state, expected):
    unlock = Kind("celery.chord_unlock", None, internal=True)

    assert is_anomaly(ended(kind=unlock, state=state), slow=0.0) is expected


def test_only_anomalies_have_spans_where_that_is_the_policy():
    settings = SpanSettings(process="anomalies")

    assert names(sent(), waited(), ended(), FAILED, settings=settings) == [
        "send shop.pay",
        "wait payments",
        "process shop.pay",
    ]


def test_no_run_has_a_span_where_that_is_the_policy():
    settings = SpanSettings(process="never")

    assert names(sent(), waited(), ended(), FAILED, settings=settings) == [
        "send shop.pay",
        "wait payments",
    ]


def test_where_no_run_has_a_span_none_is_a_parent():
    (span,) = spans(sent(retries=1), settings=SpanSettings(process="never"))

    assert span.parent_span_id is None


def test_anomalies_are_kept_whatever_becomes_of_their_trace():
    assert names(sent(), waited(), ended(), FAILED, settings=NEVER_SAMPLED) == ["process shop.pay"]


def test_an_anomaly_stands_for_itself_alone():
    (span,) = spans(FAILED, settings=NEVER_SAMPLED)

    assert span.trace_state == "ot=th:0"


def test_a_trace_that_its_producer_does_not_keep_is_left_out():
    dropped = trace(sampled=False)

    assert names(waited(trace=dropped), ended(trace=dropped)) == []


def test_an_anomaly_in_a_trace_that_its_producer_does_not_keep_stays():
    (span,) = spans(ended(state=State.LOST, trace=trace(sampled=False, state="ot=th:f,a=b")))

    assert span.trace_state == "ot=th:0,a=b"


def test_what_is_left_out_is_counted_by_reason():
    settings = SpanSettings(process="anomalies", sampler="always_off")

    sink, waiting = accepted(sent(), waited(), ended(), FAILED, settings=settings)

    found = sink.statistics()
    assert found.left == {Left.SAMPLED_OUT: 2, Left.POLICY: 1}
    assert found.kept == len(waiting) == 1


def test_spans_that_others_make_are_not_left_out():
    sink, _ = accepted(sent(trace=trace()))

    assert sum(sink.statistics().left.values()) == 0


def test_all_spans_of_a_trace_tell_the_same_threshold():
    settings = SpanSettings(sampler="traceidratio", ratio=0.5)
    effects = [make(root_id=ROOT_THAT_IS_KEPT) for make in (sent, waited, ended)]

    assert [span.trace_state for span in spans(*effects, settings=settings)] == ["ot=th:8"] * 3


def test_with_nothing_instrumented_a_retried_task_and_its_child_are_one_trace():
    web, worker = producer(), Process()
    first, second = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
    effects = feed(
        Engine(long_wait=1.0),
        web.sent(first, 0.0),
        worker.received(first, 0.1),
        worker.started(first, 5.0),
        worker.sent(first, 6.0, retries=1, parent_id=first),
        worker.retried(first, 6.1),
        worker.received(first, 6.2, retries=1),
        worker.started(first, 6.3),
        worker.sent(second, 6.4, root_id=first, parent_id=first),
        worker.received(second, 6.5, root_id=first, parent_id=first),
        worker.started(second, 6.6),
        worker.succeeded(first, 7.0),
        worker.succeeded(second, 7.1),
    )

    made = spans(*effects)
    send, wait, run = send_span_id(first, 0), wait_span_id(first, 0), process_span_id(first, 0)
    again, run_again = send_span_id(first, 1), process_span_id(first, 1)
    below, run_below = send_span_id(second, 0), process_span_id(second, 0)
    assert {span.trace_id for span in made} == {uuid.UUID(first).int}
    assert {span.span_id: span.parent_span_id for span in made} == {
        send: None,
        wait: send,
        run: send,
        again: run,
        run_again: again,
        below: run_again,
        run_below: below,
    }


def test_a_budget_holds_over_all_kinds_of_spans():
    effects = [
        effect
        for each in range(1_000)
        for root in [f"{UUID[:-15]}{each % 256:02x}-{each:012x}"]
        for effect in (sent(root_id=root), waited(root_id=root), ended(root_id=root))
    ]

    sink, waiting = accepted(*effects, settings=SpanSettings(budget=100.0))

    assert len(waiting) < len(effects) / 2
    assert sink.statistics().ratio < 0.1


# -- without spans of publishing -------------------------------------------------------------------

NO_SENDS = SpanSettings(send="never")


def test_publishing_has_no_span_where_none_is_wanted():
    sink, waiting = accepted(sent(), ended(), settings=NO_SENDS)
    assert [draft().name for draft in waiting] == ["process shop.pay"]
    assert sink.statistics().left[Left.POLICY] == 1


@pytest.mark.parametrize(
    ("changes", "parent"),
    [
        ({}, None),
        ({"parent_id": PARENT}, process_span_id(PARENT, 0)),
        ({"parent_id": PARENT, "parent_attempt": (2, 1)}, process_span_id(PARENT, 2, 1)),
        ({"retries": 1}, process_span_id(UUID, 0)),
        ({"ordinal": 1, "sent_ordinal": 1}, process_span_id(UUID, 0)),
        ({"ordinal": 1, "sent_ordinal": 0}, None),
    ],
)
def test_then_a_run_hangs_on_the_run_that_sent_it(changes, parent):
    (span,) = spans(ended(**changes), settings=NO_SENDS)
    assert span.parent_span_id == parent


def test_a_wait_hangs_on_it_too():
    (span,) = spans(waited(parent_id=PARENT), settings=NO_SENDS)
    assert span.parent_span_id == process_span_id(PARENT, 0)
