"""A page's parts, put together: skeleton, styles, the library's script, ours, and the data.

Charts are drawn by BokehJS, which comes with the wheel of Bokeh. Beside plotly, the other library
whose wheel brings its script, it makes a page of 1.4 MB and not of 5, draws on a canvas (6,000 bars
of workers' lanes are no 6,000 elements), and what is used of it neither asks the network for
anything nor evaluates texts as code. So the page's policy can forbid both: scripts run only if
their hash is in it, and nothing is loaded or sent. Of Bokeh's Python nothing is used.

Task names, exceptions and ids are anybody's text. They are in the page once, as JSON in which no
character can end the element or begin a comment, and its script writes them as text nodes.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from ...errors import RefusedError
from .draw import Content

_SCRIPTS: Final = (
    "format.js",
    "tables.js",
    "charts.js",
    "overview.js",
    "lanes.js",
    "traces.js",
    "page.js",
)
_PARTS: Final = files(__package__) / "parts"
_CHARACTERS: Final = 400
"""Of a text: more than the message of a failure may have; names and ids have far fewer."""
_UNSAFE: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
"""What may end the element or a line of a script; all of it can only be in JSON's strings."""


def check_drawable() -> None:
    """Refuse early where the library is not installed.

    Raises:
        RefusedError: it is not.
    """
    _library()


def render(content: Content) -> Iterator[bytes]:
    """Return a page, in pieces; the same content gives the same bytes.

    Raises:
        RefusedError: the library is not installed.
    """
    scripts = [_library(), _our_script()]
    pieces = {
        "policy": _policy(scripts),
        "style": _part("page.css"),
        "data": _json(content),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    yield from _filled(_part("page.html"), pieces)


def _our_script() -> str:
    """Return our parts as one script that leaves no names behind."""
    return "".join(("(() => {\n'use strict';\n", *map(_part, _SCRIPTS), "})();\n"))


def _filled(skeleton: str, pieces: dict[str, str]) -> Iterator[bytes]:
    """Fill in ``{{name}}``; what is filled in is not looked at again."""
    head, *others = skeleton.split("{{")
    yield head.encode()
    for each in others:
        name, text = each.split("}}", 1)
        yield pieces[name].encode()
        yield text.encode()


def _policy(scripts: Iterable[str]) -> str:
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    # Bokeh writes its styles into the page, and its cursors and icons are data.
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return b64encode(sha256(script.encode()).digest()).decode()


def _json(content: Content) -> str:
    plain = _cut(msgspec.to_builtins(content))
    return msgspec.json.encode(plain).decode().translate(_UNSAFE)


def _cut(value: object) -> object:
    """Shorten texts: a page is not larger because one id, thousands of times, is."""
    match value:
        case str():
            return value if len(value) <= _CHARACTERS else f"{value[:_CHARACTERS]}…"
        case dict():
            return {key: _cut(each) for key, each in value.items()}
        case list() | tuple():
            return [_cut(each) for each in value]
        case _:
            return value


def _part(name: str) -> str:
    return (_PARTS / name).read_text("utf-8")


def _library() -> str:
    """Return the script of BokehJS."""
    try:
        paths = import_module("bokeh.util.paths")
    except ImportError:
        raise RefusedError("HTML pages need Bokeh: pip install 'celery-stream[html]'") from None
    return Path(paths.bokehjs_path(), "js", "bokeh.min.js").read_text("utf-8")
