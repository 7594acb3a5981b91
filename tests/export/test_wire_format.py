import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from stream.export.wire_format import WireType, delimited, length, tag, text, utf8, varint

from .records import any_text


@given(st.integers(0, 2**63 - 1))
@example(127)
@example(128)
@example(2**63 - 1)
def test_a_number_is_written_as_protobuf_writes_it(number):
    expected = AnyValue(int_value=number).SerializeToString()
    assert expected == tag(AnyValue.INT_VALUE_FIELD_NUMBER, WireType.VARINT) + varint(number)


@given(st.integers(0, 100_000))
def test_a_length_is_written_like_any_number(number):
    assert varint(number) == length(number)


@pytest.mark.parametrize(
    ("field", "wire_type", "expected"),
    [
        (1, WireType.VARINT, b"\x08"),
        (1, WireType.DELIMITED, b"\x0a"),
        (15, WireType.FIXED64, b"\x79"),
        (16, WireType.FIXED32, b"\x85\x01"),
    ],
)
def test_a_tag_has_the_field_and_the_wire_type(field, wire_type, expected):
    assert expected == tag(field, wire_type)


def test_an_empty_message_is_written_and_an_empty_text_is_not():
    assert (delimited(b"\x0a", b""), text(b"\x0a", "")) == (b"\x0a\x00", b"")


@given(any_text)
def test_every_text_has_bytes_that_are_valid_utf_8(value):
    assert len(value) == len(utf8(value).decode())
