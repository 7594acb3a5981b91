"""The command that measures what a machine takes: ``bench``."""

from typing import Any, Final

import click

_KINDS: Final = ("lifecycle", "retries", "chains", "failures", "heartbeats")
_OUTLETS: Final = ("null", "metrics", "spans", "otlp")


@click.command()
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
    from ..bench import command  # noqa: PLC0415 - brings the engine

    return command.run(files, live, **given)
