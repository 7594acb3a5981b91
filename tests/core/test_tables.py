"""The tables: in order, bounded, and nobody in two of them."""

import pytest

from stream.core.kinds import Kind
from stream.core.states import State
from stream.core.tables import (
    LATER,
    RECEIVED,
    SENT,
    SLOT_OF,
    STARTED,
    STATE_OF,
    STUCK,
    UNSURE,
    TaskTable,
)
from stream.core.task import Delivery, Task

MAIL, MATH = Kind("mail.send", "mail"), Kind("math.add", "celery")


def table_of(in_flight=100, remembered=100):
    return TaskTable(in_flight_limit=in_flight, remembered_limit=remembered, in_order=True)


@pytest.fixture
def table():
    return table_of()


def enter(table, uuid, slot=SENT, *, kind=MATH, since=0.0):
    task = Task(uuid, kind, None, None, Delivery(0))
    task.since = since
    table.enter(task, slot)
    return task


def wait(table, uuid, due_at):
    """A task that waits for its ETA."""
    task = enter(table, uuid, SENT + LATER, since=due_at)
    table.wait_until(task, due_at)
    return task


def uuids(tasks):
    return [task.uuid for task in tasks]


def in_slot(table, slot):
    return [(kind, list(members)) for kind, members in table.members(slot)]


def test_every_phase_has_a_slot_of_its_own():
    assert [STATE_OF[slot] for slot in range(LATER)] == list(SLOT_OF)
    assert SLOT_OF[State.SENT] == SENT


# -- phases --------------------------------------------------------------------------------------


def test_a_task_is_found_by_its_uuid_and_in_its_phase(table):
    task = enter(table, "a")
    assert table.by_uuid["a"] is task
    assert in_slot(table, SENT) == [(MATH, ["a"])]
    assert (table.in_flight, table.remembered) == (1, 0)


def test_a_task_that_moves_leaves_where_it_was(table):
    task = enter(table, "a")
    table.move(task, RECEIVED, MAIL)
    assert in_slot(table, SENT) == []
    assert in_slot(table, RECEIVED) == [(MAIL, ["a"])]
    assert (task.kind, table.in_flight) == (MAIL, 1)


def test_the_one_that_came_into_a_phase_first_is_in_front(table):
    first, second = enter(table, "a"), enter(table, "b")
    table.move(second, STARTED, MATH)
    table.move(first, STARTED, MATH)
    assert in_slot(table, STARTED) == [(MATH, ["b", "a"])]


@pytest.mark.parametrize(("in_order", "numbers"), [(True, [1, 2]), (False, [0, 0])])
def test_tasks_are_numbered_where_their_order_is_asked_for(in_order, numbers):
    table = TaskTable(in_flight_limit=9, remembered_limit=9, in_order=in_order)
    assert [enter(table, uuid).first_seen for uuid in "ab"] == numbers


def test_the_kinds_of_a_phase_are_also_of_those_that_wait_or_were_judged(table):
    kinds = [Kind(f"t{number}", None) for number in range(5)]
    for kind, slot in zip(
        kinds, (SENT, SENT + LATER, SENT + STUCK, SENT + UNSURE, RECEIVED), strict=True
    ):
        enter(table, kind.name, slot, kind=kind)
    enter(table, "again", SENT + STUCK, kind=kinds[0])
    assert table.kinds_in(SENT) == [kinds[0], kinds[1], kinds[2], kinds[3]]


# -- the end -------------------------------------------------------------------------------------


def test_an_ended_task_leaves_its_phase_and_stays_known(table):
    task = enter(table, "a", STARTED)
    table.finish(task, 5.0)
    assert (task.finished, in_slot(table, STARTED)) == (True, [])
    assert (table.in_flight, table.remembered, "a" in table.by_uuid) == (0, 1, True)


def test_ended_tasks_are_forgotten_by_their_end_oldest_first(table):
    for at, uuid in enumerate("abc"):
        table.finish(enter(table, uuid), float(at))
    assert uuids(table.forget(2.0)) == ["a", "b"]
    assert (list(table.by_uuid), table.remembered) == (["c"], 1)
    assert table.forgotten_early == 0


def test_more_ended_tasks_than_the_limit_are_forgotten_early():
    table = table_of(remembered=2)
    for at, uuid in enumerate("abcd"):
        table.finish(enter(table, uuid), float(at))
    assert uuids(table.forget(1.0)) == ["a", "b"]
    assert (table.remembered, table.forgotten_early) == (2, 1)


# -- waiting for an ETA --------------------------------------------------------------------------


def test_tasks_come_due_in_the_order_of_their_eta(table):
    for uuid, due_at in (("late", 9.0), ("soon", 3.0), ("next", 5.0)):
        wait(table, uuid, due_at)
    assert uuids(table.due(5.0)) == ["soon", "next"]
    assert uuids(table.due(8.9)) == []
    assert uuids(table.due(9.0)) == ["late"]


def test_a_task_comes_due_once(table):
    wait(table, "a", 3.0)
    assert uuids(table.due(3.0)) == ["a"]
    assert uuids(table.due(4.0)) == []


def test_a_task_that_moved_on_or_ended_does_not_come_due(table):
    moved, ended = wait(table, "a", 3.0), wait(table, "b", 3.0)
    table.move(moved, STARTED, MATH)
    table.finish(ended, 2.0)
    assert uuids(table.due(3.0)) == []


def test_a_task_that_waits_for_a_later_eta_comes_due_then(table):
    task = wait(table, "a", 3.0)
    task.since = 7.0
    table.wait_until(task, 7.0)
    assert uuids(table.due(3.0)) == []
    assert uuids(table.due(7.0)) == ["a"]


def test_a_forgotten_task_does_not_come_due_nor_keep_its_place_after_pruning(table):
    table.finish(wait(table, "a", 3.0), 0.0)
    assert uuids(table.forget(1.0)) == ["a"]
    wait(table, "b", 2.0)
    table.prune()
    assert uuids(table.due(9.0)) == ["b"]


# -- bounds --------------------------------------------------------------------------------------


def test_there_is_no_surplus_up_to_the_limit():
    table = table_of(in_flight=2)
    enter(table, "a")
    enter(table, "b")
    assert table.surplus() == []


def test_a_surplus_is_of_those_that_wait_to_be_received_first():
    table = table_of(in_flight=2)
    for uuid, slot in (("runs", STARTED), ("held", RECEIVED), ("a", SENT), ("b", SENT)):
        enter(table, uuid, slot)
    assert uuids(table.surplus()) == ["a", "b"]
    assert table.given_up == 2


def test_a_surplus_is_a_hundredth_of_the_limit_at_a_time():
    table = table_of(in_flight=500)
    for number in range(501):
        enter(table, str(number))
    assert uuids(table.surplus()) == ["0", "1", "2", "3", "4", "5"]


def test_a_surplus_takes_from_every_table_when_one_is_not_enough():
    table = table_of(in_flight=1)
    for uuid, slot in (("stuck", SENT + STUCK), ("later", SENT + LATER), ("runs", STARTED)):
        enter(table, uuid, slot)
    assert uuids(table.surplus()) == ["runs", "later"]


def test_pruning_lets_go_of_kinds_without_tasks(table):
    enter(table, "stays", kind=MAIL)
    table.finish(enter(table, "goes", kind=MATH), 0.0)
    table.prune()
    assert table.kinds_in(SENT) == [MAIL]
