"""Lists of tasks, and the story of one: what is told, what is hidden, and what says it was cut."""

import pytest

from stream.core.search import Search
from stream.core.states import State
from stream.page.tasks import Wanted
from stream.page.telling import Telling
from stream.sinks.redaction import Redaction
from tests.builders import T0
from tests.page.cluster import REDACTION, Cluster, page_of

SECRETIVE = Redaction(("*password*",))


def listed(page, text="", *, limit=100, **wanted):
    search = {name: wanted.pop(name) for name in ("states", "name", "queue") if name in wanted}
    return page.tasks(Wanted(Search(text, **search), limit=limit, **wanted))


def uuids(page, text="", **wanted):
    return [task.uuid for task in listed(page, text, **wanted).tasks]


@pytest.fixture
def cluster():
    cluster = Cluster()
    cluster.run("done1", at=0.0)
    cluster.fail("bad", at=2.0, exception="ValueError('no funds')")
    cluster.run("done2", at=4.0)
    cluster.start("runs", at=6.0)
    return cluster


def test_what_is_in_flight_comes_first_then_what_ended_last(cluster):
    assert uuids(page_of(cluster)) == ["runs", "done2", "bad", "done1"]


def test_either_can_be_left_out(cluster):
    page = page_of(cluster)
    assert uuids(page, ended=False) == ["runs"]
    assert uuids(page, in_flight=False) == ["done2", "bad", "done1"]


def test_a_state_is_searched_for_in_both(cluster):
    assert uuids(page_of(cluster), states=frozenset({State.FAILURE, State.STARTED})) == [
        "runs",
        "bad",
    ]


def test_more_than_the_limit_are_counted(cluster):
    found = listed(page_of(cluster), limit=2)
    assert [task.uuid for task in found.tasks] == ["runs", "done2"]
    assert (found.in_flight, found.ended, found.kept, found.complete) == (1, 3, 3, True)


def test_a_failure_says_why(cluster):
    (bad,) = listed(page_of(cluster), "bad").tasks
    assert (bad.state, bad.error_type, bad.error, bad.ended) == (
        State.FAILURE,
        "ValueError",
        "no funds",
        True,
    )


def test_an_end_that_was_revised_is_listed_as_what_it_is():
    cluster = Cluster()
    cluster.start("u")
    cluster.feed(cluster.worker.offline(1.0))
    cluster.tick(400.0)
    cluster.feed(cluster.worker.succeeded("u", 400.0))
    (task,) = listed(page_of(cluster)).tasks
    assert (task.state, task.unsure, task.error) == (State.SUCCESS, False, None)


def test_tasks_of_several_brokers_are_told_apart():
    brokers = {"shop": Cluster(), "mail": Cluster()}
    for name, each in brokers.items():
        each.run(f"of-{name}")
    page = page_of(brokers=brokers)
    assert {(task.broker, task.uuid) for task in listed(page).tasks} == {
        ("shop", "of-shop"),
        ("mail", "of-mail"),
    }
    assert uuids(page, broker="mail") == ["of-mail"]


# -- one task -----------------------------------------------------------------------------------


def test_a_story_has_every_delivery_and_what_it_said():
    cluster = Cluster()
    cluster.start("u")
    worker = cluster.worker
    cluster.feed(
        worker.retried("u", 1.0, exception="Timeout('slow')"),
        worker.received("u", 2.0, retries=1),
        worker.started("u", 2.1),
        worker.failed("u", 3.0, exception="ValueError('no')", traceback="Traceback: here"),
    )
    story = page_of(cluster).task("u")
    assert [
        (each.retries, each.state, each.error_type, each.error) for each in story.deliveries
    ] == [
        (0, State.RETRY, "Timeout", "slow"),
        (1, State.FAILURE, "ValueError", "no"),
    ]
    assert story.deliveries[1].traceback == "Traceback: here"
    assert (story.state, story.ended, story.name, story.queue) == (
        State.FAILURE,
        True,
        "app.task",
        "celery",
    )


def test_a_story_is_told_while_the_task_runs(cluster):
    story = page_of(cluster).task("runs")
    (delivery,) = story.deliveries
    assert (story.state, story.ended, delivery.started_at) == (State.STARTED, False, T0 + 6.2)
    assert delivery.ended_at is None


