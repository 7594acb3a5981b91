"""The command that brings files to deploy with: ``deploy``."""

from typing import Any

import click

from .options import F


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


@click.command()
@click.argument(
    "kind", type=click.Choice(["compose", "kubernetes", "grafana", "prometheus", "systemd"])
)
@click.option("-o", "directory", metavar="DIR", help="Write the files there instead of to stdout.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@_deploy_options
# Any: click hands over what the options gave, texts and numbers.
def deploy(kind: str, directory: str | None, *, force: bool, **given: Any) -> int:  # noqa: ANN401
    """Print, or write, files to deploy with."""
    from ..deploy.command import deploy  # noqa: PLC0415 - brings the instruments

    return deploy(kind, directory, force=force, given=given)
