"""The live page in a real browser: it shows, follows, finds, and can be used by everybody."""

import json
import re
from datetime import UTC, datetime
from functools import partial

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from stream.config import AccessSettings, StuckLimits
from stream.core.engine import Engine
from stream.events import QueueDepth, QueueSample
from stream.page.telling import Telling
from stream.server.health import Checks, Details, Health
from tests.browser import chromium, open_tab
from tests.builders import T0
from tests.page.cluster import REDACTION, Cluster, page_of
from tests.page.site import site

__all__ = ["chromium", "open_tab"]

IN_FLIGHT = 10_000
LONG_MS = 100
HAS_TASK = re.compile("#task")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
TELLING = Telling(REDACTION, trace_url="https://traces.example/{trace_id}")
ILL = Health(
    "unhealthy",
    Checks(broker=True, worker=False, events=True, export=True),
    Details("", "no worker was seen yet", "", ""),
)
TRACED = ("toplevel", "devtools.timeline")
"""What tells of each task of each thread how much CPU time it took."""


def filled():
    """A cluster with something of everything, and a story or two."""
    cluster = Cluster(engine=Engine(stuck=StuckLimits(running=10.0)))
    worker = cluster.worker
    cluster.feed(worker.online())
    cluster.start("stuck", name="reports.daily", queue="reports")
    for number in range(20):
        cluster.run(f"good{number}", at=1.0 + number / 10, name="mail.send", queue="mail")
    cluster.start("bad", at=4.0, name="pay.charge", queue="pay")
    cluster.feed(
        worker.retried("bad", 5.0, exception="Timeout('slow')"),
        worker.received("bad", 6.0, name="pay.charge", retries=1),
        worker.started("bad", 6.1),
        worker.failed("bad", 7.0, exception="Declined('no funds')", traceback="Traceback: x" * 99),
    )
    cluster.feed(worker.heartbeat(20.0, active=1, processed=23))
    depths = (QueueDepth("mail", {0: 4}, unacknowledged=1), QueueDepth("pay", {0: 0}))
    cluster.sample(QueueSample(T0 + 20.0, "redis", depths, 1))
    cluster.tick(21.0)
    return cluster


def beating():
    """The same with a schedule of two tasks, of which one is not sent any more."""
    cluster = filled()
    cluster.beat("mail.digest", "reports.hourly", every=30.0, times=5, at=30.0, queue="beat")
    cluster.run("digest", at=180.0, name="mail.digest", queue="beat")
    cluster.feed(cluster.worker.heartbeat(189.0, active=1, processed=34))
    cluster.tick(190.0)
    return cluster


@pytest.fixture
def shown():
    """The page of such a cluster, served."""
    cluster = filled()
    with site(cluster, page=page_of(cluster, telling=TELLING)) as found:
        yield found


@pytest.fixture
def tab(open_tab, shown):
    """A tab with the page, and nothing to complain of when the test is over."""
    tab = open_tab()
    visit(tab, shown)
    yield tab
    assert tab.complaints == []
    assert tab.strayed(shown.url) == []


def visit(tab, shown, path="/"):
    tab.page.goto(f"{shown.url}{path}")
    expect(tab.page.locator("#tasks-rows tr").first).to_be_visible()
    expect(tab.page.locator("#workers-rows tr").first).to_be_visible()


def violations(tab):
    """What axe-core finds, one line for each place."""
    found = Axe().run(tab.page, options=RULES).response["violations"]
    return [
        f"{each['id']}: {node['html'][:120]} {node.get('failureSummary', '')}"
        for each in found
        for node in each["nodes"]
    ]


def names(tab):
    return tab.page.locator("#tasks-rows tr a.name").all_inner_texts()


# -- showing ------------------------------------------------------------------------------------


def test_it_shows_the_cluster(tab):
    page = tab.page
    expect(page.locator("#health")).to_have_text("healthy")
    expect(page.locator("#tiles .tile")).to_have_count(8)
    expect(page.locator(".tile", has_text="In flight").locator(".value")).to_contain_text("1 tasks")
    expect(page.locator("#stuck-rows")).to_contain_text("It runs for longer than 10 s")
    expect(page.locator("#failures-rows")).to_contain_text("Declined")
    expect(page.locator("#failures-rows")).to_contain_text("Timeout")
    expect(page.locator("#queues-rows tr").first).to_contain_text("mail")
    expect(page.locator("#workers-rows")).to_contain_text("w1@host")
    expect(page.locator("#found")).to_have_text(
        "22 shown of 1 in flight and 21 of the last 21 that ended"
    )


