import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from stream.export.attributes import MOST_CHARACTERS, MOST_KEYS, MOST_VALUES, Attributes
from stream.export.records import Severity
from stream.occurrences import Signal

from .records import any_key, any_value
from .reference_encoding import write_attributes

FIELD = SpanMessage.ATTRIBUTES_FIELD_NUMBER

# Few keys and values that Python takes for equal, so that what is remembered is met again.
repeating = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]) | any_key,
        st.sampled_from(["x", "1", 1, True, 1.0, 0, False, 0.0, -0.0, 127, 128, -1]) | any_value,
    )
)


def reference(attributes):
    message = SpanMessage()
    write_attributes(message.attributes, attributes)
    return message.SerializeToString()


def encoded(attributes, pairs):
    return b"".join(attributes[key](value) for key, value in pairs)


@given(repeating)
def test_attributes_are_the_bytes_of_the_generated_classes_whatever_came_before(pairs):
    attributes = Attributes(FIELD)
    assert [reference([pair]) for pair in pairs] == [attributes[k](v) for k, v in pairs]


@pytest.mark.parametrize("first", ["text", 1, 1.5, True, 2**70, "x" * 10_000])
@given(pairs=st.lists(any_value))
def test_a_key_whose_values_are_not_remembered_takes_any_value(first, pairs):
    attributes = Attributes(FIELD)
    attributes["key"](first)
    assert reference([("key", v) for v in pairs]) == encoded(
        attributes, [("key", v) for v in pairs]
    )


@pytest.mark.parametrize("value", [Severity.WARN, Signal.LOGS])
def test_a_member_of_an_enumeration_is_its_value(value):
    attributes = Attributes(FIELD)
    assert reference([("key", value.value)]) == attributes["key"](value)
    assert reference([("key", value.value)]) == attributes["key"](value)


@pytest.mark.parametrize("length", [0, 1, 100, 127, 128, 129, 16_383, 16_384, 70_000])
def test_a_text_that_is_not_remembered_may_have_any_length(length):
    attributes = Attributes(FIELD)
    attributes.give_up("key", "text")
    assert reference([("key", "x" * length)]) == attributes["key"]("x" * length)


def test_a_short_text_is_encoded_once():
    attributes = Attributes(FIELD)
    assert attributes["queue"]("celery") is attributes["queue"]("celery")


def test_a_key_with_many_values_is_no_longer_remembered():
    attributes = Attributes(FIELD)
    for number in range(MOST_VALUES + 1):
        attributes["id"](str(number))
    assert attributes["id"]("celery") is not attributes["id"]("celery")


def test_a_key_with_many_values_pushes_out_no_other():
    attributes = Attributes(FIELD)
    before = attributes["queue"]("celery")
    for number in range(10 * MOST_VALUES):
        attributes["id"](str(number))
    assert attributes["queue"]("celery") is before


@pytest.mark.parametrize("value", ["x" * (MOST_CHARACTERS + 1), 0.5, 10**6])
def test_a_long_text_or_a_number_is_not_remembered(value):
    attributes = Attributes(FIELD)
    assert attributes["key"](value) is not attributes["key"](value)


def test_keys_are_remembered_up_to_a_limit():
    attributes = Attributes(FIELD)
    for number in range(2 * MOST_KEYS):
        attributes[str(number)]("x")
    assert len(attributes) == MOST_KEYS


def test_a_key_beyond_the_limit_is_encoded_all_the_same():
    attributes = Attributes(FIELD)
    for number in range(MOST_KEYS):
        attributes[str(number)]("x")
    assert reference([("late", "x")]) == attributes["late"]("x")
