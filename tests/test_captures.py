"""Real traffic, replayed, against what the result backend and the task bodies say happened."""

import gzip
import json
import re
from collections import Counter, defaultdict
from functools import cached_property
from pathlib import Path
from statistics import median

import pytest

from stream.replay import replay

FOLDER = Path(__file__).parent / "captures"
CAPTURES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
TERMINAL = {"task-succeeded": "SUCCESS", "task-failed": "FAILURE", "task-revoked": "REVOKED"}
BY_CELERY = {
    *TERMINAL,
    "task-sent",
    "task-received",
    "task-started",
    "task-retried",
    "task-rejected",
    "task-cancelled",
}
"""Types of the events about tasks; others are the application's own."""
NOT_KNOWN = {"UNKNOWN", "LOST"}
ENDS = {*TERMINAL.values(), "REJECTED", *NOT_KNOWN}


def lines_of(name, stem):
    with gzip.open(FOLDER / name / f"{stem}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Capture:
    """What is known of a run from elsewhere than from us."""

    def __init__(self, name):
        self.name = name
        self.events = [line for line in lines_of(name, "events") if "type" in line]
        self.truth = {
            line["id"]: line
            for line in lines_of(name, "truth")
            if line.get("backend_state") in TERMINAL.values()
        }
        self.bodies = lines_of(name, "exec")

    def of_type(self, kind):
        return [event for event in self.events if event["type"] == kind]

    @cached_property
    def told_ends(self):
        """uuid -> the ends that events in the capture tell."""
        told = defaultdict(set)
        for event in self.events:
            if event["type"] in TERMINAL:
                told[event["uuid"]].add(TERMINAL[event["type"]])
        return told

    @cached_property
    def begins(self):
        """uuid -> the begins of its body, in order."""
        begins = defaultdict(list)
        for line in self.bodies:
            if line["phase"] == "begin":
                begins[line["id"]].append(line)
        return begins

    @cached_property
    def starts_told(self):
        return Counter(event["uuid"] for event in self.of_type("task-started"))

    @cached_property
    def run_times(self):
        """uuid -> how long its body ran, where it ran once and to its end."""
        ends = {line["id"]: line for line in self.bodies if line["phase"] == "end"}
        return {
            uuid: ends[uuid]["mono"] - begins[0]["mono"]
            for uuid, begins in self.begins.items()
            if len(begins) == 1 and uuid in ends
        }

    @cached_property
    def waits(self):
        """uuid -> from submitted to begun, of what was submitted to run at once and ran once.

        The monotonic clock is that of the machine, whatever a worker believes the time to be; how
        far it is from the epoch is told by the workers whose clock is right: most of them.
        """
        offsets = defaultdict(list)
        for begins in self.begins.values():
            for begin in begins:
                offsets[begin["hostname"]].append(begin["wall"] - begin["mono"])
        if not offsets:
            return {}
        epoch = median(median(each) for each in offsets.values())
        at_once = {
            event["uuid"]
            for event in self.of_type("task-sent")
            if event.get("eta") is None and event.get("root_id") in (None, event["uuid"])
        }
        return {
            uuid: begins[0]["mono"] + epoch - self.truth[uuid]["t_submit"]
            for uuid, begins in self.begins.items()
            if len(begins) == 1 and self.starts_told[uuid] == 1
            if uuid in at_once and uuid in self.truth
        }


class Replayed(Capture):
    """A run, and what we say of it."""

    def __init__(self, name, kind, folder):
        super().__init__(name)
        tasks, workers = folder / "tasks.jsonl", folder / "workers.jsonl"
        source = FOLDER / name / f"{kind}.jsonl.gz"
        assert replay([str(source)], tasks=str(tasks), workers=str(workers)) == 0
        self.lines = [json.loads(line) for line in tasks.read_bytes().splitlines()]
        self.tasks = {task["uuid"]: task for task in self.lines}
        self.workers = [json.loads(line) for line in workers.read_bytes().splitlines()]


@pytest.fixture(
    scope="module",
    params=[(name, kind) for name in CAPTURES for kind in ("raw", "events")],
    ids="-".join,
)
def run(request, tmp_path_factory):
    return Replayed(*request.param, tmp_path_factory.mktemp("replayed"))


def p95(values):
    return sorted(values)[int(0.95 * (len(values) - 1))] if values else 0.0


def test_no_task_is_given_another_end_than_it_had(run):
    contrary = {
        uuid: (truth["scenario"], truth["backend_state"], run.tasks[uuid]["state"])
        for uuid, truth in run.truth.items()
        if uuid in run.tasks
        if run.tasks[uuid]["state"] not in {truth["backend_state"], *NOT_KNOWN}
    }
    assert contrary == {}


def test_every_end_that_an_event_tells_is_known(run):
    missed = {
        uuid: (truth["scenario"], truth["backend_state"], run.tasks[uuid]["state"])
        for uuid, truth in run.truth.items()
        if truth["backend_state"] in run.told_ends[uuid]
        if run.tasks[uuid]["state"] != truth["backend_state"]
    }
    assert missed == {}


def test_what_is_judged_is_there(run):
    told = [id_ for id_, truth in run.truth.items() if truth["backend_state"] in run.told_ends[id_]]
    assert (told == []) is run.name.endswith("-ser-pickle")  # of which nothing is decoded


def test_every_task_appears_once_and_has_ended(run):
    assert {event["uuid"] for event in run.events if event["type"] in BY_CELERY} == set(run.tasks)
    assert len(run.lines) == len(run.tasks)
    assert {task["state"] for task in run.lines} <= ENDS


def test_tasks_are_in_the_order_in_which_they_appeared(run):
    seen = dict.fromkeys(event["uuid"] for event in run.events if event["type"] in BY_CELERY)
    assert [task["uuid"] for task in run.lines] == list(seen)


def test_run_times_are_those_of_the_task_bodies(run):
    errors = [
        abs(run.tasks[uuid]["run_time"] - seconds)
        for uuid, seconds in run.run_times.items()
        if uuid in run.tasks and run.tasks[uuid]["attempts"] == 1
        if run.tasks[uuid]["run_time"] is not None
    ]
    assert p95(errors) <= 0.025


def test_wait_times_are_right_whatever_the_clocks_of_the_hosts(run):
    errors = [
        abs(run.tasks[uuid]["wait_time"] - seconds)
        for uuid, seconds in run.waits.items()
        if uuid in run.tasks and run.tasks[uuid]["wait_time"] is not None
    ]
    if "skew" in run.name:
        assert len(errors) >= 15
        assert max(errors) <= 0.05
    assert p95(errors) <= 0.05


def test_the_classes_of_errors_are_those_of_the_result_backend(run):
    wrong = {}
    for uuid, truth in run.truth.items():
        raised = re.match(r"[A-Za-z_][\w.]*(?=\()", truth.get("backend_result") or "")
        task = run.tasks.get(uuid)
        if raised and task is not None and task["state"] == "FAILURE":
            mine, theirs = task["error_type"] or "", raised[0]
            if mine.rpartition(".")[2] != theirs.rpartition(".")[2]:
                wrong[uuid] = (truth["scenario"], theirs, mine)
    assert wrong == {}


def test_executions_are_those_of_the_task_bodies(run):
    wrong = {
        uuid: (len(begins), run.tasks[uuid]["executions"])
        for uuid, begins in run.begins.items()
        if run.starts_told[uuid] == len(begins)
        if run.tasks[uuid]["executions"] != len(begins)
    }
    assert wrong == {}


def test_what_a_worker_did_unseen_is_counted_exactly(run):
    """Where a loss is known: cut out of the run, or by a pool that loses events."""
    gap = FOLDER / run.name / "gap.json"
    if gap.exists():
        lost = json.loads(gap.read_text())["lost_started_by_worker"]
        assert {f"{each['hostname']}|{each['pid']}": each["unseen"] for each in run.workers} == lost
    if "threadsloss" in run.name:
        begun = sum(len(begins) for begins in run.begins.values())
        unseen = sum(each["unseen"] for each in run.workers)
        assert unseen == begun - run.starts_told.total() > 0


@pytest.mark.parametrize("name", CAPTURES)
def test_frames_and_decoded_events_of_a_run_give_the_same_records(name, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "events").mkdir()
    raw, events = (Replayed(name, kind, tmp_path / kind) for kind in ("raw", "events"))
    assert raw.lines == events.lines
    assert raw.workers == events.workers
