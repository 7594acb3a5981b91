import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url, safequote

from stream.errors import RefusedError
from stream.sources.amqp_address import AmqpAddress, parse


def one(url):
    (address,) = parse(url)
    return address


@pytest.mark.parametrize("scheme", ["amqp", "pyamqp", "librabbitmq", "AMQP"])
def test_each_name_of_the_transport_is_understood(scheme):
    assert one(f"{scheme}://me:pw@host:5673/v") == AmqpAddress("host", 5673, "v", "me", "pw")


def test_what_is_left_out_is_what_celery_takes_for_it():
    assert one("amqp://") == AmqpAddress("127.0.0.1", 5672, "/", "guest", "guest")


@pytest.mark.parametrize(
    ("path", "vhost"),
    [("", "/"), ("/", "/"), ("//", "/"), ("/%2F", "/"), ("/shop", "shop"), ("//shop", "/shop")],
)
def test_the_path_is_the_virtual_host(path, vhost):
    assert one(f"amqp://host{path}").vhost == vhost


words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(words, words, words)
def test_percent_encoded_parts_are_read_as_kombu_reads_them(user, password, vhost):
    url = f"amqp://{safequote(user)}:{safequote(password)}@host/{safequote(vhost)}"
    address, theirs = one(url), parse_url(url)
    assert (address.username, address.password) == (theirs["userid"], theirs["password"])
    assert address.vhost == theirs["virtual_host"]


def test_several_urls_are_read_in_their_order():
    assert [address.host for address in parse("amqp://a//;amqp://b//; amqp://c//")] == list("abc")


def test_an_ipv6_address_keeps_its_brackets_where_it_is_shown():
    assert one("amqp://[::1]:5672/v").redacted == "amqp://[::1]:5672/v"


def test_tls_has_a_port_of_its_own_and_checks_the_certificate():
    address = one("amqps://host")
    assert (address.port, address.tls.check_hostname) == (5671, True)


@pytest.mark.parametrize("query", ["ssl=true", "ssl_ca_certs=ca.pem"])
def test_an_ssl_option_turns_tls_on(query):
    assert one(f"amqp://host?{query}").tls is not None


def test_the_certificate_of_a_client_is_read_with_its_key():
    tls = one("amqps://host?ssl_certfile=c&ssl_keyfile=k&ssl_cert_reqs=CERT_NONE").tls
    assert (tls.certfile, tls.keyfile, tls.cert_reqs) == ("c", "k", 0)


def test_a_client_certificate_can_say_who_we_are():
    assert one("amqps://host?login_method=EXTERNAL").external


def test_the_password_is_shown_nowhere():
    address = one("amqp://me:hidden@host/v")
    assert "hidden" not in f"{address!r} {address.redacted}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        ";",
        "redis://host",
        "amqp:host",
        "amqp://a;redis://b",
        "amqp://me:hid#den@host",
        "amqp://me:hid/den@host",
        "amqp://me:hidden@host:port",
        "amqp://me:hidden@[::1",
        "amqps://host?ssl_cert_reqs=hidden",
        "amqps://host?ssl_hidden=1",
        "amqp://host?login_method=hidden",
        ";".join(["amqp://host"] * 33),
    ],
)
def test_what_cannot_work_is_refused_without_repeating_a_value(url):
    with pytest.raises(RefusedError) as caught:
        parse(url)
    assert "hidden" not in str(caught.value).replace("ssl_hidden", "")
