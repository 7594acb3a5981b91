"""The commands that watch a broker, or a service that does: ``run``, ``record``, ``top``, ``demo``.

And ``doctor``, which says why nothing is seen.
"""

from typing import Any

import click

from ..configure import load
from .options import settings_options


@click.command()
@click.option("--config", metavar="FILE", help="Settings as TOML.  [STREAM_CONFIG]")
@settings_options
# Any: click hands over what the options gave, one text, flag or None for each.
def run(config: str | None, **flags: Any) -> int:  # noqa: ANN401
    """Watch a broker until SIGTERM or Ctrl-C."""
    settings = load(config, flags=flags)
    from .. import app  # noqa: PLC0415 - brings the whole service

    return app.run(settings)


@click.command()
@click.argument("target", metavar="DIR")
@click.option("--config", metavar="FILE", help="Settings as TOML.  [STREAM_CONFIG]")
@settings_options
def record(target: str, config: str | None, **flags: Any) -> int:  # noqa: ANN401 - as for `run`
    """Record what a broker says in DIR (or DIR/NAME.jsonl.zst), and send nothing."""
    settings = load(config, flags={**flags, "capture_dir": target, "otlp_disabled": True})
    from .. import app  # noqa: PLC0415 - brings the whole service

    return app.run(settings)


@click.command()
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
    from ..top.run import Options, top  # noqa: PLC0415 - brings the whole service

    return top(Options(url, **given))


@click.command()
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
@settings_options
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
    from ..doctor.checkup import doctor  # noqa: PLC0415 - brings the sources

    return doctor(settings, seconds=seconds, as_json=as_json)


@click.command()
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
    from ..demo.run import Options, run_demo  # noqa: PLC0415 - brings the whole service

    return run_demo(Options(listen=listen, duration=duration, rate=rate, plain=plain))
