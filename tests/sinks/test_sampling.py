import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import TraceState

from stream.config import SpanSettings
from stream.core.trace import TraceSource
from stream.sinks.budget import NEVER
from stream.sinks.identity import origin
from stream.sinks.sampling import (
    ALWAYS,
    AS_IT_CAME,
    Kept,
    Sampler,
    randomness_of,
    threshold_of,
    trace_state_of,
)
from stream.sinks.tracestate import read
from tests.builders import T0
from tests.sinks.span_effects import ROOT, TRACE_ID, UUID, chance, trace

SAMPLERS = [
    *("always_on", "always_off", "traceidratio"),
    *("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
]
UUIDS = st.uuids(version=4).map(str)
RATIOS = st.floats(0, 1)
INHERITED = [each for each in TraceSource if each is not TraceSource.DERIVED]
HIGH, LOW = TRACE_ID | 0xFF << 48, TRACE_ID & ~(0xFF << 48)
"""Two traces: one that a ratio keeps nearly always, and one that it nearly never does."""
STATES = st.sampled_from([None, "a=b", "ot=th:8", "ot=rv:00000000000001", "ot=x:y"])
TRACES = st.none() | st.builds(
    trace,
    st.sampled_from(INHERITED),
    trace_id=st.sampled_from([HIGH, LOW]),
    sampled=st.booleans(),
    state=STATES,
)


def sampler(name="traceidratio", ratio=0.5, *, budget=0.0):
    return Sampler(SpanSettings(sampler=name, ratio=ratio, budget=budget))


def decide(by, of=None, root=ROOT, task=UUID, *, always=False):
    return by.decide(of, root, task, at=T0, always=always)


@given(UUIDS, st.lists(UUIDS, min_size=2, max_size=5), RATIOS)
def test_all_spans_of_a_trace_share_one_decision(root, tasks, ratio):
    by = sampler(ratio=ratio)

    assert len({decide(by, root=root, task=each) for each in tasks}) == 1


@given(UUIDS, RATIOS, RATIOS)
def test_what_a_ratio_keeps_a_larger_one_keeps_too(root, one, other):
    smaller, larger = sorted([one, other])

    if decide(sampler(ratio=smaller), root=root) is not None:
        assert decide(sampler(ratio=larger), root=root) is not None


@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.5, 0.75, 0.9])
@pytest.mark.parametrize(
    "make",
    [
        lambda source: uuid.UUID(int=source.getrandbits(128), version=4),
        # Version 1: the low 48 bits are the machine's.
        lambda source: uuid.UUID(fields=(source.getrandbits(32), 1, 0x1001, 0x80, 1, 0xC04FD430C8)),
        lambda source: f"{source.getrandbits(40):032x}",
        lambda source: f"order-{source.getrandbits(40)}",
    ],
    ids=["version 4", "version 1", "numbers", "texts"],
)
def test_a_ratio_keeps_that_share_of_roots_of_any_kind(ratio, make):
    source, by, number = chance(1), sampler(ratio=ratio), 4000

    kept = sum(decide(by, root=str(make(source))) is not None for _ in range(number))
    assert abs(kept / number - ratio) < 4 * (ratio * (1 - ratio) / number) ** 0.5


@given(UUIDS, RATIOS)
def test_a_threshold_that_is_told_is_true(root, ratio):
    kept = decide(sampler(ratio=ratio), root=root)

    assert kept is None or kept.threshold is None or kept.threshold <= uuid.UUID(root).int % NEVER


