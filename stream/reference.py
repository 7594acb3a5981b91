"""The reference tables, from the code; ``python -m stream.reference README.md`` renews them.

A table stands in a document between ``<!-- NAME -->`` and ``<!-- /NAME -->``. Those of the settings
and of the names of other exporters are read with ``celery-stream help``.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from .core.transitions import diagram
from .declaration import reference
from .server.exposition import name_of
from .sinks.compat_table import ROWS, Row
from .sinks.instruments import TABLE, Type
from .sinks.record_table import FIELDS, RECORDS
from .sinks.span_table import SPANS


def settings() -> str:
    """Every setting: flag, variables, default, meaning."""
    return _table(
        ("Setting in the file", "Variables", "Default", "Meaning"),
        (
            (
                f"`{row.setting}`",
                " ".join(f"`{name}`" for name in row.variables),
                f"`{row.default}`" if row.default else "",
                row.meaning,
            )
            for row in reference()
        ),
    )


def metrics() -> str:
    """Every metric: kind, unit, attributes, meaning."""
    return _table(
        ("Metric", "Kind", "Unit", "Attributes", "Meaning"),
        (
            (
                f"`{each.name}`",
                each.type.value,
                f"`{each.unit}`",
                " ".join(f"`{name}`" for name in each.attributes),
                each.about,
            )
            for each in TABLE
        ),
    )


def spans() -> str:
    """Every span: kind, what it covers, parent; and every attribute, of which of them, meaning."""
    kinds = _table(
        ("Span", "Kind", "From → to", "Parent"),
        ((f"`{row.name}`", row.kind.lower(), row.covers, row.parent) for row in SPANS),
    )
    of: dict[tuple[str, str], list[str]] = {}
    for row in SPANS:
        for attribute in row.attributes:
            of.setdefault(attribute, []).append(f"`{row.name.split()[0]}`")
    attributes = _table(
        ("Attribute", "Of", "Meaning"),
        ((f"`{name}`", " ".join(rows), meaning) for (name, meaning), rows in of.items()),
    )
    return f"{kinds}\n{attributes}"


def records() -> str:
    """Every log record: severity, when there is one, attributes; and what those mean."""
    kinds = _table(
        ("Record", "Severity", "When", "Attributes"),
        (
            (
                f"`{kind.name}`",
                kind.severity.name,
                kind.when,
                " ".join(f"`{name}`" for name in FIELDS if name in kind.fields),
            )
            for kind in RECORDS
        ),
    )
    meanings = ((f"`{name}`", meaning) for name, meaning in FIELDS.items())
    attributes = _table(("Attribute", "Meaning"), meanings)
    return f"{kinds}\n{attributes}"


def compat() -> str:
    """Every metric of celery-exporter and of flower, and how ours differs."""
    return _table(
        ("Metric", "Labels", "Ours differs in"),
        (
            (
                f"`{_page_name(row)}`",
                " ".join(f"`{name}`" for name in row.instrument.attributes),
                row.difference,
            )
            for row in ROWS
        ),
    )


def _page_name(row: Row) -> str:
    suffix = "_total" if row.instrument.type is Type.COUNTER else ""
    return name_of(row.instrument) + suffix


def states() -> str:
    """The states of a task and what leads from one to another, as a Mermaid diagram."""
    return f"```mermaid\n{diagram()}```\n"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "spans": spans,
    "records": records,
    "metrics": metrics,
    "states": states,
}


def renewed(document: str) -> str:
    """Return *document* with each of its tables as the code has it."""
    for name, table in TABLES.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        document = place.sub(lambda found, table=table: found[1] + table() + found[2], document)  # type: ignore[misc] # mypy infers no type for the default
    return document


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(renewed(path.read_text()))
