"""Debian's Chromium without a window, driven by Playwright, as one fixture: `open_tab`.

A tab remembers what a user would call broken: what the console and the page complained of, and each
request that went elsewhere. The tests of one module share a browser, each test in profiles of its
own. Playwright's loop runs in their thread as long as the browser does, so none of them can want a
loop there too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.needs import lacking

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # tests may run as root in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # What the browser itself asks of the network.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_WAIT_MS = 20_000
_WITHIN = {"data", "blob", "about"}
"""Schemes of addresses that lie in the page itself."""


def require_chromium() -> None:
    """Skip where Chromium is not installed; fail instead where ``STREAM_CI`` says it must be."""
    if not (CHROMIUM.is_file()):
        lacking("Debian's package chromium")


@dataclass
class Tab:
    """A page of the browser and what went wrong in it.

    Attributes:
        complaints: errors and warnings of the console, and exceptions that nobody caught.
        requests: every address that was asked for, the page's own among them.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda problem: self.complaints.append(str(problem)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def strayed(self, home: str) -> list[str]:
        """Requests that went elsewhere than to the origin of *home*.

        A file has no origin: of a ``file:`` address, everything but the file itself has strayed.
        """
        return [url for url in self.requests if not _stays(url, home)]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")


def _stays(url: str, home: str) -> bool:
    asked, own = urlsplit(url), urlsplit(home)
    if asked.scheme in _WITHIN:
        return True
    if own.scheme == "file":
        return (asked.scheme, asked.path) == (own.scheme, own.path)
    return (asked.scheme, asked.netloc) == (own.scheme, own.netloc)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser of this module's own; its directory is new and goes with it."""
    require_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=list(_ARGUMENTS),
            timeout=0,  # pytest has one
        )
        yield browser
        browser.close()


@pytest.fixture
def open_tab(chromium: Browser) -> Iterator[Callable[..., Tab]]:
    """Make an empty tab in a new profile: ``open_tab(width=375, color_scheme="dark")``.

    Further arguments are those of Playwright's ``new_context``; the tab's waits end after 20 s.
    """
    expect.set_options(timeout=_WAIT_MS)
    profiles = []

    def make(*, width: int = 1280, height: int = 800, **context: Any) -> Tab:
        viewport = {"width": width, "height": height}
        profile = chromium.new_context(viewport=viewport, **context)
        profiles.append(profile)
        page = profile.new_page()
        page.set_default_timeout(_WAIT_MS)
        return Tab(page)

    yield make
    for profile in profiles:
        profile.close()
