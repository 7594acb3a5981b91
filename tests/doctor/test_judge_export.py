"""Answers of a receiver to findings."""

import pytest

from stream.config import OtlpSettings
from stream.doctor.diagnosis import Step, Verdict
from stream.doctor.judge_export import judge_export
from stream.doctor.look_export import look_at_export, targets_of
from tests.otlp import LOGS, METRICS, TRACES, Answer, Receiver
from tests.servers import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


async def check(**settings):
    otlp = OtlpSettings(**settings)
    posted = await look_at_export(targets_of(otlp))
    return list(judge_export(posted, disabled=otlp.disabled))


async def test_a_receiver_that_takes_everything_is_well_and_keeps_nothing(receiver):
    findings = await check(endpoint=receiver.url)
    assert [(each.about, each.verdict) for each in findings] == [
        ("traces", Verdict.OK),
        ("metrics", Verdict.OK),
        ("logs", Verdict.OK),
    ]
    assert {request.path for request in receiver.requests()} == {TRACES, METRICS, LOGS}
    assert all(request.body for request in receiver.requests())
    assert (receiver.spans(), receiver.logs(), receiver.metrics()) == ([], [], [])


@pytest.mark.parametrize(
    ("status", "step", "verdict", "advice"),
    [
        (401, Step.AUTHENTICATED, Verdict.BROKEN, "OTEL_EXPORTER_OTLP_HEADERS"),
        (403, Step.AUTHENTICATED, Verdict.BROKEN, "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, Step.EXPORT, Verdict.BROKEN, "/v1/traces is appended"),
        (307, Step.EXPORT, Verdict.BROKEN, "redirects"),
        (400, Step.EXPORT, Verdict.BROKEN, "protobuf"),
        (413, Step.EXPORT, Verdict.BROKEN, "limit"),
        (429, Step.EXPORT, Verdict.UNKNOWN, "limit"),
        (503, Step.EXPORT, Verdict.BROKEN, "proxy"),
    ],
)
async def test_an_answer_that_is_no_success_says_what_to_do(
    receiver, status, step, verdict, advice
):
    receiver.script(Answer(status), path=TRACES)
    found, *others = await check(endpoint=receiver.url)
    assert (found.step, found.verdict, found.about) == (step, verdict, "traces")
    assert str(status) in found.says
    assert advice in found.advice
    assert [each.verdict for each in others] == [Verdict.OK, Verdict.OK]


async def test_a_receiver_that_is_down_is_not_reachable():
    findings = await check(endpoint=f"http://127.0.0.1:{free_port()}")
    assert [each.step for each in findings] == [Step.REACHABLE] * 3
    assert {each.verdict for each in findings} == {Verdict.BROKEN}
    assert "Connection refused" in findings[0].says


async def test_without_an_endpoint_nothing_is_sent_and_that_is_said():
    (found,) = await check()
    assert (found.verdict, found.step) == (Verdict.UNKNOWN, Step.EXPORT)
    (found,) = await check(endpoint="http://127.0.0.1:1", disabled=True)
    assert "turned off" in found.says


async def test_a_signal_that_is_turned_off_is_not_tried(receiver):
    findings = await check(endpoint=receiver.url, logs=False)
    assert [each.about for each in findings] == ["traces", "metrics"]


async def test_credentials_of_an_endpoint_are_not_repeated(receiver):
    url = receiver.url.replace("http://", "http://me:hunter2@") + "/v1/traces?token=hunter2"
    findings = await check(
        traces_endpoint=url,
        logs_endpoint=f"http://me:hunter2@127.0.0.1:{free_port()}/v1/logs",
        headers={"x-token": "hunter2"},
    )
    assert len(findings) == 2
    assert "hunter2" not in str(findings)
