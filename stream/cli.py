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
_ANALYSE: Final = """\b
Go on with what is written:
  duckdb -c "select name, quantile_cont(run_time, 0.95) from 'tasks.parquet' group by 1"
  python -c "import pandas as p; print(p.read_csv('attempts.csv').groupby('state').size())"
  jq -r 'select(.state == \"LOST\") | .uuid' tasks.jsonl
"""
_EXPORT: Final = ("otlp.", "spans.", "log_records.")
"""What the settings begin with that say what is sent, and where to."""


def _settings_options(command: F, *sections: str) -> F:
    """Give a command one option for each setting; texts, since `load` validates them.

    With *sections*, only for those that begin so.
    """
    for setting in reversed(SETTINGS):
        if not setting.key.startswith(sections or ("",)):
            continue
        flag = setting.flag
        yes_or_no = setting.shape is bool
        command = click.option(
            f"{flag}/--no-{flag.removeprefix('--')}" if yes_or_no else flag,
            setting.name,
            default=None,
            help=f"{setting.meaning}.  [{setting.variable}]",
            metavar=None if yes_or_no else "VALUE",
            multiple=setting.repeated,
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
@click.argument("target", metavar="DIR")
@click.option("--config", metavar="FILE", help="Settings as TOML.  [STREAM_CONFIG]")
@_settings_options
def record(target: str, config: str | None, **flags: Any) -> int:  # noqa: ANN401 - as for `run`
    """Record what a broker says in DIR (or DIR/NAME.jsonl.zst), and send nothing."""
    settings = load(config, flags={**flags, "capture_dir": target, "otlp_disabled": True})
    from . import app  # noqa: PLC0415 - brings the whole service

    return app.run(settings)


@cli.command()
@click.argument("url", default="http://127.0.0.1:9540")
@click.option("--once", is_flag=True, help="Show it once, as text, and end.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option(
    "--token", envvar="STREAM_ACCESS_TOKEN", help="That the service wants.  [STREAM_ACCESS_TOKEN]"
)
@click.option("--ca", metavar="FILE", help="Authorities that its certificate is checked with.")
# Any: click hands over what the options gave.
def top(url: str, **given: Any) -> int:  # noqa: ANN401
    """Show the cluster in the terminal.

    URL is that of a running service, http://HOST:PORT, or that of a broker, which is then watched
    for as long as this runs.
    """
    from .top.run import Options, top  # noqa: PLC0415 - brings the whole service

    return top(Options(url, **given))


@cli.command()
@click.option("--config", metavar="FILE", help="Settings as TOML.  [STREAM_CONFIG]")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(min=0.1, max=3600),
    default=7.0,  # three heartbeats of any worker, of which two can be compared
    show_default=True,
    metavar="SECONDS",
    help="How long to listen to events; workers send a heartbeat every 2 s.",
)
@_settings_options
def doctor(
    config: str | None,
    seconds: float,
    *,
    as_json: bool,
    **flags: Any,  # noqa: ANN401 - as for `run`
) -> int:
    """Look step by step at each broker and receiver, and say what to do about what is wrong.

    Exits with 1 where something is broken. Reads the settings that `run` has.
    """
    settings = load(config, flags=flags)
    from .doctor.checkup import doctor  # noqa: PLC0415 - brings the sources

    return doctor(settings, seconds=seconds, as_json=as_json)


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


def _filter_options(command: F) -> F:
    """Give a command the options that choose what is reported."""
    for flag, name, meaning in (
        ("--uuid", "uuids", "task ids"),
        ("--worker", "hosts", "node names"),
        ("--queue", "queues", "queues"),
        ("--task", "names", "task names"),
    ):
        text = f"Report only these {meaning}, as in a shell (mail.*); may be repeated."
        command = click.option(flag, name, metavar="PATTERN", multiple=True, help=text)(command)
    for flag, name, word in (("--to", "end", "before"), ("--from", "begin", "from")):
        text = f"Report only what ended {word} then: HH:MM or ISO 8601, in UTC, or epoch seconds."
        command = click.option(flag, name, metavar="TIME", help=text)(command)
    return command


def _export_options(command: F) -> F:
    """Give a command the options of what is sent, and where to."""
    return _settings_options(command, *_EXPORT)


