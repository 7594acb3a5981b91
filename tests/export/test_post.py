import email.utils
import time
from base64 import b64decode

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from stream.config import OtlpSettings
from stream.export.post import Later, Poster, Refused, Taken, TooLarge
from stream.export.target import target_for
from stream.occurrences import Signal
from tests.export.raw_receiver import RawReceiver, answer, in_chunks
from tests.otlp import Answer, Receiver
from tests.servers import free_port

TIMEOUT = 20.0


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def posters():
    made = []
    yield made
    for poster in made:
        poster.close()


@pytest.fixture
def send(receiver, posters):
    def send(answer=None, *, signal=Signal.TRACES, timeout=TIMEOUT, **settings):
        settings.setdefault("endpoint", receiver.url)
        if answer is not None:
            receiver.script(answer)
        target = target_for(OtlpSettings(**settings), signal)
        poster = Poster(target)
        posters.append(poster)
        return poster.post(b"", timeout=timeout)

    return send


@pytest.fixture
def post_to(posters):
    """Posts to a receiver, so many times over one `Poster`; returns what came of it."""

    def post_to(receiver, *, times=1):
        poster = Poster(target_for(OtlpSettings(endpoint=receiver.url), Signal.TRACES))
        posters.append(poster)
        outcomes = [poster.post(b"", timeout=TIMEOUT) for _ in range(times)]
        poster.close()
        return outcomes

    return post_to


def partial_success(*, rejected):
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = "some were refused"
    return response.SerializeToString()


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_status_of_success_means_taken(send, status):
    assert send(Answer(status, body=b"")) == Taken(0)


@pytest.mark.parametrize("signal", list(Signal))
def test_a_partial_success_tells_how_many_were_rejected(send, signal):
    assert send(Answer(rejected=3), signal=signal) == Taken(3)


def test_a_success_with_a_body_that_cannot_be_read_is_still_one(send):
    assert send(Answer(body=b"<html>")) == Taken(0)


def test_a_partial_success_may_come_in_parts(post_to):
    body = partial_success(rejected=300)
    with RawReceiver(in_chunks(body, 1)) as receiver:
        assert post_to(receiver) == [Taken(300)]


@pytest.mark.parametrize("content_type", ["Application/X-Protobuf", "application/x-protobuf; v=1"])
def test_the_type_of_an_answer_is_known_however_it_is_written(post_to, content_type):
    with RawReceiver(answer(partial_success(rejected=3), content_type=content_type)) as receiver:
        assert post_to(receiver) == [Taken(3)]


@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable", "400 Bad Request"])
def test_a_connection_is_used_again_whatever_the_answer_was(post_to, status):
    unread = answer(b"{}" * 1000, status=status, content_type="application/json")
    with RawReceiver(unread, unread) as receiver:
        post_to(receiver, times=2)
    assert receiver.connections == 1


def test_an_answer_without_an_end_is_not_read_to_it(post_to):
    with RawReceiver(answer(bytes(10_000_000))) as receiver:
        assert post_to(receiver) == [Taken(0)]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_transient_status_asks_for_patience(send, status):
    outcome = send(Answer(status))
    assert isinstance(outcome, Later)
    assert outcome.after == 0
    assert str(status) in outcome.reason


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), (" 7 ", 7.0), ("999999", 3600.0), ("soon", 0.0), ("-5", 0.0), ("²", 0.0)],
)
def test_a_retry_after_in_seconds_is_respected_within_reason(send, value, seconds):
    outcome = send(Answer(503, retry_after=value.encode().decode("latin-1")))
    assert outcome.after == seconds


def test_a_retry_after_may_be_a_date(send):
    date = email.utils.formatdate(time.time() + 1000, usegmt=True)
    assert 900 < send(Answer(503, retry_after=date)).after <= 1000


def test_a_date_that_has_passed_means_no_wait(send):
    assert send(Answer(503, retry_after="Thu, 01 Jan 1970 00:00:00 GMT")).after == 0


def test_413_asks_for_a_smaller_request(send):
    assert isinstance(send(Answer(413)), TooLarge)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 500, 501, 599])
def test_any_other_status_is_final(send, status):
    outcome = send(Answer(status))
    assert isinstance(outcome, Refused)
    assert str(status) in outcome.reason


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_is_final(send, receiver, status):
    outcome = send(Answer(status, location=f"{receiver.url}/v1/traces"))

    assert isinstance(outcome, Refused)
    assert len(receiver.requests()) == 1


def test_a_receiver_that_does_not_answer_in_time_may_do_so_later(send):
    assert send(Answer(hang=True), timeout=0.2) == Later("no answer within 0.2 s")


def test_a_connection_that_is_reset_may_work_later(send):
    assert send(Answer(reset=True)) == Later("Connection reset by peer")


def test_a_receiver_that_is_down_may_come_back(send):
    outcome = send(endpoint=f"http://127.0.0.1:{free_port()}")
    assert outcome == Later("Connection refused")


def test_a_certificate_file_that_is_not_there_may_come_back(send):
    outcome = send(endpoint=f"https://127.0.0.1:{free_port()}", certificate="/nowhere/ca.pem")
    assert outcome == Later("a certificate file cannot be read")


def test_a_request_that_cannot_be_made_may_work_later_and_tells_no_secret(send):
    outcome = send(headers={"authorization": "Bearer s3cret\n"})
    assert outcome == Later("the request cannot be made (InvalidHeader)")


def test_a_url_that_is_none_may_be_corrected(send):
    outcome = send(endpoint="http://[s3cret")
    assert outcome == Later("the request cannot be made (InvalidURL)")


def test_no_reason_repeats_the_url(send):
    outcome = send(endpoint=f"http://user:s3cret@127.0.0.1:{free_port()}")
    assert "s3cret" not in outcome.reason
    assert "127.0.0.1" not in outcome.reason


def test_the_headers_of_the_settings_arrive_whatever_they_hold(send, receiver):
    send(headers={"Authorization": "Bearer s3cret", "x-note": "Grüße"})

    headers = receiver.requests()[0].headers
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["x-note"].encode("latin-1").decode() == "Grüße"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["content-encoding"] == "gzip"
    assert headers["user-agent"].startswith("celery-stream/")


def test_a_netrc_file_does_not_replace_the_authorization(send, receiver, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))

    send(headers={"Authorization": "Bearer right"})

    assert receiver.requests()[0].headers["authorization"] == "Bearer right"


def test_user_and_password_of_the_url_are_sent(send, receiver):
    send(endpoint=f"http://us%C3%A9r:p%40ss%E2%82%AC@127.0.0.1:{receiver.port}")

    scheme, _, credentials = receiver.requests()[0].headers["authorization"].partition(" ")
    assert (scheme, b64decode(credentials).decode()) == ("Basic", "usér:p@ss€")


def test_a_header_of_the_settings_wins_over_the_password_of_the_url(send, receiver):
    endpoint = f"http://user:password@127.0.0.1:{receiver.port}"
    send(endpoint=endpoint, headers={"authorization": "Bearer right"})

    assert receiver.requests()[0].headers["authorization"] == "Bearer right"


def test_compression_can_be_turned_off(send, receiver):
    send(compression="none")
    assert "content-encoding" not in receiver.requests()[0].headers
