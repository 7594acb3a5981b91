"""Several brokers in the settings: tables, flags and variables, and what is said of a wrong one."""

import pytest

from stream.config import BrokerSettings, RabbitmqSettings
from stream.configure import load
from stream.errors import ConfigError

TABLES = """
poll_interval = 2
queues = ["all"]
[rabbitmq]
retain = "quorum"
[[broker]]
name = "shop"
url = "redis://shop/1"
queues = ["cart"]
broker_transport_options = { global_keyprefix = "shop:" }
[[broker]]
url = "amqp://mail"
event_exchange = "other"
[broker.rabbitmq]
retain_messages = 7
"""


def write(tmp_path, text=TABLES):
    path = tmp_path / "stream.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def pairs(settings):
    return [(each.name, each.url) for each in settings.brokers]


def refusal(tmp_path, text, env=None, **flags):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), env=env or {}, flags=flags)
    return str(caught.value).replace(f"{tmp_path}/", "")


# -- where they come from ------------------------------------------------------------------------


def test_one_url_is_no_list():
    assert load(env={"STREAM_BROKER": "redis://a/1"}).brokers == ()


def test_tables_say_what_is_different_and_leave_the_rest_to_the_settings_of_all(tmp_path):
    shop, mail = load(write(tmp_path), env={}).brokers
    assert shop == BrokerSettings(
        url="redis://shop/1",
        name="shop",
        queues=("cart",),
        poll_interval=2.0,
        broker_transport_options={"global_keyprefix": "shop:"},
        rabbitmq=RabbitmqSettings(retain="quorum"),
    )
    assert mail == BrokerSettings(
        url="amqp://mail",
        queues=("all",),
        poll_interval=2.0,
        event_exchange="other",
        rabbitmq=RabbitmqSettings(retain="quorum", retain_messages=7),
    )


def test_a_flag_may_be_given_several_times():
    settings = load(
        env={}, flags={"broker": ("shop=redis://a", "amqp://b;amqp://c"), "queues": "q"}
    )
    assert pairs(settings) == [("shop", "redis://a"), (None, "amqp://b;amqp://c")]
    assert {each.queues for each in settings.brokers} == {("q",)}


def test_a_flag_that_is_not_given_is_not_given():
    assert load(env={"STREAM_BROKER": "redis://a"}, flags={"broker": ()}).broker == "redis://a"


def test_white_space_separates_the_brokers_of_a_variable():
    text = "redis://a:1;redis://b:2\n  mail=amqp://u:p=w@c/v"
    assert pairs(load(env={"STREAM_BROKER": text})) == [
        (None, "redis://a:1;redis://b:2"),
        ("mail", "amqp://u:p=w@c/v"),
    ]


def test_a_single_broker_may_have_a_name():
    assert pairs(load(env={"CELERY_BROKER_URL": "shop=redis://a"})) == [("shop", "redis://a")]


# -- which wins ----------------------------------------------------------------------------------


def test_a_variable_says_which_there_are_and_tables_what_is_known_of_them(tmp_path):
    env = {"STREAM_BROKER": "shop=redis://:secret@shop/1 redis://new"}
    shop, new = load(write(tmp_path), env=env).brokers
    assert (shop.url, shop.queues) == ("redis://:secret@shop/1", ("cart",))
    assert (new.name, new.url, new.queues) == (None, "redis://new", ("all",))


def test_a_table_needs_no_url_where_a_flag_has_it(tmp_path):
    text = '[[broker]]\nname = "shop"\nqueues = ["cart"]'
    (shop,) = load(write(tmp_path, text), env={}, flags={"broker": ("shop=redis://a",)}).brokers
    assert (shop.url, shop.queues) == ("redis://a", ("cart",))


def test_the_variable_of_celery_does_not_replace_tables(tmp_path):
    settings = load(write(tmp_path), env={"CELERY_BROKER_URL": "redis://app"})
    assert pairs(settings) == [("shop", "redis://shop/1"), (None, "amqp://mail")]


# -- what is said of a wrong one -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("broker = [1]", "broker (from stream.toml) is neither a URL nor [[broker]] tables"),
        (
            "broker = []",
            (
                "broker (from stream.toml) is not a redis://, rediss://, redis+socket://, unix://, "
                "sentinel://, amqp:// or amqps:// URL"
            ),
        ),
        (
            "[[broker]]\nurl = 'redis://a'\n[[broker]]\nname = 'b'",
            "broker[1] does not say its url",
        ),
        (
            "[[broker]]\nurl = 'redis://a'\nquues = []",
            "broker[0].quues (in stream.toml) is no setting; the nearest is broker[0].queues",
        ),
        (
            "[[broker]]\nurl = 'redis://a'\n[broker.rabbitmq]\nretian = 'none'",
            (
                "broker[0].rabbitmq.retian (in stream.toml) is no setting; "
                "the nearest is broker[0].rabbitmq.retain"
            ),
        ),
        (
            "[[broker]]\nurl = 'redis://a'\nrabbitmq = 3",
            "broker[0].rabbitmq (from stream.toml) is not a table of settings",
        ),
        (
            "[[broker]]\nurl = 'redis://a'\nname = 'a b'",
            'broker[0].name = "a b" (from stream.toml) is not a name of letters, digits, and . _ -',
        ),
        (
            "[[broker]]\nurl = 'http://:secret@a'",
            (
                "broker[0].url (from stream.toml) is not a redis://, rediss://, redis+socket://, "
                "unix://, sentinel://, amqp:// or amqps:// URL"
            ),
        ),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, text, sentence):
    assert refusal(tmp_path, text) == sentence


@pytest.mark.parametrize(
    "text",
    [
        "redis://a; redis://b",  # of one broker, with a slip, or two brokers?
        "redis://a ;redis://b",
        "redis://a http://:secret@b",
        "sh/op=redis://:secret@a",
        "=redis://:secret@a",
    ],
)
def test_what_is_no_list_of_urls_is_refused_without_showing_it(text):
    with pytest.raises(ConfigError) as caught:
        load(env={"STREAM_BROKER": text})
    assert str(caught.value).startswith("broker (from STREAM_BROKER) is not a redis://")
    assert "secret" not in str(caught.value)
