"""The plugin in real workers: their events tell the headers, and spans join the trace."""

import base64
import json
import secrets
from contextlib import contextmanager

import pytest

from tests.integration.plugin_app import make_linked_app
from tests.integration.service import running
from tests.otlp import Receiver
from tests.servers import APP, celery_worker, wait_for

LINKED = "tests.integration.plugin_app"
TASKS = 30


def new_headers():
    """Headers as a producer that is instrumented writes them."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return {
        "traceparent": f"00-{trace}-{span}-01",
        "tracestate": f"ot=rv:{span}",
        "sentry-trace": f"{trace}-{span}-1",
    }


def links_of(event):
    """The headers that an event tells, by the headers' names."""
    names = {
        "traceparent": "traceparent",
        "tracestate": "tracestate",
        "sentry-trace": "sentry_trace",
    }
    return {header: event[name] for header, name in names.items() if name in event}


class Events:
    """Every event that was published since it subscribed."""

    def __init__(self, subscription):
        self._subscription = subscription
        self._seen = []

    def _all(self, kind):
        while message := self._subscription.get_message(ignore_subscribe_messages=True):
            body = json.loads(base64.b64decode(json.loads(message["data"])["body"]))
            self._seen += body if isinstance(body, list) else [body]
        return [event for event in self._seen if event["type"] == kind]

    def of_host(self, kind, hostname):
        """The events of one kind that one worker sent."""
        return [event for event in self._all(kind) if event["hostname"] == hostname]

    def of(self, kind):
        """The events of one kind so far, by the task's id; each is told once."""
        found = self._all(kind)
        by_uuid = {event["uuid"]: event for event in found}
        assert len(by_uuid) == len(found)
        return by_uuid

    def wait_for(self, kind, uuids):
        """The events of one kind once there is one for each of these ids."""
        wait_for(lambda: uuids <= self.of(kind).keys(), what=kind)
        return self.of(kind)


@contextmanager
def listening(valkey):
    with valkey.client() as client, client.pubsub() as subscription:
        subscription.psubscribe("/0.celeryev/*")
        assert subscription.get_message(timeout=5)["type"] == "psubscribe"
        yield Events(subscription)


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads", "gevent"])
def test_events_tell_the_headers_of_their_own_message(valkey, pool):
    with (
        listening(valkey) as events,
        celery_worker(LINKED, valkey.url, pool=pool, concurrency=4),
        make_linked_app(valkey.url) as app,
    ):
        sent, results = {}, []
        for number in range(TASKS):  # every third has none: nobody else's may be told of it
            headers = new_headers() if number % 3 else {}
            results.append(app.tasks["t.ok"].apply_async(headers=headers))
            sent[results[-1].id] = headers
        for kind in ("task-sent", "task-received"):
            told = events.wait_for(kind, sent.keys())
            assert {uuid: links_of(told[uuid]) for uuid in sent} == sent
            assert {told[uuid]["routing_key"] for uuid in sent} == {"celery"}
            assert {told[uuid]["exchange"] for uuid in sent} == {""}
        received = events.of("task-received")
        assert {received[uuid]["redelivered"] for uuid in sent} == {False}
        # Not their events: before 5.7 the threads pool loses some (celery#10435).
        assert [result.get(timeout=30) for result in results] == [0] * TASKS


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_task_that_publishes_from_a_worker_tells_its_headers_too(valkey, pool):
    with (
        listening(valkey) as events,
        celery_worker(LINKED, valkey.url, pool=pool, concurrency=4),
        make_linked_app(valkey.url) as app,
    ):
        expected = [new_headers() for _ in range(TASKS)]
        results = [app.tasks["t.outer"].delay(headers) for headers in expected]
        inner = dict(zip((result.get(timeout=30) for result in results), expected, strict=True))
        for kind in ("task-sent", "task-received"):
            told = events.wait_for(kind, inner.keys())
            assert {uuid: links_of(told[uuid]) for uuid in inner} == inner


def test_process_spans_join_the_trace_of_the_producer(valkey, tmp_path):
    with Receiver() as receiver:
        with (
            running(
                tmp_path, valkey.url, env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
            ) as service,
            celery_worker(LINKED, valkey.url),
            make_linked_app(valkey.url) as app,
        ):
            linked, plain = new_headers(), {}
            results = {
                app.tasks[name].apply_async(headers=headers).id: headers
                for name in ("t.ok", "t.fail")
                for headers in (linked, plain)
            }
            wait_for(lambda: service.total("celery_task_finished_total") == len(results))
            assert service.stop() == 0
        spans = receiver.spans()
        process = {
            span.attributes["messaging.message.id"]: span
            for span in spans
            if span.name.startswith("process ")
        }
        assert process.keys() == results.keys()
        for uuid, headers in results.items():
            if headers:
                _, trace, parent, _ = headers["traceparent"].split("-")
                assert process[uuid].trace_id == trace
                assert process[uuid].parent_span_id == parent
                assert process[uuid].span.trace_state == headers["tracestate"]
            else:
                assert process[uuid].trace_id == uuid.replace("-", "")


@pytest.mark.parametrize("worker_app", [LINKED, APP])
def test_one_side_with_the_plugin_is_enough(valkey, worker_app):
    """A worker that lacks it runs what a producer with it sends, and the other way round."""
    with (
        listening(valkey) as events,
        celery_worker(worker_app, valkey.url, pool="solo"),
        make_linked_app(valkey.url) as app,
    ):
        headers = new_headers()
        uuid = app.tasks["t.ok"].apply_async(headers=headers).id
        assert links_of(events.wait_for("task-sent", {uuid})[uuid]) == headers
        received = events.wait_for("task-received", {uuid})[uuid]
        assert links_of(received) == (headers if worker_app == LINKED else {})
        assert events.wait_for("task-succeeded", {uuid})


def test_a_message_that_a_worker_put_back_is_told_as_redelivered(valkey):
    with listening(valkey) as events, make_linked_app(valkey.url) as app:
        headers = new_headers()
        uuid = app.tasks["t.ok"].apply_async(headers=headers, countdown=600).id
        for name, redelivered in (("one", False), ("two", True)):
            # The first gives back on shutdown what waits for its time.
            with celery_worker(LINKED, valkey.url, pool="solo", name=name) as worker:
                wait_for(lambda: events.of_host("task-received", worker.hostname))
                [received] = events.of_host("task-received", worker.hostname)
                assert received["uuid"] == uuid
                assert received["redelivered"] is redelivered
                assert links_of(received) == headers
            assert worker.process.returncode == 0, "it gave back what it had"


def test_a_plugin_that_fails_disturbs_neither_tasks_nor_events(valkey, tmp_path):
    log = tmp_path / "worker.log"
    with (
        listening(valkey) as events,
        celery_worker(LINKED, valkey.url, env={"PLUGIN_FAILS": "1"}, log=log),
        make_linked_app(valkey.url) as app,
    ):
        results = [app.tasks["t.outer"].delay(new_headers()) for _ in range(TASKS)]
        inner = {result.get(timeout=30) for result in results}
        everything = inner | {result.id for result in results}
        for kind in ("task-sent", "task-received", "task-started", "task-succeeded"):
            assert events.wait_for(kind, everything).keys() == everything
        sent, received = events.of("task-sent"), events.of("task-received")
        assert not any(links_of(received[uuid]) for uuid in everything)
        assert not any(links_of(sent[uuid]) for uuid in inner)
    said = log.read_text().count("Events go out without links to traces")
    assert 1 <= said <= 3, "once in the main process and in each child"
