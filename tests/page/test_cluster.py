"""The cluster at one moment, and its last minutes."""

import pytest

from stream.config import BeatRule
from stream.core.engine import Engine
from stream.core.states import WorkerState
from stream.events import QueueDepth, QueueSample
from stream.page.samples import KEPT
from tests.builders import T0, Process
from tests.page.cluster import Cluster, page_of


def depth(name, waiting, **fields):
    return QueueDepth(name, {0: waiting}, None, **fields)


def sampled(cluster, at, *depths, unacknowledged=0):
    cluster.at = at
    cluster.sample(QueueSample(T0 + at, "redis", tuple(depths), unacknowledged, None))


def test_an_overview_counts_what_is_in_flight_by_what_it_does():
    cluster = Cluster()
    cluster.start("runs")
    cluster.feed(cluster.shop.sent("waits", 1.0), cluster.worker.received("held", 1.1))
    overview = page_of(cluster).overview()
    found = overview.in_flight
    assert (found.sent, found.received, found.started, found.retry, found.total) == (1, 1, 1, 0, 3)


def test_rates_are_over_the_time_since_the_last_sample():
    cluster = Cluster()
    page = page_of(cluster)
    for number in range(10):
        cluster.run(f"u{number}", at=number / 10)
    cluster.at = 5.0
    page.sample()
    sample = page.overview().now
    assert (sample.sent, sample.started, sample.finished, sample.failed) == (2.0, 2.0, 2.0, 0.0)
    cluster.at = 10.0
    page.sample()
    assert page.overview().now.finished == 0.0
    assert [each.finished for each in page.series()] == [2.0, 0.0]


def test_latencies_are_of_what_succeeded_lately():
    cluster = Cluster()
    page = page_of(cluster)
    cluster.run("u", at=0.0)
    page.sample()
    overview = page.overview()
    assert overview.run.median == pytest.approx(1.0)
    assert overview.wait.p95 == pytest.approx(0.2)
    assert overview.total.median == pytest.approx(1.2, abs=1e-3)
    cluster.at = 120.0
    page.sample()
    assert page.overview().run.median is None


def test_the_last_minutes_are_bounded():
    cluster = Cluster()
    page = page_of(cluster)
    for at in range(KEPT + 50):
        cluster.at = float(at)
        page.sample()
    assert len(page.series()) == KEPT
    assert page.series()[-1].at == T0 + KEPT + 49


def test_a_queue_tells_what_the_broker_and_what_the_events_know():
    cluster = Cluster()
    cluster.start("u", name="mail.send", queue="mail")
    sampled(cluster, 2.0, depth("mail", 3, unacknowledged=1), depth("bulk", 7))
    page = page_of(cluster)
    page.sample()
    bulk, mail = page.queues().queues
    assert (bulk.name, bulk.depth, mail.name, mail.depth) == ("bulk", 7, "mail", 3)
    assert (mail.unacknowledged, mail.running, mail.trend) == (1, 1, (3,))


def test_a_queue_that_nobody_looked_at_has_no_depth():
    cluster = Cluster()
    cluster.start("u", queue="mail")
    (mail,) = page_of(cluster).queues().queues
    assert (mail.name, mail.depth, mail.running) == ("mail", None, 1)


def test_a_worker_that_is_not_well_comes_first():
    cluster, quiet = Cluster(), Process("w2@host", 200)
    cluster.feed(quiet.online(0.0), cluster.worker.online(0.1))
    cluster.feed(cluster.worker.heartbeat(100.0))
    cluster.tick(100.5)
    first, second = page_of(cluster).workers().workers
    assert (first.hostname, first.state) == ("w2@host", WorkerState.SUSPECT)
    assert (second.hostname, second.state) == ("w1@host", WorkerState.ONLINE)


def test_utilisation_is_the_mean_of_what_it_ran_as_a_share_of_the_most():
    cluster = Cluster()
    page = page_of(cluster)
    for at, active in enumerate((4, 0, 2, 2)):
        cluster.feed(cluster.worker.heartbeat(at * 2.0, active=active, processed=at))
        page.sample()
    (worker,) = page.workers().workers
    assert (worker.utilisation, worker.peak, worker.trend) == (0.5, 4, (4, 0, 2, 2))


def test_utilisation_is_a_share_of_the_pool_where_its_size_is_known():
    cluster = Cluster()
    page = page_of(cluster)
    for at, active in enumerate((4, 0, 2, 2)):
        cluster.feed(cluster.worker.heartbeat(at * 2.0, active=active, processed=at))
        page.sample()
    cluster.ask(7.0, pool=8)
    page.sample()
    (worker,) = page.workers().workers
    assert (worker.utilisation, worker.pool, worker.peak) == (0.25, 8, 4)


def test_a_periodic_task_that_is_late_comes_first():
    cluster = Cluster()
    cluster.beat("a.kept", "b.missed", every=30.0, times=5, queue="beat")
    page = page_of(cluster)
    cluster.tick(140.0)
    assert [each.overdue_since for each in page.periodic().periodic] == [None, None]
    cluster.run("a", 150.0, name="a.kept", queue="beat")
    cluster.tick(160.0)
    found = page.periodic()
    assert (found.total, found.late) == (2, 1)
    missed, kept = found.periodic
    assert (missed.name, missed.queue, missed.declared) == ("b.missed", "beat", False)
    assert (missed.every, missed.overdue_since) == pytest.approx((30.0, T0 + 150.0), abs=0.2)
    assert (kept.name, kept.last_at, kept.overdue_since) == ("a.kept", T0 + 150.0, None)


def test_a_declared_task_that_never_came_was_never_sent():
    cluster = Cluster(engine=Engine(beat_rules=(BeatRule("nightly", every=100.0),)))
    for at in range(0, 160, 10):
        cluster.tick(float(at))
    (nightly,) = page_of(cluster).periodic().periodic
    assert (nightly.declared, nightly.last_at, nightly.overdue_since) == (True, None, T0 + 100.0)


def test_coverage_weighs_each_worker_with_what_it_ran():
    cluster, blind = Cluster(), Process("w2@host", 200)
    for each, processed in ((cluster.worker, 30), (blind, 10)):
        cluster.feed(each.online(0.0))
        if each is cluster.worker:
            for number in range(30):
                cluster.feed(each.started(f"u{number}", 1.0 + number / 100))
        cluster.feed(each.heartbeat(2.0, processed=processed))
        cluster.feed(each.heartbeat(4.0, processed=processed))
    assert page_of(cluster).overview().coverage == pytest.approx(0.75)


def test_a_table_is_read_once_for_requests_that_come_together():
    cluster = Cluster()
    page = page_of(cluster)
    before = page.overview().in_flight.total
    cluster.feed(cluster.shop.sent("u", 0.1))
    assert page.overview().in_flight.total == before
    cluster.at = 1.0
    assert page.overview().in_flight.total == before + 1
