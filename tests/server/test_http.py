"""Real requests over a real socket."""

import signal
import socket
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from stream.errors import RefusedError
from stream.server.health import Checks, Details, Health
from stream.server.http import application, listen, serve
from stream.sinks import compat_table
from stream.sinks import instruments as table
from stream.sinks.aggregate import Family, Number
from stream.sinks.compat_table import Compat

pytestmark = pytest.mark.anyio

FAMILIES = (Family(table.QUEUE_DEPTH, (Number(("celery",), 4),)),)
SENTENCES = Details("subscribed", "1 online", "last event 1.0 s ago", "no endpoint is configured")


def judged(*, ok):
    status = "healthy" if ok else "unhealthy"
    return Health(status, Checks(broker=True, worker=ok, events=True, export=True), SENTENCES)


@asynccontextmanager
async def running(*, metrics=lambda: FAMILIES, healthy=True, ready=True, **others):
    """A server on a free port, and a client of it."""
    app = application(
        metrics=metrics, health=lambda: judged(ok=healthy), ready=lambda: ready, **others
    )
    bound = listen("127.0.0.1:0")
    base_url = "http://{}:{}".format(*bound.getsockname())
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve, app, bound)
            async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:
                yield client
            tasks.cancel_scope.cancel()


async def test_metrics_are_text_by_default():
    async with running() as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'celery_queue_depth{queue="celery"} 4.0' in answer.text


async def test_metrics_are_openmetrics_where_asked_for():
    async with running() as client:
        answer = await client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_a_scrape_may_ask_for_the_names_of_others():
    asked_for = []

    def compat(wanted):
        asked_for.append(set(wanted))
        return (Family(compat_table.QUEUE_LENGTH, (Number(("celery",), 4),)),)

    async with running(compat=compat) as client:
        answer = await client.get("/metrics?compat=celery-exporter")
        unknown = await client.get("/metrics?compat=leek")
        ours = await client.get("/metrics")
    assert 'celery_queue_length{queue_name="celery"} 4.0' in answer.text
    assert asked_for == [{Compat.CELERY_EXPORTER}]
    assert (unknown.status_code, "celery-exporter" in unknown.text) == (400, True)
    assert "celery_queue_depth" in ours.text


async def test_the_names_of_others_may_be_the_usual_ones():
    families = (Family(compat_table.QUEUE_LENGTH, (Number(("celery",), 4),)),)
    usual = frozenset({Compat.CELERY_EXPORTER})
    async with running(compat=lambda _: families, usual=usual) as client:
        assert "celery_queue_length" in (await client.get("/metrics")).text
        assert "celery_queue_depth" in (await client.get("/metrics?compat=none")).text


async def test_each_scrape_collects_anew():
    depths = iter((1, 2))

    def metrics():
        return (Family(table.QUEUE_DEPTH, (Number(("celery",), next(depths)),)),)

    async with running(metrics=metrics) as client:
        first, second = [(await client.get("/metrics")).text for _ in range(2)]
    assert (first.split()[-1], second.split()[-1]) == ("1.0", "2.0")


async def test_a_healthy_service_answers_200_with_its_checks():
    async with running() as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "status": "healthy",
        "checks": {"broker": True, "worker": True, "events": True, "export": True},
        "details": {
            "broker": "subscribed",
            "worker": "1 online",
            "events": "last event 1.0 s ago",
            "export": "no endpoint is configured",
        },
        "delivery": [],
    }


async def test_an_unhealthy_service_answers_503_with_its_checks():
    async with running(healthy=False) as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
    assert answer.json()["checks"]["worker"] is False


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_is_what_it_is_told(ready, status):
    async with running(ready=ready) as client:
        assert (await client.get("/ready")).status_code == status


async def test_a_service_that_is_neither_healthy_nor_ready_is_live():
    async with running(healthy=False, ready=False) as client:
        assert (await client.get("/live")).status_code == 200


async def test_the_root_links_every_page():
    async with running() as client:
        answer = await client.get("/")
    for path in ("/metrics", "/health", "/live", "/ready"):
        assert f'href="{path}"' in answer.text


async def test_an_unknown_path_is_404():
    async with running() as client:
        assert (await client.get("/nothing")).status_code == 404


async def test_a_wrong_method_is_405_and_says_which_are_right():
    async with running() as client:
        answer = await client.post("/metrics")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


async def test_head_is_answered():
    async with running() as client:
        assert (await client.head("/live")).status_code == 200


async def test_requests_at_the_same_time_are_all_answered():
    answers = []

    async with running() as client:

        async def scrape():
            answers.append((await client.get("/metrics")).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(scrape)
    assert answers == [200] * 20


async def test_it_returns_when_told_to_stop_and_closes_its_socket():
    bound, stop = listen("127.0.0.1:0"), anyio.Event()
    host, port = bound.getsockname()
    app = application(metrics=lambda: (), health=lambda: judged(ok=True), ready=lambda: True)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            await tasks.start(
                lambda *, task_status: serve(app, bound, stop=stop, task_status=task_status)
            )
            stop.set()
    assert bound.fileno() == -1
    listen(f"{host}:{port}").close()


async def test_it_stops_when_cancelled_while_a_client_keeps_its_connection():
    bound = listen("127.0.0.1:0")
    host, port = bound.getsockname()
    app = application(metrics=lambda: (), health=lambda: judged(ok=True), ready=lambda: True)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve, app, bound)
            client = await anyio.connect_tcp(host, port)
            await client.send(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await client.receive()).startswith(b"HTTP/1.1 200")
            tasks.cancel_scope.cancel()
    await client.aclose()
    assert bound.fileno() == -1


async def test_signal_handlers_are_left_alone():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with running():
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert during == before


def test_a_port_in_use_is_one_sentence():
    with listen("127.0.0.1:0") as taken:
        address = "{}:{}".format(*taken.getsockname())
        with pytest.raises(RefusedError) as refused:
            listen(address)
    assert str(refused.value) == (
        f"cannot listen on {address}: address already in use; choose another with --listen"
    )


@pytest.mark.parametrize(
    "address",
    [
        "",
        "9540",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:\u0661",
        "127.0.0.1:" + "9" * 5000,
        "256.1.1.1:9540",
        "x" * 64 + ":9540",
    ],
)
def test_a_wrong_address_is_one_sentence(address):
    with pytest.raises(RefusedError, match=r"^cannot listen on .*; choose another with --listen$"):
        listen(address)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", ":0"])
def test_an_address_can_be_written_in_several_ways(address):
    with listen(address) as bound:
        assert bound.getsockname()[1] > 0


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_ipv6_address_is_written_in_brackets():
    try:
        with listen("[::1]:0") as bound:
            assert bound.family is socket.AF_INET6
    except RefusedError:
        pytest.skip("no IPv6 loopback here")
