"""`replay --export`: what of a capture arrives at a receiver, and what is said when it does not."""

import json
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from stream.cli import main
from stream.configure import load
from stream.errors import RefusedError
from stream.exporting import Exporting
from stream.reading import Reading
from tests.collector import Collector
from tests.otlp import LOGS, METRICS, TRACES, Answer, Receiver
from tests.servers import ROOT, free_port

CAPTURES = Path(__file__).parent / "captures"
CAPTURE = str(CAPTURES / "redis-5.7.0-core-prefork" / "raw.jsonl.gz")
AMQP = str(CAPTURES / "amqp-5.7.0-core-prefork" / "raw.jsonl.gz")
INTERVAL = 5.0


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Nothing from outside, and a short interval for metrics."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "STREAM_CONFIG", "ONEUPTIME_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", str(int(INTERVAL * 1000)))


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def export(url, *arguments, capture=CAPTURE):
    """Replay and export; the exit code."""
    return main(["replay", capture, "--export", "--otlp-endpoint", url, *arguments])


def ledger(capsys):
    """What was said of each signal: {signal: {fate: count}}."""
    said = re.findall(r"exported (\w+): (.*) of ([\d,]+)", capsys.readouterr().err)
    return {
        signal: {
            fate: int(count.replace(",", ""))
            for count, fate in re.findall(r"(\d[\d,]*) (\w+)", f"{fates}, {accepted} accepted")
        }
        for signal, fates, accepted in said
    }


def times(receiver):
    """When each collection of metrics was made, in the order in which they came, seconds."""
    found = {}
    for metric in receiver.metrics():
        for _, point in metric.points():
            found[point.time_unix_nano / 1e9] = None
    return list(found)


def test_everything_is_sent_with_the_times_of_the_capture(receiver, capsys):
    assert export(receiver.url) == 0
    told = ledger(capsys)
    assert told["traces"] == {
        "sent": len(receiver.spans()),
        "accepted": len(receiver.spans()),
        "rejected": 0,
    }
    assert told["logs"]["sent"] == len(receiver.logs())
    began, ended = min(times(receiver)) - INTERVAL, max(times(receiver))
    assert 0 < ended - began < 600
    for span in receiver.spans():
        assert began - 60 < span.span.start_time_unix_nano / 1e9 <= ended
    for log in receiver.logs():
        assert began - 60 < log.record.time_unix_nano / 1e9 <= ended


def test_metrics_are_collected_each_interval_of_the_capture(receiver):
    assert export(receiver.url) == 0
    at = times(receiver)
    steps = [after - before for before, after in pairwise(at)]
    assert at == sorted(at)
    assert len(at) > 3
    assert all(INTERVAL <= step < INTERVAL + 1 for step in steps[:-1])


def test_what_adds_up_does_so_from_the_first_arrival_on(receiver):
    assert export(receiver.url) == 0
    series = {}
    for metric in receiver.metrics():
        if metric.name == "celery.task.finished":
            for attributes, point in metric.points():
                key = tuple(sorted(attributes.items()))
                series.setdefault(key, []).append(point)
    assert series
    for points in series.values():
        values = [point.as_int for point in points]
        assert values == sorted(values)
        assert len({point.start_time_unix_nano for point in points}) == 1
        assert points[0].start_time_unix_nano / 1e9 <= times(receiver)[0]


def test_the_broker_is_named_after_the_capture(receiver):
    assert export(receiver.url, capture=AMQP) == 0
    assert {span.attributes["messaging.system"] for span in receiver.spans()} == {"rabbitmq"}


def test_the_same_capture_sends_the_same(receiver):
    assert export(receiver.url) == 0
    once = Counter(span.span.SerializeToString(deterministic=True) for span in receiver.spans())
    assert export(receiver.url) == 0
    twice = Counter(span.span.SerializeToString(deterministic=True) for span in receiver.spans())
    assert {span: 2 * count for span, count in once.items()} == twice


