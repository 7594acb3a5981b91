"""A Celery application with one task for every way to end.

A worker runs ``-A tests.app_under_test``; a test sends with one of its own, since a Celery
application stays with the first broker that it spoke to::

    with make_app(valkey.url) as app:
        result = app.tasks["t.ok"].delay(1)
"""

import time
from typing import Any

from celery import Celery, Task
from celery.backends.redis import RedisBackend
from celery.exceptions import Ignore, Reject


def ok(value: int = 0) -> int:
    return value


def add(*numbers: int) -> int:
    return sum(numbers)


def total(numbers: list[int]) -> int:
    """The body of a chord."""
    return sum(numbers)


def fail(message: str = "no") -> None:
    raise ValueError(message)


def retry_then_ok(self: Task, times: int = 1) -> int:
    if self.request.retries < times:
        raise self.retry(exc=ConnectionError("not yet"), countdown=0)
    return int(self.request.retries)


def retry_exhausted(self: Task) -> None:
    """Three attempts, then FAILURE with a KeyError."""
    raise self.retry(exc=KeyError("never"), countdown=0)


def slow(seconds: float = 1.0) -> float:
    time.sleep(seconds)
    return seconds


def reject() -> None:
    raise Reject("unwanted", requeue=False)


def ignore() -> None:
    raise Ignore


def too_long() -> None:
    """Ended by its hard time limit: a pool process is killed."""
    time.sleep(60)


_TASKS: dict[Any, dict[str, Any]] = {
    ok: {},
    add: {},
    total: {},
    fail: {},
    retry_then_ok: {"bind": True, "max_retries": 5},
    retry_exhausted: {"bind": True, "max_retries": 2},
    slow: {},
    reject: {"acks_late": True},
    ignore: {},
    too_long: {"time_limit": 1},
}


class _PolledResults(RedisBackend):
    """Results that are read when asked, without the subscription that Celery keeps for each.

    A result that is collected after the server ended would try for 20 s to unsubscribe.
    """

    def on_task_call(self, producer: object, task_id: str) -> None:
        """Subscribe to nothing."""

    def remove_pending_result(self, result: object) -> object:
        return result


class _Worker(Celery):
    """The side of a worker: it stores how tasks ended, and not that they are retried.

    A worker stores RETRY after it has sent the message of the next attempt, and Celery does not
    look whether that has ended meanwhile: a task that had failed would be under way for ever.
    """

    def _get_backend(self) -> Any:
        backend = super()._get_backend()
        backend.mark_as_retry = lambda *_, **__: None
        return backend


class _Producer(Celery):
    """The side of a test: it sends, and asks for results."""

    def _get_backend(self) -> RedisBackend:
        return _PolledResults(app=self, url=self.conf.result_backend)


def make_app(url: str | None = None) -> Celery:
    """Make the application; each task is named ``t.{function}``.

    Args:
        url: of the broker; results go to database 1 beside it. None: both from the environment,
            as a worker does it.
    """
    app = _Worker("tests") if url is None else _Producer("tests", set_as_current=False)
    app.conf.update(
        task_send_sent_event=True,  # Celery's producers do not by default
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )
    if url is not None:
        app.conf.update(broker_url=url, result_backend=f"{url.rpartition('/')[0]}/1")
    for function, options in _TASKS.items():
        app.task(name=f"t.{function.__name__}", **options)(function)
    app.finalize()
    return app


app = make_app()
