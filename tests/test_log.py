"""What the service says of itself: one line for each change, and none for what repeats."""

import io
import json

import pytest

from stream.events import Reason
from stream.log import OccurrenceLog, logger
from stream.occurrences import (
    Drop,
    EventsDecoded,
    EventsRejected,
    Exported,
    ExportFailed,
    FramesReceived,
    FramesShed,
    ItemsDropped,
    PositionFailed,
    QueuesPolled,
    RecordsLost,
    Signal,
    SourceLost,
    SourceOpened,
)

LOST = SourceLost("redis", "connection refused", 0.512)
FAILED = ExportFailed(Signal.TRACES, 12, "503", 1.0)


def lines_of(*occurrences, level="debug"):
    """The lines that these leave, without their times."""
    file = io.StringIO()
    tell = OccurrenceLog(logger(level, file))
    for each in occurrences:
        tell(each)
    found = [json.loads(line) for line in file.getvalue().splitlines()]
    assert all(line.pop("timestamp") for line in found)
    return found


def events(*occurrences):
    return [line["event"] for line in lines_of(*occurrences)]


# -- lines ---------------------------------------------------------------------------------------


def test_a_line_is_json_with_a_name_a_level_and_a_time():
    file = io.StringIO()
    logger("info", file).warning("it.happened", times=2)
    (line,) = [json.loads(each) for each in file.getvalue().splitlines()]
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "it.happened", "level": "warning", "times": 2}


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", "abcd"), ("info", "bcd"), ("warning", "cd"), ("error", "d")],
)
def test_what_is_below_the_level_is_not_written(level, written):
    file = io.StringIO()
    log = logger(level, file)
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [json.loads(line)["event"] for line in file.getvalue().splitlines()] == list(written)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_person_reads_text():
    file = Terminal()
    logger("info", file).info("it.happened", times=2)
    assert "it.happened" in file.getvalue()
    assert not file.getvalue().startswith("{")


def test_a_log_that_nobody_reads_any_more_ends_nothing(tmp_path):
    file = (tmp_path / "log").open("w")
    log = logger("info", file)
    file.close()
    log.info("it.happened")


def test_without_a_file_it_writes_to_stderr(capsys):
    logger("info").info("it.happened")
    captured = capsys.readouterr()
    assert json.loads(captured.err)["event"] == "it.happened"
    assert captured.out == ""


# -- sources -------------------------------------------------------------------------------------


def test_a_lost_source_says_why_and_when_it_is_tried_again():
    assert lines_of(LOST) == [
        {
            "event": "source.lost",
            "level": "warning",
            "source": "redis",
            "reason": "connection refused",
            "retry_in": 0.5,
        }
    ]


def test_a_source_that_stays_away_is_told_once():
    assert events(*[LOST] * 5) == ["source.lost"]


def test_a_source_that_stays_away_for_another_reason_is_told_again():
    other = SourceLost("redis", "it is loading", 1.0)
    assert [line["reason"] for line in lines_of(LOST, other, other, LOST)] == [
        "connection refused",
        "it is loading",
        "connection refused",
    ]


def test_each_source_is_told_for_itself():
    assert events(LOST, SourceLost("queues", LOST.reason, 1.0)) == ["source.lost"] * 2


def test_a_source_that_came_back_may_be_lost_again():
    opened = SourceOpened("redis", 2)
    assert events(LOST, opened, LOST, opened) == [
        *("source.lost", "source.opened"),
        *("source.lost", "source.opened"),
    ]


# -- export --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("retry_in", "given_up"), [(1.0, False), (0.0, False), (None, True)])
def test_a_failed_export_says_why_and_whether_it_is_given_up(retry_in, given_up):
    assert lines_of(ExportFailed(Signal.LOGS, 3, "404", retry_in)) == [
        {
            "event": "export.failed",
            "level": "warning",
            "signal": "logs",
            "items": 3,
            "reason": "404",
            "given_up": given_up,
        }
    ]


