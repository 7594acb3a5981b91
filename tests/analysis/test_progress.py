"""How far a replay is: only on a terminal, only for what is long."""

import gzip
from io import StringIO

import pytest
from rich.console import Console

from stream.analysis.progress import Progress, messages_in

LINE = b'{"type": "task-started"}\n'


def console(*, terminal):
    return Console(file=StringIO(), force_terminal=terminal, width=80)


def test_the_number_of_messages_is_guessed_from_the_beginning(tmp_path):
    file = tmp_path / "capture"
    file.write_bytes(LINE * 100_000)
    assert messages_in([str(file)]) == pytest.approx(100_000, rel=0.01)


def test_it_is_guessed_of_compressed_files_too(tmp_path):
    file = tmp_path / "capture.gz"
    file.write_bytes(gzip.compress(LINE * 1_000))
    assert messages_in([str(file)]) == pytest.approx(1_000, rel=0.01)


@pytest.mark.parametrize("content", [b"\x28\xb5\x2f\xfd....", b"\x1f\x8bdamaged"])
def test_what_cannot_be_told_is_none(tmp_path, content):
    file = tmp_path / "capture"
    file.write_bytes(content)
    assert messages_in([str(file)]) is None


def test_standard_input_has_no_size():
    assert messages_in(["-"]) is None


@pytest.mark.parametrize(
    ("terminal", "lines", "shown"),
    [(True, 400_000, True), (False, 400_000, False), (True, 9, False)],
)
def test_it_is_shown_on_a_terminal_for_what_is_long(tmp_path, terminal, lines, shown):
    file = tmp_path / "capture"
    file.write_bytes(LINE * lines)
    target = console(terminal=terminal)
    with Progress([str(file)], target) as progress:
        progress.advance(10)
    assert bool(target.file.getvalue()) is shown