def test_what_happens_is_shown_without_a_reload(tab, shown):
    page = tab.page
    page.evaluate("window.same = true")
    cluster = shown.cluster
    shown.do(lambda: cluster.fail("new", at=30.0, name="pay.refund", exception="KeyError('now')"))
    expect(page.locator("#failures-rows")).to_contain_text("KeyError")
    expect(page.locator("#tasks-rows")).to_contain_text("pay.refund")
    shown.do(lambda: cluster.feed(cluster.worker.succeeded("stuck", 31.0)))
    expect(page.locator("#stuck-empty")).to_be_visible()
    assert page.evaluate("window.same")


def test_it_says_what_a_workers_utilisation_is_a_share_of(tab, shown):
    busy = tab.page.locator("#workers-rows td").nth(4)
    expect(busy).to_contain_text("of peak 1")
    shown.do(lambda: shown.cluster.ask(25.0, pool=4))
    expect(busy).to_have_text("25\u00a0%of pool 4")


def test_periodic_tasks_are_shown_where_there_are_any_and_late_ones_alarm(open_tab, tab):
    expect(tab.page.locator("#periodic")).to_be_hidden()
    expect(tab.page.locator("#periodic-link")).to_be_hidden()
    with site(beating()) as shown:
        late = open_tab()
        late.page.clock.set_fixed_time(datetime.now(UTC))  # else it is 11 s after one
        visit(late, shown)
        rows = late.page.locator("#periodic-rows tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text(
            "reports.hourly late beat 30\u00a0s learned", use_inner_text=True
        )
        expect(rows.first.locator("td.flag")).to_have_text("10\u00a0s")
        expect(rows.last.locator("td.flag")).to_have_count(0)
        expect(late.page.locator("#periodic-count")).to_have_text("1")
        cluster = shown.cluster
        shown.do(lambda: cluster.run("hourly", at=191.0, name="reports.hourly", queue="beat"))
        expect(late.page.locator("#periodic-rows .flag")).to_have_count(0)
        expect(late.page.locator("#periodic-count")).to_be_hidden()
        assert late.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_periodic_tasks_can_be_read_by_everybody(open_tab, width, scheme):
    with site(beating()) as shown:
        tab = open_tab(width=width, color_scheme=scheme)
        visit(tab, shown)
        expect(tab.page.locator("#periodic-rows .flag")).to_be_visible()
        assert violations(tab) == []
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def longest_task(browser, tab, do):
    """Milliseconds of CPU time that the page's thread took in one go while something was done.

    Not the page's own longtask entries: they are of wall time, on a busy machine that of others.
    """
    browser.start_tracing(page=tab.page, categories=list(TRACED))
    try:
        do()
    finally:
        traced = json.loads(browser.stop_tracing())["traceEvents"]
    threads = {  # of the renderer
        (event["pid"], event["tid"])
        for event in traced
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event.get("tdur", 0) / 1000
        for event in traced
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in threads
    ]
    assert len(tasks) > 100, "the trace is of something"
    return max(tasks)


def follow_and_search(tab, shown, *, search, told):
    visit(tab, shown)
    cluster = shown.cluster
    before = cluster.at
    for step in range(1, 4):
        shown.do(lambda at=before + step: cluster.run(f"x{at}", at=at, name=f"live.{at}"))
        ended = f"the last {len(cluster.history)} that ended"
        expect(tab.page.locator("#found")).to_contain_text(ended)
    tab.page.fill("#q", search)
    expect(tab.page.locator("#found")).to_have_text(f"{told} in flight and 0 of {ended}")
    assert tab.complaints == []


def test_ten_thousand_tasks_in_flight_make_no_long_task(chromium, open_tab, shown):
    crowded = filled()
    for number in range(IN_FLIGHT):
        crowded.feed(
            crowded.shop.sent(f"w{number}", 22.0, name=f"bulk.{number % 50}", queue="bulk")
        )
    tab = open_tab()
    with site(crowded) as many:
        visited = partial(follow_and_search, tab, many, search="w99", told="50 shown of 111")
        longest = longest_task(chromium, tab, visited)
    # On a slow machine it takes long with a single task in flight as well.
    visited = partial(follow_and_search, tab, shown, search="stuck", told="1 shown of 1")
    assert longest < max(LONG_MS, 3 * longest_task(chromium, tab, visited))


