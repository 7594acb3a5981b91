"""`celery-stream replay`: from a capture file to records and a summary."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import chain
from math import ceil
from pathlib import Path

import pytest

from stream.analysis.records import Records
from stream.analysis.report import Recording, decode_report
from stream.cli import main
from stream.core.record import WorkerRecord
from stream.core.states import WorkerState
from stream.events import Message, Tick, Transport
from stream.reading import Reading
from stream.wire.capture_lines import FORMAT, Gap, Header, frame_lines, gap_line, header_line
from tests.builders import T0
from tests.servers import ROOT

CAPTURE = Path(__file__).parent / "captures" / "redis-5.7.0-core-prefork" / "raw.jsonl.gz"
DAY = 86_400.0


class Lines:
    """Lines of a capture of decoded events, by one worker and one producer."""

    def __init__(self):
        self._lines = []
        self._clock = 0

    def add(self, kind, at, hostname="w1@h", pid=1, **fields):
        self._clock += 1
        fields = {"type": kind, "hostname": hostname, "pid": pid, "clock": self._clock, **fields}
        at = T0 + at
        self._lines.append(json.dumps({**fields, "timestamp": at, "_t_recv": at}))
        return self

    def task(self, uuid, at, *, ends=True, **fields):
        self.add("task-sent", at, "web@h", 9, uuid=uuid, name="a", queue="q", retries=0, **fields)
        self.add("task-received", at, uuid=uuid, name="a", retries=0, **fields)
        if ends:
            self.add("task-started", at + 0.1, uuid=uuid)
            self.add("task-succeeded", at + 0.3, uuid=uuid, runtime=0.2)
        return self

    def beat(self, at, processed, *, freq=2.0, **fields):
        fields = {"freq": freq, "active": 0, "processed": processed, **fields}
        return self.add("worker-heartbeat", at, **fields)

    def damage(self):
        self._lines.append("{damaged")
        return self

    def write(self, path):
        path.write_text("".join(f"{line}\n" for line in self._lines))
        return path


class Replay:
    """Runs the command and reads what it wrote."""

    def __init__(self, folder):
        self.tasks_file, self.workers_file = folder / "tasks.jsonl", folder / "workers.jsonl"

    def __call__(self, *files):
        outputs = ["--tasks", str(self.tasks_file), "--workers", str(self.workers_file)]
        return main(["replay", *map(str, files), *outputs])

    @property
    def tasks(self):
        return [json.loads(line) for line in self.tasks_file.read_bytes().splitlines()]

    @property
    def workers(self):
        return [json.loads(line) for line in self.workers_file.read_bytes().splitlines()]


@pytest.fixture
def replay(tmp_path):
    return Replay(tmp_path)


@pytest.fixture
def capture(tmp_path):
    """Where to write a capture."""
    return tmp_path / "capture.jsonl"


def command(*arguments, given=b""):
    return subprocess.run(
        [sys.executable, "-m", "stream", "replay", *arguments],
        cwd=ROOT,
        input=given,
        capture_output=True,
        timeout=30,
        check=False,
    )


# -- records -------------------------------------------------------------------------------------


def test_a_line_of_a_task_has_these_fields(replay):
    assert replay(CAPTURE) == 0
    assert {tuple(task) for task in replay.tasks} == {
        (
            "uuid",
            "name",
            "state",
            "inferred",
            "attempts",
            "deliveries",
            "executions",
            "retries",
            "queue",
            "worker",
            "root_id",
            "parent_id",
            "sent_at",
            "received_at",
            "started_at",
            "ended_at",
            "wait_time",
            "prefetch_time",
            "run_time",
            "total_time",
            "error_type",
            "internal",
        )
    }


def test_a_line_of_a_worker_has_these_fields(replay):
    assert replay(CAPTURE) == 0
    assert {tuple(worker) for worker in replay.workers} == {
        (
            "hostname",
            "pid",
            "state",
            "processed",
            "starts_seen",
            "unseen",
            "duplicates",
            "coverage",
            "skew",
        )
    }


def test_the_same_capture_gives_the_same_bytes_plain_or_compressed(replay, tmp_path):
    replay(CAPTURE)
    first = replay.tasks_file.read_bytes(), replay.workers_file.read_bytes()
    plain = tmp_path / "plain"
    plain.write_bytes(gzip.decompress(CAPTURE.read_bytes()))
    replay(plain)
    assert (replay.tasks_file.read_bytes(), replay.workers_file.read_bytes()) == first


def test_a_capture_in_pieces_is_replayed_as_one_in_whatever_order_they_are_given(replay, tmp_path):
    replay(CAPTURE)
    whole = replay.tasks_file.read_bytes(), replay.workers_file.read_bytes()
    lines = gzip.decompress(CAPTURE.read_bytes()).splitlines(keepends=True)
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"".join(lines[:90]))
    two.write_bytes(b"".join(lines[90:]))
    replay(two, one)
    assert (replay.tasks_file.read_bytes(), replay.workers_file.read_bytes()) == whole


def test_brokers_that_were_recorded_together_have_nothing_in_common(tmp_path):
    """The same id, worker and process on two brokers, of which one goes on and one does not."""
    header = Header(1, recording="ab", brokers=("shop", "mail"))
    frames = []
    for source, ends in (("shop", True), ("mail", False)):
        lines = Lines().task("u", 1.0, ends=ends).write(tmp_path / "lines").read_text().splitlines()
        frames += [
            Message(T0 + 1 + n, source, Transport.EVENT, b"", line.encode())
            for n, line in enumerate(lines)
        ]
        frames += [Tick(T0 + 9.0, source)]
    capture = tmp_path / "two.jsonl"
    capture.write_bytes(header_line(header) + frame_lines(frames))
    reading = Reading([str(capture)])
    reading.read()
    assert reading.report().states == {"SUCCESS": 1, "UNKNOWN": 1}


def test_a_task_that_never_ended_is_told_as_unknown(replay, capture):
    Lines().task("u1", 0.0).task("u2", 1.0, ends=False).write(capture)
    assert replay(capture) == 0
    assert [(task["uuid"], task["state"]) for task in replay.tasks] == [
        ("u1", "SUCCESS"),
        ("u2", "UNKNOWN"),
    ]


def test_a_task_whose_eta_is_far_ahead_is_told_too(replay, capture):
    Lines().task("u1", 0.0, ends=False, eta="2199-01-01T00:00:00+00:00").write(capture)
    assert replay(capture) == 0
    assert [task["uuid"] for task in replay.tasks] == ["u1"]


def test_a_silence_of_months_is_passed_over(replay, capture):
    Lines().task("u1", 0.0).task("u2", 100 * DAY).write(capture)
    assert replay(capture) == 0
    assert [task["state"] for task in replay.tasks] == ["SUCCESS", "SUCCESS"]


def test_a_capture_in_which_nothing_happened_gives_no_records(replay, capture):
    capture.write_text('{"t_recv": 1.0, "control": "psubscribe"}\n')
    assert replay(capture) == 0
    assert (replay.tasks, replay.workers) == ([], [])


# -- workers -------------------------------------------------------------------------------------


def test_a_worker_is_told_in_the_state_it_had_as_the_capture_ended(replay, capture):
    Lines().beat(0.0, 0).beat(2.0, 0).write(capture)
    assert replay(capture) == 0
    assert [worker["state"] for worker in replay.workers] == ["online"]


def test_a_restarted_worker_is_two_processes(replay, capture):
    Lines().beat(0.0, 0, pid=2).beat(2.0, 0, pid=1).write(capture)
    assert replay(capture) == 0
    assert [(each["hostname"], each["pid"]) for each in replay.workers] == [
        ("w1@h", 1),
        ("w1@h", 2),
    ]


@pytest.mark.parametrize("freq", [2.0, 60.0])
def test_the_last_heartbeat_is_compared_however_rare_they_are(replay, capture, freq):
    Lines().beat(0.0, 0, freq=freq).task("u1", 1.0).beat(freq, 3, freq=freq).write(capture)
    assert replay(capture) == 0
    (worker,) = replay.workers
    assert (worker["state"], worker["unseen"], worker["starts_seen"]) == ("online", 2, 1)


def test_a_worker_that_was_forgotten_in_between_is_one_line(replay, capture):
    lines = Lines().beat(0.0, 0).task("u1", 1.0).beat(2.0, 1)
    lines.add("worker-offline", 4.0, freq=2.0, active=0, processed=1)
    lines.task("u2", DAY).beat(DAY + 1, 2).write(capture)
    assert replay(capture) == 0
    (worker,) = replay.workers
    assert (worker["starts_seen"], worker["processed"]) == (2, 2)


def test_the_records_of_a_process_that_was_forgotten_add_up():
    def record(state, processed, seen, unseen, duplicates):
        return WorkerRecord("w", 1, state, processed, seen, unseen, duplicates, None, 0.5)

    records = Records(None)
    records.take_worker(record(WorkerState.LOST, 4, 3, 1, 2))
    records.take_workers([record(None, None, 3, 1, 1)])
    (together,) = records.workers()
    assert together == WorkerRecord("w", 1, None, 4, 6, 2, 3, 0.75, 0.5)


# -- command -------------------------------------------------------------------------------------


def test_the_summary_says_what_was_in_the_capture(capture, capsys):
    Lines().task("u1", 0.0).task("u2", 0.0, ends=False).beat(1.0, 0).damage().write(capture)
    assert main(["replay", str(capture)]) == 0
    shown = capsys.readouterr()
    assert [line.split()[:4] for line in shown.out.splitlines()[:10]] == [
        ["period", "1.00s", "2026-11-23", "02:13:20"],
        ["events", "7", "7", "per"],
        ["rejected", "0"],
        ["damaged", "lines", "1"],
        ["tasks", "2", "LOST", "1,"],
        ["end", "not", "known", "1"],
        ["attempts", "ended", "1", "1"],
        ["worker", "processes", "1"],
        ["executions", "1", "whose", "start"],
        ["unseen", "0"],
    ]


def test_damaged_lines_are_told_by_number_and_cost_nothing_else(replay, capture, capsys):
    Lines().task("u1", 0.0).damage().task("u2", 1.0).damage().write(capture)
    assert replay(capture) == 0
    assert [task["state"] for task in replay.tasks] == ["SUCCESS", "SUCCESS"]
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[2].split(": ")[0] for line in told] == [
        f" {capture}, line 5",
        f" {capture}, line 10",
    ]


def test_events_that_are_no_valid_ones_are_counted_as_rejected(capture, capsys):
    Lines().task("u1", 0.0).add("task-started", 1.0).write(capture)
    assert main(["replay", str(capture)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["rejected", "1", "invalid", "1"] in lines


def test_records_on_standard_output_have_it_to_themselves(capture):
    Lines().task("u1", 0.0).write(capture)
    done = command("-", "--tasks", "-", given=capture.read_bytes())
    assert done.returncode == 0
    assert [json.loads(line)["uuid"] for line in done.stdout.splitlines()] == ["u1"]
    assert b"tasks" in done.stderr


def test_standard_input_may_be_compressed(capture):
    Lines().task("u1", 0.0).write(capture)
    done = command("-", "--tasks", "-", given=gzip.compress(capture.read_bytes()))
    assert [json.loads(line)["uuid"] for line in done.stdout.splitlines()] == ["u1"]


def test_a_wrong_file_is_one_sentence_and_what_was_written_before_stays(replay, tmp_path, capsys):
    replay.tasks_file.write_text("from before")
    assert replay(tmp_path / "missing") == 1
    assert capsys.readouterr() == (
        "",
        f"celery-stream: {tmp_path / 'missing'} cannot be read: No such file or directory\n",
    )
    assert replay.tasks_file.read_text() == "from before"


def test_an_output_that_cannot_be_written_is_one_sentence_before_anything_is_read(tmp_path, capsys):
    output = tmp_path / "missing" / "tasks.jsonl"
    assert main(["replay", str(tmp_path / "unread"), "--tasks", str(output)]) == 1
    assert capsys.readouterr().err == (
        f"celery-stream: {output} cannot be written: its folder does not exist\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["c", "--tasks", "-", "--workers", "-"],
        ["c", "--json", "x", "--attempts", "x"],
        ["c", "--speed", "0"],
        ["c", "--speed", "quick"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments):
    assert main(["replay", *arguments]) == 2


# -- report --------------------------------------------------------------------------------------


def report_of(capture, folder, *options):
    """The report of a capture as JSON."""
    file = folder / "report.json"
    assert main(["replay", str(capture), "--json", str(file), *options]) == 0
    return json.loads(file.read_bytes())


def quantile(values, share):
    return sorted(values)[max(1, ceil(share * len(values))) - 1]


def test_a_report_counts_what_the_records_of_tasks_say(replay, tmp_path):
    replay(CAPTURE)
    counted = Counter((task["name"] or "(unknown)", task["state"]) for task in replay.tasks)
    rows = report_of(CAPTURE, tmp_path)["tasks"]
    assert {
        (row["task"], state): n for row in rows for state, n in row["states"].items()
    } == counted


@pytest.mark.parametrize("what", ["wait", "prefetch", "run", "total"])
@pytest.mark.parametrize(("name", "share"), [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)])
def test_quantiles_are_those_of_the_records_within_one_percent(replay, tmp_path, what, name, share):
    replay(CAPTURE)
    values = defaultdict(list)
    for task in replay.tasks:
        if task[f"{what}_time"] is not None:
            values[task["name"] or "(unknown)"].append(task[f"{what}_time"])
    found = {row["task"]: row[what][name] for row in report_of(CAPTURE, tmp_path)["tasks"]}
    assert {task: found[task] for task in values} == {
        task: pytest.approx(quantile(each, share), rel=0.0101, abs=1e-6)
        for task, each in values.items()
    }


def test_a_report_has_the_schema_and_version_that_it_says(tmp_path):
    report = report_of(CAPTURE, tmp_path)
    assert (report["schema"], report["version"]) == ("celery-stream.report", 1)


def test_the_same_capture_gives_the_same_bytes_whatever_the_hashes(tmp_path):
    def output(seed):
        names = ("report.json", "tasks.csv", "attempts.jsonl")
        files = [tmp_path / name for name in names]
        options = zip(("--json", "--tasks", "--attempts"), map(str, files), strict=True)
        done = subprocess.run(
            [sys.executable, "-m", "stream", "replay", str(CAPTURE), *chain(*options)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            timeout=30,
            check=True,
        )
        return [done.stdout, *(file.read_bytes() for file in files)]

    assert output(1) == output(2)


def test_filters_choose_what_is_written(tmp_path):
    file = tmp_path / "tasks.jsonl"
    options = ["--task", "*.boom", "--task", "*.add", "--worker", "w1@*", "--tasks", str(file)]
    report = report_of(CAPTURE, tmp_path, *options)
    written = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert {task["name"] for task in written} == {"capapp.boom", "capapp.add"}
    assert {task["worker"] for task in written} == {"w1@cap"}
    assert sum(row["tasks"] for row in report["tasks"]) == len(written)


def test_a_task_is_the_same_with_filters_and_without(replay, tmp_path):
    replay(CAPTURE)
    whole = {task["uuid"]: task for task in replay.tasks}
    file = tmp_path / "filtered.jsonl"
    report_of(CAPTURE, tmp_path, "--tasks", str(file), "--task", "*.flaky")
    (task,) = (json.loads(line) for line in file.read_bytes().splitlines())
    assert task == whole[task["uuid"]]


def test_a_time_that_cannot_be_read_is_a_sentence(capsys):
    assert main(["replay", str(CAPTURE), "--from", "noon"]) == 1
    assert capsys.readouterr().err.startswith("celery-stream: 'noon' is no time: ")


def test_there_is_one_attempt_for_each_delivery(replay, tmp_path):
    replay(CAPTURE)
    file = tmp_path / "attempts.jsonl"
    report_of(CAPTURE, tmp_path, "--attempts", str(file))
    attempts = [json.loads(line) for line in file.read_bytes().splitlines()]
    received = Counter(each["uuid"] for each in attempts if each["worker"] is not None)
    assert received == {
        task["uuid"]: task["deliveries"] for task in replay.tasks if task["deliveries"]
    }


def test_a_report_does_not_depend_on_the_speed(capture, tmp_path):
    Lines().task("u1", 0.0).task("u2", 5.0).write(capture)
    slow = report_of(capture, tmp_path, "--speed", "1000")
    assert slow == report_of(capture, tmp_path)


def test_a_report_says_who_recorded_it_and_what_is_missing(tmp_path):
    capture, written = tmp_path / "capture.jsonl", tmp_path / "report.json"
    origin = ("redis://shop:6379/0",)
    header = Header(FORMAT, "1.2", origin, "r", part=3, arguments="redact")
    message = gzip.decompress(CAPTURE.read_bytes()).splitlines(keepends=True)[1]
    capture.write_bytes(header_line(header) + message + gap_line(Gap(7)) + gap_line(Gap(2)))
    assert main(["replay", str(capture), "--json", str(written)]) == 0
    report = decode_report(written.read_bytes())
    assert report.recordings == (Recording("r", "1.2", origin, "redact", 1, 3),)
    assert report.coverage.unrecorded == 9


def test_the_screen_says_who_recorded_it_and_what_is_missing(tmp_path, capsys):
    capture = tmp_path / "capture.jsonl"
    header = Header(FORMAT, "1.2", ("redis://h",), "r", part=3, arguments="redact")
    message = gzip.decompress(CAPTURE.read_bytes()).splitlines(keepends=True)[1]
    capture.write_bytes(header_line(header) + message + gap_line(Gap(7)))
    assert main(["replay", str(capture)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "recorded of redis://h: 1 file, 2 before them rotated away, arguments redacted" in shown
    assert "unrecorded 7 messages that the recording had no room for" in shown


# -- trace and diff ------------------------------------------------------------------------------


def test_a_trace_is_told_of_standard_input_too():
    done = subprocess.run(
        [sys.executable, "-m", "stream", "trace", "c286c871", "-"],
        cwd=ROOT,
        input=CAPTURE.read_bytes(),
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.decode().count("RETRY, ran") == 2


def test_a_task_that_is_not_in_a_capture_is_a_sentence(capsys):
    assert main(["trace", "nowhere", str(CAPTURE)]) == 1
    assert capsys.readouterr() == (
        "",
        "celery-stream: no task in the capture has an id like nowhere\n",
    )


def test_a_capture_and_its_report_compare_alike(tmp_path):
    report, one, two = (tmp_path / name for name in ("report.json", "one.json", "two.json"))
    report_of(CAPTURE, tmp_path)
    assert main(["diff", str(CAPTURE), str(report), "--json", str(one)]) == 0
    assert main(["diff", str(report), str(CAPTURE), "--json", str(two)]) == 0
    found, mirrored = (json.loads(each.read_bytes()) for each in (one, two))
    assert found["before"] == {**found["after"], "name": str(CAPTURE)}
    assert (found["shifts"], found["rates"]) == (mirrored["shifts"], mirrored["rates"])


def test_a_damaged_report_is_a_sentence(tmp_path, capsys):
    file = tmp_path / "report.json"
    report_of(CAPTURE, tmp_path)
    file.write_bytes(file.read_bytes()[:1_000])
    capsys.readouterr()
    assert main(["diff", str(file), str(CAPTURE)]) == 1
    assert capsys.readouterr().err.startswith(f"celery-stream: {file} is no report: ")


def test_a_report_of_another_version_is_a_sentence(tmp_path, capsys):
    file = tmp_path / "report.json"
    report = report_of(CAPTURE, tmp_path)
    file.write_text(json.dumps({**report, "version": 99}))
    capsys.readouterr()
    assert main(["diff", str(file), str(CAPTURE)]) == 1
    assert capsys.readouterr().err == (f"celery-stream: {file} is a report of version 99, not 1\n")


def test_a_comparison_with_nothing_is_a_sentence(tmp_path, capsys):
    missing = tmp_path / "missing"
    assert main(["diff", str(missing), str(CAPTURE)]) == 1
    assert capsys.readouterr().err.startswith(f"celery-stream: {missing} cannot be read: ")
