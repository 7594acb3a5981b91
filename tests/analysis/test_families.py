"""Which tasks made a chain or a chord take as long as it did."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from stream.analysis.families import Families, critical_path
from stream.core.record import TaskRecord
from stream.core.states import State
from stream.reading import Reading
from tests.builders import T0


def record(uuid, sent, started, ended, *, parent=None, root="root", internal=False):
    return TaskRecord(
        uuid,
        f"app.{uuid}",
        State.SUCCESS,
        inferred=False,
        attempts=1,
        deliveries=1,
        executions=1,
        retries=0,
        queue="q",
        worker="w",
        root_id=root,
        parent_id=parent,
        sent_at=T0 + sent,
        received_at=T0 + sent,
        started_at=T0 + started,
        ended_at=T0 + ended,
        wait_time=started - sent,
        prefetch_time=0.0,
        run_time=ended - started,
        total_time=ended - sent,
        error_type=None,
        internal=internal,
    )


def path(*records):
    return [each.uuid for each in critical_path(list(records))]


def test_a_chain_is_its_own_path():
    assert path(
        record("root", 0, 1, 2),
        record("b", 2, 3, 4, parent="root"),
        record("c", 4, 6, 7, parent="b"),
    ) == ["root", "b", "c"]


def test_of_a_chord_the_slowest_of_the_header_is_on_the_path():
    assert path(
        record("root", 0, 1, 2),
        record("quick", 1.9, 2, 3, parent="root"),
        record("slow", 1.9, 2, 9, parent="root"),
        record("body", 9, 10, 11, parent="root"),
    ) == ["root", "slow", "body"]


def test_children_that_a_running_parent_sends_wait_for_it_and_not_for_each_other():
    assert path(
        record("root", 0, 1, 10),
        record("early", 2, 3, 4, parent="root"),
        record("late", 9, 10, 12, parent="root"),
    ) == ["root", "late"]


def test_a_task_may_be_sent_just_before_its_parent_is_said_to_end():
    assert path(
        record("root", 0, 1, 2),
        record("b", 1.99, 3, 4, parent="root"),
        record("c", 3.95, 6, 7, parent="b"),
    ) == ["root", "b", "c"]


def test_parents_in_a_circle_come_to_an_end():
    assert path(record("a", 0, 0, 1, parent="b"), record("b", 1, 1, 2, parent="a")) == ["a", "b"]


def test_the_parts_of_a_path_tell_where_its_time_went():
    families = Families()
    families.take(record("root", 0, 1, 2))
    families.take(record("b", 2, 7, 8, parent="root"))
    (found,) = families.slowest()
    assert found.seconds == pytest.approx(8.0)
    assert [(step.at, step.queued, step.run) for step in found.steps] == [
        (0.0, 1.0, 1.0),
        (2.0, 5.0, 1.0),
    ]


def test_a_task_alone_is_no_family():
    families = Families()
    families.take(record("root", 0, 1, 2))
    assert families.slowest() == ()


def test_a_root_that_ends_after_its_children_is_a_member():
    families = Families()
    families.take(record("b", 2, 3, 4, parent="root"))
    families.take(record("root", 0, 1, 9))
    (found,) = families.slowest()
    assert (found.tasks, found.seconds) == (2, pytest.approx(9.0))


def test_what_celery_sends_for_itself_is_left_out():
    families = Families()
    families.take(record("root", 0, 1, 2))
    families.take(record("unlock", 2, 3, 4, parent="root", internal=True))
    assert families.slowest() == ()


def test_where_the_header_is_not_known_what_waits_for_it_stands_on_the_path():
    families = Families()
    families.take(record("unlock", 0, 8, 9, root="unlock", internal=True))
    families.take(record("body", 9, 10, 11, parent="unlock", root="unlock"))
    (found,) = families.slowest()
    assert (found.tasks, found.seconds) == (1, pytest.approx(11.0))
    assert [(step.uuid, step.at, step.queued) for step in found.steps] == [
        ("unlock", 0.0, 8.0),
        ("body", 9.0, 1.0),
    ]


def test_where_it_is_known_the_slowest_of_it_does():
    families = Families()
    for each in (
        record("root", 0, 1, 2),
        record("quick", 1.9, 2, 3, parent="root"),
        record("slow", 1.9, 2, 8, parent="root"),
        record("unlock", 1.9, 8, 9, parent="root", internal=True),
        record("body", 9, 10, 11, parent="unlock"),
    ):
        families.take(each)
    (found,) = families.slowest()
    assert [step.uuid for step in found.steps] == ["root", "slow", "body"]


@pytest.mark.parametrize("name", ["redis-5.7.0-core-prefork", "amqp-5.7.0-core-prefork"])
def test_the_paths_of_a_capture_are_what_the_tasks_themselves_wrote_down(name):
    folder = Path(__file__).parent.parent / "captures" / name
    run = Reading([str(folder / "raw.jsonl.gz")])
    run.read()
    ended, began = executions(folder)
    last_of = {line["id"]: line["scenario"] for line in lines(folder, "truth")}
    paths = {
        last_of[each.steps[-1].uuid]: [step.uuid for step in each.steps]
        for each in run.report().slow_traces
        if each.steps[-1].uuid in last_of
    }
    assert {name: len(path) for name, path in paths.items()}.items() >= {
        ("chain", 3),
        ("chord", 2),
    }
    for scenario in ("chain", "chord"):
        for one, two in pairwise(paths[scenario]):
            assert ended[one] <= began[two]


def executions(folder):
    """When each task's body ended last and began first, by its own clock."""
    ended, began = {}, {}
    for line in lines(folder, "exec"):
        if line["phase"] == "end":
            ended[line["id"]] = max(ended.get(line["id"], 0.0), line["wall"])
        else:
            began[line["id"]] = min(began.get(line["id"], 1e12), line["wall"])
    return ended, began


def lines(folder, stem):
    return map(json.loads, gzip.decompress((folder / f"{stem}.jsonl.gz").read_bytes()).splitlines())


def test_the_slowest_are_told_however_many_there_are():
    families = Families()
    for number in range(30_000):
        root, slow = f"r{number:05}", number in (3, 15_000, 29_999)
        families.take(record(root, 0, 1, 2, root=root))
        end = 100 + number if slow else 4
        families.take(record(f"c{number}", 2, 3, end, parent=root, root=root))
    found = families.slowest()
    assert [each.root_id for each in found[:3]] == ["r29999", "r15000", "r00003"]
    assert all(one.seconds >= two.seconds for one, two in pairwise(found))


def test_members_beyond_the_limit_are_counted():
    families = Families()
    families.take(record("root", 0, 1, 2))
    for number in range(600):
        families.take(record(f"c{number}", 2, 3, 4, parent="root"))
    (found,) = families.slowest()
    assert (found.tasks, found.left_out) == (500, 101)