def test_what_a_task_says_is_never_markup(tab, shown):
    cluster, evil = shown.cluster, "<img src=x onerror=window.evil=1>"
    shown.do(
        lambda: cluster.fail(evil, at=30.0, name=evil, queue=evil, exception=f"{evil}('{evil}')")
    )
    tab.page.fill("#q", "<img")
    row = tab.page.locator("#tasks-rows tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(evil)
    row.locator("a.name").click()
    expect(tab.page.locator("#task-title")).to_have_text(evil)
    assert tab.page.evaluate("window.evil") is None


def test_it_says_when_the_service_is_gone_and_comes_back_by_itself(open_tab):
    cluster = filled()
    tab = open_tab()
    with site(cluster) as shown:
        visit(tab, shown)
    expect(tab.page.locator("#health")).to_have_text("no connection")
    expect(tab.page.locator("#notice")).to_contain_text("The service does not answer")


def test_it_says_what_is_not_well(open_tab):
    cluster = Cluster()
    with site(cluster, page=page_of(cluster, health=ILL)) as shown:
        tab = open_tab()
        tab.page.goto(shown.url)
        expect(tab.page.locator("#health")).to_have_text("not healthy")
        expect(tab.page.locator("#notice")).to_have_text("worker: no worker was seen yet")
        expect(tab.page.locator("#workers-empty")).to_be_visible()
        assert violations(tab) == []


# -- finding ------------------------------------------------------------------------------------


def test_a_slash_leads_to_the_search_and_escape_out_of_it(tab):
    page = tab.page
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("pay/")
    expect(page.locator("#q")).to_have_value("pay/")
    page.keyboard.press("Escape")
    expect(page.locator("#q")).not_to_be_focused()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("charge", ["pay.charge"]),
        ("state:failure", ["pay.charge"]),
        ("queue:rep* w1@", ["reports.daily"]),
        ("stuck", ["reports.daily"]),
        ("nothing-like-that", []),
    ],
)
def test_tasks_are_found(tab, text, expected):
    tab.page.fill("#q", text)
    expect(tab.page.locator("#tasks-rows tr a.name")).to_have_text(expected)
    assert tab.page.locator("#tasks-empty").is_visible() == (not expected)


def test_what_was_searched_for_is_in_the_address(tab):
    tab.page.fill("#q", "charge")
    tab.page.select_option("#state", "FAILURE")
    expect(tab.page.locator("#tasks-rows tr")).to_have_count(1)
    tab.page.reload()
    expect(tab.page.locator("#q")).to_have_value("charge")
    expect(tab.page.locator("#state")).to_have_value("FAILURE")
    expect(tab.page.locator("#tasks-rows tr")).to_have_count(1)


def test_more_are_shown_when_asked_for(tab, shown):
    cluster = shown.cluster

    def many():
        for number in range(120):
            cluster.feed(cluster.shop.sent(f"m{number}", 22.0, name="many"))

    shown.do(many)
    tab.page.fill("#q", "many")
    expect(tab.page.locator("#tasks-rows tr")).to_have_count(50)
    tab.page.click("#more")
    expect(tab.page.locator("#tasks-rows tr")).to_have_count(100)


def test_tasks_of_one_broker_can_be_chosen(open_tab):
    brokers = {"shop": filled(), "mail": Cluster()}
    brokers["mail"].run("only", name="mail.only")
    with site(brokers["shop"], page=page_of(brokers=brokers)) as shown:
        tab = open_tab()
        visit(tab, shown)
        tab.page.select_option("#broker", "mail")
        expect(tab.page.locator("#tasks-rows tr a.name")).to_have_text(["mail.only"])
        assert tab.complaints == []


# -- one task -----------------------------------------------------------------------------------


def test_a_task_tells_its_story(tab):
    page = tab.page
    page.fill("#q", "charge")
    page.locator("#tasks-rows a.name", has_text="pay.charge").click()
    sheet = page.locator("#task")
    expect(sheet).to_be_visible()
    expect(sheet.locator(".delivery")).to_have_count(2)
    expect(sheet.locator(".timeline")).to_have_attribute("aria-label", "2 deliveries in 3.0\u00a0s")
    expect(sheet).to_contain_text("Timeout: slow")
    expect(sheet).to_contain_text("Declined: no funds")
    trace = sheet.get_by_text("Open the trace")
    expect(trace).to_have_attribute("rel", "noreferrer noopener")
    assert trace.get_attribute("href").startswith("https://traces.example/")
    assert violations(tab) == []
    page.keyboard.press("Escape")
    expect(sheet).not_to_be_visible()
    expect(page).not_to_have_url(HAS_TASK)  # a dialog tells a moment later that it closed


