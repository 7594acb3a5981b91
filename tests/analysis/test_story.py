"""One task's story, as a tree."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from stream.analysis.story import Finder, Story, show_story
from stream.core.engine import Engine
from stream.errors import RefusedError
from tests.builders import T0, Process, feed, producer


def effects_of(*events):
    engine = Engine(records=True)
    effects = feed(engine, *events)
    for later in (200, 5_000, 200_000, 400_000):
        effects += engine.tick(T0 + later)
    return effects


def family():
    web, worker = producer(), Process()
    return effects_of(
        web.sent("root", 0.0, name="app.first"),
        worker.received("root", 0.1, name="app.first"),
        worker.started("root", 0.2),
        worker.sent("child", 0.3, name="app.second", root_id="root", parent_id="root"),
        worker.succeeded("root", 0.4, runtime=0.2),
        worker.received("child", 0.5, name="app.second", root_id="root", parent_id="root"),
        worker.started("child", 0.6),
        worker.retried("child", 0.7, exception="KeyError('k')"),
        worker.received("child", 1.0, name="app.second", retries=1, root_id="root"),
        worker.started("child", 1.1),
        worker.succeeded("child", 1.2, runtime=0.1),
        web.sent("stranger", 0.0),
    )


def told(uuid, effects):
    story = Story(uuid, "root")
    story.accept(effects)
    file = StringIO()
    show_story(Console(file=file, width=100), story)
    return file.getvalue()


@pytest.mark.parametrize("wanted", ["child", "chi"])
def test_a_task_is_found_by_its_id_or_its_beginning(wanted):
    finder = Finder(wanted)
    finder.accept(family())
    assert finder.found() == ("child", "root")


@pytest.mark.parametrize(("wanted", "sentence"), [("x", "no task"), ("", "several ids")])
def test_none_or_several_is_a_sentence(wanted, sentence):
    finder = Finder(wanted)
    finder.accept(family())
    with pytest.raises(RefusedError, match=sentence):
        finder.found()


def test_children_stand_below_their_parents_and_strangers_nowhere():
    lines = told("child", family()).splitlines()
    first = next(n for n, line in enumerate(lines) if "app.first" in line)
    second = next(n for n, line in enumerate(lines) if "app.second" in line)
    assert lines[first].index("app.first") < lines[second].index("app.second")
    assert first < second
    assert not any("stranger" in line for line in lines)


def test_each_delivery_is_told_with_its_times():
    shown = told("child", family())
    assert "+  500ms  received by w1@host (pid 100)" in shown
    assert "+  700ms  RETRY, ran 100ms: KeyError: k" in shown
    assert "received by w1@host (pid 100), retry 1" in shown


def test_the_task_that_was_asked_for_is_marked():
    (marked,) = (line for line in told("child", family()).splitlines() if "◀" in line)
    assert "app.second" in marked


def test_parents_in_a_circle_are_shown_once_each():
    web = producer()
    effects = effects_of(
        web.sent("root", 0.0, name="app.a", parent_id="b"),
        web.sent("b", 0.1, name="app.b", root_id="root", parent_id="root"),
    )
    assert told("root", effects).count("app.") == 2


def test_a_long_chain_is_shown_to_its_end():
    web = producer()
    events = [web.sent("root", 0.0, name="app.a")]
    for number in range(1, 300):
        parent = "root" if number == 1 else f"t{number - 1}"
        events.append(web.sent(f"t{number}", 0.01 * number, root_id="root", parent_id=parent))
    story = Story("root", "root")
    story.accept(effects_of(*events))
    file = StringIO()
    show_story(Console(file=file, width=80), story)
    assert "↳ app.task  UNKNOWN (inferred)  t299" in file.getvalue()


def test_the_one_that_is_asked_for_is_marked_among_others():
    lines = told("child", family()).splitlines()
    (marked,) = [line for line in lines if "◀" in line]
    assert marked.split("── ")[1].split() == [
        "app.second",
        "SUCCESS",
        "after",
        "900ms",
        "◀",
        "child",
    ]


def test_a_wait_is_said_to_be_from_the_eta_where_there_is_one():
    web, worker = producer(), Process()
    due = datetime.fromtimestamp(T0 + 5, UTC).isoformat()
    story = Story("a", "a")
    story.accept(
        effects_of(
            web.sent("a", 0.0, eta=due),
            worker.received("a", 0.1, eta=due),
            worker.started("a", 6.0),
            worker.succeeded("a", 7.0, runtime=1.0),
        )
    )
    file = StringIO()
    show_story(Console(file=file, width=100), story)
    assert "waited 1.00s from its ETA" in file.getvalue()
