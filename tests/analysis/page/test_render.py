"""A page as a file: what is in it, and what can never be."""

import json
import re
import sys
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.analysis.page.render import check_drawable, render
from stream.errors import RefusedError
from tests.analysis.page.drawing import drawn
from tests.builders import Process, producer


class Elements(HTMLParser):
    """The elements of a page and the texts of its scripts, as a browser finds them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.policy, self._in_script = [], [], "", False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = dict(attrs)
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        if tag == "script":
            self._in_script = True
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data


def page_of(text):
    """A page of a task whose name, queue, worker, exception and id are this text."""
    web, worker = producer(text), Process(text)
    return "".join(
        piece.decode()
        for piece in render(
            drawn(
                web.sent(text, 0.0, name=text, queue=text),
                worker.received(text, 0.1, name=text),
                worker.started(text, 0.2),
                worker.failed(text, 0.3, exception=f"{text}({text!r})"),
            )
        )
    )


@pytest.fixture(scope="module")
def usual():
    return Elements(page_of("app.task"))


def digest(script):
    return b64encode(sha256(script.encode()).digest()).decode()


def test_only_the_two_scripts_of_the_page_may_run(usual):
    _, *scripts = usual.scripts
    allowed = re.search(r"script-src ([^;]*);", usual.policy).group(1)
    assert allowed == " ".join(f"'sha256-{digest(script)}'" for script in scripts)
    assert len(scripts) == 2


def test_nothing_may_be_loaded_or_sent(usual):
    rules = [rule.strip() for rule in usual.policy.split(";")]
    assert rules[0] == "default-src 'none'"
    assert rules[2:] == [
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "]]></script>",
        "{{scripts}}{{data}}",
        "\u2028\u2029\x00\x1b",
        "\"'&amp;\\u003c",
    ],
)
def test_hostile_text_adds_no_element_and_comes_through_as_it_is(usual, text):
    page = Elements(page_of(text))
    assert page.tags == usual.tags
    assert text in json.loads(page.scripts[0])["drawing"]["lanes"]["tasks"]


@given(st.text(st.sampled_from("<>&!-/\u2028") | st.characters(codec="utf-8"), max_size=30))
@settings(max_examples=15)
def test_any_text_is_data_and_nothing_else(text):
    page = page_of(text)
    data = page[page.index('type="application/json">') :]
    data = data[: data.index("</script>")]
    assert not set("<&") & set(data)
    assert data.count(">") == 1


def test_a_long_text_is_cut_wherever_it_is_told(usual):
    long = Elements(page_of("x" * 100_000))
    assert max(map(len, re.findall("x+", long.scripts[0]))) == 400
    assert len(long.scripts[0]) < 2 * len(usual.scripts[0])


def test_the_same_events_give_the_same_bytes():
    assert page_of("app.task") == page_of("app.task")


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh.util.paths", None)
    with pytest.raises(RefusedError, match=r"celery-stream\[html\]"):
        check_drawable()