def test_waiting_for_an_eta_is_told_from_waiting_for_the_worker(open_tab):
    cluster = filled()
    eta = datetime.fromtimestamp(T0 + 28.0, UTC).isoformat()
    cluster.feed(
        cluster.shop.sent("eta", 22.0, eta=eta),
        cluster.worker.received("eta", 23.0, eta=eta),
        cluster.worker.started("eta", 28.5),
        cluster.worker.succeeded("eta", 29.0, runtime=0.5),
    )
    with site(cluster) as shown:
        tab = open_tab()
        visit(tab, shown, "/#task/eta")
        bars = tab.page.locator("#task .timeline rect:not(.track)")
        expect(bars).to_have_count(4)
        kinds = [bars.nth(number).get_attribute("class") for number in range(4)]
        assert kinds == ["waiting", "due", "fetched", "succeeded"]
        widths = [round(float(bars.nth(number).get_attribute("width"))) for number in range(4)]
        assert widths == [86, 429, 43, 43]  # 1, 5, 0.5 and 0.5 of 7 s
        expect(tab.page.locator("#task .legend")).to_contain_text("before its ETA")


def test_a_task_has_an_address(open_tab, shown):
    tab = open_tab()
    visit(tab, shown, "/#task/stuck")
    expect(tab.page.locator("#task-title")).to_have_text("reports.daily")
    shown.do(lambda: shown.cluster.feed(shown.cluster.worker.succeeded("stuck", 31.0)))
    expect(tab.page.locator("#task header").first).to_contain_text("SUCCESS")
    tab.page.go_back()


def test_a_task_that_is_not_known_is_said_to_be(open_tab, shown):
    tab = open_tab()
    visit(tab, shown, "/#task/nobody")
    expect(tab.page.locator("#task-sheet")).to_contain_text("No such task")


# -- for everybody ------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_it_can_be_read_and_used_by_everybody(open_tab, shown, width, scheme):
    tab = open_tab(width=width, color_scheme=scheme)
    visit(tab, shown)
    assert violations(tab) == []
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.page.goto(f"{shown.url}/#task/bad")
    expect(tab.page.locator("#task .delivery")).to_have_count(2)
    assert violations(tab) == []
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.complaints == []


def test_colours_can_be_chosen_and_are_remembered(tab):
    page = tab.page
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    page.click("#theme")
    expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
    assert page.evaluate(paper) != light
    page.reload()
    expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
    assert page.evaluate(paper) != light


@pytest.mark.parametrize("width", [1280, 375])
def test_the_api_is_described_for_people(open_tab, shown, width):
    tab = open_tab(width=width)
    tab.page.goto(f"{shown.url}/api")
    expect(tab.page.locator("#paths section")).to_have_count(9)
    tab.page.get_by_role("link", name="TaskDetail", exact=True).first.click()
    expect(tab.page.locator("#TaskDetail")).to_have_attribute("open", "")
    assert violations(tab) == []
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.complaints == []
    assert tab.strayed(shown.url) == []


def test_the_password_may_be_in_the_address(open_tab):
    cluster = filled()
    with site(cluster, access=AccessSettings(basic="me:pass")) as shown:
        tab = open_tab()
        tab.page.goto(shown.url.replace("://", "://me:pass@"))
        expect(tab.page.locator("#workers-rows tr")).to_have_count(1)
        tab.page.fill("#q", "charge")
        expect(tab.page.locator("#tasks-rows tr")).to_have_count(1)
        assert tab.complaints == []


def test_a_browser_that_has_the_password_sees_all_of_it(open_tab):
    cluster = filled()
    with site(cluster, access=AccessSettings(basic="me:pass")) as shown:
        tab = open_tab(http_credentials={"username": "me", "password": "pass"})
        visit(tab, shown)
        shown.do(lambda: cluster.fail("new", at=30.0, exception="KeyError('now')"))
        expect(tab.page.locator("#failures-rows")).to_contain_text("KeyError")
