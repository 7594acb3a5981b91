"""The search beside a broker: real events on a real server, read by a service of its own."""

import pytest

from stream.bench.live import Plan, live
from stream.bench.outlets import Outlet
from stream.bench.traffic import Kind
from stream.errors import RefusedError


def few(**fields):
    return Plan(**{"first": 2_000.0, "seconds": 0.5, "tries": 2, **fields})


def test_nothing_is_lost_at_rates_that_are_low(valkey):
    told = []
    found = live(valkey.url, few(), told=told.append)
    assert tuple(told) == found.tries
    assert found.events == sum(tried.events for tried in told) > 0
    for tried in told:
        assert (tried.shed, tried.disconnections, tried.missing) == (0, 0, 0)


def test_no_more_is_published_than_allowed(valkey):
    found = live(valkey.url, few(tries=10, most_events=3_500))
    assert found.events <= 3_500
    assert found.bounded_by in ("limit", "publisher", "service")


def test_events_are_published_for_the_broker_s_database(valkey):
    with valkey.client() as client, client.pubsub() as subscriber:
        subscriber.psubscribe("/3.celeryev/*")
        live(valkey.url.replace("/0", "/3"), few(tries=1, kind=Kind.CHAINS))
        heard = iter(lambda: subscriber.get_message(timeout=1.0), None)
        channels = {m["channel"] for m in heard if m["type"] == "pmessage"}
    assert b"/3.celeryev/task.multi" in channels


def test_a_service_that_sends_spans_holds_as_well(valkey):
    found = live(valkey.url, few(tries=1, outlet=Outlet.OTLP))
    assert [tried.shed for tried in found.tries] == [0]


def test_a_service_that_is_cut_off_does_not_hold(valkey):
    """The server keeps next to nothing for a subscriber that is not at once."""
    with valkey.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 20000 20000 1")
    found = live(valkey.url, few(first=60_000.0, seconds=1.0, tries=1))
    assert found.highest == 0.0
    (tried,) = found.tries
    assert tried.disconnections > 0
    assert not tried.held


def test_only_redis_is_published_to():
    with pytest.raises(RefusedError, match=r"amqp://.*publishes to Redis only|Redis only.*amqp://"):
        live("amqp://user:secret@localhost//", Plan())


def test_a_broker_that_is_not_there_is_refused_without_its_password(valkey):
    valkey.stop()
    with pytest.raises(RefusedError, match="does not answer") as problem:
        live(valkey.url.replace("redis://", "redis://:secret@"), Plan())
    assert "secret" not in str(problem.value)
