"""Reading is total: whatever the bytes, it returns and raises nothing."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from stream.events import Message, Transport
from stream.wire.capture import read_line
from stream.wire.codec import decode, decode_in_full

CONTENT_TYPES = (None, "application/json", "application/x-msgpack", "application/x-yaml", "")
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["task-sent", "task-received", "task-succeeded", "worker-heartbeat", "x"]
        )
        | json_values,
        "hostname": st.just("w@h") | json_values,
        "timestamp": st.just(1.5) | json_values,
        "uuid": st.just("u") | json_values,
        "pid": json_values,
        "clock": json_values,
        "retries": json_values,
        "runtime": json_values,
        "args": json_values,
        "kwargs": json_values,
        "result": json_values,
    },
)
bodies = st.binary() | (fields | st.lists(fields) | json_values).map(
    lambda value: json.dumps(value).encode()
)


@given(st.sampled_from(Transport), bodies, st.sampled_from(CONTENT_TYPES))
def test_decode_is_total(transport, payload, content_type):
    decode(Message(1.0, "test", transport, b"", payload, content_type))


@given(st.sampled_from(Transport), bodies, st.sampled_from(CONTENT_TYPES))
def test_reading_arguments_costs_no_event_and_lets_none_in(transport, payload, content_type):
    message = Message(1.0, "test", transport, b"", payload, content_type)
    plain, in_full = decode(message), decode_in_full(message)
    assert len(in_full.events) == len(plain.events)
    assert in_full.rejected == plain.rejected


@given(bodies, st.sampled_from(["base64", "utf-8", None, 7]), json_values)
def test_decode_is_total_behind_an_envelope(body, encoding, content_type):
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-type": content_type,
        "properties": {"body_encoding": encoding},
    }
    payload = json.dumps(envelope).encode()
    decode(Message(1.0, "test", Transport.REDIS, b"", payload))


@given(st.lists(fields, min_size=1))
def test_every_element_of_a_batch_is_either_an_event_or_rejected(elements):
    payload = json.dumps(elements).encode()
    decoded = decode(Message(1.0, "test", Transport.AMQP, b"", payload))
    assert len(decoded.events) + len(decoded.rejected) == len(elements)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_reading_a_line_of_a_capture_is_total(line):
    read_line(line)
