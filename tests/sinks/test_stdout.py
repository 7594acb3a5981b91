"""Records as lines: complete, bounded, and never in anybody's way."""

import io
import json

import anyio
import pytest

from stream.core.states import State
from stream.occurrences import RecordsLost
from stream.sinks.identity import process_span_id, trace_id
from stream.sinks.logs import LogSink
from stream.sinks.stdout import JsonLines
from tests.sinks.record_effects import RESOURCES, ROOT, UUID, changed, ended


class Broken(io.StringIO):
    """A file whose reader has gone, or whose disk is full."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.tries = 0

    def write(self, _text):
        self.tries += 1
        raise self.error


async def written(file, *batches, limit=10_000, told=None):
    """Hand batches of effects to a sink that writes lines; wait until they are written."""
    lines = JsonLines(file, tell=(told if told is not None else []).append, limit=limit)
    sink = LogSink(None, RESOURCES, lines=lines)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lines.run)
        for effects in batches:
            sink.accept(effects)
            await lines.until_written()
        tasks.cancel_scope.cancel()
    return lines


@pytest.mark.anyio
async def test_records_are_lines_of_json():
    file = io.StringIO()
    effect = ended(ended_at=1_700_000_002.25)
    lines = await written(file, [effect, changed()])

    first, second = (json.loads(line) for line in file.getvalue().splitlines())
    assert first["event"] == "messaging.process.exception"
    assert first["level"] == "error"
    assert first["timestamp"] == "2023-11-14T22:13:22.250000Z"
    assert first["trace_id"] == f"{trace_id(ROOT):032x}"
    assert first["span_id"] == f"{process_span_id(UUID, 1):016x}"
    assert first["task_id"] == UUID
    assert second["event"] == "celery.worker.online"
    assert "trace_id" not in second
    assert lines.written == 2


@pytest.mark.anyio
async def test_a_text_with_a_line_break_or_a_lone_surrogate_stays_one_line():
    file = io.StringIO()
    await written(file, [ended(exception="E('a\nb\ud800')")])

    (line,) = file.getvalue().splitlines()
    assert json.loads(line)["error"] == "a\nb\ud800"
    line.encode("ascii")


@pytest.mark.anyio
async def test_without_records_nothing_is_written():
    file = Broken(OSError())
    await written(file, [ended(State.SUCCESS)])
    assert file.tries == 0


@pytest.mark.anyio
async def test_a_reader_that_has_gone_is_counted_and_not_tried_again():
    file = Broken(BrokenPipeError())
    lines = await written(file, [ended()], [ended(), ended()])

    assert (lines.written, lines.lost, file.tries) == (0, 3, 1)


@pytest.mark.anyio
async def test_a_full_disk_is_counted_and_tried_again():
    file = Broken(OSError(28, "No space left on device"))
    lines = await written(file, [ended()], [ended()])

    assert (lines.lost, file.tries) == (2, 2)


@pytest.mark.anyio
async def test_lines_that_nobody_takes_are_bounded_and_the_rest_is_counted():
    told = []
    lines = JsonLines(io.StringIO(), tell=told.append, limit=2)
    LogSink(None, RESOURCES, lines=lines).accept([ended()] * 5)

    assert (lines.lost, told) == (3, [RecordsLost(3)])


@pytest.mark.anyio
async def test_long_lines_that_nobody_takes_are_bounded_by_their_size():
    told = []
    file = io.StringIO()
    lines = JsonLines(file, tell=told.append, limit_bytes=100_000)
    sink = LogSink(None, RESOURCES, lines=lines)
    sink.accept([ended(traceback="x" * 16_000)] * 100)

    assert 90 < lines.lost < 95
    assert told == [RecordsLost(lines.lost)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lines.run)
        await lines.until_written()
        sink.accept([ended()])
        await lines.until_written()
        tasks.cancel_scope.cancel()
    assert lines.written == 101 - lines.lost, "there is room again"
