"""RabbitMQ, and the service, stopped and started under load: what is lost is told, and no more.

Events are told by their task, so one that comes twice counts once.
"""

import json
import time
from contextlib import ExitStack

import pytest

from stream.reading import Reading
from tests.integration.service import running
from tests.servers import wait_for
from tests.sources.amqp_helpers import Publisher, declare_exchange

QUORUM = ("--retain", "quorum")


def task_sent(number):
    """An event as a producer with one clock sends it."""
    event = {"type": "task-sent", "hostname": "gen1@h", "pid": 1, "clock": number + 1}
    task = {"uuid": f"task-{number}", "name": "t.ok", "queue": "celery", "retries": 0}
    return json.dumps({**event, **task, "timestamp": time.time()})


@pytest.fixture
def publisher(own_rabbitmq):
    with own_rabbitmq.channel() as channel:
        declare_exchange(channel)
    return Publisher(own_rabbitmq, body=task_sent)


def sent(service):
    return service.total("messaging_client_sent_messages_total")


def flows(service):
    """Wait until events come."""
    before = sent(service)
    wait_for(lambda: sent(service) > before + 100)


def is_connected(service):
    return service.health()["details"]["broker"].startswith("subscribed")


def restart(server, service, *, how):
    how()
    wait_for(lambda: not is_connected(service))
    server.start()
    wait_for(lambda: is_connected(service))


def test_a_retained_queue_loses_nothing_over_a_restart_of_the_broker(
    own_rabbitmq, publisher, tmp_path
):
    with running(tmp_path, own_rabbitmq.url(), *QUORUM) as service:
        with publisher.running():
            flows(service)
            restart(own_rabbitmq, service, how=own_rabbitmq.stop)
            flows(service)
        wait_for(lambda: sent(service) >= publisher.confirmed)
        assert sent(service) - publisher.confirmed in {0, 1}  # 1: sent and never confirmed
        assert service.total("stream_source_gaps_total") == 0
        assert service.total("stream_source_lost_total", source="rabbitmq events") >= 1
        assert service.total("stream_frames_shed_total") == 0


def test_without_it_what_was_lost_lies_in_the_gap_that_is_told(own_rabbitmq, publisher, tmp_path):
    with running(tmp_path, own_rabbitmq.url()) as service:
        with publisher.running():
            flows(service)
            restart(own_rabbitmq, service, how=own_rabbitmq.kill)
            flows(service)
        assert service.total("stream_source_gaps_total", source="rabbitmq") == 1
        assert service.total("stream_source_gap_time_seconds_total", source="rabbitmq") > 0
        assert service.total("stream_source_epochs", source="rabbitmq") == 2


def test_a_retained_queue_loses_nothing_while_the_service_is_away(rabbitmq, tmp_path):
    with rabbitmq.channel() as channel:
        declare_exchange(channel)
    publisher = Publisher(rabbitmq.server, rabbitmq.name, task_sent)
    arguments = (*QUORUM, "--capture", str(tmp_path / "captured"))
    with ExitStack() as load:
        with running(tmp_path, rabbitmq.url(), *arguments) as service:
            load.enter_context(publisher.running())
            flows(service)
            assert service.stop() == 0
        before = publisher.confirmed
        wait_for(lambda: publisher.confirmed > before + 100)
        with running(tmp_path, rabbitmq.url(), *arguments) as service:
            flows(service)
            load.close()
            wait_for(lambda: tasks_in(tmp_path / "captured") >= publisher.confirmed)
            assert service.stop() == 0
    assert tasks_in(tmp_path / "captured") - publisher.confirmed in {0, 1}


def tasks_in(capture):
    """How many tasks a capture tells of."""
    reading = Reading([str(capture)])
    reading.read(quiet=True)
    return sum(reading.report().states.values())
