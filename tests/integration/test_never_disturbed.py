"""The application is never disturbed: what the service and the doctor do on a broker at work.

The broker itself tells: Redis by MONITOR, RabbitMQ by its tracer, which copies every message that
is published or delivered, with the user that did it.
"""

import re
import socket
import threading
from collections import Counter
from contextlib import contextmanager

from tests.app_under_test import make_app
from tests.integration.service import running
from tests.integration.test_main_job import submit
from tests.integration.test_rabbitmq import send_tasks, worker
from tests.integration.test_refusals import run_command
from tests.servers import APP, celery_worker, wait_for

OURS = "celery-stream"
"""What our connections call themselves."""


# -- Redis ---------------------------------------------------------------------------------------

MAY_SEND = {
    *("client", "ping", "psubscribe", "llen", "lindex", "lrange", "zcard", "zrange"),
    *("smembers", "scan", "hmget"),
}
"""What the README says."""
_LINE = re.compile(rb'\+[\d.]+ \[\d+ (\S+)\] "([^"]+)"(?: "((?:[^"\\]|\\.)*)")?')


class Monitor:
    """Everything that a server is told, as MONITOR shows it, by the connection that told it."""

    def __init__(self, server):
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.sendall(b"MONITOR\r\n")
        self._file = self._socket.makefile("rb")
        assert self._file.readline() == b"+OK\r\n"
        self._server = server
        self._thread = threading.Thread(target=self._read)
        self.commands = []
        """(connection, command in lower case, its first argument)."""

    def _read(self):
        for line in self._file:
            if (found := _LINE.match(line)) is not None:
                place, command, first = (part and part.decode() for part in found.groups())
                self.commands.append((place, command.lower(), first))

    def catch_up(self):
        """Wait until everything is here that the server was told so far."""
        with self._server.client() as client:
            client.echo("so far")
        wait_for(lambda: any(each[1:] == ("echo", "so far") for each in self.commands))

    def ours(self):
        """The commands of all connections that gave themselves our name."""
        everything = list(self.commands)
        named = re.compile("setname", re.IGNORECASE).fullmatch
        mine = {
            place for place, command, first in everything if command == "client" and named(first)
        }
        return [each for each in everything if each[0] in mine]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._file.close()
        self._socket.close()


def writing(server):
    """The names of all commands that can change something, in the server's own words."""
    with server.client() as client:
        return {
            name
            for name, about in client.command().items()
            if {"write", "pubsub"} & set(about["flags"])
        } - {"psubscribe"}


def hidden_commands(server):
    """Of our connections that are open: commands in all, where the server counts them."""
    with server.client() as client:
        rows = [row for row in client.client_list() if row["name"] == OURS]
    return {row["addr"]: int(row["tot-cmds"]) for row in rows if "tot-cmds" in row}


def test_on_redis_nothing_of_ours_writes_while_an_application_works(valkey, tmp_path):
    everything = ("--peek-messages", "5", "--held-interval", "0.1", "--poll-interval", "0.1")
    with (
        Monitor(valkey) as monitor,
        running(tmp_path, valkey.url, *everything) as service,
        make_app(valkey.url) as app,
    ):
        results = submit(app)  # waits in the queue, to be looked at
        wait_for(lambda: service.total("celery_queue_depth", queue="celery") > 0)
        with celery_worker(APP, valkey.url):
            ended = run_command("doctor", "--wait", "1", "--broker", valkey.url)
            assert ended.code == 0, ended.output
            wait_for(lambda: all(result.ready() for result in results))
            wait_for(lambda: service.total("celery_task_finished_total") >= len(results))
            counted = hidden_commands(valkey)
            monitor.catch_up()
            ours = monitor.ours()
        assert service.stop() == 0

    sent = {command for _, command, _ in ours}
    assert sent <= MAY_SEND
    assert sent.isdisjoint(writing(valkey))
    # It did look at the application's queues, and the application did write to them.
    read = {(command, key) for _, command, key in ours}
    assert {("llen", "celery"), ("lindex", "celery"), ("lrange", "celery")} <= read
    assert {("hmget", "unacked"), ("zrange", "unacked_index")} <= read
    others = {(command, key) for place, command, key in monitor.commands} - read
    assert {("lpush", "celery"), ("hset", "unacked")} <= others
    # MONITOR hides some commands (AUTH): of those connections there was none.
    seen = Counter(place for place, _, _ in ours)
    assert counted
    assert all(count <= seen[place] for place, count in counted.items())
    assert {result.state for result in results} == {"SUCCESS", "FAILURE"}


