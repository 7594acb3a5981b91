"""What the brokers of the settings are called, and what reads them."""

import pytest

from stream.brokers import broker_of, named
from stream.config import BrokerSettings, Settings
from stream.errors import ConfigError


def several(*brokers):
    return Settings(brokers=tuple(BrokerSettings(url=url, name=name) for name, url in brokers))


def read(broker):
    return broker_of(broker, known=tuple, tell=lambda _: None)


@pytest.mark.parametrize(
    ("url", "name"),
    [("redis://h/3", "redis"), ("unix:///s.sock", "redis"), ("pyamqp://h/v", "rabbitmq")],
)
def test_a_single_broker_is_called_by_its_system_and_nowhere_named(url, name):
    (broker,) = named(Settings(broker=url, queues=("mail",)))
    assert (broker.name, broker.labelled, broker.settings.queues) == (name, False, ("mail",))
    assert list(read(broker).sources) == [f"{name} events", f"{name} queues"]


def test_a_single_table_without_a_name_is_no_different():
    (broker,) = named(several((None, "redis://h/3")))
    assert (broker.name, broker.labelled) == ("redis", False)


def test_a_single_broker_with_a_name_is_called_by_it():
    (broker,) = named(several(("shop", "redis://h/3")))
    assert (broker.name, broker.labelled) == ("shop", True)
    assert list(read(broker).sources) == ["shop events", "shop queues"]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:pass@h/3", "h:6379/3"),
        ("rediss://:p@[::1]:7/0?ssl_cert_reqs=none", "[::1]:7/0"),
        ("redis+socket:///run/r.sock?virtual_host=2", "/run/r.sock?db=2"),
        ("redis://:p@a:1/2;redis://:p@b:1/2", "a:1/2"),
        ("sentinel://:p@s:26379/1?master_name=main", "s:26379/1"),
        ("amqps://u:p@h/v%2Fw", "h:5671/v%2Fw"),
    ],
)
def test_of_several_those_without_a_name_are_called_by_their_place(url, place):
    assert [each.name for each in named(several((None, url), ("other", "redis://o")))] == [
        place,
        "other",
    ]


def test_two_of_the_same_name_are_refused():
    with pytest.raises(ConfigError, match="two brokers are called h:6379/0; give each a name"):
        named(several((None, "redis://h"), (None, "redis://:other@h/0")))


def test_a_wrong_broker_is_named_and_its_password_is_not():
    brokers = several(("shop", "redis://h"), ("mail", "redis://:secret@h/no-number"))
    with pytest.raises(ConfigError, match=r"broker mail is wrong: ") as caught:
        [read(broker) for broker in named(brokers)]
    assert "secret" not in str(caught.value)


def test_workers_are_asked_only_where_that_is_wanted():
    silent = several(("shop", "redis://h"), ("mail", "amqp://h"))
    asking = [
        BrokerSettings(url="redis://h", name="shop", enable_events=True),
        BrokerSettings(url="amqp://h", name="mail", inspect_interval=60.0),
    ]
    assert not [name for each in named(silent) for name in read(each).sources if "control" in name]
    found = [read(each).sources for each in named(Settings(brokers=tuple(asking)))]
    assert [list(each)[2:] for each in found] == [["shop control"], ["mail control"]]
