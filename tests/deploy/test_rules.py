"""The rules, as promtool judges them: each alert fires when it should, and not before."""

import re
from dataclasses import dataclass, field

import pytest
import yaml

from stream.deploy.names import Names, Series
from stream.deploy.rules import Thresholds, alerts, recordings, written
from stream.sinks.instruments import TABLE
from tests.prometheus import promtool, require_prometheus

ALERTS = {alert.name: alert for alert in alerts(Series(Names.PROMETHEUS), Thresholds())}
RATIO = "celery:task_failure_ratio:rate10m"

HALF_FAIL = {
    'celery_task_finished_total{job="c",task="pay",queue="q",state="SUCCESS"}': "0+10x60",
    'celery_task_finished_total{job="c",task="pay",queue="q",state="FAILURE"}': "0+10x60",
}
WORKING = {'celery_workers_active{job="c"}': "3x60"}


@dataclass
class Case:
    """What is measured each minute, and what somebody is told after some time."""

    alert: str
    series: dict[str, str]
    at: str
    labels: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    """Empty: nobody is told anything."""


FIRING = [
    Case(
        "CeleryTaskFailureRatioHigh",
        HALF_FAIL,
        "30m",
        {"job": "c", "task": "pay"},
        "pay fails in 50% of its runs",
    ),
    Case(
        "CeleryTasksStuck",
        {'celery_task_stuck{job="c",task="pay",queue="q",state="STARTED"}': "2x60"},
        "6m",
        {"job": "c", "task": "pay", "queue": "q", "state": "STARTED"},
        "2 pay stuck in STARTED",
    ),
    Case(  # the series appears with the first loss
        "CeleryTasksLost",
        {'celery_task_lost_total{job="c",task="pay",queue="q",reason="worker_lost"}': "_x20 1x60"},
        "22m",
        {"job": "c", "task": "pay"},
        "pay was lost with its worker",
    ),
    Case(
        "CeleryBeatOverdue",
        {'celery_beat_overdue_seconds{job="c",task="nightly",queue="q"}': "0x5 0+60x60"},
        "8m",
        {"job": "c", "task": "nightly", "queue": "q"},
        "nightly was due 2m 0s ago and was not sent",
    ),
    Case(  # of one of several brokers
        "CeleryQueueBacklogGrowing",
        {
            'celery_queue_depth{job="c",broker="a",queue="q"}': "0+20x60",
            'celery_queue_depth{job="c",broker="b",queue="q"}': "0x60",
        },
        "50m",
        {"job": "c", "broker": "a", "queue": "q"},
        "Queue q grows, 1000 messages wait",
    ),
    Case(
        "CeleryQueueOldestTooOld",
        {'celery_queue_oldest_age_seconds{job="c",queue="q"}': "0+60x60"},
        "30m",
        {"job": "c", "queue": "q"},
        "The first message in q has waited for 30m 0s",
    ),
    Case(
        "CeleryQueueStalled",
        {'celery_queue_stalled_ratio{job="c",queue="q"}': "1x60"},
        "3m",
        {"job": "c", "queue": "q"},
        "Nobody takes messages from q",
    ),
    Case(
        "CeleryVisibilityTimeoutNear",
        {'celery_queue_unacknowledged_age_seconds{job="c",queue="*"}': "0+60x60"},
        "50m",
        {"job": "c", "queue": "*"},
        "Messages of * will soon be given to another worker too",
    ),
    Case(
        "CeleryVisibilityTimeoutNear",
        {'celery_queue_overdue{job="c",queue="q"}': "1x60"},
        "2m",
        {"job": "c", "queue": "q"},
        "Messages of q will soon be given to another worker too",
    ),
    Case(
        "CeleryWorkerLost",
        {'stream_workers_changed_total{job="c",state="lost"}': "0x10 1x50"},
        "12m",
        {"job": "c"},
        "A worker process vanished without a goodbye",
    ),
    Case(
        "CeleryNoWorkers",
        {'celery_workers_active{job="c"}': "0x60"},
        "3m",
        {"job": "c"},
        "No worker is alive",
    ),
    Case(
        "CeleryEventsDisabled",
        {'celery_worker_event_coverage_ratio{job="c",worker="w@a"}': "0x60"},
        "6m",
        {"job": "c", "worker": "w@a"},
        "w@a runs tasks and sends no task events",
    ),
    Case(
        "CeleryEventCoverageLow",
        {
            'celery_worker_event_coverage_ratio{job="c",worker="w@a"}': "0.9x60",
            'stream_events_missed_total{job="c"}': "0+1x60",
        },
        "30m",
        {"job": "c", "worker": "w@a"},
        "Only 90% of what w@a runs is seen",
    ),
    Case(
        "CeleryStreamAbsent",
        {'up{job="other"}': "1x60"},
        "6m",
        {},
        "Nothing watches Celery",
    ),
    Case(
        "CeleryStreamBlind",
        {'stream_event_age_seconds{job="c"}': "0+60x60"},
        "6m",
        {"job": "c"},
        "No event has come for 6m 0s",
    ),
    Case(
        "CeleryStreamOverloaded",
        {'stream_frames_shed_total{job="c"}': "0x5 50x60"},
        "6m",
        {"job": "c"},
        "50 messages were given up because they came too fast",
    ),
    Case(
        "CeleryStreamExportFailing",
        {'stream_export_circuit{job="c",signal="traces"}': "1x60"},
        "6m",
        {"job": "c", "signal": "traces"},
        "The receiver of traces does not take them",
    ),
    Case(
        "CeleryStreamExportDropping",
        {'stream_export_dropped_total{job="c",signal="traces",reason="full"}': "_x20 7x60"},
        "22m",
        {"job": "c", "signal": "traces", "reason": "full"},
        "7 traces were given up (full)",
    ),
]
SILENT = [
    Case(  # one of two is no ratio
        "CeleryTaskFailureRatioHigh",
        {
            'celery_task_finished_total{job="c",task="pay",queue="q",state="SUCCESS"}': "0x19 1x40",
            'celery_task_finished_total{job="c",task="pay",queue="q",state="FAILURE"}': "0x19 1x40",
        },
        "25m",
    ),
    Case(  # a retry is no failure
        "CeleryTaskFailureRatioHigh",
        {
            'celery_task_finished_total{job="c",task="pay",queue="q",state="SUCCESS"}': "0+10x60",
            'celery_task_retries_total{job="c",task="pay",queue="q",error_type="E"}': "0+99x60",
        },
        "30m",
    ),
    Case(  # lost long ago
        "CeleryTasksLost",
        {'celery_task_lost_total{job="c",task="pay",queue="q",reason="worker_lost"}': "1x60"},
        "40m",
    ),
    Case(  # many wait, and they become fewer
        "CeleryQueueBacklogGrowing",
        {'celery_queue_depth{job="c",queue="q"}': "9000-20x60"},
        "50m",
    ),
    Case("CeleryStreamAbsent", WORKING, "30m"),
    Case("CeleryNoWorkers", WORKING, "30m"),
    Case(  # events were lost once, and all that runs now is seen
        "CeleryEventCoverageLow",
        {
            'celery_worker_event_coverage_ratio{job="c",worker="w@a"}': "0.9x60",
            'stream_events_missed_total{job="c"}': "5x60",
        },
        "30m",
    ),
    Case(  # the service restarted: its counters began anew
        "CeleryWorkerLost",
        {'stream_workers_changed_total{job="c",state="lost"}': "4x30 0x30"},
        "40m",
    ),
]


