"""A report in a terminal."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from stream.analysis.report import decode_report, encode_report
from stream.analysis.screen import show
from tests.analysis.watching import Watching
from tests.builders import Process, producer
from tests.properties.strategies import interleavings, stories


def shown(report, *, width=80):
    file = StringIO()
    show(Console(file=file, width=width, highlight=False), report)
    return file.getvalue()


@pytest.fixture
def report():
    """A report that has something of everything, under long names."""
    watching, worker, web = (
        Watching(),
        Process("celery@a-very-long-host.example.org", 1),
        producer(),
    )
    watching.feed(worker.online(0.0))
    for number in range(30):
        name = f"application.module.submodule.tasks.name_of_{number}"
        uuid = f"aaaaaaaa-0000-4000-8000-0000000000{number:02}"
        watching.feed(web.sent(uuid, 0.0, name=name, queue=f"queue-with-a-long-name-{number}"))
        watching.feed(worker.received(uuid, 0.4, name=name), worker.started(uuid, 1.0))
        exception = f"application.errors.VeryLongNameOfAnError{number}('{'why ' * 60}')"
        if number % 2:
            watching.feed(worker.failed(uuid, 2.0, exception=exception))
        elif number % 3:
            watching.feed(worker.succeeded(uuid, 2.0, runtime=1.0))
        watching.tick(2.0)
    return watching.report()


def test_eighty_columns_are_enough(report):
    assert max(map(len, shown(report).splitlines())) <= 80


def test_nothing_is_cut_but_names_and_messages(report):
    cut = [word for word in shown(report).split() if "…" in word and word != "…"]
    assert [word for word in cut if word[0].isdigit()] == []


def test_a_file_gets_no_control_sequences(report):
    assert "\x1b" not in shown(report)


def test_names_are_told_as_they_are_and_not_as_markup():
    watching, worker = Watching(), Process("[red]w@h")
    watching.feed(worker.online(0.0), worker.received("u", 0.1, name="[bold]x"))
    watching.feed(worker.started("u", 0.2), worker.failed("u", 0.3, exception="E('[/]')"))
    out = shown(watching.report())
    assert "[bold]x" in out
    assert "[red]w@h" in out
    assert "E: [/]" in out


def test_a_table_that_is_cut_says_so(report):
    assert "Tasks (10 of 30)" in shown(report)


@given(st.lists(stories(), max_size=4), st.data())
def test_whatever_happens_every_task_is_told_once_and_can_be_shown(families, data):
    lanes = [lane for family in families for lane in family]
    watching = Watching().feed(*data.draw(interleavings(lanes)))
    report = watching.report(until=60.0)
    uuids = {event.uuid for lane in lanes for event in lane}
    assert sum(report.states.values()) == len(uuids)
    assert max(map(len, shown(report).splitlines())) <= 80
    assert decode_report(encode_report(report)) == report


def test_an_empty_report_can_be_shown():
    assert "tasks" in shown(Watching().report())
