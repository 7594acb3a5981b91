"""What a user may want to read: pages by topic, and the references that the code writes.

A page is the Markdown file of its name in this package; its first line is its title.
"""

from collections.abc import Callable
from importlib.resources import files
from typing import Final

from ..reference import compat, metrics, records, settings, spans

_PAGES: Final = (
    "redis",
    "rabbitmq",
    "brokers",
    "page",
    "receivers",
    "troubleshooting",
    "sizing",
    "security",
    "migration",
)
_REFERENCES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "settings": ("Every setting: in the file, in the environment, its default", settings),
    "metrics": ("Every metric", metrics),
    "compat": ("Every metric on the pages of celery-exporter and flower", compat),
    "spans": ("Every span and its attributes", spans),
    "records": ("Every log record and its attributes", records),
}


def topics() -> dict[str, str]:
    """Return each topic and its title."""
    pages = {name: _page(name).partition("\n")[0].removeprefix("# ") for name in _PAGES}
    return pages | {name: title for name, (title, _) in _REFERENCES.items()}


def page(topic: str) -> str:
    """Return a topic's page as Markdown.

    Raises:
        KeyError: there is none.
    """
    if topic in _REFERENCES:
        title, table = _REFERENCES[topic]
        return f"# {title}\n\n{table()}\n"
    if topic not in _PAGES:
        raise KeyError(topic)
    return _page(topic)


def _page(name: str) -> str:
    return files(__package__).joinpath(f"{name}.md").read_text(encoding="utf-8")
