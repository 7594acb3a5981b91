"""One trace through real applications: what they trace themselves, and our spans among it."""

import os
from contextlib import contextmanager

import pytest
import requests
from celery import chain, chord

from tests.app_under_test import make_app
from tests.integration.service import running
from tests.integration.traced_app import QUEUE, web_server
from tests.otlp import Receiver
from tests.servers import APP, Valkey, celery_worker, wait_for

SHOP = "tests.integration.traced_app"
WAIT = 0.2
"""Seconds. No worker starts in less, so a message that is there before it waits longer."""


class Spans:
    """The spans of one run, each by what it is."""

    def __init__(self, spans):
        self.all = {span.span_id: span for span in spans}
        assert len(self.all) == len(spans)

    def named(self, name, **attributes):
        """All with this name; an attribute's dots are underscores."""
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}
        return [
            span
            for span in self.all.values()
            if span.name == name and wanted.items() <= span.attributes.items()
        ]

    def one(self, name, **attributes):
        (span,) = self.named(name, **attributes)
        return span

    def of(self, name, uuid):
        (span,) = [each for each in self.named(name) if uuid == message_of(each)]
        return span

    def parent(self, span):
        """The parent; None where there is none, an error where it is missing."""
        return self.all[span.parent_span_id] if span.parent_span_id else None

    def children(self, span, name):
        return [each for each in self.named(name) if each.parent_span_id == span.span_id]

    def ours(self):
        return [span for span in self.all.values() if span.scope == "stream"]


def message_of(span):
    return span.attributes["messaging.message.id"]


def source_of(span):
    return span.attributes["celery.trace.source"]


def trace_of(uuid):
    return uuid.replace("-", "")


@contextmanager
def observed(directory):
    """Run a broker, and the service, which exports to a receiver; yields all three.

    What is measured of a queue is seen soon, and a long wait is a span of its own.
    """
    with Receiver() as receiver, Valkey(directory / "valkey") as valkey:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        flags = ("--poll-interval", "0.1", "--spans-wait", str(WAIT))
        with running(directory, valkey.url, *flags, env=endpoint) as service:
            yield service, valkey, receiver


def spans_of_an_order(directory, *, web_env, worker_env):
    """Order something while no worker is there, let one do it, and return all spans."""
    with observed(directory) as (service, valkey, receiver):
        common = {
            "CELERY_BROKER_URL": valkey.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        }
        web = {**os.environ, **common, **web_env, "OTEL_SERVICE_NAME": "web"}
        worker = {**common, **worker_env, "OTEL_SERVICE_NAME": "worker"}
        with web_server(web) as url:
            assert requests.post(f"{url}/orders", timeout=20).status_code == 200
            wait_for(lambda: service.total("celery_queue_depth", queue=QUEUE) == 1)
        with celery_worker(SHOP, valkey.url, queues=[QUEUE], env=worker):
            wait_for(lambda: service.total("celery_task_finished_total", state="SUCCESS") == 2)
        assert service.stop() == 0
        return Spans(receiver.spans())


# Everything instrumented, with the plugin on both sides.


@pytest.fixture(scope="module")
def order(tmp_path_factory):
    everything = {"INSTRUMENTED": "1", "PLUGIN": "1"}
    return spans_of_an_order(
        tmp_path_factory.mktemp("order"), web_env=everything, worker_env=everything
    )


def published(order, *, by, name):
    """The span of the application for publishing a message, from within another span of it."""
    (span,) = order.children(by, f"apply_async/{name}")
    return span


def run(order, publishing, name):
    (span,) = order.children(publishing, f"run/{name}")
    return span


def test_all_spans_of_an_order_are_in_the_trace_of_its_request(order):
    request = order.one("POST /orders")
    assert request.resource["service.name"] == "web"
    assert {span.trace_id for span in order.all.values()} == {request.trace_id}
    assert {source_of(span) for span in order.ours()} == {"event"}


def test_a_process_span_is_under_the_span_that_published_its_message(order):
    first = published(order, by=order.one("POST /orders"), name="shop.place")
    first_run = run(order, first, "shop.place")
    again = published(order, by=first_run, name="shop.place")
    ship = published(order, by=run(order, again, "shop.place"), name="shop.ship")
    process = {
        (span.name, span.attributes["celery.task.retries"]): order.parent(span)
        for span in order.ours()
        if span.name.startswith("process ")
    }
    assert process == {
        ("process shop.place", 0): first,
        ("process shop.place", 1): again,
        ("process shop.ship", 0): ship,
    }


def test_a_long_wait_is_under_the_span_that_published_the_message(order):
    first = published(order, by=order.one("POST /orders"), name="shop.place")
    (wait,) = order.children(first, f"wait {QUEUE}")
    (process,) = order.children(first, "process shop.place")
    start, end = (at / 1e9 for at in (wait.span.start_time_unix_nano, wait.span.end_time_unix_nano))
    # Not equal: by the end of the run more is known of how the worker's clock differs from ours.
    assert end == pytest.approx(process.span.start_time_unix_nano / 1e9, abs=WAIT)
    assert end - start == pytest.approx(process.attributes["celery.task.wait_time"], abs=WAIT)
    assert end - start > WAIT


