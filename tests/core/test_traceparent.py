"""What headers say of a trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.traceparent import from_sentry, is_valid, traceparent_of, tracestate_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "text",
    [VALID, f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-more"],
)
def test_a_text_by_the_rules_of_its_version_is_valid(text):
    assert is_valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        VALID[:-1],
        VALID + "-more",
        VALID + "\n",
        VALID.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-1g",
        f"cc-{TRACE}-{SPAN}-01more",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 600}",
        " " + VALID,
    ],
)
def test_any_other_text_is_not(text):
    assert not is_valid(text)


@pytest.mark.parametrize(
    ("sampled", "flags"), [("-1", "01"), ("-0", "00"), ("", "01")], ids=["yes", "no", "undecided"]
)
def test_sentrys_header_is_written_as_w3c_writes_it(sampled, flags):
    assert from_sentry(f"{TRACE}-{SPAN}{sampled}") == f"00-{TRACE}-{SPAN}-{flags}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        TRACE,
        f"{TRACE}-{SPAN}-",
        f"{TRACE}-{SPAN}-2",
        f"{TRACE}-{SPAN}-1\n",
        f"{'0' * 32}-{SPAN}-1",
        f"{TRACE}-{'0' * 16}-1",
        VALID,
    ],
)
def test_what_is_not_sentrys_header_is_no_traceparent(text):
    assert from_sentry(text) is None


def test_where_both_headers_are_valid_that_of_the_w3c_counts():
    assert traceparent_of(VALID, f"{'a' * 32}-{SPAN}-1") == VALID


@pytest.mark.parametrize("traceparent", [None, "", "00-nonsense"])
def test_sentrys_header_counts_where_the_other_is_absent_or_invalid(traceparent):
    assert traceparent_of(traceparent, f"{TRACE}-{SPAN}-1") == VALID


def test_without_a_valid_header_there_is_none():
    assert traceparent_of("00-nonsense", "nonsense") is None
    assert traceparent_of(None, None) is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a=1", "a=1"), ("a=" + "x" * 510, "a=" + "x" * 510), ("a=" + "x" * 511, None), ("", None)],
    ids=["short", "longest", "too long", "empty"],
)
def test_a_tracestate_is_kept_whole_or_not_at_all(text, kept):
    assert tracestate_of(text) == kept


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*"))
def test_reading_headers_is_total_and_gives_only_valid_texts(text):
    for found in (traceparent_of(text, None), traceparent_of(None, text)):
        assert found is None or is_valid(found)
