"""Builders and strategies of spans and log records."""

from hypothesis import strategies as st
from msgspec import structs

from stream.export.records import Common, Link, Log, Resource, Severity, Span, SpanKind

RESOURCE = Resource((("service.name", "celery"), ("host.name", "box")))
RESOURCES = [
    RESOURCE,
    Resource((("service.name", "other"), ("weight", 3), ("odd", "a\ud800"))),
    Resource(()),
]


def make_span(**changes):
    values = {
        "resource": RESOURCE,
        "trace_id": 0xABC,
        "span_id": 0xDEF,
        "parent_span_id": None,
        "flags": 1,
        "trace_state": "",
        "name": "process shop.pay",
        "kind": SpanKind.CONSUMER,
        "start_ns": 1_700_000_000_000_000_000,
        "end_ns": 1_700_000_001_000_000_000,
        "attributes": [],
    }
    return Span(**{**values, **changes})


def make_log(**changes):
    values = {
        "resource": RESOURCE,
        "time_ns": 1_700_000_000_000_000_000,
        "event_name": "celery.task.lost",
        "severity": Severity.ERROR,
        "body": "gone",
        "trace_id": 0xABC,
        "span_id": 0xDEF,
        "flags": 1,
        "attributes": [],
    }
    return Log(**{**values, **changes})


# With lone surrogates, which hypothesis leaves out unless told, and texts of all sizes of length.
any_text = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.integers(0, 3000).map(lambda length: "x" * length),
    st.integers(0, 300).map(lambda length: "é" * length),
)
any_integer = st.integers() | st.sampled_from([-(2**63), 2**63 - 1, 2**63, -(2**63) - 1, 2**64])
any_value = any_text | st.booleans() | any_integer | st.floats()
any_key = st.sampled_from(["name", "count", "", "é", "key\ud800"]) | any_text
any_attributes = st.lists(st.tuples(any_key, any_value), max_size=8)


# Few, so that what is remembered of them is met again; with one text for each of their keys.
COMMON = [
    Common(()),
    Common((("name", "x"), ("count", 3))),
    Common((("name", "é\ud800"),), ("id", "other id")),
    Common((), ("id",)),
]
commons = st.sampled_from(COMMON) | st.builds(
    Common, any_attributes.map(tuple), st.lists(any_key, max_size=3).map(tuple)
)


def with_texts(span):
    """Give a span a text for each of the keys that it shares."""
    texts = st.tuples(*[any_text for _ in span.common.keys])
    return texts.map(lambda found: structs.replace(span, texts=found))


resources = st.sampled_from(RESOURCES)
valid_trace_ids = st.integers(0, 2**128 - 1)
valid_numbers = st.integers(0, 2**64 - 1)


def spans(
    *,
    resources=resources,
    trace_ids=valid_trace_ids,
    numbers=valid_numbers,
    flags=valid_numbers,
    texts=any_text,
    trace_states=any_text,
    attributes=any_attributes,
    commons=commons,
):
    return st.builds(
        Span,
        resource=resources,
        trace_id=trace_ids,
        span_id=numbers,
        parent_span_id=st.none() | numbers,
        flags=flags,
        trace_state=trace_states,
        name=texts,
        kind=st.sampled_from(SpanKind),
        start_ns=numbers,
        end_ns=numbers,
        attributes=attributes,
        links=st.lists(st.builds(Link, trace_ids, numbers), max_size=3).map(tuple),
        error=st.none() | texts,
        common=commons,
    ).flatmap(with_texts)


def logs(*, trace_ids=valid_trace_ids, numbers=valid_numbers, flags=valid_numbers):
    return st.builds(
        Log,
        resource=resources,
        time_ns=numbers,
        event_name=any_text,
        severity=st.sampled_from(Severity),
        body=any_text,
        trace_id=st.none() | trace_ids,
        span_id=st.none() | numbers,
        flags=flags,
        attributes=any_attributes,
    )
