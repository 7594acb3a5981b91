"""The commands that read captures: ``replay``, ``trace`` and ``diff``."""

from collections.abc import Callable
from typing import Any, Final

import click

from ..configure import load
from ..declaration import SETTINGS
from .options import F, settings_options

_ANALYSE: Final = """\b
Go on with what is written:
  duckdb -c "select name, quantile_cont(run_time, 0.95) from 'tasks.parquet' group by 1"
  python -c "import pandas as p; print(p.read_csv('attempts.csv').groupby('state').size())"
  jq -r 'select(.state == \"LOST\") | .uuid' tasks.jsonl
"""
_EXPORT: Final = ("otlp.", "spans.", "log_records.")
"""What the settings begin with that say what is sent, and where to."""


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
    return settings_options(command, *_EXPORT)


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
    from ..analysis.schema import encode_schema  # noqa: PLC0415 - brings the engine

    click.echo(encode_schema(value), nl=False)
    context.exit()


def schema_option(*outputs: str) -> Callable[[F], F]:
    """Give a command the option that prints the schema of what it writes."""
    return click.option(
        "--schema",
        type=click.Choice(outputs),
        callback=_tell_schema,
        expose_value=False,
        is_eager=True,
        help="Print the JSON Schema of that output, and do nothing else.",
    )


@click.command(epilog=_ANALYSE)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@schema_option("report", "tasks", "attempts", "workers")
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
    from ..analysis.scope import Filters  # noqa: PLC0415 - brings the engine
    from ..replay import replay  # noqa: PLC0415 - likewise

    patterns = (given["names"], given["queues"], given["hosts"], given["uuids"])
    filters = Filters(given["begin"], given["end"], *patterns)
    return replay(files, **outputs, filters=filters, speed=speed, settings=settings)


@click.command()
@click.argument("uuid")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def trace(uuid: str, files: tuple[str, ...]) -> int:
    """Tell the whole story of the task UUID, or of the one whose id begins like that."""
    from ..replay import trace  # noqa: PLC0415 - brings the engine

    return trace(uuid, files)


@click.command()
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@schema_option("diff")
@click.option("--json", "output", metavar="OUT", help="Write it as JSON (- is stdout).")
def diff(before: str, after: str, output: str | None) -> int:
    """Compare two captures, or two reports that `replay --json` wrote."""
    from ..replay import diff  # noqa: PLC0415 - brings the engine

    return diff(before, after, output=output)
