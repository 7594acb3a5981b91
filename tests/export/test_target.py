import pytest

from stream.config import OtlpSettings
from stream.export.target import target_for
from stream.occurrences import Signal


def url(signal=Signal.TRACES, **settings):
    target = target_for(OtlpSettings(**settings), signal)
    return None if target is None else target.url


def test_without_an_endpoint_nothing_is_sent():
    assert url() is None


@pytest.mark.parametrize("base", ["http://host:4318", "http://host:4318/"])
@pytest.mark.parametrize("signal", list(Signal))
def test_the_path_of_the_signal_is_appended_to_the_endpoint(signal, base):
    assert url(signal, endpoint=base) == f"http://host:4318/v1/{signal}"


def test_a_path_in_the_endpoint_is_kept():
    assert url(endpoint="https://host/otlp") == "https://host/otlp/v1/traces"


def test_an_endpoint_of_its_own_is_used_as_it_is():
    assert url(endpoint="http://a", traces_endpoint="http://b/in") == "http://b/in"


def test_an_endpoint_for_one_signal_leaves_the_others_without():
    assert url(Signal.LOGS, traces_endpoint="http://b/in") is None


@pytest.mark.parametrize("off", [{"disabled": True}, {"traces": False}])
def test_what_is_turned_off_goes_nowhere(off):
    assert url(endpoint="http://a", **off) is None


def test_headers_of_its_own_replace_the_common_ones():
    settings = OtlpSettings(endpoint="http://a", headers={"a": "1"}, logs_headers={"b": "2"})
    assert target_for(settings, Signal.TRACES).headers == {"a": "1"}
    assert target_for(settings, Signal.LOGS).headers == {"b": "2"}


@pytest.mark.parametrize(
    ("key", "expected"), [(None, "cert.pem"), ("key.pem", ("cert.pem", "key.pem"))]
)
def test_a_client_certificate_may_have_its_key_in_another_file(key, expected):
    settings = OtlpSettings(endpoint="https://a", client_certificate="cert.pem", client_key=key)
    assert target_for(settings, Signal.TRACES).client_certificate == expected


def test_its_representation_shows_no_credentials():
    settings = OtlpSettings(endpoint="http://u:s3cret@a", headers={"authorization": "s3cret"})
    shown = repr(target_for(settings, Signal.TRACES))
    assert "s3cret" not in shown
    assert "authorization" in shown


@pytest.mark.parametrize("signal", list(Signal))
def test_what_a_signal_has_of_its_own_wins_over_what_all_have(signal):
    own = {"timeout": 3.0, "compression": "none", "certificate": "own.pem"}
    settings = OtlpSettings(
        endpoint="http://h",
        timeout=9.0,
        certificate="all.pem",
        client_certificate="us.pem",
        client_key="us.key",
        **{f"{signal}_{name}": value for name, value in own.items()},
    )
    other = next(each for each in Signal if each is not signal)

    target = target_for(settings, signal)

    assert (target.timeout, target.gzip, target.certificate) == (3.0, False, "own.pem")
    assert target.client_certificate == ("us.pem", "us.key")
    assert target_for(settings, other).certificate == "all.pem"
    assert target_for(settings, other).gzip
