"""The command line: arguments to an exit code, no logic.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Whatever is heavy is imported by the
command that needs it, so that ``--help`` answers at once.
"""

import io
from typing import Final

import click

from . import __version__
from .commands import analyse, deploy, measure, topics, watch
from .declaration import without_credentials
from .errors import ConfigError, StreamError

FAILED: Final = 1
WRONG_USAGE: Final = 2
_COMMANDS: Final = (
    watch.run,
    watch.record,
    watch.top,
    watch.doctor,
    watch.demo,
    analyse.replay,
    analyse.trace,
    analyse.diff,
    measure.bench,
    deploy.deploy,
    topics.read_help,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="celery-stream")
def cli() -> None:
    """Metrics, traces and logs of a Celery cluster over OTLP, from its events and queues."""


for command in _COMMANDS:
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; *arguments* None takes those of the process."""
    try:
        code = cli.main(arguments, prog_name="celery-stream", standalone_mode=False)
    except click.ClickException as exc:
        click.echo(_said(exc), err=True)
        return exc.exit_code
    except click.Abort:
        return FAILED
    except ConfigError as exc:
        return _fail(exc, WRONG_USAGE)
    except StreamError as exc:
        return _fail(exc, FAILED)
    return code if isinstance(code, int) else 0


def _said(problem: click.ClickException) -> str:
    """Return what click says, which repeats what was typed, without the credentials in it."""
    said = io.StringIO()
    problem.show(said)
    return without_credentials(said.getvalue().rstrip("\n"))


def _fail(problem: StreamError, code: int) -> int:
    click.echo(f"celery-stream: {problem}", err=True)
    return code
