"""The short way to the bytes of a span comes to the same as the long one."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from stream.config import OtlpSettings
from stream.core.effects import AttemptEnded, Succeeded
from stream.core.kinds import Kind
from stream.core.states import State
from stream.export.encoding import encode_spans
from stream.export.resources import Resources
from stream.export.span_message import span_message
from stream.sinks.span_drafts import ProcessDraft, SendDraft
from stream.sinks.span_records import Observed
from tests.builders import T0
from tests.sinks.span_effects import KIND, OBSERVED, PARENT, UUID, ended, sent, trace

observers = st.builds(
    Observed,
    st.just(Resources(OtlpSettings())),
    st.just("redis"),
    runs=st.booleans(),
    broker=st.sampled_from((None, "eu")),
    sends=st.booleans(),
)
uuids = st.uuids().map(str) | st.uuids(version=4).map(str)
ids = st.one_of(
    uuids,
    uuids.map(str.upper),
    uuids.map(lambda text: text.replace("-", "")),
    st.sampled_from(
        (UUID, str(uuid.UUID(int=0)), "order-17", "", "é" * 40, "x" * 300, "\ud800", "1 2" * 11)
    ),
    st.text("0123456789abcdef -_", min_size=30, max_size=36),
)
instants = st.sampled_from((T0, T0 + 0.25, T0 + 3.0, 0.0, -5.0, 1e12))
traces = st.sampled_from((None, None, None, trace()))
kinds = st.sampled_from((KIND, Kind(None, None), Kind("x" * 300, "q")))


def succeeded(**changes):
    told = ended(**changes)
    return Succeeded(*[getattr(told, name) for name in AttemptEnded.__struct_fields__], 1.0)


def long_way(draft):
    span = draft()
    return span.resource, span_message(span)


thresholds = st.sampled_from((None, None, 1))
REQUIRED = {"uuid": ids, "kind": kinds}
OPTIONAL = {
    "root_id": ids | st.none(),
    "parent_id": ids | st.none(),
    "retries": st.integers(0, 1),
    "ordinal": st.integers(0, 1),
    "trace": traces,
}
OF_RUNS = {
    "redelivered": st.booleans(),
    "sent_at": instants | st.none(),
    "started_at": instants | st.none(),
    "ended_at": instants,
    "wait": st.floats(0.0, 100.0) | st.none(),
    "hostname": st.sampled_from(("w@h", None, "\ud800@x", "w" * 300)),
}


def changes(of_its_own):
    return st.fixed_dictionaries(REQUIRED, optional=OPTIONAL | of_its_own)


@given(changes(OF_RUNS), observers, thresholds)
def test_runs(changes, observed, threshold):
    draft = ProcessDraft(succeeded(**changes), observed, threshold)
    assert draft.write() in (None, long_way(draft))


@given(changes({"sent_at": instants}), observers, thresholds)
def test_messages(changes, observed, threshold):
    draft = SendDraft(sent(**changes), observed, threshold)
    assert draft.write() in (None, long_way(draft))


USUAL = [
    ProcessDraft(succeeded(), OBSERVED, None),
    ProcessDraft(succeeded(parent_id=PARENT), OBSERVED, None),
    ProcessDraft(succeeded(), structs.replace(OBSERVED, sends=False), None),
    SendDraft(sent(), OBSERVED, None),
]


@pytest.mark.parametrize("draft", USUAL)
def test_what_nearly_all_are_goes_the_short_way(draft):
    assert draft.write() == long_way(draft)


@pytest.mark.parametrize(
    "draft",
    [
        ProcessDraft(ended(), OBSERVED, None),
        ProcessDraft(ended(state=State.FAILURE), OBSERVED, None),
        ProcessDraft(succeeded(), OBSERVED, 1),
        ProcessDraft(succeeded(retries=1), OBSERVED, None),
        ProcessDraft(succeeded(parent_id=PARENT), structs.replace(OBSERVED, sends=False), None),
        SendDraft(sent(parent_id=PARENT), OBSERVED, None),
    ],
)
def test_what_is_not_as_usual_does_not(draft):
    assert draft.write() is None


def test_a_request_is_the_same_either_way():
    drafts = [*USUAL, SendDraft(sent(parent_id=PARENT), OBSERVED, None)]
    assert encode_spans(drafts) == encode_spans([lambda d=d: d() for d in drafts])