def test_a_retry_is_linked_to_the_attempt_before_it(order):
    first, again = (
        order.one("process shop.place", celery_task_state=state) for state in ("RETRY", "SUCCESS")
    )
    (link,) = again.span.links
    assert (link.trace_id, link.span_id) == (first.span.trace_id, first.span.span_id)


def test_where_the_application_traces_what_it_sends_no_send_span_doubles_it(order):
    assert not [span for span in order.ours() if span.name.startswith("send ")]


# Only the web application is instrumented, and nobody has the plugin.


@pytest.fixture(scope="module", params=["with task-sent", "without task-sent"])
def peeked_order(request, tmp_path_factory):
    events = {} if request.param == "with task-sent" else {"SILENT": "1"}
    return spans_of_an_order(
        tmp_path_factory.mktemp("peeked"),
        web_env={"INSTRUMENTED": "1", **events},
        worker_env=events,
    )


def cause_of(spans, span):
    """The span from within which a message was published, whether or not its sending is known."""
    parent = spans.parent(span)
    return spans.parent(parent) if parent.name.startswith("send ") else parent


def test_a_message_that_waited_joins_the_trace_in_its_headers(peeked_order):
    first = published(peeked_order, by=peeked_order.one("POST /orders"), name="shop.place")
    process = peeked_order.one("process shop.place", celery_task_state="RETRY")
    assert source_of(process) == "peek"
    assert process.trace_id == first.trace_id
    assert peeked_order.parent(process) is first


def test_what_follows_from_a_message_that_waited_is_in_its_trace(peeked_order):
    first = peeked_order.one("process shop.place", celery_task_state="RETRY")
    again = peeked_order.one("process shop.place", celery_task_state="SUCCESS")
    child = peeked_order.one("process shop.ship")
    for span, cause in ((again, first), (child, again)):
        assert source_of(span) == "parent"
        assert span.trace_id == first.trace_id
        assert cause_of(peeked_order, span) is cause


# Nothing is instrumented, and nobody has the plugin.


@pytest.fixture(scope="module")
def canvases(tmp_path_factory):
    """The spans of a chain, of a chain that ends in a chord, and of a chord; and their roots."""
    directory = tmp_path_factory.mktemp("canvases")
    with observed(directory) as (service, valkey, receiver):
        with celery_worker(APP, valkey.url), make_app(valkey.url) as app:
            roots = submit_canvases(app.tasks)
            wait_for(lambda: service.total("celery_task_finished_total", state="SUCCESS") == 10)
        assert service.stop() == 0
        return Spans(receiver.spans()), roots


def submit_canvases(tasks):
    """Return the id of the first task of each canvas; the one of a chord has several."""
    add, total = tasks["t.add"], tasks["t.total"]
    steps = chain(add.si(1, 2), add.s(3), add.s(4)).apply_async()
    fork = chain(tasks["t.ok"].si(1), chord([add.s(2), add.s(3)], total.s())).apply_async()
    bare = chord([add.s(1, 2), add.s(3, 4)])(total.s())
    return {
        "steps": steps.parent.parent.id,
        "fork": fork.parent.parent.id,
        "bare": [member.id for member in bare.parent.results],
    }


def processes(spans, trace):
    """The process spans of a trace in the order in which they were sent."""
    found = [
        span for span in spans.ours() if span.trace_id == trace and span.name.startswith("process ")
    ]
    return sorted(found, key=lambda span: spans.parent(span).span.start_time_unix_nano)


def test_a_process_span_is_under_the_send_span_of_its_own_message(canvases):
    spans, _ = canvases
    found = [span for span in spans.ours() if span.name.startswith("process ")]
    assert len(found) == 10
    for span in found:
        assert spans.parent(span) is spans.of(f"send {span.name.split()[1]}", message_of(span))


def test_each_step_of_a_chain_is_sent_under_the_step_before(canvases):
    spans, roots = canvases
    first, second, third = processes(spans, trace_of(roots["steps"]))
    assert message_of(first) == roots["steps"]
    assert spans.parent(spans.parent(first)) is None
    assert spans.parent(spans.parent(second)) is first
    assert spans.parent(spans.parent(third)) is second


def test_the_members_of_a_chord_are_sent_under_the_task_that_began_it(canvases):
    spans, roots = canvases
    first, *members, _ = processes(spans, trace_of(roots["fork"]))
    assert message_of(first) == roots["fork"]
    assert [member.name for member in members] == ["process t.add"] * 2
    for member in members:
        assert spans.parent(spans.parent(member)) is first


def test_the_callback_of_a_chord_is_sent_under_the_member_that_ended_it(canvases):
    spans, roots = canvases
    *members, callback = processes(spans, trace_of(roots["fork"]))
    assert callback.name == "process t.total"
    sender = spans.parent(spans.parent(callback))
    assert sender in members
    assert message_of(sender) == callback.attributes["celery.task.parent_id"]


def test_a_chord_that_no_task_began_has_as_many_traces_as_members(canvases):
    """Celery makes each member a root of its own; events do not tell that they belong together."""
    spans, roots = canvases
    found = [processes(spans, trace_of(root)) for root in roots["bare"]]
    assert [message_of(first) for first, *_ in found] == roots["bare"]
    assert sorted(len(trace) for trace in found) == [1, 2]


def test_spans_of_an_application_that_tells_no_trace_say_that_theirs_is_derived(canvases):
    spans, _ = canvases
    assert {source_of(span) for span in spans.ours()} == {"derived"}
