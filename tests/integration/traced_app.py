"""A shop that traces itself: a web application that takes orders, and workers that do them.

A worker runs ``-A tests.integration.traced_app``; the web application is `web_application`. What
is in the environment decides how much they tell:

* ``INSTRUMENTED``: with OpenTelemetry's own instrumentations, exporting to where
  ``OTEL_EXPORTER_OTLP_ENDPOINT`` says, as the service ``OTEL_SERVICE_NAME``;
* ``PLUGIN``: with the plugin of ours;
* ``SILENT``: without ``task-sent`` events, as is Celery's default.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from celery import Celery, Task
from celery.signals import worker_process_init
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from stream import plugin
from tests.servers import ROOT

QUEUE = "orders"


def place(self: Task) -> str:
    """Place an order at the second try; returns the id of the task that ships it."""
    if self.request.retries == 0:
        raise self.retry(exc=ConnectionError("the warehouse does not answer"), countdown=0)
    return str(self.app.tasks["shop.ship"].delay().id)


def ship() -> None:
    """Nothing is left to do."""


def make_shop() -> Celery:
    """Make the Celery application; the broker is in ``CELERY_BROKER_URL``."""
    shop = Celery("shop")
    shop.conf.update(
        task_send_sent_event="SILENT" not in os.environ,
        task_default_queue=QUEUE,
        broker_connection_retry_on_startup=True,
    )
    shop.task(name="shop.place", bind=True, max_retries=3)(place)
    shop.task(name="shop.ship")(ship)
    if "PLUGIN" in os.environ:
        plugin.install(shop)
    return shop


@worker_process_init.connect
def instrument_celery(**_: object) -> None:
    """Trace what this process publishes and runs, as the instrumentation's own example does."""
    if "INSTRUMENTED" not in os.environ:
        return
    provider = TracerProvider()
    # Each span is exported as it ends: a pool process that is ended flushes nothing.
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()


def web_application(shop: Celery) -> FastAPI:
    """Make the web application: ``POST /orders`` answers with the id of the task it began."""
    web = FastAPI()

    @web.post("/orders")
    def order() -> str:
        return str(shop.tasks["shop.place"].delay().id)

    if "INSTRUMENTED" in os.environ:
        FastAPIInstrumentor.instrument_app(web, exclude_spans=["receive", "send"])
    return web


@contextmanager
def web_server(env: dict[str, str]) -> Iterator[str]:
    """Serve the web application in a process of its own; yields its base URL.

    It inherits a socket that listens already, so the first request waits until it is ready.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listening.fileno())],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
        )
        port = listening.getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()


def serve(descriptor: int) -> None:
    instrument_celery()
    with socket.socket(fileno=descriptor) as listening:
        config = uvicorn.Config(web_application(app), log_level="warning", lifespan="off")
        uvicorn.Server(config).run(sockets=[listening])


app = make_shop()

if __name__ == "__main__":
    serve(int(sys.argv[1]))