@pytest.mark.parametrize(("ratio", "threshold"), [(1.0, 0), (0.5, NEVER // 2), (0.0, NEVER)])
def test_the_threshold_of_a_ratio(ratio, threshold):
    assert threshold_of(ratio) == threshold


@given(st.floats(1e-9, 1))
def test_a_threshold_keeps_its_ratio_with_few_digits(ratio):
    kept = NEVER - threshold_of(ratio)

    assert kept / NEVER == pytest.approx(ratio, rel=2**-15)
    assert len(f"{kept:b}".rstrip("0")) <= 16


def test_a_trace_with_just_the_randomness_of_the_threshold_is_kept():
    just, below = trace(state="ot=rv:80000000000000"), trace(state="ot=rv:7fffffffffffff")

    assert decide(sampler(ratio=0.5), just) == Kept(NEVER // 2)
    assert decide(sampler(ratio=0.5), below) is None


@pytest.mark.parametrize("exponent", range(8))
@pytest.mark.parametrize("state", ["", "a=b", "ot=th:1", "ot=rv:ffffffffffffff,a=b", "ot=x:1"])
def test_the_decisions_are_those_of_the_sdks_consistent_sampler(exponent, state):
    experimental = pytest.importorskip("opentelemetry.sdk.trace._sampling_experimental")
    ratio, source = 0.5**exponent, chance(exponent)
    theirs = experimental.composite_sampler(experimental.composable_traceid_ratio_based(ratio))
    ours = sampler(ratio=ratio, budget=1e6)  # which tells a threshold of 0 as well
    for _ in range(100):
        of = trace(trace_id=source.getrandbits(128), state=state)
        found = origin(of, ROOT, UUID)
        expected = theirs.should_sample(
            None, found.trace_id, "name", trace_state=TraceState.from_header([state])
        )

        kept = decide(ours, of)

        assert (kept is not None) is (expected.decision is Decision.RECORD_AND_SAMPLE)
        if kept is not None:
            assert trace_state_of(found, kept.threshold) == expected.trace_state.to_header()


@pytest.mark.parametrize(
    ("name", "sampled", "unsampled", "none"),
    [
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("parentbased_always_on", True, False, True),
        ("parentbased_always_off", True, False, False),
    ],
)
@pytest.mark.parametrize("source", INHERITED)
def test_who_decides(name, sampled, unsampled, none, source):
    by = sampler(name)

    found = [
        decide(by, of) is not None for of in (trace(source), trace(source, sampled=False), None)
    ]
    assert found == [sampled, unsampled, none]


@pytest.mark.parametrize("name", ["traceidratio", "parentbased_traceidratio"])
def test_a_ratio_decides_where_nobody_else_did(name):
    low, high = (str(uuid.UUID(int=each)) for each in (LOW | 0x4 << 76, HIGH | 0x4 << 76))

    assert decide(sampler(name), root=low) is None
    assert decide(sampler(name), root=high) == Kept(NEVER // 2)


def test_the_decision_of_the_parent_stands_with_its_threshold():
    by, of = sampler("parentbased_traceidratio"), trace(trace_id=LOW, state="ot=th:1")

    assert decide(by, of) is AS_IT_CAME


def test_a_ratio_without_a_parent_does_not_ask_the_parent():
    by = sampler("traceidratio")

    assert decide(by, trace(trace_id=LOW)) is None
    assert decide(by, trace(trace_id=HIGH, sampled=False, state="ot=th:f")) == Kept(NEVER // 2)


def test_the_randomness_that_is_told_is_asked_instead_of_the_trace_id():
    by = sampler("traceidratio")

    assert decide(by, trace(trace_id=HIGH, state="ot=rv:00000000000001")) is None
    assert decide(by, trace(trace_id=LOW, state="ot=rv:ffffffffffffff")) is not None


def test_a_trace_id_without_chance_gets_a_randomness_of_its_own():
    found = origin(None, f"{17:032x}", UUID)

    assert read(trace_state_of(found, 0)).randomness == randomness_of(found) != 17


@pytest.mark.parametrize("name", SAMPLERS)
@given(of=TRACES, budget=st.sampled_from([0.0, 1.0]))
def test_what_is_kept_always_is(name, of, budget):
    by = sampler(name, ratio=0.0, budget=budget)

    assert {decide(by, of, always=True) for _ in range(20)} <= {ALWAYS, AS_IT_CAME}


def test_what_is_kept_always_does_not_tell_a_threshold_that_is_not_true():
    assert decide(sampler("parentbased_always_on"), trace(state="ot=th:8"), always=True) is ALWAYS


def test_what_is_kept_always_says_so_where_its_trace_is_not_kept():
    assert decide(sampler("parentbased_always_on"), trace(sampled=False), always=True) is ALWAYS


def test_what_is_kept_always_is_part_of_the_budget():
    by = sampler("always_on", budget=10.0)
    for _ in range(10):
        decide(by, always=True)

    assert decide(by) is None


def test_who_keeps_all_does_not_tell_the_threshold_of_who_did_not():
    assert decide(sampler("always_on"), trace(state="ot=th:8")) == Kept(0)


def test_what_is_kept_always_stays_as_it_came_where_all_is_kept():
    assert decide(sampler("parentbased_always_on"), trace(), always=True) is AS_IT_CAME


@pytest.mark.parametrize("name", SAMPLERS)
@given(of=TRACES, ratio=st.sampled_from([0.5, 1.0]), always=st.booleans())
def test_where_there_is_nothing_to_ask_all_is_kept_as_it_came(name, of, ratio, always):
    by = sampler(name, ratio)

    assert by.asks(of) or decide(by, of, always=always) is AS_IT_CAME


def test_by_default_there_is_nothing_to_ask_about_traces_that_are_sampled():
    by = Sampler(SpanSettings())

    assert [by.asks(each) for each in (None, trace(), trace(sampled=False))] == [False, False, True]


@pytest.mark.parametrize(("name", "ratio"), [("always_off", 0.0), ("traceidratio", 0.5)])
def test_it_tells_the_share_that_it_keeps(name, ratio):
    assert sampler(name).ratio == ratio


def test_a_budget_holds_for_traces_that_others_keep():
    by = sampler("parentbased_always_on", budget=1.0)
    source = chance(1)

    kept = [
        decide(by, trace(trace_id=source.getrandbits(128), state="ot=th:8")) for _ in range(1000)
    ]
    assert sum(each is not None for each in kept) < 100
    assert max(each.threshold or 0 for each in kept if each is not None) > NEVER // 2
