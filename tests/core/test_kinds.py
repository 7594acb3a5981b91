"""A pair of names is one object, and there are only so many."""

import pytest

from stream.core.kinds import OTHER, Kinds


def names(kind):
    return kind.name, kind.queue


def test_a_pair_is_always_the_same_object():
    kinds = Kinds(10)
    assert kinds.get("app.task", "celery") is kinds.get("app.task", "celery")
    assert len(kinds) == 1


def test_another_queue_or_an_unknown_one_is_another_kind():
    kinds = Kinds(10)
    found = {kinds.get("app.task", queue) for queue in ("celery", "mail", None)}
    assert {names(kind) for kind in found} == {
        ("app.task", "celery"),
        ("app.task", "mail"),
        ("app.task", None),
    }


def test_beyond_the_limit_all_are_one_and_counted():
    kinds = Kinds(2)
    known = [kinds.get("a", None), kinds.get("b", None)]
    beyond = {kinds.get(name, queue) for name, queue in [("c", None), ("d", "q"), (None, None)]}
    assert [names(kind) for kind in beyond] == [(OTHER, OTHER)]
    assert (len(kinds), kinds.overflowed) == (2, 3)
    assert [kinds.get("a", None), kinds.get("b", None)] == known


@pytest.mark.parametrize(("name", "internal"), [("celery.chord_unlock", True), ("app.t", False)])
def test_a_task_that_celery_sends_itself_is_internal(name, internal):
    assert Kinds(10).get(name, "celery").internal is internal
