"""Results as the tables of the README."""

from collections.abc import Sequence
from pathlib import Path

from . import redis_to_metrics
from .peers import PEERS
from .result import Result, Results, Row

BEGIN, END = "<!-- speed -->\n", "<!-- /speed -->"
_BATCHES = {24: "24 events a message", 1: "single events"}


def verdicts(rows: Sequence[Row]) -> str:
    """Rows of the bar for a terminal."""
    return "\n".join(
        f"{'reached' if row.reached else 'MISSED ':7}  {row.name}: {row.measured}, bar {row.wanted}"
        for row in rows
    )


def readme(found: Results) -> str:
    """Write the tables as Markdown."""
    return "\n\n".join(filter(None, (_where(found), _beside_peers(found), _bar(found.rows))))


def write(found: Results, file: Path) -> None:
    """Put the tables between their marks in a README.

    Raises:
        SystemExit: it has no marks.
    """
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{file} has no place for it between {BEGIN.strip()} and {END}")
    file.write_text(f"{before}{begin}{readme(found)}\n{end}{after}", encoding="utf-8")


def _where(found: Results) -> str:
    on = found.machine
    return (
        f"{on.date}, {on.cpu}, {on.cores} cores, {on.system}, {on.python}; load average "
        f"{on.load} before it began."
    )


def _beside_peers(found: Results) -> str:
    """Events per CPU second of whole processes, and how many times as fast ours is."""
    stages = [*redis_to_metrics.OURS, *(peer.name for peer in PEERS)]
    lines = [
        f"| Redis, events per CPU second | {' | '.join(_BATCHES.values())} |",
        "| --- | --- | --- |",
    ]
    for stage in stages:
        cells = [_cell(found, stage, batch) for batch in _BATCHES]
        if any(cells):
            lines.append(f"| {stage} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""  # noqa: PLR2004 - the head


def _cell(found: Results, stage: str, batch: int) -> str:
    result = found.of("redis_to_metrics", stage, batch)
    ours = found.of("redis_to_metrics", redis_to_metrics.METRICS, batch)
    if result is None or ours is None:
        return ""
    return f"{result.rate:,.0f}{_times(ours, result)}"


def _times(ours: Result, other: Result) -> str:
    """How many times as fast as a peer."""
    if other.stage not in {peer.name for peer in PEERS}:
        return ""
    return f" (ours: {ours.ratio_to(other):.1f} times)"


def _bar(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = ["| | wanted | measured | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {row.name} | {row.wanted} | {row.measured} | {'yes' if row.reached else 'no'} |"
        for row in rows
    ]
    return "\n".join(lines)
