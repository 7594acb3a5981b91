"""A diagnosis for a person: what was found, in the order in which it was looked at."""

from itertools import groupby
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .diagnosis import Checkup, Diagnosis, Finding, Step, Verdict

_MARKS: Final = {
    Verdict.OK: ("✓", "green"),
    Verdict.BROKEN: ("✗", "bold red"),
    Verdict.UNKNOWN: ("?", "yellow"),
}
_STEP_WIDTH: Final = 14
_MOST_ALIKE: Final = 15
"""Findings of one step with one verdict that are shown; ``--json`` has all."""


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print it."""
    for checkup in diagnosis.checkups:
        _show_checkup(checkup, console)
    console.print(_verdict(diagnosis))


def _show_checkup(checkup: Checkup, console: Console) -> None:
    console.print(Text.assemble((checkup.subject, "bold"), "  ", (checkup.url, "dim")))
    for _, alike in groupby(checkup.findings, key=lambda each: (each.step, each.verdict)):
        _show_alike(list(alike), checkup.fix, console)
    console.print()


def _show_alike(findings: list[Finding], fix: str | None, console: Console) -> None:
    """Findings of one step and verdict; what is to be done alike is said once, at the end."""
    shown = findings[:_MOST_ALIKE]
    together = fix if _are_missing(findings[0]) else None
    for place, finding in enumerate(shown):
        rest = [each.advice for each in shown[place + 1 :]]
        _show_finding(finding, console, advised=finding.advice not in rest)
        if finding.fix and not together:
            _show_line(finding.fix, console)
    if (more := len(findings) - _MOST_ALIKE) > 0:
        console.print(_row("", "", Text(f"and {more:,} more", "dim")))
    if together:
        _show_line(together, console)


def _are_missing(finding: Finding) -> bool:
    """Whether it is one of the permissions that one line grants together."""
    return finding.step is Step.PERMISSION and finding.verdict is Verdict.BROKEN


def _show_finding(finding: Finding, console: Console, *, advised: bool) -> None:
    mark, style = _MARKS[finding.verdict]
    said = Text.assemble((f"{finding.about}: " if finding.about else "", "bold"), finding.says)
    console.print(_row(Text(mark, style), finding.step.value, said))
    if finding.advice and advised:
        console.print(_row("", "", Text(f"→ {finding.advice}", "dim")))


def _row(mark: Text | str, step: str, said: Text) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=2, justify="right")
    grid.add_column(width=_STEP_WIDTH)
    grid.add_column()
    grid.add_row(mark, step, said)
    return grid


def _show_line(line: str, console: Console) -> None:
    """A line to copy: neither wrapped nor marked."""
    console.print(Text(f"{'':{_STEP_WIDTH + 4}}{line}", "cyan"), soft_wrap=True)


def _verdict(diagnosis: Diagnosis) -> Text:
    if not diagnosis.broken and not diagnosis.unknown:
        return Text("All is well.", "green")
    counts = (
        (diagnosis.broken, "broken", "bold red"),
        (diagnosis.unknown, "to look at", "yellow"),
    )
    parts = [Text(f"{count} {word}", style) for count, word, style in counts if count]
    return Text(", ").join(parts) + Text(".")
