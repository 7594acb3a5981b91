"""The plugin's dispatcher on kombu's broker in memory: real messages, requests and events."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial

import pytest
from celery import Celery
from celery.events.dispatcher import EventDispatcher
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import after_task_publish, before_task_publish, task_received
from celery.worker.request import Request
from kombu import Consumer
from kombu.exceptions import EncodeError

from stream import plugin

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ALL = {
    "traceparent": TRACEPARENT,
    "tracestate": "a=1,b=2",
    "sentry-trace": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
}
ALL_TOLD = {
    "traceparent": TRACEPARENT,
    "tracestate": "a=1,b=2",
    "sentry_trace": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
}


def nothing():
    pass


def make_app(**settings):
    app = Celery("plugin", broker="memory://", set_as_current=False)
    app.conf.update(task_send_sent_event=True, **settings)
    app.task(name="p.nothing", typing=False)(nothing)
    app.finalize()
    return app


@pytest.fixture
def app():
    made = make_app()
    plugin.install(made)
    with made.connection_for_write() as connection:
        made.amqp.default_queue(connection.default_channel).declare()
        made.amqp.default_queue(connection.default_channel).purge()
    return made


@contextmanager
def collecting(app):
    """A function that returns the events published since it was last called."""
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        receiver = app.events.Receiver(channel)
        [consumer] = receiver.get_consumers(partial(Consumer, channel), channel)
        queue = consumer.queues[0]
        queue.declare()

        def events():
            found = []
            while (message := queue.get(no_ack=True)) is not None:
                body = message.payload
                found += body if isinstance(body, list) else [body]
            return found

        yield events


@contextmanager
def connected(signal, handler):
    signal.connect(handler, weak=False)
    try:
        yield
    finally:
        signal.disconnect(handler)


def links_of(event):
    return {name: event[name] for name in ALL_TOLD if name in event}


def publish(app, **options):
    return app.tasks["p.nothing"].apply_async(**options).id


def receive(app, dispatcher):
    """Take the next message as a worker does, and return its id."""
    with app.connection_for_read() as connection:
        message = app.amqp.default_queue(connection.default_channel).get(no_ack=True)
        request = Request(message, app=app, hostname="w@h")
    task_received.send(sender=None, request=request)
    dispatcher.send("task-received", uuid=request.id, name=request.name)
    return request.id


@contextmanager
def dispatching(app, **options):
    with (
        app.connection_for_write() as connection,
        app.events.Dispatcher(connection, **options) as d,
    ):
        yield d


def test_sent_events_tell_the_headers_of_the_message(app):
    with collecting(app) as events:
        uuid = publish(app, headers=ALL)
        [event] = events()
    assert event["uuid"] == uuid
    assert links_of(event) == ALL_TOLD
    assert (event["exchange"], event["routing_key"]) == ("", "celery")


def test_received_events_tell_the_headers_and_the_delivery_of_the_message(app):
    with collecting(app) as events, dispatching(app) as dispatcher:
        publish(app, headers=ALL)
        events()
        uuid = receive(app, dispatcher)
        [event] = events()
    assert event["uuid"] == uuid
    assert links_of(event) == ALL_TOLD
    assert (event["exchange"], event["routing_key"]) == ("", "celery")
    assert event["redelivered"] is False


def test_buffered_events_tell_them_too(app):
    with collecting(app) as events, dispatching(app, buffer_group=["task"]) as dispatcher:
        publish(app, headers=ALL)
        events()
        receive(app, dispatcher)
        assert events() == []
        dispatcher.flush()
        [event] = events()
    assert links_of(event) == ALL_TOLD


def test_messages_without_headers_after_one_with_them_tell_none(app):
    with collecting(app) as events, dispatching(app) as dispatcher:
        publish(app, headers=ALL)
        publish(app)
        receive(app, dispatcher)
        receive(app, dispatcher)
        with_links, without = {}, {}
        for event in events():
            (with_links if links_of(event) else without)[event["type"]] = event["uuid"]
    assert with_links.keys() == without.keys() == {"task-sent", "task-received"}
    assert with_links["task-sent"] == with_links["task-received"]


def test_headers_that_a_later_handler_writes_are_told(app):
    """Instrumentations write them in the very signal that the plugin listens to."""

    def instrument(headers, **_):
        headers["traceparent"] = TRACEPARENT

    with collecting(app) as events, connected(before_task_publish, instrument):
        publish(app)
        [event] = events()
    assert links_of(event) == {"traceparent": TRACEPARENT}


def test_a_task_published_while_another_is_being_published_tells_its_own(app):
    inner = []

    def publish_another(**_):
        if not inner:
            inner.append(None)
            inner[0] = publish(app, headers={"tracestate": "inner=1"})

    with collecting(app) as events, connected(after_task_publish, publish_another):
        outer = publish(app, headers={"tracestate": "outer=1"})
        told = {event["uuid"]: links_of(event) for event in events()}
    assert told == {outer: {"tracestate": "outer=1"}, inner[0]: {"tracestate": "inner=1"}}


def test_what_failed_to_be_published_stays_with_nobody(app):
    with collecting(app) as events:
        for _ in range(20):
            with pytest.raises(EncodeError):
                publish(app, headers=ALL, kwargs={"unserialisable": object()}, retry=False)
        assert len(plugin._noted.publishing) <= plugin._NESTED
        publish(app)
        [event] = events()
    assert links_of(event) == {}


def test_without_sent_events_only_a_few_messages_are_remembered():
    app = make_app()
    app.conf.task_send_sent_event = False
    plugin.install(app)
    for _ in range(20):
        publish(app, headers=ALL)
    assert len(plugin._noted.publishing) <= plugin._NESTED


@pytest.mark.parametrize(
    "value",
    ["x" * (plugin.MAX_LENGTH + 1), "a\ud800", "a\nb", 7, None, ["x"], {"a": "b"}],
    ids=["too long", "lone surrogate", "two lines", "int", "None", "list", "dict"],
)
def test_values_that_are_no_short_text_are_left_out(app, value):
    with collecting(app) as events, dispatching(app) as dispatcher:
        publish(app, headers=ALL | {"tracestate": value})
        receive(app, dispatcher)
        told = events()
    without = {name: text for name, text in ALL_TOLD.items() if name != "tracestate"}
    assert [links_of(event) for event in told] == [without, without]


def test_headers_within_headers_are_told(app):
    """Sentry writes them there as well, since some releases of Celery keep only those."""
    with collecting(app) as events, dispatching(app) as dispatcher:
        publish(app, headers={"headers": ALL})
        receive(app, dispatcher)
        assert [links_of(event) for event in events()] == [ALL_TOLD, ALL_TOLD]


def test_task_protocol_1_tells_them_when_sent():
    app = make_app(task_protocol=1)
    plugin.install(app)
    with collecting(app) as events:
        publish(app, headers=ALL)
        [event] = events()
    assert links_of(event) == ALL_TOLD


def test_installing_twice_changes_nothing(app):
    dispatcher = app.events.Dispatcher
    handlers = len(before_task_publish.receivers), len(task_received.receivers)
    plugin.install(app)
    assert app.events.Dispatcher is dispatcher
    assert (len(before_task_publish.receivers), len(task_received.receivers)) == handlers
    assert dispatcher.__mro__.count(plugin.LinkingDispatcher) == 1


def test_installed_after_the_first_task_was_published_it_works_for_the_next():
    app = make_app()
    publish(app)
    plugin.install(app)
    with collecting(app) as events:
        publish(app, headers=ALL)
        [event] = events()
    assert links_of(event) == ALL_TOLD


def test_a_dispatcher_of_the_applications_own_keeps_working():
    class Marking(EventDispatcher):
        def publish(self, type, fields, *args, **options):  # noqa: A002
            return super().publish(type, fields | {"marked": True}, *args, **options)

    app = make_app()
    app.events.dispatcher_cls = Marking
    plugin.install(app)
    with collecting(app) as events:
        publish(app, headers=ALL)
        [event] = events()
    assert event["marked"]
    assert links_of(event) == ALL_TOLD


def test_another_application_in_the_process_is_left_as_it_is(app):
    other = make_app()
    with collecting(app) as events:
        publish(other, headers=ALL)
        publish(app, headers=ALL)
        assert [links_of(event) for event in events()] == [{}, ALL_TOLD]


def test_threads_tell_their_own_headers(app):
    told, barrier = {}, threading.Barrier(4)

    def publish_many(name):
        barrier.wait(10)
        for number in range(25):
            state = f"{name}={number}"
            told[publish(app, headers={"tracestate": state})] = {"tracestate": state}

    threads = [threading.Thread(target=publish_many, args=(f"t{n}",)) for n in range(4)]
    with collecting(app) as events:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {event["uuid"]: links_of(event) for event in events()} == told
    assert len(told) == 100


def test_other_events_and_odd_ones_go_out_as_they_are(app):
    with collecting(app) as events, dispatching(app) as dispatcher:
        dispatcher.send("task-progress", uuid="u", traceparent="mine")
        dispatcher.send("task-received", odd=True)
        dispatcher.send(type="task-sent", uuid="unknown")
        first, second, third = events()
    assert first["traceparent"] == "mine"
    assert second["odd"]
    assert third["uuid"] == "unknown"
    assert not any(map(links_of, (second, third)))


def test_fields_of_celery_win_over_those_of_the_plugin(app):
    with collecting(app) as events, dispatching(app) as dispatcher:
        publish(app, headers=ALL)
        events()
        with app.connection_for_read() as connection:
            message = app.amqp.default_queue(connection.default_channel).get(no_ack=True)
            request = Request(message, app=app)
        task_received.send(sender=None, request=request)
        dispatcher.send("task-received", uuid=request.id, routing_key="from celery")
        [event] = events()
    assert event["routing_key"] == "from celery"


def test_what_goes_wrong_inside_is_said_once_and_disturbs_nothing(app, monkeypatch, caplog):
    def fail(_headers):
        raise LookupError("broken")

    monkeypatch.setattr(plugin, "_links_of", fail)
    monkeypatch.setattr(plugin, "_failure", None)
    with collecting(app) as events, dispatching(app) as dispatcher:
        uuids = [publish(app, headers=ALL) for _ in range(3)]
        assert [receive(app, dispatcher) for _ in uuids] == uuids
        told = events()
    assert [event["uuid"] for event in told] == [*uuids, *uuids]
    assert not any(map(links_of, told))
    [said] = [record for record in caplog.records if "without links" in record.getMessage()]
    assert said.exc_info[0] is LookupError


def test_a_soft_time_limit_that_falls_into_the_plugin_reaches_the_task(app, monkeypatch):
    def out_of_time(_headers):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(plugin, "_links_of", out_of_time)
    with pytest.raises(SoftTimeLimitExceeded):
        publish(app, headers=ALL)


def test_importing_it_imports_nothing_of_the_service_but_itself():
    script = (
        "import sys, stream.plugin\n"
        "ours = {name for name in sys.modules if name.partition('.')[0] == 'stream'}\n"
        "assert ours == {'stream', 'stream.plugin'}, ours\n"
        "foreign = {'opentelemetry', 'msgspec', 'anyio', 'structlog', 'redis'} & set(sys.modules)\n"
        "assert not foreign, foreign\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
