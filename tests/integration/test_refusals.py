"""What cannot work ends with one sentence and the right exit code; a stop ends with 0."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.service import running
from tests.otlp import Answer, Receiver
from tests.servers import ROOT, wait_for

PASSWORD = "hunter2-secret"
SECONDS = 60.0


class Ended:
    """How ``celery-stream run`` ended."""

    def __init__(self, done):
        self.code = done.returncode
        self.output = done.stdout + done.stderr
        lines = done.stderr.splitlines()
        self.log = [json.loads(line) for line in lines if line.startswith("{")]
        self.said = [line for line in lines if not line.startswith("{")]


def run(*arguments, env=None):
    """Run the service until it ends by itself."""
    return run_command("run", *arguments, env=env)


def run_command(*arguments, env=None):
    """Run a command until it ends by itself."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("OTEL_", "STREAM_", "CELERY_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "stream", *arguments],
        cwd=ROOT,
        env=kept | (env or {}),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ended(done)


def run_on(url, *arguments, env=None):
    return run("--broker", url, "--listen", "127.0.0.1:0", *arguments, env=env)


def url_of(server, credentials="", db=0):
    at = f"{credentials}@" if credentials else ""
    return f"redis://{at}127.0.0.1:{server.port}/{db}"


def place_of(server, db=0):
    return f"Redis at redis://127.0.0.1:{server.port}/{db}"


# -- what will never work: 1 ---------------------------------------------------------------------


def test_a_port_that_another_service_has_is_one_sentence(valkey, tmp_path):
    with running(tmp_path, valkey.url) as first:
        ended = run("--broker", valkey.url, "--listen", first.address)
        assert first.get("/live")[0] == 200
    sentence = (
        f"celery-stream: cannot listen on {first.address}: address already in use; "
        "choose another with --listen"
    )
    assert (ended.code, ended.said) == (1, [sentence])


@pytest.mark.parametrize(
    ("credentials", "sentence"),
    [
        (":wrong-secret", "refused the user name or password in the broker URL."),
        ("nobody:wrong-secret", "refused the user name or password in the broker URL."),
        (
            "",
            "wants a password: put it into the broker URL, as in redis://user:password@host.",
        ),
    ],
    ids=["password", "user", "none"],
)
def test_a_login_that_is_refused_is_one_sentence_without_the_password(
    valkey, credentials, sentence
):
    with valkey.client() as client:
        client.config_set("requirepass", PASSWORD)
    ended = run_on(url_of(valkey, credentials))
    assert (ended.code, ended.said) == (1, [f"celery-stream: {place_of(valkey)} {sentence}"])
    assert "secret" not in ended.output


def test_a_password_that_is_right_is_written_nowhere(valkey, tmp_path):
    with valkey.client() as client:
        client.config_set("requirepass", PASSWORD)
    with running(tmp_path, url_of(valkey, f":{PASSWORD}")) as service:
        pages = [service.get(path)[1] for path in ("/health", "/metrics", "/")]
        assert service.stop() == 0
    files = [(tmp_path / name).read_text() for name in ("stream.err", "stream.out")]
    assert not [text for text in (*pages, *files) if PASSWORD in text]


def test_a_permission_that_is_missing_is_one_sentence_that_names_it(valkey):
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "watcher", "on", f">{PASSWORD}", "~*", "+@read")
    ended = run_on(url_of(valkey, f"watcher:{PASSWORD}"))
    sentence = (
        f"celery-stream: {place_of(valkey)} does not let user 'watcher' "
        "subscribe to /0.celeryev/*: "
        "grant it with ACL SETUSER watcher +psubscribe '&/0.celeryev/*'"
    )
    assert (ended.code, ended.said) == (1, [sentence])
    assert PASSWORD not in ended.output


def test_a_database_that_does_not_exist_is_one_sentence(valkey):
    ended = run_on(url_of(valkey, db=99))
    assert ended.code == 1
    assert ended.said == [
        f"celery-stream: {place_of(valkey, 99)} refused to select database 99 (ERR)."
    ]


