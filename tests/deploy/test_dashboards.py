"""The dashboards as Grafana and a person at night want them."""

import json
import re
from itertools import combinations

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from stream.deploy.boards import BOARDS, dashboards
from stream.deploy.names import Names, Series
from stream.deploy.panels import written
from stream.server.exposition import name_of
from stream.sinks import instruments as table
from stream.sinks.instruments import TABLE, Type

COLUMNS = 24
UNITS = {"none", "ops", "s", "ms", "percentunit", "bytes"}
EVERY = [(names, board) for names in Names for board in BOARDS]
# Fields that Grafana reads and that its schema has forgotten.
BEYOND_THE_SCHEMA = {"definition", "titleFormat", "step"}


def board_of(names, board):
    return json.loads(json.dumps(written(dashboards(names)[board])))


def panels_of(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard):
    return [target["expr"] for panel in panels_of(dashboard) for target in panel["targets"]]


@pytest.mark.parametrize(("names", "board"), EVERY)
def test_grafanas_own_schema_has_every_field(names, board):
    ours = board_of(names, board)
    theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    assert lost_from(ours, theirs) <= BEYOND_THE_SCHEMA


def lost_from(ours, theirs):
    """The names of fields that do not survive being read and written by the schema's types."""
    if isinstance(ours, dict):
        assert isinstance(theirs, dict)
        return set().union(
            *(
                lost_from(value, theirs[name]) if name in theirs else {name}
                for name, value in ours.items()
                if value is not None
            )
        )
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        return set().union(*(lost_from(*pair) for pair in zip(ours, theirs, strict=True)))
    assert ours == theirs
    return set()


def test_the_schema_would_notice_a_field_that_is_not_there():
    dashboard = board_of(Names.PROMETHEUS, "overview")
    dashboard["panels"][1]["titel"] = "x"
    theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert "titel" in lost_from(dashboard, theirs)


@pytest.mark.parametrize(("names", "board"), EVERY)
def test_each_panel_says_what_it_is_and_in_what_unit(names, board):
    for panel in panels_of(board_of(names, board)):
        assert panel["title"], panel
        assert len(panel["description"]) > 15, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0


@pytest.mark.parametrize(("names", "board"), EVERY)
def test_panels_have_numbers_and_places_of_their_own(names, board):
    dashboard = board_of(names, board)
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert sorted(numbers) == sorted(set(numbers))
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    assert not [(a, b) for a, b in combinations(places, 2) if overlap(a, b)]


def overlap(a, b):
    return (
        a["x"] < b["x"] + b["w"]
        and b["x"] < a["x"] + a["w"]
        and a["y"] < b["y"] + b["h"]
        and b["y"] < a["y"] + a["h"]
    )


def test_dashboards_are_told_apart_and_find_each_other():
    boards = [board_of(Names.PROMETHEUS, board) for board in BOARDS]
    uids = [board["uid"] for board in boards]
    assert len(set(uids)) == len(uids) == 5
    assert all(re.fullmatch(r"[a-z-]{1,40}", uid) for uid in uids)
    for board in boards:
        assert board["links"][0]["tags"] == ["celery-stream"]
        assert "celery-stream" in board["tags"]


@pytest.mark.parametrize(("names", "board"), EVERY)
def test_a_query_uses_the_variables_that_there_are_and_all_of_them_are_used(names, board):
    dashboard = board_of(names, board)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\{?(\w+)", " ".join(expressions(dashboard))))
    assert used | {"datasource"} == variables


@pytest.mark.parametrize(("names", "board"), EVERY)
def test_every_selector_is_limited_to_the_job(names, board):
    for expr in expressions(board_of(names, board)):
        selectors = re.findall(r"(?:(?:celery|stream)_\w+)?\{[^}]*\}", expr)
        assert selectors
        assert all('job=~"$job"' in selector for selector in selectors), expr


@pytest.mark.parametrize("board", BOARDS)
def test_what_concerns_the_process_is_shown_whichever_broker_is_chosen(board):
    selectors = re.findall(
        r"((?:celery|stream)_\w+)\{([^}]*)\}",
        " ".join(expressions(board_of(Names.PROMETHEUS, board))),
    )
    limited = {name: 'broker=~"$broker"' in matchers for name, matchers in selectors}
    of_process = re.compile(r"stream_(export|spool|spans|loop)_")
    assert limited == {name: not of_process.match(name) for name in limited}


@pytest.mark.parametrize("board", BOARDS)
def test_both_sets_of_names_ask_the_same(board):
    """One is made from the other by the usual translation and nothing else."""
    translated = {
        f"{each.name}{part}": f"{name_of(each)}{'_total' * (each.type is Type.COUNTER)}{part}"
        for each in TABLE
        for part in (("_bucket", "_sum", "_count") if each.bounds else ("",))
    }

    def translate(found):
        return f"{translated[found[1]]}{{{found[2]}}}"

    sent = [
        re.sub(r'\{__name__="([^"]+)",([^}]*)\}', translate, expr)
        for expr in expressions(board_of(Names.OTLP, board))
    ]
    assert sent == expressions(board_of(Names.PROMETHEUS, board))


def test_a_selector_without_matchers_is_a_bare_name():
    assert Series(Names.PROMETHEUS)(table.QUEUE_DEPTH) == "celery_queue_depth"
    assert Series(Names.OTLP)(table.QUEUE_DEPTH) == '{__name__="celery.queue.depth"}'


def test_a_rate_over_all_is_0_before_anything_happened():
    rate = Series(Names.PROMETHEUS).rate(table.TASK_LOST)
    assert rate == "(sum(rate(celery_task_lost_total[$__rate_interval])) or vector(0))"