def _speed(_context: click.Context, _option: click.Parameter, value: str) -> float | None:
    """Read a speed; None is as fast as can be."""
    if value == "max":
        return None
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < float("inf"):
        raise click.BadParameter(f"{value} is neither max nor a number above 0")
    return speed


def _tell_schema(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    """Print a JSON Schema instead of doing anything."""
    if value is None:
        return
    from .analysis.schema import encode_schema  # noqa: PLC0415 - brings the engine

    click.echo(encode_schema(value), nl=False)
    context.exit()


def _schema_option(*outputs: str) -> Callable[[F], F]:
    """Give a command the option that prints the schema of what it writes."""
    return click.option(
        "--schema",
        type=click.Choice(outputs),
        callback=_tell_schema,
        expose_value=False,
        is_eager=True,
        help="Print the JSON Schema of that output, and do nothing else.",
    )


@cli.command(epilog=_ANALYSE)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@_schema_option("report", "tasks", "attempts", "workers")
@click.option("--json", "report", metavar="OUT", help="Write the report as JSON (- is stdout).")
@click.option("--html", metavar="OUT", help="Write the report as one page for a browser.")
@click.option(
    "--tasks", metavar="OUT", help="Write a record per task: .csv, .parquet, else JSON lines."
)
@click.option("--attempts", metavar="OUT", help="Write a record per delivery, likewise.")
@click.option("--workers", metavar="OUT", help="Write a record per worker process, likewise.")
@_filter_options
@click.option(
    "--speed",
    callback=_speed,
    default="max",
    metavar="TIMES",
    help="max, or how many times as fast as it was recorded.",
)
@click.option(
    "--export",
    "exported",
    is_flag=True,
    help="Send spans, log records and metrics of all tasks over OTLP, with their original times.",
)
@click.option("--config", metavar="FILE", help="Settings of --export as TOML.  [STREAM_CONFIG]")
@_export_options
# Any: click hands over what the options gave, texts and tuples of texts.
def replay(
    files: tuple[str, ...],
    speed: float | None,
    config: str | None,
    *,
    exported: bool,
    **given: Any,  # noqa: ANN401
) -> int:
    """Say what happened in captures: raw frames or events, as JSON lines, plain or compressed.

    The report goes to the terminal; --json, --tasks and the others write what it is made of.
    """
    flags = {each.name: given[each.name] for each in SETTINGS if each.key.startswith(_EXPORT)}
    settings = load(config, flags=flags) if exported else None
    outputs = {name: given[name] for name in ("report", "html", "tasks", "attempts", "workers")}
    taken = [name for name in outputs.values() if name is not None]
    if len(set(taken)) < len(taken):
        raise click.UsageError("no two outputs can go to the same place")
    from .analysis.scope import Filters  # noqa: PLC0415 - brings the engine
    from .replay import replay  # noqa: PLC0415 - likewise

    patterns = (given["names"], given["queues"], given["hosts"], given["uuids"])
    filters = Filters(given["begin"], given["end"], *patterns)
    return replay(files, **outputs, filters=filters, speed=speed, settings=settings)


def _deploy_options(command: F) -> F:
    """Give a command what differs from place to place; texts, since `bundle` validates them."""
    for name, text in (
        ("visibility-timeout", "Seconds, as the application has it (in Redis), for its alert."),
        ("oldest", "Seconds that a message may wait before there is an alert."),
        ("backlog", "Messages in a growing queue before there is an alert."),
        ("failure-ratio", "Share of a task's runs that may fail before there is an alert."),
        ("executable", "Path of celery-stream, for systemd."),
        ("target", "HOST:PORT that Prometheus scrapes."),
        ("prometheus", "URL that an autoscaler asks."),
        ("secret", "Kubernetes Secret with the broker's URL."),
        ("monitoring", "Namespace that may scrape."),
        ("namespace", "Namespace of celery-stream."),
        ("endpoint", "Base URL that telemetry is sent to."),
        ("broker", "URL of the broker; not for Kubernetes, which has it in a Secret."),
        ("image", "Image of celery-stream."),
    ):
        command = click.option(f"--{name}", metavar="VALUE", help=text)(command)
    names = click.Choice(["prometheus", "otlp"])
    text = "How the store calls metrics: translated, as by default, or as they are sent over OTLP."
    return click.option("--names", type=names, help=text)(command)


@cli.command()
@click.argument("uuid")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def trace(uuid: str, files: tuple[str, ...]) -> int:
    """Tell the whole story of the task UUID, or of the one whose id begins like that."""
    from .replay import trace  # noqa: PLC0415 - brings the engine

    return trace(uuid, files)


@cli.command()
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@_schema_option("diff")
@click.option("--json", "output", metavar="OUT", help="Write it as JSON (- is stdout).")
def diff(before: str, after: str, output: str | None) -> int:
    """Compare two captures, or two reports that `replay --json` wrote."""
    from .replay import diff  # noqa: PLC0415 - brings the engine

    return diff(before, after, output=output)


_KINDS: Final = ("lifecycle", "retries", "chains", "failures", "heartbeats")
_OUTLETS: Final = ("null", "metrics", "spans", "otlp")


@cli.command()
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option("--workload", type=click.Choice(_KINDS), help="Made-up traffic.  [lifecycle]")
@click.option("--events", type=click.IntRange(min=1), help="How many.  [500000; --live 3000000]")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the traffic.")
@click.option(
    "--batch",
    type=click.IntRange(1, 1_000),
    default=24,
    show_default=True,
    help="Task events in a message at most: 24 as a worker sends, 1 as gevent workers.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=1, max=500_000),
    help="Events a second: of the traffic's own time, or of the first try.  [20000; --live 5000]",
)
@click.option(
    "--sink",
    type=click.Choice(_OUTLETS),
    default="metrics",
    show_default=True,
    help="What is made of them: null, metrics, spans encoded, or sent over OTLP to a receiver "
    "that it starts on loopback.",
)
@click.option("--live", metavar="URL", help="A Redis broker to publish to; see above.")
@click.option("--json", is_flag=True, help="Write what was found as JSON.")
# Any: click hands over what the options gave.
def bench(files: tuple[str, ...], live: str | None, **given: Any) -> int:  # noqa: ANN401
    """Measure what this machine takes, in this process: made-up traffic, or captures.

    With --live URL it PUBLISHES made-up events to that broker's event channel, faster and faster,
    and finds the highest rate that a service beside it takes without loss. Other monitors of the
    broker hear the events, too; all tasks are named bench.* and all workers celery@bench-*. It
    ends after a minute, or after --events.
    """
    if files and (live or given["workload"]):
        raise click.UsageError("measure either files, or made-up traffic")
    if live and given["sink"] not in ("metrics", "otlp"):
        raise click.UsageError("--live runs the service, whose sinks are metrics and otlp")
    from .bench import command  # noqa: PLC0415 - brings the engine

    return command.run(files, live, **given)


@cli.command(name="help")
@click.argument("topic", required=False)
def read_help(topic: str | None) -> int:
    """Read about a topic; without one, list them."""
    from .help import page, topics  # noqa: PLC0415 - brings what the references are made of

    if topic is None:
        lines = "\n".join(f"* `{name}` {title}" for name, title in topics().items())
        return _read(f"# Topics\n\n{lines}\n\nRead one with `celery-stream help TOPIC`.")
    try:
        return _read(page(topic))
    except KeyError:
        raise click.UsageError(
            f"no topic is called {topic}; there are {', '.join(topics())}"
        ) from None


def _read(markdown: str) -> int:
    """Show Markdown to a person, and hand it on as it is to anything else."""
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.markdown import Markdown  # noqa: PLC0415 - likewise

    console = Console()
    if console.is_terminal:
        console.print(Markdown(markdown))
    else:
        click.echo(markdown)
    return 0


@cli.command()
@click.argument(
    "kind", type=click.Choice(["compose", "kubernetes", "grafana", "prometheus", "systemd"])
)
@click.option("-o", "directory", metavar="DIR", help="Write the files there instead of to stdout.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@_deploy_options
# Any: click hands over what the options gave, texts and numbers.
def deploy(kind: str, directory: str | None, *, force: bool, **given: Any) -> int:  # noqa: ANN401
    """Print, or write, files to deploy with."""
    from .deploy.command import deploy  # noqa: PLC0415 - brings the instruments

    return deploy(kind, directory, force=force, given=given)


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
