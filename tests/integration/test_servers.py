"""The helpers of the other tests do what they say."""

import pytest
import redis
from celery import chord

from tests.app_under_test import make_app
from tests.servers import APP, Valkey, celery_worker, wait_for


def test_a_killed_server_comes_back_on_the_same_port(valkey: Valkey) -> None:
    port = valkey.port
    valkey.kill()
    with valkey.client() as client, pytest.raises(redis.ConnectionError):
        client.ping()
    valkey.start()
    with valkey.client() as client:
        assert client.ping()
    assert valkey.port == port


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_that_is_ready_runs_tasks(valkey: Valkey, pool: str) -> None:
    with celery_worker(APP, valkey.url, pool=pool) as worker, make_app(valkey.url) as app:
        add, total = app.tasks["t.add"], app.tasks["t.total"]
        plain = add.delay(1, 2)
        joined = chord([add.s(1, 1), add.s(2, 2)])(total.s())
        wait_for(lambda: plain.ready() and joined.ready())
        assert (plain.result, joined.result) == (3, 6)
    assert worker.process.returncode == 0
