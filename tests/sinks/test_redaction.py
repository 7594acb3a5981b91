"""Secrets are hidden whatever surrounds them, and what is no secret can be read."""

import json
from fnmatch import fnmatch

import pytest
from celery.utils.saferepr import saferepr
from hypothesis import given
from hypothesis import strategies as st

from stream.config import RecordSettings
from stream.sinks.redaction import Redaction, without_credentials

REDACTION = Redaction(RecordSettings().redact)
MARK = "Z9q"

# -- texts that confuse a reader of quotes and brackets --------------------------------------------

QUOTES = ("'", '"', "\\", "',", '",', "')", "']", "'}", "': ", "', '", "\\'")
OTHERS = (*",:=()[]{}<> \n1a", "...", "None", "token=", "'cvv': ", "cvv=[")
awkward = st.lists(
    st.sampled_from(QUOTES) | st.sampled_from(QUOTES + OTHERS) | st.text(max_size=3), max_size=5
).map("".join)
exact_keys = st.sampled_from(["cvv", "CVC", "auth", "Authorization"])
secret_keys = exact_keys | st.builds(
    "{}{}{}".format,
    awkward,
    st.sampled_from(["password", "API_KEY", "apiKey", "Secret", "Set-Cookie", "card number"]),
    awkward,
)
secret_texts = st.builds("{}{}{}".format, awkward, st.just(MARK), awkward)


secret_values = st.recursive(
    secret_texts,
    lambda inner: (
        st.lists(inner | awkward, max_size=3)
        | st.dictionaries(awkward | secret_texts, inner | awkward, max_size=2)
    ),
    max_leaves=4,
)
secrets = st.dictionaries(secret_keys, secret_values, min_size=1, max_size=2)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | awkward
arguments = st.recursive(
    scalars | secrets,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(awkward, inner, max_size=3)
        | st.lists(inner, max_size=3).map(json.dumps)
    ),
    max_leaves=6,
)


@st.composite
def written(draw, values):
    """Values as one of those writes them who write them, perhaps cut anywhere."""
    values = draw(values)
    write = draw(st.sampled_from([repr, json.dumps, saferepr, lambda v: saferepr(v, maxlen=40)]))
    text = write(values)
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text


@given(written(secrets))
def test_no_value_of_a_secret_key_survives(text):
    assert MARK not in REDACTION.of_values(text)


@given(written(arguments))
def test_no_secret_survives_wherever_it_is_nested(text):
    assert MARK not in REDACTION.of_values(text)


@given(st.text() | written(arguments))
def test_redaction_is_total(text):
    REDACTION.of_values(text)
    REDACTION.of_prose(text)


# -- texts without surprises -----------------------------------------------------------------------


class Hidden:
    """Stands for a value that is hidden."""

    def __repr__(self):
        return "***"