def test_a_receiver_that_stays_away_is_told_once_and_when_it_is_back():
    sent = Exported(Signal.TRACES, 12, 0)
    assert events(FAILED, FAILED, sent, sent) == ["export.failed", "export.recovered"]


def test_an_export_that_never_failed_is_not_told():
    assert events(Exported(Signal.TRACES, 12, 0)) == []


def test_each_signal_recovers_for_itself():
    logs = ExportFailed(Signal.LOGS, 1, "503", 1.0)
    assert events(FAILED, logs, Exported(Signal.LOGS, 1, 0), FAILED) == [
        "export.failed",
        "export.failed",
        "export.recovered",
    ]


def test_dropped_items_are_an_error_once_for_each_reason():
    dropped = ItemsDropped(Signal.TRACES, Drop.OVERFLOW, 5)
    lines = lines_of(dropped, dropped, ItemsDropped(Signal.TRACES, Drop.PERMANENT, 1))
    assert [(line["level"], line["reason"]) for line in lines] == [
        ("error", "overflow"),
        ("error", "permanent"),
    ]


def test_what_the_next_export_has_as_well_is_not_lost():
    assert events(ItemsDropped(Signal.METRICS, Drop.SUPERSEDED, 5)) == []


def test_after_a_recovery_dropped_items_are_told_again():
    dropped = ItemsDropped(Signal.TRACES, Drop.OVERFLOW, 5)
    told = events(FAILED, dropped, Exported(Signal.TRACES, 12, 0), dropped)
    assert told == ["export.failed", "export.dropped", "export.recovered", "export.dropped"]


def test_records_that_nobody_reads_are_an_error_once():
    lines = lines_of(RecordsLost(3), RecordsLost(4))
    assert [(line["event"], line["level"], line["count"]) for line in lines] == [
        ("records.lost", "error", 3)
    ]


# -- input ---------------------------------------------------------------------------------------


def test_unreadable_events_are_told_once_for_each_reason():
    pickled = EventsRejected(Reason.CONTENT_TYPE, 3)
    lines = lines_of(pickled, pickled, EventsRejected(Reason.MALFORMED, 1), pickled)
    assert [(line["level"], line["reason"]) for line in lines] == [
        ("warning", "content_type"),
        ("warning", "malformed"),
    ]


def test_shed_frames_are_an_error_when_it_begins_and_at_each_further_ten_thousand():
    lines = lines_of(*(FramesShed(1_000) for _ in range(25)))
    assert [(line["level"], line["total"]) for line in lines] == [
        ("error", 1_000),
        ("error", 10_000),
        ("error", 20_000),
    ]


def test_what_is_ordinary_leaves_no_line():
    ordinary = [
        FramesReceived("redis", 7),
        EventsDecoded(7),
        QueuesPolled("redis", 0.1, 0),
        QueuesPolled("redis", 0.1, 3),  # more queues than are measured
    ]
    assert lines_of(*ordinary) == []


def test_a_broker_that_refuses_is_an_error_that_somebody_must_mend():
    refused = SourceLost("mail events", "wrong password", 60.0, refused=True)
    (line,) = lines_of(refused, refused)
    assert line == {
        "event": "source.refused",
        "level": "error",
        "source": "mail events",
        "reason": "wrong password",
        "retry_in": 60.0,
    }


def test_a_key_that_cannot_be_read_is_told_when_that_begins_and_when_it_is_another():
    def polled(problem):
        return QueuesPolled("redis", 0.1, int(problem is not None), problem)

    told = lines_of(*map(polled, ["no LINDEX", "no LINDEX", "no ZCARD", None, "no ZCARD"]))
    assert {line["event"] for line in told} == {"queues.unreadable"}
    assert [line["reason"] for line in told] == ["no LINDEX", "no ZCARD", "no ZCARD"]


def test_a_position_that_cannot_be_kept_is_told_with_its_source():
    (line,) = lines_of(PositionFailed("orders", "Read-only file system"))
    assert line == {
        "event": "position.failed",
        "level": "error",
        "source": "orders",
        "reason": "Read-only file system",
    }
