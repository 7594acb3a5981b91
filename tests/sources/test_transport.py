import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import RefusedError
from stream.sources.address import TlsSettings
from stream.sources.transport import TransportOptions, read_options


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, TransportOptions()),
        ({"global_keyprefix": "app:"}, TransportOptions(global_keyprefix="app:")),
        ({"fanout_prefix": True}, TransportOptions()),
        ({"fanout_prefix": "true"}, TransportOptions()),
        ({"fanout_prefix": False}, TransportOptions(fanout_prefix="")),
        ({"fanout_prefix": "False"}, TransportOptions(fanout_prefix="")),
        ({"fanout_prefix": "/x.{db}."}, TransportOptions(fanout_prefix="/x.{db}.")),
        ({"fanout_patterns": False}, TransportOptions(fanout_patterns=False)),
        ({"fanout_patterns": "false"}, TransportOptions(fanout_patterns=False)),
        ({"sep": ":"}, TransportOptions(sep=":")),
        ({"priority_steps": [0, 5]}, TransportOptions(priority_steps=(0, 5))),
        ({"priority_steps": "0,5"}, TransportOptions(priority_steps=(0, 5))),
        ({"priority_steps": "[0, 5]"}, TransportOptions(priority_steps=(0, 5))),
        ({"unacked_key": "u"}, TransportOptions(unacked_key="u")),
        ({"visibility_timeout": "60"}, TransportOptions(visibility_timeout=60.0)),
        ({"master_name": "m"}, TransportOptions(master_name="m")),
        (
            {"sentinel_kwargs": {"username": "u", "password": "p", "socket_timeout": 1}},
            TransportOptions(sentinel_username="u", sentinel_password="p"),
        ),
        ({"sentinel_kwargs": '{"password": "p"}'}, TransportOptions(sentinel_password="p")),
        (
            {"sentinel_kwargs": {"ssl": True, "ssl_cert_reqs": ssl.CERT_NONE}},
            TransportOptions(sentinel_tls=TlsSettings(cert_reqs=ssl.CERT_NONE)),
        ),
        ({"socket_keepalive": True, "queue_order_strategy": "sorted"}, TransportOptions()),
    ],
)
def test_options_are_read_as_celery_has_them_or_as_text(given, expected):
    assert read_options(given) == expected


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"global_keyprefx": "a"}, "'global_keyprefx' is not a transport option"),
        ({"fanout_patterns": "secret"}, "fanout_patterns has a value of the wrong kind"),
        ({"sep": ""}, "sep has"),
        ({"priority_steps": "secret"}, "priority_steps has"),
        ({"priority_steps": []}, "priority_steps has"),
        ({"visibility_timeout": -1}, "visibility_timeout has"),
        ({"sentinel_kwargs": "secret"}, "sentinel_kwargs has"),
        ({"sentinel_kwargs": {"password": ["secret"]}}, "sentinel_kwargs has"),
        ({"sentinel_kwargs": {"ssl": True, "ssl_cert_reqs": "x"}}, "ssl_cert_reqs"),
    ],
)
def test_a_wrong_option_is_refused_by_its_name_and_without_its_value(given, sentence):
    with pytest.raises(RefusedError, match=sentence) as caught:
        read_options(given)
    assert "secret" not in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(["fanout_prefix", "priority_steps", "sentinel_kwargs", "sep", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_reading_options_gives_options_or_a_sentence(given):
    with contextlib.suppress(RefusedError):
        assert isinstance(read_options(given), TransportOptions)


@pytest.mark.parametrize(
    ("options", "topic"),
    [
        (TransportOptions(), "/3.celeryev"),
        (TransportOptions(fanout_prefix=""), "celeryev"),
        (TransportOptions(fanout_prefix="/a.{db}."), "/a.3.celeryev"),
        (TransportOptions(global_keyprefix="app:"), "app:/3.celeryev"),
        (TransportOptions(global_keyprefix="a{db}", fanout_prefix="/"), "a{db}/celeryev"),
    ],
)
def test_a_topic_has_both_prefixes_and_the_database(options, topic):
    assert options.topic("celeryev", 3) == topic


@pytest.mark.parametrize("prefix", ["{", "{x}", "{0}", "{db.x}"])
def test_a_fanout_prefix_that_is_no_template_is_refused(prefix):
    with pytest.raises(RefusedError, match="fanout_prefix"):
        read_options({"fanout_prefix": prefix})


def test_options_do_not_show_their_password():
    given = {"sentinel_kwargs": {"password": "hidden"}}
    assert "hidden" not in repr(read_options(given))
