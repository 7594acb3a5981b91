import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.wire.keys import (
    PRIORITY_STEPS,
    Head,
    binding_key,
    bound_queues,
    is_task_binding,
    priority_keys,
    read_head,
    step_of,
)


def test_a_queue_is_one_list_for_each_priority_step():
    assert priority_keys("Q") == (
        (0, "Q"),
        (3, "Q\x06\x163"),
        (6, "Q\x06\x166"),
        (9, "Q\x06\x169"),
    )


def test_steps_and_separator_can_be_those_of_the_transport_options():
    assert priority_keys("Q", (0, 5), ":") == ((0, "Q"), (5, "Q:5"))


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


def test_a_binding_names_its_queue_last():
    members = [b"rk\x06\x16\x06\x16mail", b"\x06\x16#\x06\x16reports", b"mail\x06\x16\x06\x16mail"]
    assert bound_queues(members) == {"mail", "reports"}


def test_members_that_are_no_bindings_are_left_out():
    assert bound_queues([b"", b"x", b"a\x06\x16b", b"a\x06\x16b\x06\x16"]) == set()


def test_the_private_queues_of_broadcasts_are_left_out():
    assert bound_queues([b"\x06\x16\x06\x16bcast.2f1c"]) == set()


@given(st.lists(st.binary()))
def test_reading_bindings_is_total(members):
    bound_queues(members)


@pytest.mark.parametrize(
    ("exchange", "carries_tasks"),
    [
        ("celery", True),
        ("reports", True),
        ("celeryev", False),
        ("celery.pidbox", False),
        ("reply.celery.pidbox", False),
    ],
)
def test_exchanges_of_events_and_remote_control_carry_no_tasks(exchange, carries_tasks):
    assert is_task_binding(binding_key(exchange)) is carries_tasks


def test_the_event_exchange_may_have_another_name():
    assert not is_task_binding(binding_key("mine"), "mine")


def test_other_keys_of_kombu_are_no_bindings():
    assert not is_task_binding("_kombu.binding_permanent.celery")


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
        ("soon", None),
        (None, None),
    ],
)
def test_the_time_limit_is_the_hard_one_or_else_the_soft_one(limits, expected):
    assert read_head(queued({"id": "u", "timelimit": limits})).timelimit == expected


def test_headers_say_which_task_it_is():
    head = read_head(queued({"id": "u", "traceparent": "00-a-b-01", "task": "app.t", "eta": None}))
    assert head == Head("u", None, "00-a-b-01")


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
