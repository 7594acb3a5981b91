"""How far a replay is: only on a terminal, only for what is long."""

from io import StringIO

import pytest
from rich.console import Console

from stream.analysis.progress import Progress

LONG, SHORT, NOT_KNOWN = 40_000_000, 4_000, 0


def shown(*, terminal, total_bytes):
    target = Console(file=StringIO(), force_terminal=terminal, width=80)
    with Progress(target) as progress:
        progress.show(total_bytes // 4, total_bytes, 12_345)
    return target.file.getvalue()


@pytest.mark.parametrize(
    ("terminal", "total_bytes", "is_shown"),
    [(True, LONG, True), (True, NOT_KNOWN, True), (True, SHORT, False), (False, LONG, False)],
)
def test_it_is_shown_on_a_terminal_for_what_is_long(terminal, total_bytes, is_shown):
    assert bool(shown(terminal=terminal, total_bytes=total_bytes)) is is_shown


def test_it_tells_how_many_events_were_read():
    assert "12,345" in shown(terminal=True, total_bytes=LONG)


def test_outside_of_the_reading_nothing_is_shown():
    target = Console(file=StringIO(), force_terminal=True, width=80)
    progress = Progress(target)
    progress.show(1, LONG, 1)
    assert target.file.getvalue() == ""
