"""What `top` draws: readable at any size, and nothing that others named is read as markup."""

import pytest
from msgspec import structs
from rich.console import Console

from stream.config import StuckLimits
from stream.core.engine import Engine
from stream.events import QueueDepth, QueueSample
from stream.page.query import wanted
from stream.top.screen import draw, problem, seconds, sparkline
from stream.top.site import Seen
from tests.builders import T0
from tests.page.cluster import Cluster, page_of


def seen_of(cluster):
    page = page_of(cluster)
    running = page.tasks(wanted({"where": "in_flight", "state": "started"}))
    page.sample()
    overview = structs.replace(page.overview(), series=page.series())
    return Seen(
        overview,
        page.queues(),
        page.workers(),
        page.periodic(),
        page.stuck(),
        page.failures(),
        running,
    )


def text_of(seen, width=100, height=60):
    console = Console(width=width, record=True, color_system=None)
    with console.capture() as captured:
        console.print(draw(seen, width=width, height=height))
    return captured.get()


@pytest.fixture
def cluster():
    cluster = Cluster(engine=Engine(stuck=StuckLimits(running=10.0)))
    cluster.feed(cluster.worker.online())
    cluster.run("good")
    cluster.fail("bad", at=2.0)
    cluster.start("runs", at=4.0)
    cluster.feed(cluster.worker.heartbeat(30.0, active=1, processed=3))
    cluster.sample(QueueSample(T0 + 30.0, "redis", (QueueDepth("mail", {0: 3}, "waits"),)))
    cluster.tick(31.0)
    return cluster


def test_everything_that_there_is_is_shown(cluster):
    text = text_of(seen_of(cluster))
    for word in ("healthy", "stuck 1", "mail", "w1@host", "ValueError", "Running for the longest"):
        assert word in text


def test_what_there_is_not_has_no_table():
    text = text_of(seen_of(Cluster()))
    assert "in flight 0" in text
    assert "Stuck" not in text
    assert "Queues" not in text


def test_it_says_what_a_workers_utilisation_is_a_share_of(cluster):
    assert "peak 1" in text_of(seen_of(cluster))
    cluster.ask(35.0, pool=4)
    assert "pool 4" in text_of(seen_of(cluster))


def test_periodic_tasks_come_last_unless_one_is_late(cluster):
    cluster.beat("a.digest", "b.hourly", every=30.0, times=5, at=40.0, queue="beat")
    cluster.tick(180.0)
    text = text_of(seen_of(cluster))
    assert text.index("Running for the longest") < text.index("Periodic tasks")
    cluster.run("a", at=190.0, name="a.digest", queue="beat")
    cluster.tick(205.0)
    text = text_of(seen_of(cluster))
    assert text.index("Stuck") < text.index("Periodic tasks") < text.index("Queues")
    rows = [line.split() for line in text.splitlines() if " beat " in line]
    assert [row[0] for row in rows] == ["b.hourly", "a.digest"]
    assert (rows[0][-2:], rows[1][-1]) == (["15", "s"], "–")  # noqa: RUF001


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (200, 60)])
def test_it_fits_the_terminal(width, height):
    cluster = Cluster()
    for number in range(40):
        cluster.start(f"runs-{number}", at=number)
        cluster.fail(f"bad-{number}", at=number, name=f"app.task_{number}")
    lines = text_of(seen_of(cluster), width, height).splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_a_table_that_does_not_fit_says_how_many_rows_there_are():
    cluster = Cluster()
    for number in range(40):
        cluster.start(f"runs-{number}", at=number)
    text = text_of(seen_of(cluster), height=20)
    assert " of 40)" in text


@pytest.mark.parametrize("name", ["[red]", "[/]", "[bold]x[/bold]", "a\nb", "[link=x]"])
def test_names_are_no_markup(name):
    cluster = Cluster()
    cluster.start("runs", name=name)
    assert name.split("\n")[0] in text_of(seen_of(cluster))


def test_what_others_named_does_not_reach_the_terminal_as_control_characters():
    bad = "w\x1b]0;PWNED\x07\x1b[2J\x9b1m\u202e"
    cluster = Cluster()
    cluster.worker.hostname = f"{bad}@host"
    cluster.feed(cluster.worker.online())
    cluster.start("runs", name=bad)
    cluster.fail("bad", name=bad, at=2.0)
    seen = seen_of(cluster)
    text = text_of(seen, width=200)
    assert "PWNED" in text
    assert [each for each in text if not each.isprintable() and each != "\n"] == []


def test_a_sentence_is_drawn_without_control_characters():
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(problem("no\x1b[2J answer"))
    assert captured.get() == "no [2J answer\n"


def test_durations_are_short():
    values = (None, 0.0, 0.25, 1.5, 59.0, 90.0, 7_200.0, 200_000.0)
    expected = ["–", "0 ms", "250 ms", "1.5 s", "59 s", "1.5 min", "2.0 h", "2.3 d"]  # noqa: RUF001
    assert [seconds(value) for value in values] == expected


def test_a_sparkline_has_the_last_values_from_nothing_to_the_highest():
    assert sparkline([9, 0, 1, 2, 4], 4) == "▁▃▅█"
    assert sparkline([], 4) == ""
    assert sparkline([0, 0], 4) == "▁▁"
