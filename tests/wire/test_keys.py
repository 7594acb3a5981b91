import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.wire.keys import (
    PRIORITY_STEPS,
    Head,
    Layout,
    carries_tasks,
    glob_of,
    read_head,
    read_held,
    step_of,
)


def test_a_queue_is_one_list_for_each_priority_step():
    assert Layout().queue_keys("Q") == (
        (0, "Q"),
        (3, "Q\x06\x163"),
        (6, "Q\x06\x166"),
        (9, "Q\x06\x169"),
    )


def test_prefix_steps_and_separator_can_be_those_of_the_transport_options():
    layout = Layout(prefix="app:", separator="-", steps=(0, 5))
    assert layout.queue_keys("Q") == ((0, "app:Q"), (5, "app:Q-5"))


def test_the_keys_of_held_messages_can_be_those_of_the_transport_options():
    layout = Layout(prefix="app:", unacknowledged="u", unacknowledged_index="i")
    assert (layout.held, layout.held_index) == ("app:u", "app:i")


def test_the_keys_of_bindings_have_the_prefix():
    layout = Layout(prefix="app[1]:")
    assert layout.bindings == r"app\[1\]:_kombu.binding.*"
    assert layout.binding_key("mail") == "app[1]:_kombu.binding.mail"


@given(st.text(), st.text())
def test_the_exchange_can_be_read_from_a_key_of_bindings(prefix, exchange):
    layout = Layout(prefix=prefix)
    assert layout.exchange_of(layout.binding_key(exchange)) == exchange


@pytest.mark.parametrize(
    ("priority", "step"), [(0, 0), (2, 0), (3, 3), (5, 3), (6, 6), (8, 6), (9, 9), (255, 9)]
)
def test_a_priority_waits_at_the_step_at_or_below_it(priority, step):
    assert step_of(priority) == step


def test_a_priority_below_the_first_step_waits_at_the_last_as_in_kombu():
    assert step_of(0, (1, 5)) == 5


@given(st.integers())
def test_every_priority_has_a_step(priority):
    assert step_of(priority) in PRIORITY_STEPS


def bindings(members, **options):
    return list(Layout(**options).bindings_in(members))


def test_a_binding_names_its_routing_key_first_and_its_queue_last():
    members = [b"rk\x06\x16\x06\x16mail", b"\x06\x16#\x06\x16reports", b"mail\x06\x16\x06\x16mail"]
    assert bindings(members) == [("rk", "mail"), ("", "reports"), ("mail", "mail")]


def test_a_binding_is_written_with_the_separator_of_the_transport_options():
    assert bindings([b"rk::::mail"], separator="::") == [("rk", "mail")]


def test_members_that_are_no_bindings_are_left_out():
    assert bindings([b"", b"x", b"a\x06\x16b", b"a\x06\x16b\x06\x16"]) == []


def test_the_private_queues_of_broadcasts_are_left_out():
    assert bindings([b"\x06\x16\x06\x16bcast.2f1c"]) == []


@given(st.lists(st.binary()))
def test_reading_bindings_is_total(members):
    bindings(members)


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        ("celery", True),
        ("reports", True),
        ("celeryev", False),
        ("celery.pidbox", False),
        ("reply.celery.pidbox", False),
    ],
)
def test_exchanges_of_events_and_remote_control_carry_no_tasks(exchange, expected):
    assert carries_tasks(exchange) is expected


def test_the_event_exchange_may_have_another_name():
    assert not carries_tasks("mine", "mine")


def test_other_keys_of_kombu_are_no_bindings():
    assert Layout().exchange_of("_kombu.binding_permanent.celery") is None


def test_a_glob_is_escaped_where_redis_would_read_it():
    assert glob_of(r"a*b?c[d]e\f{g}^h") == r"a\*b\?c\[d\]e\\f{g}^h"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'[{"body": "x", "headers": {}}, "mail", "mail.out"]', ("mail", "mail.out")),
        (b'["", "", "mail"]', ("", "mail")),
        (b"[{}, null, null]", ("", "")),
        (b'[{}, "mail"]', None),
        (b'[{}, "mail", 5]', None),
        (b"\x80pickle", None),
        (b'[{}, "\xff", "a"]', None),
    ],
)
def test_a_held_message_says_its_exchange_and_routing_key(value, expected):
    assert read_held(value) == expected


@given(st.binary())
def test_reading_held_messages_is_total(value):
    read_held(value)


def queued(headers, properties=None, body="e30="):
    return json.dumps({"body": body, "headers": headers, "properties": properties or {}}).encode()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([30, 20], 30.0),
        ([None, 20.5], 20.5),
        ([None, None], None),
        ([], None),
        ([0, 5], 5.0),
        ([True, False], None),
        ([10**400, 7], 7.0),
        ("soon", None),
        (None, None),
    ],
)
def test_the_time_limit_is_the_hard_one_or_else_the_soft_one(limits, expected):
    assert read_head(queued({"id": "u", "timelimit": limits})).timelimit == expected


def test_headers_say_which_task_it_is():
    head = read_head(queued({"id": "u", "traceparent": "00-a-b-01", "task": "app.t", "eta": None}))
    assert head == Head("u", None, "00-a-b-01")


def test_headers_say_which_trace_and_which_attempt_it_is():
    headers = {"id": "u", "tracestate": "v=1", "sentry-trace": "a-b-1", "retries": 2}
    expected = Head("u", tracestate="v=1", sentry_trace="a-b-1", retries=2)
    assert read_head(queued(headers)) == expected


def test_headers_of_a_trace_may_be_nested_in_headers():
    nested = {"traceparent": "00-a-b-01", "tracestate": "v=1", "sentry-trace": "a-b-1"}
    expected = Head("u", None, "00-a-b-01", "v=1", "a-b-1")
    assert read_head(queued({"id": "u", "headers": nested})) == expected


def test_the_messages_own_headers_come_before_nested_ones():
    nested = {"traceparent": "00-c-d-01", "sentry-trace": "c-d-1"}
    head = read_head(queued({"id": "u", "traceparent": "00-a-b-01", "headers": nested}))
    assert (head.traceparent, head.sentry_trace) == ("00-a-b-01", None)


@pytest.mark.parametrize("retries", [-1, 2**40, 1.5, True, "2", None])
def test_a_count_of_retries_that_is_none_is_not_said(retries):
    assert read_head(queued({"id": "u", "retries": retries})) == Head("u")


@pytest.mark.parametrize("nested", [5, [], "x", {"traceparent": 5}, {"x": {}}])
def test_nested_headers_that_cannot_be_read_say_nothing(nested):
    assert read_head(queued({"id": "u", "headers": nested})) == Head("u")


def test_a_message_of_protocol_1_is_known_by_its_correlation_id():
    assert read_head(queued({}, {"correlation_id": "u"})).uuid == "u"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b"[]",
        b"\x80\x04pickle",
        b'{"headers": []}',
        b'{"headers": {"id": "\xff"}}',
        b"[" * 100_000,
        b'{"x":' * 100_000,
        queued({"id": 5, "traceparent": ["x"]}),
    ],
)
def test_what_cannot_be_read_says_nothing(message):
    assert read_head(message) == Head()


@given(
    st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
        lambda value: json.dumps({"headers": value, "properties": value}).encode()
    )
)
def test_reading_a_message_is_total(message):
    read_head(message)
