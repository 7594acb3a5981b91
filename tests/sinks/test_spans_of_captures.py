"""Real traffic becomes the spans that the table announces, and they fit together."""

from collections import Counter
from functools import cache
from pathlib import Path

import anyio
import pytest
from msgspec import structs

from stream.channel import Channel, Overflow
from stream.config import OtlpSettings, SpanSettings
from stream.core.engine import Engine
from stream.events import Tick
from stream.export.encoding import encode_spans
from stream.export.records import NOTHING
from stream.export.resources import Resources
from stream.pipeline import Pipeline
from stream.sinks.span_table import SPANS
from stream.sinks.spans import Left, SpanSink
from stream.sources.capture import Capture

FOLDER = Path(__file__).parent.parent / "captures"
NAMES = sorted(each.name for each in FOLDER.iterdir() if (each / "raw.jsonl.gz").exists())
LATER = (20.0, 1_000.0, 5_000.0, 100_000.0)
"""Seconds after which lost workers and silent tasks are given up."""
RESOURCES = Resources(OtlpSettings())


def ignore(_occurrence):
    pass


@cache
def frames_of(name):
    """The frames of a capture, and time enough to give up what it leaves open."""
    source, frames = Capture([str(FOLDER / name / "raw.jsonl.gz")], tell=ignore), []

    async def put(batch):
        frames.extend(batch)

    anyio.run(source.run, put)
    return [*frames, *(Tick(source.last_at + seconds) for seconds in LATER)]


def drafts_of(name, **settings):
    """What waits for export after a capture, and what was left out of it."""
    waiting = []
    sink = SpanSink(waiting, RESOURCES, settings=SpanSettings(**settings))
    channel = Channel(1, Overflow.WAIT, tell=ignore)
    Pipeline(Engine(long_wait=1.0), [sink], channel=channel, tell=ignore).process(frames_of(name))
    return waiting, sink.statistics()


def spans_of(name, **settings):
    return [draft() for draft in drafts_of(name, **settings)[0]]


def alone(span):
    """The span with nothing that others share."""
    return structs.replace(span, common=NOTHING, texts=(), attributes=span.all_attributes())


@pytest.mark.parametrize("name", NAMES)
def test_spans_tell_no_more_than_their_rows_say(name):
    rows = {row.kind: {attribute for attribute, _ in row.attributes} for row in SPANS}

    told = {(span.kind.name, each) for span in spans_of(name) for each, _ in span.all_attributes()}
    assert told <= {(kind, each) for kind, attributes in rows.items() for each in attributes}


@pytest.mark.parametrize("name", NAMES)
def test_no_two_spans_have_the_same_id(name):
    ids = Counter(span.span_id for span in spans_of(name))

    assert [each for each, count in ids.items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_parent_is_a_span_of_the_same_trace(name):
    spans = spans_of(name)
    known = {(span.trace_id, span.span_id) for span in spans}

    orphans = [
        span.name
        for span in spans
        if span.parent_span_id is not None and (span.trace_id, span.parent_span_id) not in known
    ]
    assert orphans == []


@pytest.mark.parametrize("name", NAMES)
def test_the_same_capture_gives_the_same_bytes(name):
    first, second = (drafts_of(name, budget=2.0)[0] for _ in range(2))

    assert encode_spans(first) == encode_spans(second)


@pytest.mark.parametrize("name", NAMES)
def test_what_spans_have_in_common_changes_no_byte(name):
    drafts, _ = drafts_of(name)

    assert encode_spans([lambda d=d: alone(d()) for d in drafts]) == encode_spans(drafts)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_and_what_is_left_out_is_all_there_is(name):
    everything, _ = drafts_of(name)

    kept, statistics = drafts_of(name, sampler="traceidratio", ratio=0.3)

    assert statistics.kept == len(kept)
    assert statistics.kept + statistics.left[Left.SAMPLED_OUT] == len(everything)


@pytest.mark.parametrize("name", NAMES)
def test_where_no_trace_is_kept_the_anomalies_are(name):
    runs = spans_of(name, process="anomalies")

    kept = {span.span_id for span in spans_of(name, sampler="always_off")}
    assert kept == {span.span_id for span in runs if span.name.startswith("process")}
