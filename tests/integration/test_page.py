"""The page of the service as users run it, beside a real worker."""

import json

import httpx

from tests.app_under_test import make_app
from tests.integration.service import running
from tests.servers import APP, celery_worker, wait_for


def answer(service, path):
    return json.loads(service.get(path)[1])


def test_a_task_of_a_real_worker_is_found_and_told(valkey, tmp_path):
    trace_url = "https://traces.example/{trace_id}"
    with (
        running(tmp_path, valkey.url, "--page-trace-url", trace_url) as service,
        celery_worker(APP, valkey.url),
        make_app(valkey.url) as app,
    ):
        good, bad = app.tasks["t.ok"].delay(1), app.tasks["t.fail"].delay("no")

        def ended():
            found = answer(service, "/api/tasks?where=ended")["tasks"]
            return {task["uuid"]: task["state"] for task in found}

        wait_for(lambda: len(ended()) == 2, what="both to have ended")
        assert ended() == {good.id: "SUCCESS", bad.id: "FAILURE"}
        story = answer(service, f"/api/tasks/{bad.id}")
        assert (story["name"], story["queue"]) == ("t.fail", "celery")
        assert story["trace_url"] == f"https://traces.example/{bad.id.replace('-', '')}"
        (delivery,) = story["deliveries"]
        assert delivery["traceback"].startswith("Traceback")
        assert (delivery["args"], delivery["result"]) == (None, None)
        (group,) = answer(service, "/api/failures")["failures"]
        assert (group["name"], group["count"], group["uuid"]) == ("t.fail", 1, bad.id)
        wait_for(lambda: answer(service, "/api/overview")["workers"]["online"] == 1)
        assert answer(service, "/api/overview")["totals"] == {
            "sent": 2,
            "started": 2,
            "finished": 2,
            "failed": 1,
            "retried": 0,
        }
        assert service.stop() == 0


def test_arguments_are_shown_where_that_is_set(valkey, tmp_path):
    with (
        running(tmp_path, valkey.url, "--page-arguments") as service,
        celery_worker(APP, valkey.url),
        make_app(valkey.url) as app,
    ):
        sent = app.tasks["t.add"].delay(1, 2)
        path = f"/api/tasks/{sent.id}"
        wait_for(lambda: answer(service, path).get("state") == "SUCCESS", what="it to succeed")
        (delivery,) = answer(service, path)["deliveries"]
        assert (delivery["args"], delivery["kwargs"], delivery["result"]) == ("(1, 2)", "{}", "3")


def test_without_the_page_there_is_a_list_of_what_is_left(valkey, tmp_path):
    with running(tmp_path, valkey.url, "--no-page") as service:
        assert 'href="/metrics"' in service.get("/")[1]
        assert service.get("/api/overview")[0] == 404
        assert service.get("/assets/page.js")[0] == 404


def test_it_warns_where_anybody_can_ask_from_elsewhere(valkey, tmp_path):
    for arguments, expected in (
        (("--listen", "0.0.0.0:0"), 1),
        (("--listen", "0.0.0.0:0", "--access-token", "t0ken"), 0),
        ((), 0),
    ):
        with running(tmp_path, valkey.url, *arguments) as service:
            warned = [line for line in service.log() if line["event"] == "access.open"]
            assert len(warned) == expected
            assert all(line["level"] == "warning" for line in warned)


def ask(service, path, **options):
    return httpx.get(f"http://{service.address}{path}", trust_env=False, timeout=60, **options)


def test_a_password_is_asked_for_and_not_for_probes(valkey, tmp_path):
    with running(tmp_path, valkey.url, env={"STREAM_ACCESS_BASIC": "me:pass"}) as service:
        assert ask(service, "/live").status_code == ask(service, "/ready").status_code == 200
        paths = ("/", "/metrics", "/health", "/api/overview")
        assert {ask(service, path).status_code for path in paths} == {401}
        assert ask(service, "/metrics", auth=("me", "pass")).status_code == 200


def test_a_name_of_somebody_elses_is_refused(valkey, tmp_path):
    with running(tmp_path, valkey.url) as service:
        answer = ask(service, "/api/overview", headers={"host": "evil.example"})
        assert answer.status_code == 403


def test_it_stops_at_once_while_somebody_looks(valkey, tmp_path):
    with running(tmp_path, valkey.url) as service:
        url = f"http://{service.address}/api/events"
        with httpx.stream("GET", url, trust_env=False, timeout=60) as events:
            parts = events.iter_text()
            assert next(parts).startswith("event: overview\n")
            assert service.stop() == 0
            assert all(part.startswith("event: ") for part in parts)
        assert "ASGI" not in (tmp_path / "stream.err").read_text()
        assert "Cancel" not in (tmp_path / "stream.err").read_text()
