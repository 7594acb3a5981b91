"""The page's paths over a real socket: its files, its JSON, and its description."""

import json

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from stream.config import BeatRule, StuckLimits
from stream.core.engine import Engine
from stream.events import QueueDepth, QueueSample
from stream.page.openapi import document
from tests.builders import T0
from tests.page.cluster import Cluster, page_of
from tests.page.site import running

pytestmark = pytest.mark.anyio

PATHS = ("overview", "tasks", "tasks/bad", "queues", "workers", "periodic", "failures", "stuck")


@pytest.fixture
def cluster():
    """A cluster in which there is something of everything."""
    rules = (BeatRule("app.clean", queue="beat", every=60.0),)
    cluster = Cluster(engine=Engine(stuck=StuckLimits(running=10.0), beat_rules=rules))
    cluster.feed(cluster.worker.online())
    cluster.run("good")
    cluster.fail("bad", at=2.0, traceback="Traceback …")
    cluster.start("runs", at=4.0)
    cluster.feed(cluster.shop.sent("waits", 5.0, queue="mail"))
    depth = QueueDepth("celery", {0: 2, 3: 1}, "waits", unacknowledged=1)
    cluster.at = 30.0
    cluster.feed(cluster.worker.heartbeat(30.0, active=1, processed=3))
    cluster.sample(QueueSample(T0 + 30.0, "redis", (depth,), 1, T0 + 1.0))
    cluster.tick(31.0)
    return cluster


async def test_the_page_is_a_whole_document(cluster):
    async with running(page_of(cluster)) as (client, _):
        answer = await client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<!doctype html>")


async def test_a_file_that_the_browser_has_is_not_sent_again(cluster):
    async with running(page_of(cluster)) as (client, _):
        first = await client.get("/assets/page.js")
        again = await client.get(
            "/assets/page.js", headers={"if-none-match": first.headers["etag"]}
        )
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert first.headers["content-type"].startswith("text/javascript")
    assert (again.headers["etag"], again.headers["cache-control"]) == (
        first.headers["etag"],
        "no-cache",
    )


@pytest.mark.parametrize("name", ["nothing.js", "../live.py", "..%2flive.py", "%2e%2e/live.py"])
async def test_only_the_pages_own_files_are_served(cluster, name):
    async with running(page_of(cluster)) as (client, _):
        assert (await client.get(f"/assets/{name}")).status_code == 404


async def test_the_pages_files_name_no_other_place(cluster):
    async with running(page_of(cluster)) as (client, _):
        for path in ("/", "/api"):
            text = (await client.get(path)).text
            assert "//" not in text.replace("https://", "").replace("http://www.w3.org", "")
            assert "https://" not in text


async def test_json_is_not_kept_by_anybody(cluster):
    async with running(page_of(cluster)) as (client, _):
        for path in PATHS:
            assert (await client.get(f"/api/{path}")).headers["cache-control"] == "no-store"


async def test_a_task_that_nobody_knows_is_404_with_a_sentence(cluster):
    async with running(page_of(cluster)) as (client, _):
        answer = await client.get("/api/tasks/nobody")
    assert answer.status_code == 404
    assert answer.json() == {"error": "No such task, or it is not kept any more."}


async def test_the_id_of_a_task_may_be_anything():
    cluster = Cluster()
    cluster.run("a/b c?d%")
    async with running(page_of(cluster)) as (client, _):
        answer = await client.get("/api/tasks/a%2Fb%20c%3Fd%25")
    assert answer.json()["uuid"] == "a/b c?d%"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=0", "limit='0' is no whole number from 1 to 500"),
        ("limit=501", "limit='501' is no whole number from 1 to 500"),
        ("limit=many", "limit='many' is no whole number from 1 to 500"),
        ("where=here", "where='here' is none of all, in_flight, ended"),
        ("colour=red", "'colour' is no parameter; there are broker, limit"),
        ("state=DONE", "state='DONE' is none of SENT, RECEIVED"),
    ],
)
async def test_a_parameter_without_meaning_is_400_with_a_sentence(cluster, query, sentence):
    async with running(page_of(cluster)) as (client, _):
        answer = await client.get(f"/api/tasks?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)


async def test_parameters_choose_the_tasks(cluster):
    async with running(page_of(cluster)) as (client, _):

        async def uuids(query):
            return [
                task["uuid"] for task in (await client.get(f"/api/tasks?{query}")).json()["tasks"]
            ]

        assert await uuids("state=failure") == ["bad"]
        assert await uuids("state=success,failure&where=ended") == ["bad", "good"]
        assert await uuids("queue=m*") == ["waits"]
        assert await uuids("q=run") == ["runs"]
        assert await uuids("broker=other") == []
        assert await uuids("where=in_flight&limit=1") == ["runs"]


async def test_nothing_can_be_changed(cluster):
    async with running(page_of(cluster)) as (client, _):
        for path in ("/", "/api/tasks", "/api/tasks/bad", "/api/events", "/assets/page.js"):
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                assert (await client.request(method, path)).status_code == 405


# -- the description ----------------------------------------------------------------------------


def test_the_description_is_openapi():
    validate(json.loads(json.dumps(document())))


def test_every_field_that_is_not_plain_is_described():
    schemas = document()["components"]["schemas"]
    assert schemas["Worker"]["properties"]["skew"]["description"].startswith("Seconds that")
    assert schemas["Worker"]["description"] == "One worker process."


async def test_every_answer_is_as_described(cluster):
    async with running(page_of(cluster)) as (client, _):
        described = (await client.get("/api/openapi.json")).json()
        for path, methods in described["paths"].items():
            if path == "/api/events":
                continue
            answer = await client.get(path.replace("{uuid}", "bad"))
            assert answer.status_code == 200
            content = methods["get"]["responses"]["200"]["content"]
            reference = content["application/json"]["schema"]["$ref"]
            validator = OAS31Validator({"$ref": reference, "components": described["components"]})
            assert [str(error) for error in validator.iter_errors(answer.json())] == [], path


async def test_problems_are_as_described(cluster):
    async with running(page_of(cluster)) as (client, _):
        described = (await client.get("/api/openapi.json")).json()
        schema = described["components"]["schemas"]["Problem"]
        for path in ("/api/tasks/nobody", "/api/tasks?limit=0"):
            OAS31Validator(schema).validate((await client.get(path)).json())


async def test_every_path_of_the_api_is_described(cluster):
    async with running(page_of(cluster)) as (client, _):
        described = set((await client.get("/api/openapi.json")).json()["paths"])
    assert described == {
        "/api/events",
        "/api/tasks/{uuid}",
        *(f"/api/{name}" for name in PATHS if "/" not in name),
    }