HIDDEN = Hidden()
words = st.text("abcdefgh_ ", max_size=8)
plain = st.recursive(
    st.none() | st.integers() | st.floats() | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(words | st.sampled_from(["password", "api_key"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def without_secrets(value):
    match value:
        case dict():
            return {
                key: HIDDEN if key in {"password", "api_key"} else without_secrets(inner)
                for key, inner in value.items()
            }
        case list() | tuple():
            return type(value)(map(without_secrets, value))
        case _:
            return value


@given(plain)
def test_nothing_but_the_values_of_secret_keys_is_hidden(values):
    assert REDACTION.of_values(repr(values)) == repr(without_secrets(values))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("('a', {'token': 1})", "('a', {'token': ***})"),
        ("{'nested': {'api_key': 'z'}, 'b': 2}", "{'nested': {'api_key': ***}, 'b': 2}"),
        ("[Login(user='u', password='p', x=1)]", "[Login(user='u', password=***, x=1)]"),
        ("{'secret': [1, {'a': (None, ...)}], 'b': 2}", "{'secret': ***, 'b': 2}"),
        ("{'token': Token(id=1, key='x'), 'b': 2}", "{'token': ***, 'b': 2}"),
        ('{"PASSWORD":"p","b":2}', '{"PASSWORD":***,"b":2}'),
        ('(\'{"password": "p"}\', 2)', "('{\"password\": ***}', 2)"),
        ("([('Authorization', 'p'), ('a', 'b')],)", "([('Authorization', ***), ('a', 'b')],)"),
        ("[(b'token', 'p'), {'cvv': 1}]", "[(b'token', ***), {'cvv': ***}]"),
        ("{'token': {'cvv': 'p'}, 'b': 2}", "{'token': ***, 'b': 2}"),
        ("{'user': 'u', 'a': ['password']}", "{'user': 'u', 'a': ['password']}"),
        ("('redis://u:p@h/0',)", "('redis://***@h/0',)"),
    ],
)
def test_only_the_secret_of_a_value_is_hidden(text, expected):
    assert REDACTION.of_values(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'password': 'p\\', 'b': 'c'}", "{'password': ***"),
        ("{'password': b'p', q', 'b': 'c'}", "{'password': ***"),
        ("{'password': <P 'p'>, 'b': 'c'}", "{'password': ***"),
        ("{'password': P(1)-q, 'b': 'c'}", "{'password': ***"),
        ("{'password': ['p', <P>, 'q'], 'b': 'c'}", "{'password': ***"),
        ("{'password': ['p' q', 'r'], 'b': 'c'}", "{'password': ***"),
        ("{'password': ['p'1], q'], 'b': 'c'}", "{'password': ***"),
        ("{'password': ['p')], 'b': 'c'}", "{'password': ***"),
        ("('--auth=p', 'b')", "('--auth=***"),
        ("('user=u password=p host=h',)", "('user=u password=***"),
        ('"{\\"password\\": \\"p\\", \\"b\\": 1}"', '"{\\"password\\": ***'),
        ("{'credit card...': 'p', ...}", "{'credit card...': ***, ...}"),
        ("{'a': 1, 'password':", "{'a': 1, 'password':***"),
    ],
)
def test_in_doubt_more_is_hidden(text, expected):
    assert REDACTION.of_values(text) == expected


def test_brackets_deeper_than_any_are_hidden_with_what_follows():
    deep = "[" * 40 + "]" * 40
    assert REDACTION.of_values(f"{{'token': {deep}, 'b': 2}}") == "{'token': ***"


def test_the_patterns_decide_what_is_secret():
    text = "{'pin': 1, 'PIN_code': 2, 'spin': 3}"
    assert Redaction(["pin*"]).of_values(text) == "{'pin': ***, 'PIN_code': ***, 'spin': 3}"
    assert Redaction([]).of_values(text) == text


@pytest.mark.parametrize("pattern", ["*", "p?n", "[px]in", "P*", "[!a]in", "[p", "*[i]n*"])
def test_patterns_have_all_of_the_wildcards(pattern):
    text = "{'pin': 1, 'name': 2, '[p': 3}"
    hidden = Redaction([pattern]).of_values(text)
    keys = [key for key in ("pin", "name", "[p") if fnmatch(key, pattern.lower())]
    assert [key for key in ("pin", "name", "[p") if f"'{key}': ***" in hidden] == keys
    assert keys


# -- prose -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=p for user u", "password=*** for user u"),
        ("cannot log in (password=p, user=u)", "cannot log in (password=***, user=u)"),
        ("no {'token': 'p q', 'b': 2} here", "no {'token': ***, 'b': 2} here"),
        ('no {"token": ["p", "q"], "b": 2} here', 'no {"token": ***, "b": 2} here'),
        ("Key (token)=(p) exists.", "Key (token)=***) exists."),
        ("{\\'token\\': \\'p q\\'} is bad", "{\\'token\\': ***} is bad"),
        ("b'token': b'p q' is bad", "b'token': *** is bad"),
        ('environ["TOKEN"] = "p q" + r', 'environ["TOKEN"] = *** + r'),
        ("client.api_key = 'p", "client.api_key = ***"),
        ("token=p\nsecond line", "token=***\nsecond line"),
        ("at https://u:p@host/x", "at https://***@host/x"),
        ("token=", "token=***"),
    ],
)
def test_a_secret_in_a_sentence_is_hidden(text, expected):
    assert REDACTION.of_prose(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "invalid token: expected string",
        "KeyError: 'password'",
        'File "/app/tokens.py", line 3, in password\n    return check(user, password)',
        "",
    ],
)
def test_a_sentence_without_a_secret_stays_as_it_is(text):
    assert REDACTION.of_prose(text) == text


# -- credentials of URLs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://user:p@db:6379/0", "redis://***@db:6379/0"),
        ("redis://:p@db", "redis://***@db"),
        ("amqp://u:p:q@r@h and amqps://u:p@h", "amqp://***@h and amqps://***@h"),
        ("http://host:80/path and a@b.c", "http://host:80/path and a@b.c"),
        ("ssh://git@host", "ssh://git@host"),
    ],
)
def test_user_and_password_of_a_url_are_hidden(text, expected):
    assert without_credentials(text) == expected


@pytest.mark.timeout(30)  # it takes less than one; what is quadratic would take minutes
@pytest.mark.parametrize(
    "piece", ["://a", "://a:", ":", "a", "'cvv': ", "token=[", "('cvv', ", "token='", "token ", ")"]
)
def test_the_time_grows_with_the_text_and_not_with_its_square(piece):
    text = ("://" + piece * 500_000)[:500_000]
    REDACTION.of_values(text)
    REDACTION.of_prose(text)
