"""Real traffic becomes the records that the table announces, and the same ones each time."""

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path

import anyio
import pytest

from stream.channel import Channel, Overflow
from stream.core.engine import Engine
from stream.events import Tick
from stream.export.buffer import Buffer
from stream.occurrences import Signal
from stream.pipeline import Pipeline
from stream.sinks.logs import LogSink
from stream.sinks.record_table import RECORDS
from stream.sources.capture import Capture
from stream.wire.codec import in_full
from tests.sinks.record_effects import EVERYTHING, RESOURCES

FOLDER = Path(__file__).parent.parent / "captures"
NAMES = [
    "redis-5.7.0-core-prefork",
    "redis-5.7.0-core-solo",
    "redis-5.7.0-kill9_late",
    "redis-5.7.0-revoke",
    "redis-5.7.0-shutdowns",
    "amqp-5.6.3-native_delay",
]
LATER = (20.0, 1_000.0, 5_000.0, 100_000.0)
"""Seconds after which lost workers and silent tasks are given up."""


def ignore(_occurrence):
    pass


def frames_of(name):
    """The frames of a capture, and time enough to give up what it leaves open."""
    source, frames = Capture([str(FOLDER / name / "raw.jsonl.gz")], tell=ignore), []

    async def put(batch):
        frames.extend(batch)

    anyio.run(source.run, put)
    return [*frames, *(Tick(source.last_at + seconds) for seconds in LATER)]


@cache
def records_of(name, settings=EVERYTHING):
    buffer = Buffer(Signal.LOGS, limit=100_000, tell=ignore)
    channel = Channel(1, Overflow.WAIT, tell=ignore)
    pipeline = Pipeline(
        Engine(beginnings=settings.lifecycle),
        [LogSink(buffer, RESOURCES, settings=settings)],
        channel=channel,
        tell=ignore,
        decoder=in_full,
    )
    pipeline.process(frames_of(name))
    return buffer.take(100_000)


def counted(name):
    return Counter(record.event_name for record in records_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_records_tell_no_more_than_their_rows_say(name):
    fields = {kind.name: set(kind.fields) for kind in RECORDS}
    surplus = {
        (record.event_name, field)
        for record in records_of(name)
        for field, _ in record.attributes
        if field not in fields[record.event_name]
    }
    assert surplus == set()


@pytest.mark.parametrize("name", NAMES)
def test_no_two_records_have_the_same_uid(name):
    uids = Counter(dict(record.attributes)["log.record.uid"] for record in records_of(name))
    assert [uid for uid, count in uids.items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_same_capture_gives_the_same_records(name):
    again = records_of.__wrapped__(name)
    assert again == records_of(name)


@pytest.mark.parametrize("name", ["redis-5.7.0-core-prefork", "redis-5.7.0-core-solo"])
@pytest.mark.parametrize(
    ("event", "record"),
    [
        ("task-failed", "messaging.process.exception"),
        ("task-succeeded", "celery.task.completed"),
        ("task-revoked", "celery.task.revoked"),
    ],
)
def test_each_task_that_ended_so_has_one_record(name, event, record):
    """Celery tells some failures twice."""
    with gzip.open(FOLDER / name / "events.jsonl.gz", "rt") as file:
        lines = [json.loads(line) for line in file]
    ended = {line["uuid"] for line in lines if line.get("type") == event}
    told = [
        dict(each.attributes)["task_id"] for each in records_of(name) if each.event_name == record
    ]
    assert sorted(told) == sorted(ended)


def test_a_record_of_a_start_tells_the_arguments():
    started = [
        dict(record.attributes)
        for record in records_of("redis-5.7.0-core-prefork")
        if record.event_name == "celery.task.started"
    ]
    assert started
    assert all({"args", "kwargs"} <= found.keys() for found in started)


def test_a_killed_worker_leaves_a_record_of_itself():
    assert counted("redis-5.7.0-kill9_late")["celery.worker.lost"] > 0
