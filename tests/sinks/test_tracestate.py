import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import TraceState

from stream.sinks.tracestate import (
    BITS,
    MOST_CHARACTERS,
    MOST_MEMBERS,
    MOST_VALUE_CHARACTERS,
    read,
    with_threshold,
)

THRESHOLDS = st.integers(0, 2**BITS - 1)
KEYS = st.from_regex(r"[a-z][a-z0-9_*/-]{0,30}", fullmatch=True)
VALUES = st.from_regex(r"[ -+\--<>-~]{0,260}", fullmatch=True)
OWN = st.lists(st.from_regex(r"([a-z]{1,3}|th|rv):[a-f0-9.]{0,40}", fullmatch=True)).map(
    lambda entries: "ot=" + ";".join(entries)
)
MEMBERS = st.one_of(st.builds("{}={}".format, KEYS, VALUES), OWN, st.text(max_size=20))
STATES = st.lists(MEMBERS, max_size=50).map(",".join)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("", (None, None)),
        ("a=b", (None, None)),
        ("ot=th:8", (2**55, None)),
        ("ot=th:0", (0, None)),
        ("a=b, ot=p:1;th:c;rv:0123456789abcd", (3 * 2**54, 0x0123456789ABCD)),
        ("ot=th:fffffffffffffff", (None, None)),
        ("ot=th:;rv:12", (None, None)),
        ("ot=th:8G", (None, None)),
        ("oti=th:8", (None, None)),
        ("ot=th:8,ot=th:c", (2**55, None)),
    ],
)
def test_what_it_says_about_sampling_is_read(state, expected):
    assert read(state) == expected


@given(st.text())
def test_reading_never_raises(state):
    read(state)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("", "ot=th:8"),
        ("a=b", "ot=th:8,a=b"),
        ("a=b , c@d=e", "ot=th:8,a=b,c@d=e"),
        ("a=b,ot=th:c", "ot=th:8,a=b"),
        ("ot=rv:0123456789abcd;th:c", "ot=th:8;rv:0123456789abcd"),
        ("ot=x:1;rv:0123456789abcd", "ot=th:8;rv:0123456789abcd;x:1"),
        ("Broken,a=b,=,c", "ot=th:8,a=b"),
        ("a=b,a=c", "ot=th:8,a=b"),
    ],
)
def test_the_threshold_comes_first_and_the_rest_stays(state, expected):
    assert with_threshold(state, 2**55) == expected


@pytest.mark.parametrize(
    ("threshold", "text"), [(0, "0"), (1, "0" * 13 + "1"), (0xE6666 << 36, "e6666")]
)
def test_a_threshold_has_no_trailing_zeros(threshold, text):
    assert with_threshold("", threshold) == f"ot=th:{text}"


def test_a_randomness_is_added_where_there_is_none():
    assert with_threshold("a=b", 0, randomness=1) == "ot=th:0;rv:00000000000001,a=b"
    assert with_threshold("ot=rv:" + "f" * 14, 0, randomness=1) == "ot=th:0;rv:" + "f" * 14


@given(STATES, THRESHOLDS)
def test_what_is_written_is_read(state, threshold):
    written = with_threshold(state, threshold)

    assert read(written) == (threshold, read(state).randomness)


@given(STATES, THRESHOLDS, st.none() | THRESHOLDS)
def test_what_is_written_is_within_the_limits(state, threshold, randomness):
    written = with_threshold(state, threshold, randomness=randomness)

    members = written.split(",")
    assert len(written) <= MOST_CHARACTERS
    assert len(members) <= MOST_MEMBERS
    assert max(len(each.partition("=")[2]) for each in members) <= MOST_VALUE_CHARACTERS
    assert [each for each in members if each.startswith("ot=")] == members[:1]


@pytest.mark.parametrize(
    ("state", "members"),
    [
        (",".join(f"k{each}=v" for each in range(40)), MOST_MEMBERS),
        (",".join(f"k{each}={'v' * 96}" for each in range(9)), 1 + 5),
        (",".join(f"k{each}={'v' * 254}" for each in range(9)), 1 + 1),
    ],
    ids=["members", "characters", "long members"],
)
def test_what_does_not_fit_is_left_out_at_the_end(state, members):
    kept = with_threshold(state, 2**55).split(",")

    assert kept == ["ot=th:8", *state.split(",")[: members - 1]]


def test_what_does_not_fit_into_our_entry_is_left_out_at_the_end():
    own = [f"k{each}:{'v' * 46}" for each in range(5)]

    assert with_threshold(f"ot={';'.join(own)}", 1) == f"ot=th:{1:014x};{';'.join(own[:4])}"


@given(st.dictionaries(KEYS.filter(lambda key: key != "ot"), st.just("v"), max_size=10))
def test_the_entries_of_others_stay_as_they_are_and_in_their_order(entries):
    members = [f"{key}={value}" for key, value in entries.items()]
    valid = [each for each in members if TraceState.from_header([each])]

    assert with_threshold(",".join(members), 0) == ",".join(["ot=th:0", *valid])


@given(STATES, THRESHOLDS)
def test_the_sdk_reads_what_is_written(state, threshold):
    written = with_threshold(state, threshold)

    found = TraceState.from_header([written])
    assert found.to_header() == written