@pytest.fixture(autouse=True)
def _prometheus():
    require_prometheus()


def as_test(case):
    told = []
    if case.summary:
        alert = ALERTS[case.alert]
        annotations = {"summary": case.summary, "description": alert.description}
        labels = {**case.labels, "severity": alert.severity}
        told = [{"exp_labels": labels, "exp_annotations": annotations}]
    check = {"eval_time": case.at, "alertname": case.alert, "exp_alerts": told}
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    return {"interval": "1m", "input_series": series, "alert_rule_test": [check]}


def judge(tmp_path, *tests):
    (tmp_path / "rules.yml").write_text(written(Names.PROMETHEUS, Thresholds()))
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    return promtool("test", "rules", tmp_path / "test.yml")


def test_every_alert_fires_and_says_what_is_wrong(tmp_path):
    judged = judge(tmp_path, *map(as_test, FIRING))
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert {case.alert for case in FIRING} == set(ALERTS)


def test_what_is_no_reason_fires_nothing(tmp_path):
    judged = judge(tmp_path, *map(as_test, SILENT))
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_promtool_would_notice_an_alert_that_does_not_fire(tmp_path):
    """The judge is no rubber stamp."""
    case = Case("CeleryNoWorkers", WORKING, "30m", {"job": "c"}, "No worker is alive")
    assert judge(tmp_path, as_test(case)).returncode != 0


def test_what_is_computed_ahead_is_what_it_says(tmp_path):
    series = [{"series": name, "values": values} for name, values in HALF_FAIL.items()]
    depth = {"series": 'celery_queue_depth{job="c",queue="q"}', "values": "0+60x60"}
    checks = [
        {
            "expr": RATIO,
            "eval_time": "30m",
            "exp_samples": [{"labels": f'{RATIO}{{job="c",task="pay"}}', "value": 0.5}],
        },
        {
            "expr": "celery:queue_depth:deriv15m",
            "eval_time": "30m",
            "exp_samples": [
                {"labels": 'celery:queue_depth:deriv15m{job="c",queue="q"}', "value": 1}
            ],
        },
    ]
    test = {"interval": "1m", "input_series": [*series, depth], "promql_expr_test": checks}
    judged = judge(tmp_path, test)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("names", Names)
def test_the_rules_are_valid_whatever_the_names(tmp_path, names):
    (tmp_path / "rules.yml").write_text(written(names, Thresholds()))
    judged = promtool("check", "rules", tmp_path / "rules.yml")
    assert judged.returncode == 0, judged.stdout + judged.stderr
    count = len(ALERTS) + len(recordings(Series(names)))
    assert f"{count} rules found" in judged.stdout


def test_thresholds_are_those_that_were_asked_for():
    text = written(Names.PROMETHEUS, Thresholds(failure_ratio=0.25, visibility_timeout=7200.0))
    assert f"{RATIO} > 0.25" in text
    assert "> 5400" in text


def test_the_names_as_sent_are_those_of_the_instruments():
    used = set(re.findall(r'__name__="([^"]+)"', written(Names.OTLP, Thresholds())))
    names = {i.name for i in TABLE} | {f"{i.name}_bucket" for i in TABLE if i.bounds}
    assert used <= names
    assert len(used) > 15
