"""What a page says in words: its head, its remarks and its tables."""

from stream.analysis.page.tables import Kind
from tests.analysis.page.drawing import drawn
from tests.builders import Process, producer


def events():
    web, worker = producer(), Process("w1@h")
    return [
        web.sent("good", 0.0, name="app.good"),
        worker.received("good", 0.5, name="app.good"),
        worker.started("good", 1.0),
        worker.succeeded("good", 3.0, runtime=2.0),
        web.sent("bad", 1.0, name="app.bad"),
        worker.received("bad", 1.5, name="app.bad"),
        worker.started("bad", 2.0),
        worker.failed("bad", 2.5, exception="ValueError('v')"),
        web.sent("open", 2.0, name="app.open", queue="q"),
    ]


def facts(*given, **options):
    return {each.label: each for each in drawn(*given, **options).facts}


def table(name, *given):
    return next(each for each in drawn(*given).tables if each.name == name)


def rows(name):
    found = table(name, *events())
    return [dict(zip([c.title for c in found.columns], row, strict=True)) for row in found.rows]


def test_the_head_counts_tasks_and_what_became_of_them():
    found = facts(*events())
    assert {label: found[label].value for label in ("Tasks", "Failed", "End not known")} == {
        "Tasks": "3",
        "Failed": "1",
        "End not known": "1",
    }


def test_what_deserves_a_look_is_marked():
    assert [label for label, each in facts(*events()).items() if each.tone == "bad"] == [
        "Failed",
        "End not known",
    ]


def test_of_nothing_nothing_is_claimed():
    found = facts()
    assert (found["Tasks"].value, found["Run, p95"].value, found["Seen"].value) == ("0", "-", "-")


def test_a_row_has_a_value_for_each_column():
    for each in drawn(*events()).tables:
        assert {len(row) for row in each.rows} <= {len(each.columns)}


def test_each_kind_of_table_is_there():
    assert [each.name for each in drawn(*events()).tables] == [
        "tasks",
        "failures",
        "unfinished",
        "queues",
        "workers",
        "slow-runs",
        "slow-traces",
    ]


def test_failures_lead_to_an_example():
    [row] = rows("failures")
    assert (row["Exception"], row["Task"], row["Failures"], row["Example"]) == (
        "ValueError",
        "app.bad",
        1,
        "bad",
    )


def test_ids_are_told_apart_from_texts():
    columns = table("failures", *events()).columns
    assert [each.title for each in columns if each.kind is Kind.TASK_ID] == ["Example"]


def test_what_did_not_end_is_listed_with_its_reason():
    [row] = rows("unfinished")
    assert (row["What"], row["Task"], row["Example"]) == ("UNKNOWN", "app.open", "open")


def test_what_is_left_out_is_said():
    worker = Process()
    tasks = []
    for number in range(15):
        name = f"app.{number}"
        tasks += [worker.received(name, 1.0, name=name), worker.started(name, 1.0)]
    assert (
        "Task names whose latencies are in the table only: 3." in drawn(*tasks, until=2.0).remarks
    )


def test_unseen_executions_are_said():
    worker = Process()
    given = [worker.online(0.0), worker.heartbeat(2.0, processed=0)]
    given += [worker.heartbeat(at, processed=5) for at in (4.0, 6.0, 8.0)]
    [remark] = [each for each in drawn(*given).remarks if each.startswith("Executions")]
    assert "not seen: 5;" in remark
