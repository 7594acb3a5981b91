"""The command that shows what there is to read: ``help``."""

import click


@click.command(name="help")
@click.argument("topic", required=False)
def read_help(topic: str | None) -> int:
    """Read about a topic; without one, list them."""
    from ..help import page, topics  # noqa: PLC0415 - brings what the references are made of

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
