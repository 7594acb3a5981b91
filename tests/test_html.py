"""The page that `replay --html` writes, in a real browser."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe

from stream.cli import main
from tests.browser import chromium, open_tab
from tests.builders import T0
from tests.servers import ROOT, wait_for

__all__ = ["chromium", "open_tab"]

CAPTURE = ROOT / "tests" / "captures" / "redis-5.7.0-core-prefork" / "raw.jsonl.gz"
CHARTS = ("throughput", "failures", "run", "wait", "queues", "load", "lanes")
HOSTILE = "</script><img src=x onerror=alert(1)>$$x$$<b>"
# Pixels of one of the page's colours in the canvases of a chart.
PIXELS = """([chart, name]) => {
  const wanted = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const canvases = (root) => [...root.querySelectorAll('*')].flatMap((each) =>
    each.shadowRoot ? canvases(each.shadowRoot) : each.tagName === 'CANVAS' ? [each] : []);
  let found = 0;
  for (const canvas of canvases(document.querySelector(`[data-chart=${chart}]`))) {
    if (!canvas.width || !canvas.height) continue;
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
      const colour = [0, 1, 2].map((k) => data[i + k].toString(16).padStart(2, '0')).join('');
      found += data[i + 3] === 255 && `#${colour}` === wanted;
    }
  }
  return found;
}"""
OF_TASKS = ("one", "two", "three", "four")
COLOURS = {"failures": "two", "run": "one", "wait": "one", "queues": "one", "load": "one"}


def page_of(folder, capture, *options):
    target = folder / "report.html"
    assert main(["replay", str(capture), "--html", str(target), *options]) == 0
    return target.as_uri()


@pytest.fixture(scope="module", autouse=True)
def homes(tmp_path_factory):
    """The pages, made before the browser starts: a replay wants a loop of its own as well."""
    usual, nothing, hostile = (tmp_path_factory.mktemp(each) for each in ("a", "b", "c"))
    return {
        "usual": page_of(usual, CAPTURE),
        "nothing": page_of(nothing, CAPTURE, "--task", "nothing"),
        "hostile": page_of(hostile, hostile_capture(hostile)),
    }


@pytest.fixture
def opened(homes, open_tab):
    """The page in a tab, drawn; in the end nothing was complained of and nothing asked for."""
    tabs = []

    def make(which="usual", **options):
        tab, address = open_tab(**options), homes[which]
        tabs.append((tab, address))
        tab.page.goto(address)
        tab.page.locator("#facts div").first.wait_for()
        return tab

    yield make
    for tab, address in tabs:
        assert tab.complaints == []
        assert tab.strayed(address) == []


def pixels(tab, chart, name):
    return tab.page.evaluate(PIXELS, [chart, name])


def wait_for_marks(tab, chart):
    name = COLOURS.get(chart, "ok")
    wait_for(lambda: pixels(tab, chart, name) > 3)


def told_load(tab):
    """What the chart of the load says of the instant at the cursor."""
    return tab.page.locator("[data-chart=load] .legend b").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_every_chart_has_marks_and_nothing_is_wider_than_the_page(opened, width, scheme):
    tab = opened(width=width, color_scheme=scheme)
    for chart in CHARTS:
        wait_for_marks(tab, chart)
    assert tab.page.evaluate("document.documentElement.dataset.theme") == scheme
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (375, "dark")])
def test_nothing_is_in_the_way_of_assistive_technology(opened, width, scheme):
    # The audit brings a script of its own, which the page's policy would not let run.
    tab = opened(width=width, color_scheme=scheme, bypass_csp=True)
    wait_for_marks(tab, "lanes")
    found = Axe().run(tab.page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_the_theme_can_be_changed_and_charts_follow(opened):
    tab = opened(color_scheme="light")
    wait_for_marks(tab, "lanes")
    light = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.page.click("#theme")
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    wait_for_marks(tab, "lanes")  # in the colour of the other theme


def test_a_filter_leaves_the_rows_with_all_its_words(opened):
    page = opened().page
    page.click("[data-table=tasks]")
    before = page.locator("tbody tr").count()
    page.fill("[aria-label='Filter Tasks']", "CAPAPP hard")
    names = page.locator("tbody tr td:first-child").all_inner_texts()
    assert names == ["capapp.hard_limit", "capapp.hard_limit_late"]
    page.fill("[aria-label='Filter Tasks']", "")
    assert page.locator("tbody tr").count() == before > 2


def test_a_click_on_a_column_sorts_and_another_turns_it_round(opened):
    page = opened().page
    page.click("[data-table=tasks]")
    numbers = "tbody tr td:nth-child(2)"
    page.get_by_role("button", name="Sort by Tasks").click()
    down = [int(each) for each in page.locator(numbers).all_inner_texts()]
    assert down == sorted(down, reverse=True)
    assert len(set(down)) > 1
    page.get_by_role("button", name="Sort by Tasks").click()
    assert [int(each) for each in page.locator(numbers).all_inner_texts()] == sorted(down)


def test_zoom_makes_bars_wider_and_back(opened):
    tab = opened()
    wait_for_marks(tab, "lanes")
    page = tab.page
    whole = page.inner_text("#shown")
    for _ in range(2):
        page.click("[data-move=in]")
    wait_for(lambda: page.inner_text("#shown") != whole)
    assert page.evaluate(SHOWN_SECONDS) == pytest.approx(24.87 / 4, abs=0.3)
    page.click("[data-move=all]")
    wait_for(lambda: page.inner_text("#shown") == whole)


HELD_STILL_MS = 500
"""Longer than Bokeh waits before it takes a hand that holds still for a long press."""

SHOWN_SECONDS = """() => {
  const { start, end } = Bokeh.documents[0].roots()[0].x_range;
  return (end - start) / 1000;
}"""


def test_a_drag_across_a_chart_zooms_all_of_them(opened):
    tab = opened()
    wait_for_marks(tab, "throughput")
    page = tab.page
    before = pixels(tab, "lanes", "ok")
    place = page.locator("[data-chart=throughput] .plot")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    x, y = box["x"] + 60, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.wait_for_timeout(HELD_STILL_MS)  # people do, and so does a slow machine
    page.mouse.move(x + 60, y, steps=4)
    page.mouse.up()
    wait_for(lambda: page.evaluate(SHOWN_SECONDS) < 5)
    wait_for(lambda: pixels(tab, "lanes", "ok") > 1.5 * before)


def test_the_cursor_tells_the_values_of_all_charts(opened):
    tab = opened()
    wait_for_marks(tab, "throughput")
    place = tab.page.locator("[data-chart=throughput] .plot")
    place.scroll_into_view_if_needed()
    place.hover(position={"x": 120, "y": 80})
    told = wait_for(lambda: told_load(tab))
    assert told.replace(".", "").isdigit()


def test_the_latencies_of_one_task_can_be_chosen(opened):
    tab = opened()
    wait_for_marks(tab, "run")
    before = pixels(tab, "run", "one")
    tab.page.select_option("[aria-label='Tasks of Run time']", label="capapp.sleep")
    wait_for(lambda: 0 < pixels(tab, "run", "one") < before)


def test_bars_can_be_coloured_by_task(opened):
    tab = opened()
    wait_for_marks(tab, "lanes")
    new = [name for name in OF_TASKS if not pixels(tab, "lanes", name)]
    tab.page.select_option("[aria-label='Colours of the bars']", label="colour: task")
    wait_for(lambda: any(pixels(tab, "lanes", name) for name in new))


def test_an_example_of_a_failure_opens_its_trace(opened):
    page = opened().page
    page.click("[data-table=failures]")
    page.fill("[aria-label='Filter Failures']", "KeyError")
    example = page.locator("tbody button.link").first
    uuid = example.get_attribute("title")
    example.click()
    shown = page.locator("[aria-label='The chosen trace']")
    assert uuid in shown.inner_text()
    assert shown.locator(".track .ran").count() >= 1
    assert "KeyError" in shown.inner_text()


def test_a_trace_is_found_by_the_id_of_any_of_its_tasks(opened):
    page = opened().page
    page.click("[data-table=slow-traces]")
    uuid = page.locator("tbody button.link").first.get_attribute("title")
    page.fill("[aria-label='Search the kept traces']", uuid)
    assert page.locator("[data-trace]").count() == 1
    page.fill("[aria-label='Search the kept traces']", "no such task")
    assert page.locator("[data-trace]").count() == 0


def test_a_bar_of_a_worker_opens_its_trace(opened):
    tab = opened()
    wait_for_marks(tab, "lanes")
    place = tab.page.locator("[data-chart=lanes] .plot")
    place.scroll_into_view_if_needed()
    width = place.bounding_box()["width"]
    # capapp.ignored is under way in the first row for a quarter of the time.
    place.click(position={"x": width * 0.2, "y": 30})
    wait_for(lambda: tab.page.inner_text(".head h3") == "capapp.ignored")


def hostile_capture(folder):
    """Events in which everything that may be any text is hostile."""
    fields = {"hostname": HOSTILE, "pid": 1, "uuid": HOSTILE, "name": HOSTILE, "retries": 0}
    steps = (
        ("task-sent", 0.0, {"queue": HOSTILE, "hostname": f"{HOSTILE}@web"}),
        ("task-received", 2.5, {}),
        ("task-started", 3.0, {}),
        ("task-failed", 4.0, {"exception": f"{HOSTILE}({HOSTILE!r})", "traceback": HOSTILE}),
        ("worker-heartbeat", 5.0, {"active": 0, "processed": 1, "freq": 2.0}),
        ("worker-heartbeat", 9.0, {"active": 0, "processed": 1, "freq": 2.0}),
    )
    path = folder / "capture.jsonl"
    lines = [
        {**fields, "type": kind, "timestamp": T0 + at, "_t_recv": T0 + at, "clock": clock, **more}
        for clock, (kind, at, more) in enumerate(steps)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_hostile_texts_are_shown_as_they_are_and_do_nothing(opened):
    tab = opened("hostile")
    wait_for_marks(tab, "load")
    page = tab.page
    for name in ("tasks", "failures", "queues", "workers", "slow-runs"):
        page.click(f"[data-table={name}]")
        assert HOSTILE in page.locator("tbody").inner_text()
    assert HOSTILE in page.locator("[aria-label='The chosen trace']").inner_text()
    assert page.locator("img, main b:not(.legend b)").count() == 0


def test_a_page_of_nothing_says_so(opened):
    page = opened("nothing").page
    assert "Nothing ended." in page.inner_text("#charts")
    assert "No trace is kept." in page.inner_text("#waterfall")
    assert "There are none." in page.inner_text("#listings")


def on_a_phone(opened):
    """The page on a phone, and where one of its charts is."""
    tab = opened(width=375, has_touch=True, is_mobile=True)
    wait_for_marks(tab, "throughput")
    place = tab.page.locator("[data-chart=throughput] .plot")
    place.scroll_into_view_if_needed()
    return tab, place


def test_a_tap_tells_the_values(opened):
    tab, place = on_a_phone(opened)
    place.tap(position={"x": 80, "y": 80})
    wait_for(lambda: told_load(tab))


def test_a_finger_on_a_chart_scrolls_the_page(opened):
    tab, place = on_a_phone(opened)
    box, before = place.bounding_box(), tab.page.evaluate("scrollY")
    browser = tab.page.context.new_cdp_session(tab.page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for step in range(11):
        kind = "touchMove" if step else "touchStart"
        points = [{"x": x, "y": y - 20 * step}]
        browser.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    browser.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_for(lambda: tab.page.evaluate("scrollY") > before + 100)
    assert not tab.page.locator(".mouse").is_visible()
