import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import RefusedError
from stream.sources.address import RedisAddress, TlsSettings, parse, redact


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", RedisAddress()),
        ("redis://h", RedisAddress(host="h")),
        ("redis://h:1/", RedisAddress(host="h", port=1)),
        ("redis://h/3", RedisAddress(host="h", db=3)),
        ("redis://h/3?db=4", RedisAddress(host="h", db=4)),
        ("redis://h//3", RedisAddress(host="h", db=3)),
        ("redis://h/%33", RedisAddress(host="h", db=3)),
        ("redis://h?virtual_host=", RedisAddress(host="h")),
        ("redis://h/3?virtual_host=4", RedisAddress(host="h", db=4)),
        ("redis://[::1]:7/2", RedisAddress(host="::1", port=7, db=2)),
        ("redis://:p%40s%2Fs@h", RedisAddress(host="h", password="p@s/s")),
        ("redis://u:p@h", RedisAddress(host="h", username="u", password="p")),
        ("redis://u@h", RedisAddress(host="h", username="u")),
        ("redis://h?password=p", RedisAddress(host="h", password="p")),
        ("redis://h/1?socket_timeout=3&health_check_interval=9", RedisAddress(host="h", db=1)),
        ("REDIS://h", RedisAddress(host="h")),
        ("unix:///run/r.sock", RedisAddress(path="/run/r.sock")),
        (
            "unix://u:p@/run/r.sock?db=2",
            RedisAddress("127.0.0.1", 6379, "/run/r.sock", 2, "u", "p"),
        ),
        ("redis+socket:///run/r.sock", RedisAddress(path="/run/r.sock")),
        ("redis+socket:///run/r.sock?virtual_host=5", RedisAddress(path="/run/r.sock", db=5)),
        ("redis+socket://:p@/r.sock", RedisAddress(path="/r.sock", password="p")),
    ],
)
def test_an_address_is_what_kombu_and_redis_py_read_in_the_url(url, expected):
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", TlsSettings()),
        ("?ssl_cert_reqs=CERT_REQUIRED", TlsSettings()),
        ("?ssl_cert_reqs=required", TlsSettings()),
        ("?ssl_cert_reqs=CERT_NONE", TlsSettings(cert_reqs=ssl.CERT_NONE)),
        ("?ssl_cert_reqs=none", TlsSettings(cert_reqs=ssl.CERT_NONE)),
        ("?ssl_cert_reqs=optional", TlsSettings(cert_reqs=ssl.CERT_OPTIONAL)),
        ("?ssl_check_hostname=false", TlsSettings(check_hostname=False)),
        ("?ssl_check_hostname=true", TlsSettings()),
        ("?ssl_ca_certs=/ca.pem", TlsSettings(ca_certs="/ca.pem")),
        ("?ssl_certfile=/c&ssl_keyfile=/k", TlsSettings(certfile="/c", keyfile="/k")),
    ],
)
def test_tls_options_are_read_in_the_words_of_both_libraries(query, expected):
    assert parse(f"rediss://h/0{query}").tls == expected


def test_what_a_url_does_not_say_can_be_inherited():
    one = RedisAddress(host="a", port=7, db=3, password="p", tls=TlsSettings())
    assert parse("redis://b", inherit=one) == RedisAddress("b", 7, db=3, tls=TlsSettings())


def test_plain_redis_uses_no_tls_unless_an_option_asks_for_it():
    assert parse("redis://h").tls is None
    assert parse("redis://h?ssl_cert_reqs=none").tls == TlsSettings(cert_reqs=ssl.CERT_NONE)


def test_a_context_without_verification_checks_no_host_name():
    context = TlsSettings(cert_reqs=ssl.CERT_NONE).context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_a_certificate_file_that_is_missing_is_refused_in_a_sentence():
    with pytest.raises(RefusedError, match="ssl_ca_certs"):
        TlsSettings(ca_certs="/nowhere/ca.pem").context()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "must begin with redis://"),
        ("localhost:6379", "must begin with redis://"),
        ("amqp://guest:secret@h//", "amqp:// is not a broker"),
        ("sentinel://:secret@h:26379/0", "sentinel:// must begin all URLs"),
        ("valkey://:secret@h", "Celery knows no valkey://: write redis://"),
        ("valkeys://:secret@h", "Celery knows no valkeys://: write rediss://"),
        ("redis+cluster://:secret@h", "Celery has no Redis Cluster transport"),
        ("rediscluster://:secret@h", "Celery has no Redis Cluster transport"),
        ("http://:secret@h", "http:// is not a broker"),
        ("redis://:secret@h/abc", "database in the broker URL must be a number"),
        ("redis://:secret@h/0?db=x", "cannot be read"),
        ("redis://:secret@h:port", "cannot be read"),
        ("redis://:secret@h?ssl_cert_reqs=perhaps", "ssl_cert_reqs in the broker URL must be"),
        ("rediss://:secret@h?ssl_ciphers=x", "ssl_ciphers in the broker URL is not supported"),
        ("redis://:secret#1@h", "percent-encoded"),
        ("redis://:1/secret@h", "percent-encoded"),
        ("redis://:1?secret@h", "percent-encoded"),
        ("unix://:secret@", "names no socket"),
        ("redis://h?credential_provider=a.b", "credential_provider"),
    ],
)
def test_a_wrong_url_is_refused_in_a_sentence_without_its_password(url, sentence):
    with pytest.raises(RefusedError, match=sentence) as caught:
        parse(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_address_does_not_show_its_password():
    address = parse("rediss://user:hidden@h:1/2?ssl_password=hidden")
    assert "hidden" not in repr(address)
    assert address.redacted == "rediss://h:1/2"
    assert parse("unix://:hidden@/r.sock?db=1").redacted == "unix:///r.sock?db=1"
    assert parse("redis://[::1]:7/2").redacted == "redis://[::1]:7/2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:hidden@h:1/0", "redis://***@h:1/0"),
        ("redis://user:hidden@h", "redis://***@h"),
        ("redis://:hid@d/e#n@h/0", "redis://***@h/0"),
        ("redis://a:hidden@a;redis://:hidden@b", "redis://***@b"),
        ("https://hidden@h/v1?token=hidden", "https://***@h/v1?token=***"),
        (
            "rediss://h/0?ssl_cert_reqs=none&password=hidden",
            "rediss://h/0?ssl_cert_reqs=none&password=***",
        ),
        ("redis://:hidden", "redis://***"),
        ("unix://:hidden@/run/r.sock?db=1", "unix://***@/run/r.sock?db=1"),
        ("https://[::1]:4318/v1/traces", "https://[::1]:4318/v1/traces"),
        ("hidden", "***"),
        (":hidden@h", "***"),
    ],
)
def test_a_redacted_url_shows_the_place_and_nothing_secret(url, expected):
    assert redact(url) == expected


@given(st.text())
def test_redact_and_parse_are_total(text):
    redact(text)
    redact("redis://" + text)
    for url in (text, "redis://" + text, "rediss://h?" + text, "redis+socket://" + text):
        with contextlib.suppress(RefusedError):
            parse(url)


@given(st.text(alphabet=st.characters(codec="ascii"), min_size=4).map(lambda s: "Z9q" + s))
def test_no_password_survives_redaction_whatever_it_holds(password):
    assert "Z9q" not in redact(f"redis://user:{password}@host:6379/0")
