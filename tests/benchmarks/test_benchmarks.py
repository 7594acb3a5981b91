"""The benchmarks themselves, on little: they measure what they say, and notice what is lost."""

import sys
from functools import partial

import pytest
from msgspec import structs

from benchmarks import (
    capture_to_report,
    encode_spans,
    in_flight,
    rabbitmq_to_metrics,
    recorder,
    redis_to_metrics,
)
from benchmarks.crowd import Crowd
from benchmarks.made_ahead import store, stored
from benchmarks.peers import PEERS, RECEIVER, measure
from benchmarks.rows import ROWS, flat
from benchmarks.servers import Measured, redis_server, service, workload
from benchmarks.turns import Contestant, Plan, take_turns
from benchmarks.under_load import flood, load, quantile
from stream.bench.traffic import Traffic
from stream.core.engine import Engine
from stream.events import Message
from stream.wire.codec import decode
from tests.rabbitmq import require_rabbitmq

DEAF = """
import signal, sys, time, redis
subscriber = redis.Redis.from_url(sys.argv[1]).pubsub()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(3)))
subscriber.psubscribe("nothing*")
time.sleep(60)
"""
"""A peer that subscribes, hears nothing, and says that it had three events."""
LITTLE = Plan(events=4_000, rounds=1, peers=False)


def test_contestants_take_turns_and_some_have_fewer():
    turns = []

    def measured(name):
        turns.append(name)
        return Measured(float(len(turns)), 7)

    contestants = {
        "ours": Contestant("abc", 10, partial(measured, "ours")),
        "theirs": Contestant("abc", 10, partial(measured, "theirs"), 1),
    }
    ours, theirs = take_turns("a_to_b", contestants, Plan(rounds=2))
    assert turns == ["ours", "theirs", "ours"]
    assert (ours.cpu_seconds, theirs.cpu_seconds) == ((1.0, 3.0), (2.0,))
    assert ours.resident_bytes == 7


def test_the_service_is_measured_with_and_without_spans():
    found = redis_to_metrics.run(LITTLE)
    assert tuple(each.stage for each in found) == redis_to_metrics.OURS
    metrics = found[0]
    for each in found:
        assert 0 < each.cpu_seconds[0] < 60
        assert each.resident_bytes > 10_000_000
    traffic = Traffic(rate=redis_to_metrics.PACE)
    assert metrics.workload == workload(4_000, seed=1, batch=24, traffic=traffic).name


def test_the_service_is_measured_on_rabbitmq_beside_py_amqp():
    require_rabbitmq()
    found = rabbitmq_to_metrics.run(LITTLE)
    assert [each.stage for each in found] == [
        rabbitmq_to_metrics.SERVICE,
        rabbitmq_to_metrics.PY_AMQP,
    ]
    assert all(each.cpu_seconds[0] > 0 for each in found)


def test_a_peer_is_measured_and_had_all_events():
    few = workload(2_000, seed=1, batch=24)
    with redis_server() as url:
        found = measure(RECEIVER, url, few, interpreter=sys.executable)
    assert found.cpu_seconds > 0


def test_a_peer_that_lost_something_is_no_measurement():
    few = workload(400, seed=1, batch=24)
    deaf = structs.replace(RECEIVER, name="deaf", command=lambda url, _: ("-c", DEAF, url))
    with redis_server() as url, pytest.raises(RuntimeError, match="had 3 of"):
        measure(deaf, url, few, interpreter=sys.executable)


def test_every_peer_has_versions_of_its_own():
    assert len({peer.name for peer in PEERS}) == 3
    assert all("==" in peer.requirements[0] for peer in PEERS)


def test_a_capture_is_written_and_replayed():
    (found,) = capture_to_report.run(LITTLE)
    assert found.items == LITTLE.events * capture_to_report.FACTOR
    assert found.cpu_seconds[0] > 0


@pytest.mark.parametrize("benchmark", [encode_spans, recorder])
def test_stages_in_this_process_are_told_alike(benchmark):
    found = benchmark.run(Plan(events=2_000, rounds=1))
    assert len({each.stage for each in found}) == len(found) > 4
    assert {each.workload for each in found} == {found[0].workload}
    assert all(each.rate > 0 and each.sizes for each in found)


def test_so_many_tasks_are_in_flight_and_stay():
    crowd = Crowd(500)
    engine = Engine()

    def feed(events):
        for read in crowd.reads(events, batch=24):
            for frame in read:
                if isinstance(frame, Message):
                    engine.feed(decode(frame).events, frame.received_at)
                else:
                    engine.tick(frame.received_at)
        return engine.view(crowd.now).tasks_in_flight

    assert feed(crowd.fill()) == 500
    assert feed(crowd.steady(4_000)) == 500


def test_what_a_size_costs_is_measured_in_a_process_of_its_own():
    found = in_flight.measured(300, 4_000, batch=24)
    assert (found.in_flight, found.events) == (300, 4_000)
    assert found.cpu_seconds > 0
    assert len(found.growth) == in_flight.SAMPLES


def test_growth_of_memory_is_judged():
    _, (row,) = flat(Plan(), [], events=40_000)
    assert "Memory flat" in row.name
    assert row.reached == (row.value <= 1.0)


def test_messages_wait_in_a_file_until_they_are_published(tmp_path):
    made = workload(3_000, seed=1, batch=1).packed
    with (tmp_path / "messages").open("w+b") as file:
        assert store(iter(made), file) == len(made) == 3_000
        assert list(stored(file)) == made
        assert file.tell() < sum(len(each.command) for each in made) / 2


def test_a_load_is_watched_from_outside():
    with redis_server() as url:
        seen = load(
            url,
            pace=4_000,
            seconds=1.0,
            traffic=Traffic(rate=4_000.0, names=20),
            probes=2,
            scraped_every=0.2,
        )
    assert seen.events == seen.decoded == 4_000
    assert (seen.shed, seen.disconnections) == (0, 0)
    assert len(seen.visible) == 2
    assert len(seen.scrapes) > 0
    assert seen.series > 500
    assert seen.cpu > 0
    assert seen.loop_p99 > 0


def test_what_is_shed_is_counted_exactly():
    with redis_server() as url:
        found = flood(url, messages=20_000, channel_frames=20)
    assert found.published == 20_000 == found.decoded + found.shed
    assert found.shed > 0


def test_a_measurement_in_which_messages_are_shed_is_none():
    with redis_server() as url, pytest.raises(RuntimeError, match="something was lost"):
        service(
            url,
            workload(20_000, seed=1, batch=1),
            pace=1e6,
            arguments=["--otlp-disabled", "--channel-frames=5"],
        )


def test_a_quantile_is_a_value_that_was_seen():
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert quantile([1.0, 2.0], 0.99) == 2.0
    assert quantile([], 0.5) == float("inf")


def test_the_bar_has_all_that_it_is_about():
    assert set(ROWS) == {
        "redis",
        "redis_single",
        "rabbitmq",
        "replay",
        "in_flight",
        "flat",
        "resident",
        "lag",
        "scrape",
        "limit",
    }
