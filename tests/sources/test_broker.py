import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from stream.errors import RefusedError
from stream.sources.address import RedisAddress, TlsSettings
from stream.sources.broker import Alternates, SentinelBroker, Serve, on_replica, parse_broker
from stream.sources.transport import TransportOptions

NAMED = {"master_name": "m"}


def broker_of(url, **options):
    return parse_broker(url, options)[0]


def sentinels(*places, server, **changes):
    return SentinelBroker(
        tuple(RedisAddress(host, port, **changes) for host, port in places), "m", server
    )


def test_one_url_is_one_server():
    assert broker_of("redis://h/3") == RedisAddress("h", db=3)


def test_a_list_is_servers_to_fall_back_on():
    found = broker_of("redis://:p@a:1/2;rediss://b:2/3; redis://:q@c ;d:4;")
    assert found == Alternates(
        (
            RedisAddress("a", 1, db=2, password="p"),
            RedisAddress("b", 2, db=3, tls=TlsSettings()),
            RedisAddress("c", 2, db=3, password="q", tls=TlsSettings()),
            RedisAddress("d", 4, db=3, tls=TlsSettings()),
        )
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sentinel://h", sentinels(("h", 26379), server=RedisAddress("h", 26379))),
        (
            "sentinel://u:p@a:1/2;sentinel://b:2/3",
            sentinels(("a", 1), ("b", 2), server=RedisAddress("a", 1, None, 2, "u", "p")),
        ),
        ("SENTINEL://a:1;b:2", sentinels(("a", 1), ("b", 2), server=RedisAddress("a", 1))),
        (
            "sentinel://a:1?ssl_cert_reqs=CERT_REQUIRED",
            sentinels(("a", 1), server=RedisAddress("a", 1, tls=TlsSettings())),
        ),
    ],
)
def test_a_sentinel_broker_has_the_database_and_the_login_of_its_first_url(url, expected):
    assert broker_of(url, **NAMED) == expected


def test_sentinels_have_a_login_of_their_own():
    found = broker_of("sentinel://:data@a", **NAMED, sentinel_kwargs={"password": "s", "ssl": True})
    assert found == sentinels(
        ("a", 26379),
        server=RedisAddress("a", 26379, password="data"),
        password="s",
        tls=TlsSettings(),
    )


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://:p@h:1/2",
        "redis://u:p%40%2F@[::1]:1//2",
        "redis://a:1/2;redis://:p@b:2/3",
        "redis://a:1/2;redis://b",
        "redis://a/%31;b",
    ],
)
def test_the_servers_are_those_that_kombu_goes_to(url):
    broker = broker_of(url)
    addresses = broker.addresses if isinstance(broker, Alternates) else (broker,)
    connection = Connection(url)
    for address in addresses:
        db = int((connection.virtual_host or "0").strip("/") or 0)
        theirs = (connection.hostname, connection.port or 6379, connection.password, db)
        assert theirs == (address.host, address.port, address.password, address.db)
        connection.maybe_switch_next()


def test_transport_options_may_stand_in_the_query_of_any_url():
    url = "sentinel://a:1/2?global_keyprefix=app%3A&sep=-;sentinel://b:2?master_name=m"
    broker, options = parse_broker(url, {"sep": "+"})
    assert broker == sentinels(("a", 1), ("b", 2), server=RedisAddress("a", 1, db=2))
    assert options == TransportOptions(global_keyprefix="app:", sep="+", master_name="m")


def test_only_a_sentinel_broker_can_be_told_to_use_a_replica():
    plain = broker_of("redis://h")
    assert on_replica(plain) == plain
    assert on_replica(broker_of("sentinel://h", **NAMED)).serve is Serve.REPLICA


def test_a_broker_does_not_show_its_password():
    url = "sentinel://u:hidden@a:1/2;sentinel://:hidden@[::1]:2"
    broker = broker_of(url, **NAMED, sentinel_kwargs={"password": "hidden"})
    assert "hidden" not in repr(broker)
    assert broker.redacted == "sentinel://a:1;sentinel://[::1]:2/2"
    assert broker_of("redis://:hidden@a;redis://b/1").redacted == (
        "redis://a:6379/0;redis://b:6379/1"
    )


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "must begin with redis://"),
        (";", "must begin with redis://"),
        ("sentinel://:secret@h", "needs the transport option master_name"),
        ("redis://:secret@a;sentinel://:secret@b", "must begin all URLs"),
        ("redis://:secret@a;amqp://:secret@b", "amqp:// is not a broker"),
        ("redis://:secret@a" + ";b" * 32, "more than 32 servers"),
        ("redis://:secret;1@h", "percent-encode"),
        ("redis://h?fanout_patterns=secret", "fanout_patterns"),
    ],
)
def test_a_wrong_broker_is_refused_in_a_sentence_without_its_password(url, sentence):
    with pytest.raises(RefusedError, match=sentence) as caught:
        parse_broker(url)
    assert "secret" not in str(caught.value)


@given(st.text(), st.sampled_from(["", "redis://", "sentinel://", "redis://a;", "sentinel://h?"]))
def test_parsing_gives_a_broker_or_a_sentence(text, start):
    with contextlib.suppress(RefusedError):
        parse_broker(start + text, NAMED)