# -- what is set wrong: 2 ------------------------------------------------------------------------


def test_a_wrong_flag_is_named_with_its_value():
    ended = run("--grace", "soon")
    assert (ended.code, ended.said) == (
        2,
        ['celery-stream: grace = "soon" (from --grace) is not a number of seconds above 0'],
    )


def test_a_wrong_variable_is_named_with_its_value():
    ended = run(env={"OTEL_METRIC_EXPORT_INTERVAL": "often"})
    assert ended.code == 2
    (sentence,) = ended.said
    assert sentence.startswith(
        'celery-stream: otlp.metric_interval = "often" (from OTEL_METRIC_EXPORT_INTERVAL) is not '
    )


def test_a_wrong_line_of_the_file_is_named_with_the_file(tmp_path):
    file = tmp_path / "stream.toml"
    file.write_text('[otlp]\ncompression = "zip"\n')
    ended = run("--config", str(file))
    assert (ended.code, ended.said) == (
        2,
        [f'celery-stream: otlp.compression = "zip" (from {file}) is not gzip or none'],
    )


def test_a_wrong_broker_url_is_not_repeated():
    ended = run(env={"CELERY_BROKER_URL": f"sqs://me:{PASSWORD}@host//"})
    assert ended.code == 2
    (sentence,) = ended.said
    assert sentence.startswith("celery-stream: broker (from CELERY_BROKER_URL) is not ")
    assert PASSWORD not in ended.output


# -- a stop: 0 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda how: how.name
)
def test_a_signal_ends_it_in_good_order(valkey, tmp_path, how):
    with running(tmp_path, valkey.url) as service:
        assert service.stop(how) == 0
        (stopped,) = [line for line in service.log() if line["event"] == "service.stopped"]
    assert stopped["frames_left"] == 0
    assert "Traceback" not in (tmp_path / "stream.err").read_text()


def test_a_terminal_that_closes_does_not_end_it_under_nohup(valkey, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as from nohup
    try:
        with running(tmp_path, valkey.url) as service:
            service.process.send_signal(signal.SIGHUP)
            status = Path(f"/proc/{service.process.pid}/status").read_text()
            assert service.stop() == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    caught = int(re.search(r"^SigCgt:\t(\w+)$", status, re.MULTILINE)[1], 16)
    assert not caught & 1 << signal.SIGHUP - 1


def test_a_signal_ends_it_while_the_broker_is_away(valkey, tmp_path):
    with running(tmp_path, valkey.url) as service:
        valkey.kill()
        wait_for(lambda: service.get("/ready")[0] == 503)
        assert service.stop() == 0


HANGING = {
    "OTEL_METRIC_EXPORT_INTERVAL": "100",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "600000",  # so that only the grace can end it
}


def hanging_in(receiver):
    """Requests that wait for an answer."""
    return [request for request in receiver.requests() if request.answer.hang]


def test_a_receiver_that_hangs_does_not_hold_up_the_end(valkey, tmp_path):
    with Receiver() as receiver:
        receiver.script(*[Answer(hang=True)] * 100)
        env = {**HANGING, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        with running(tmp_path, valkey.url, "--grace", "0.5", env=env) as service:
            receiver.wait(lambda: hanging_in(receiver))
            code = service.stop()
            assert hanging_in(receiver) == receiver.requests()  # none was ever answered
        assert code == 0


def test_a_second_signal_ends_the_grace(valkey, tmp_path):
    with Receiver() as receiver:
        receiver.script(*[Answer(hang=True)] * 100)
        env = {**HANGING, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        with running(tmp_path, valkey.url, "--grace", "600", env=env) as service:
            receiver.wait(lambda: hanging_in(receiver))
            with valkey.client() as client:
                service.process.send_signal(signal.SIGINT)
                wait_for(lambda: client.pubsub_numpat() == 0)  # intake has ended
            assert service.process.poll() is None
            assert service.stop(signal.SIGINT) == 0
            assert hanging_in(receiver) == receiver.requests()