def test_what_a_receiver_is_too_busy_for_is_sent_again(receiver, capsys):
    for path in (TRACES, LOGS, METRICS):
        receiver.script(Answer(503), Answer(429, retry_after="0"), path=path)
    assert export(receiver.url) == 0
    told = ledger(capsys)
    assert told["traces"]["sent"] == told["traces"]["accepted"] == len(receiver.spans()) > 0
    assert told["metrics"]["sent"] == told["metrics"]["accepted"] == len(times(receiver))


def test_what_a_receiver_refuses_is_told_and_fails(receiver, capsys):
    receiver.script(Answer(400), path=TRACES)
    receiver.script(Answer(rejected=3), path=LOGS)
    assert export(receiver.url, "--otlp-batch-items", "20") == 1
    told = ledger(capsys)
    assert told["traces"]["permanent"] == 20
    assert told["traces"]["sent"] == told["traces"]["accepted"] - 20 == len(receiver.spans())
    assert told["logs"]["rejected"] == 3


def test_a_receiver_that_takes_nothing_ends_the_reading_with_a_sentence():
    url = f"http://127.0.0.1:{free_port()}"
    export = Exporting(load(env={"OTEL_EXPORTER_OTLP_ENDPOINT": url}), patience=0.01)
    with pytest.raises(RefusedError, match=r"has taken nothing for 0\.01 s: Connection refused"):
        Reading([CAPTURE], export=export).read()
    assert not export.is_complete
    assert all(each.balanced and not each.sent for each in export.ledgers().values())


def test_without_a_receiver_it_is_wrong_usage(capsys):
    assert main(["replay", CAPTURE, "--export"]) == 2
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in capsys.readouterr().err


def test_a_signal_that_is_turned_off_is_not_sent(receiver, capsys):
    assert export(receiver.url, "--no-otlp-metrics", "--no-otlp-logs") == 0
    assert set(ledger(capsys)) == {"traces"}
    assert not receiver.requests(METRICS)


def test_the_report_is_the_same_as_without_sending(receiver, tmp_path):
    reports = tmp_path / "alone.json", tmp_path / "sent.json"
    assert main(["replay", CAPTURE, "--json", str(reports[0])]) == 0
    assert export(receiver.url, "--json", str(reports[1])) == 0
    assert reports[0].read_bytes() == reports[1].read_bytes()


def test_a_page_is_drawn_by_the_settings_of_its_report(receiver, tmp_path):
    settings, page, report = (tmp_path / name for name in ("few.toml", "page.html", "report.json"))
    settings.write_text("max_tasks = 3")  # most ends are not told then
    outputs = ("--html", str(page), "--json", str(report))
    assert export(receiver.url, "--config", str(settings), *outputs) == 0
    (data,) = re.findall(r'<script id="content"[^>]*>(.*?)</script>', page.read_text())
    ended = json.loads(data)["drawing"]["timelines"]["ended"]
    drawn = sum(sum(each["values"]) for each in ended)
    assert drawn == json.loads(report.read_text())["throughput"]["attempts"] == 21


def test_it_arrives_behind_a_collector(receiver, capsys):
    with Collector(receiver.url) as collector:
        assert export(collector.url) == 0
    told = ledger(capsys)
    receiver.wait(lambda: len(receiver.spans()) >= told["traces"]["sent"])
    receiver.wait(lambda: len(receiver.logs()) >= told["logs"]["sent"])
    receiver.wait(lambda: len(times(receiver)) >= told["metrics"]["sent"])
    assert len({span.span_id for span in receiver.spans()}) == told["traces"]["sent"]


def test_who_sends_nothing_does_not_wait_for_what_sends():
    """To import it takes longer than to replay a small capture."""
    program = "import sys, stream.replay; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "stream.reading" in ended.stdout.split()
    assert not {"stream.exporting", "requests", "redis"} & set(ended.stdout.split())