def test_a_story_is_told_after_the_engine_has_forgotten_the_task(cluster):
    cluster.tick(1_000.0)
    assert cluster.engine.task("bad") is None
    story = page_of(cluster).task("bad")
    assert (story.state, story.ended, story.deliveries[0].error) == (
        State.FAILURE,
        True,
        "no funds",
    )
    assert story.since == pytest.approx(T0 + 3.2)


def test_nobody_knows_a_task_that_never_was(cluster):
    assert page_of(cluster).task("never") is None


def test_a_story_links_to_its_trace(cluster):
    url = "https://traces.example/trace/{trace_id}?span={span_id}"
    story = page_of(cluster, telling=Telling(REDACTION, trace_url=url)).task("bad")
    span_id = story.deliveries[0].span_id
    expected = f"https://traces.example/trace/{story.trace_id}?span={span_id}"
    assert (story.trace_url, len(story.trace_id), len(span_id)) == (expected, 32, 16)


def test_a_story_of_a_task_with_a_trace_of_its_own_is_of_that():
    cluster = Cluster()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    cluster.feed(cluster.shop.sent("u", traceparent=f"00-{trace_id}-b7ad6b7169203331-01"))
    story = page_of(cluster).task("u")
    assert (story.trace_id, story.trace_source) == (trace_id, "event")


def called(cluster):
    """A task with a password in its arguments and one in its result."""
    arguments = {"args": "(1, 'x')", "kwargs": "{'password': 'hunter2', 'n': 1}"}
    worker = cluster.worker
    cluster.feed(
        cluster.shop.sent("u", **arguments),
        worker.received("u", 0.1, **arguments),
        worker.started("u", 0.2),
        worker.succeeded("u", 1.0, result="{'password': 'hunter2'}"),
    )


def test_arguments_and_results_are_not_told_unless_wanted():
    cluster = Cluster()
    called(cluster)
    (delivery,) = page_of(cluster).task("u").deliveries
    assert (delivery.args, delivery.kwargs, delivery.result) == (None, None, None)


@pytest.mark.parametrize("forgotten", [False, True])
def test_arguments_and_results_are_told_without_secrets(forgotten):
    cluster = Cluster()
    called(cluster)
    if forgotten:
        cluster.tick(1_000.0)
    telling = Telling(SECRETIVE, arguments=True, results=True)
    (delivery,) = page_of(cluster, telling=telling).task("u").deliveries
    assert delivery.args == "(1, 'x')"
    assert delivery.kwargs == "{'password': ***, 'n': 1}"
    assert delivery.result == "{'password': ***}"


def test_exceptions_are_told_without_credentials():
    cluster = Cluster()
    cluster.fail("u", exception="OSError('redis://me:hunter2@host')", traceback="password=hunter2")
    page = page_of(cluster)
    told = (page.task("u").deliveries[0], listed(page).tasks[0], page.failures().failures[0])
    assert all("hunter2" not in str(each) for each in told)


# -- groups and stuck tasks ---------------------------------------------------------------------


def test_failures_are_grouped_and_name_an_example(cluster):
    (group,) = page_of(cluster).failures().failures
    assert (group.name, group.state, group.why, group.count, group.uuid, group.error) == (
        "app.task",
        State.FAILURE,
        "ValueError",
        1,
        "bad",
        "no funds",
    )


def test_the_example_of_a_group_has_a_story_when_all_else_is_forgotten():
    cluster = Cluster(history=1)
    cluster.fail("first", exception="ValueError('rare')", traceback="where it was")
    for number in range(150):
        cluster.fail(f"u{number}", at=2.0 + number, exception="KeyError('k')")
    cluster.tick(1_000.0)
    story = page_of(cluster).task("first")
    assert story.deliveries[0].traceback == "where it was"


def test_a_stuck_task_says_why_in_a_sentence():
    cluster = Cluster()
    cluster.feed(cluster.worker.online())
    cluster.start("u", at=1.0)
    cluster.feed(cluster.worker.heartbeat(900.0, active=1, processed=1))
    cluster.tick(900.5)
    found = page_of(cluster).stuck()
    (stuck,) = found.stuck
    assert (stuck.uuid, stuck.certain, stuck.worker, found.total) == ("u", True, "w1@host", 1)
    assert stuck.why == "It runs for longer than 10 min, and its worker says that it still works."
