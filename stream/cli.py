"""The command line: arguments to an exit code, no logic.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Whatever is heavy is imported by the
command that needs it, so that ``--help`` answers at once.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from . import __version__
from .configure import load
from .declaration import SETTINGS
from .errors import ConfigError, StreamError

F = TypeVar("F", bound=Callable[..., object])

FAILED: Final = 1
WRONG_USAGE: Final = 2


def _settings_options(command: F) -> F:
    """Give a command one option for each setting; texts, since `load` validates them."""
    for setting in reversed(SETTINGS):
        flag = setting.flag
        yes_or_no = setting.shape is bool
        command = click.option(
            f"{flag}/--no-{flag.removeprefix('--')}" if yes_or_no else flag,
            setting.name,
            default=None,
            help=f"{setting.meaning}.  [{setting.variable}]",
            metavar=None if yes_or_no else "VALUE",
        )(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="celery-stream")
def cli() -> None:
    """Metrics, traces and logs of a Celery cluster over OTLP, from its events and queues."""


@cli.command()
@click.option("--config", metavar="FILE", help="Settings as TOML.  [STREAM_CONFIG]")
@_settings_options
# Any: click hands over what the options gave, one text, flag or None for each.
def run(config: str | None, **flags: Any) -> int:  # noqa: ANN401
    """Watch a broker until SIGTERM or Ctrl-C."""
    settings = load(config, flags=flags)
    from . import app  # noqa: PLC0415 - brings the whole service

    return app.run(settings)


@cli.command()
@click.option("--listen", metavar="HOST:PORT", help="Where /metrics and /health are served.")
@click.option(
    "--duration", type=click.FloatRange(min=0, min_open=True), help="Seconds; else until Ctrl-C."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, max=200, min_open=True),
    default=2.0,
    show_default=True,
    help="Orders a second; each is several tasks.",
)
@click.option("--no-table", "plain", is_flag=True, help="Lines instead of a live table.")
def demo(listen: str | None, duration: float | None, rate: float, *, plain: bool) -> int:
    """Show it on a broker, a worker and an application of its own."""
    from .demo.run import Options, run_demo  # noqa: PLC0415 - brings the whole service

    return run_demo(Options(listen=listen, duration=duration, rate=rate, plain=plain))


@cli.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--tasks", metavar="OUT", help="Write one JSON line per task to OUT (- is stdout).")
@click.option("--workers", metavar="OUT", help="Write one JSON line per worker process.")
def replay(files: tuple[str, ...], tasks: str | None, workers: str | None) -> int:
    """Say what happened in captures of events: raw frames or events, as JSON lines or gzip."""
    if tasks is not None and tasks == workers:
        raise click.UsageError("--tasks and --workers cannot go to the same place")
    from .replay import replay  # noqa: PLC0415 - brings the engine

    return replay(files, tasks=tasks, workers=workers)


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; *arguments* None takes those of the process."""
    try:
        code = cli.main(arguments, prog_name="celery-stream", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:
        return FAILED
    except ConfigError as exc:
        return _fail(exc, WRONG_USAGE)
    except StreamError as exc:
        return _fail(exc, FAILED)
    return code if isinstance(code, int) else 0


def _fail(problem: StreamError, code: int) -> int:
    click.echo(f"celery-stream: {problem}", err=True)
    return code
