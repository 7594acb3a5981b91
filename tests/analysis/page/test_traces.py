"""Whole traces, as a page keeps them."""

from tests.analysis.page.drawing import drawn
from tests.builders import Process, producer


def family():
    """A task that sends another one, which fails once."""
    web, worker = producer(), Process()
    kin = {"root_id": "root", "parent_id": "root"}
    return [
        web.sent("root", 0.0, name="app.first", root_id="root"),
        worker.received("root", 0.1, name="app.first", root_id="root"),
        worker.started("root", 0.2),
        worker.sent("child", 0.3, name="app.second", **kin),
        worker.succeeded("root", 0.4, runtime=0.2),
        worker.received("child", 0.5, name="app.second", **kin),
        worker.started("child", 0.6),
        worker.retried("child", 0.7, exception="KeyError('password=hunter2')"),
        worker.received("child", 1.0, name="app.second", retries=1, **kin),
        worker.started("child", 1.1),
        worker.succeeded("child", 1.2, runtime=0.1),
    ]


def alone(uuid, *, name="app.alone", at=2.0):
    web, worker = producer(), Process("w2@h")
    return [
        web.sent(uuid, at, name=name),
        worker.received(uuid, at + 0.1, name=name),
        worker.started(uuid, at + 0.2),
        worker.succeeded(uuid, at + 0.3, runtime=0.1),
    ]


def traces(*events, **options):
    return {each.root_id: each for each in drawn(*events, **options).drawing.traces}


def test_a_trace_is_a_tree_from_top_to_bottom():
    trace = traces(*family())["root"]
    assert [(each.depth, each.uuid, each.task) for each in trace.members] == [
        (0, "root", "app.first"),
        (1, "child", "app.second"),
    ]


def test_every_delivery_is_told_with_its_times():
    child = traces(*family())["root"].members[1]
    assert [(each.retries, each.state, each.started, each.ended) for each in child.deliveries] == [
        (0, "RETRY", 0.6, 0.7),
        (1, "SUCCESS", 1.1, 1.2),
    ]


def test_passwords_are_hidden():
    child = traces(*family())["root"].members[1]
    assert child.deliveries[0].detail.startswith("KeyError: ")
    assert "hunter2" not in child.deliveries[0].detail


def test_a_trace_says_why_it_is_kept_and_what_made_it_slow():
    trace = traces(*family())["root"]
    assert trace.kinds == ("slow", "failed")
    assert trace.critical == ("root", "child")


def test_of_a_small_capture_all_traces_are_kept():
    assert traces(*family(), *alone("a"), *alone("b")).keys() == {"root", "a", "b"}


def test_of_what_is_not_reported_no_trace_is_kept():
    events = [*alone("a", name="app.a"), *alone("b", name="app.b")]
    assert traces(*events, tasks=("app.b",)).keys() == {"b"}


def test_of_a_large_capture_those_are_kept_that_the_report_names():
    events = family()
    for number in range(1_600):
        events += alone(f"t{number}", at=2.0 + number / 1_000)
    found = traces(*events)
    assert "root" in found
    assert len(found) <= 20  # the slowest workflows and runs


def test_of_a_large_trace_the_first_tasks_are_kept_and_the_rest_is_counted():
    web, worker = producer(), Process()
    events = [web.sent("root", 0.0, name="app.first", root_id="root")]
    for number in range(300):
        kin = {"root_id": "root", "parent_id": "root"}
        events.append(web.sent(f"t{number}", 0.1, name="app.many", **kin))
        events.append(worker.received(f"t{number}", 0.2, name="app.many", **kin))
    trace = traces(*events)["root"]
    assert len(trace.members) == 200
    assert trace.left_out > 0


def test_parents_in_a_circle_are_shown_once_each():
    web = producer()
    events = [
        web.sent("a", 0.0, name="app.a", root_id="a", parent_id="b"),
        web.sent("b", 0.0, name="app.b", root_id="a", parent_id="a"),
    ]
    assert sorted(each.uuid for each in traces(*events)["a"].members) == ["a", "b"]


def test_what_nobody_told_the_end_of_has_none():
    web, worker = producer(), Process()
    events = [web.sent("a", 0.0, name="app.a"), worker.received("a", 1.0, name="app.a")]
    [delivery] = traces(*events)["a"].members[0].deliveries
    assert (delivery.received, delivery.ended) == (1.0, None)
