"""The browser of the tests itself: it notices what the other tests ask it about."""

from collections.abc import Callable
from pathlib import Path

from tests.browser import Tab, chromium, open_tab

__all__ = ["chromium", "open_tab"]

_SHELL = '<!doctype html><html lang="en"><title>Page</title><link rel="icon" href="data:,">{}'


def _page(directory: Path, body: str) -> str:
    place = directory / "page.html"
    place.write_text(_SHELL.format(body))
    return place.as_uri()


def test_a_page_without_fault_has_no_complaint(tmp_path: Path, open_tab: Callable[..., Tab]):
    home = _page(
        tmp_path, "<h1>Well</h1><img alt='' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
    )
    tab = open_tab(width=375, color_scheme="dark")
    tab.page.goto(home)
    assert tab.page.inner_text("h1") == "Well"
    assert tab.page.evaluate("innerWidth") == 375
    assert tab.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert tab.complaints == []
    assert tab.strayed(home) == []


def test_errors_of_the_console_and_of_the_page_are_heard(
    tmp_path: Path, open_tab: Callable[..., Tab]
):
    home = _page(tmp_path, "<script>console.error('first'); throw new Error('second')</script>")
    tab = open_tab()
    tab.page.goto(home)
    assert [complaint.split(": ")[-1] for complaint in tab.complaints] == ["first", "second"]


def test_what_a_page_fetches_from_elsewhere_has_strayed(
    tmp_path: Path, open_tab: Callable[..., Tab]
):
    home = _page(
        tmp_path, "<img alt='' src='http://127.0.0.1:9/pixel.gif'><img alt='' src='near.png'>"
    )
    tab = open_tab()
    tab.page.goto(home)
    near = home.replace("page.html", "near.png")
    assert sorted(tab.strayed(home)) == sorted([near, "http://127.0.0.1:9/pixel.gif"])