# -- RabbitMQ ------------------------------------------------------------------------------------

OWN = r"^celeryev\."
TASKS = 60


class Tracer:
    """Everything that is published or delivered on a virtual host, by who did it."""

    def __init__(self, channel):
        self._channel = channel
        self.events = []
        """(user, "publish.EXCHANGE" or "deliver.QUEUE", whether it was delivered again)."""

    def drain(self):
        """Take what was traced so far."""
        while (message := self._channel.basic_get("firehose", no_ack=True)) is not None:
            headers = message.headers
            key = message.delivery_info["routing_key"]
            self.events.append((headers["user"], key, bool(headers.get("redelivered"))))
        return self.events

    def deliveries(self):
        """The messages of the application's queue that somebody got so far."""
        return [each for each in self.drain() if each[1] == "deliver.celery"]


@contextmanager
def traced(vhost):
    with vhost.channel() as channel:
        channel.queue_declare("firehose", durable=False, auto_delete=False)
        channel.queue_bind("firehose", "amq.rabbitmq.trace", "#")
        vhost.server.api("PUT", f"vhosts/{vhost.name}", {"tracing": True})
        yield Tracer(channel)


def readers_of(server, vhost):
    """Who consumes each queue, once the application's and ours are among them."""
    consumers = server.api("GET", f"consumers/{vhost}")
    readers = {each["queue"]["name"]: each["channel_details"]["user"] for each in consumers}
    ours = any(name.startswith("celeryev.") for name in readers)
    return readers if ours and "celery" in readers else None


def test_on_rabbitmq_nothing_but_our_own_queue_is_read_while_an_application_works(
    rabbitmq, tmp_path
):
    server = rabbitmq.server
    user = server.add_user(
        rabbitmq.name,
        configure=OWN,
        write=OWN,
        read=rf"{OWN}|^celeryev$",
        tags="management",
    )
    url = rabbitmq.url(user=user, password="secret")
    management = f"http://{user}:secret@127.0.0.1:{server.management_port}"
    arguments = ("--rabbitmq-management", management)
    with (
        traced(rabbitmq) as tracer,
        worker(rabbitmq.url(), tmp_path / "worker.log"),
        running(tmp_path, url, *arguments, "--poll-interval", "0.1") as service,
    ):
        wait_for(lambda: service.total("celery_workers_active") == 1)
        send_tasks(rabbitmq.url(), TASKS)
        assert run_command("doctor", "--wait", "1", "--broker", url, *arguments).code == 0
        wait_for(lambda: service.total("celery_task_completed_total") == TASKS)
        wait_for(lambda: service.samples("celery_queue_depth"))
        # What the management API tells of consumers is some seconds old.
        readers = wait_for(lambda: readers_of(server, rabbitmq.name))
        wait_for(lambda: len(tracer.deliveries()) >= TASKS)
        assert service.stop() == 0
        events, delivered = tracer.drain(), tracer.deliveries()

    ours = {key for who, key, _ in events if who == user}
    assert ours
    assert all(key.startswith("deliver.celeryev.") for key in ours)
    # Every task was delivered once, to the application.
    assert len(delivered) == TASKS
    assert {(who == user, again) for who, _, again in delivered} == {(False, False)}
    assert readers["celery"] != user
    assert all(name.startswith("celeryev.") for name, who in readers.items() if who == user)
    assert user in readers.values()
