"""The head of a page: the few numbers that say whether all was well, and what to bear in mind."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from ...core.states import State
from ..report import Report
from ..sketch import Latency
from ..text import duration, number, share
from .content import Drawing


class Fact(Struct, frozen=True):
    """One number."""

    label: str
    value: str
    detail: str
    tone: str = ""
    """``bad`` where it deserves a look; said by the words too."""


def facts_of(report: Report, *, run: Latency, wait: Latency) -> tuple[Fact, ...]:
    """Return the numbers of a report.

    Args:
        report: as in the terminal.
        run: of all attempts.
        wait: likewise.
    """
    states, throughput, coverage = report.states, report.throughput, report.coverage
    tasks = sum(states.values())
    failed = states.get(State.FAILURE, 0)
    open_ends = states.get(State.LOST, 0) + states.get(State.UNKNOWN, 0)
    retries = sum(row.retries for row in report.tasks)
    executions = coverage.seen + coverage.unseen
    seen = coverage.seen / executions if executions else None
    per_second = throughput.attempts_per_second
    rate = "" if per_second is None else f"{number(per_second) or 0} attempts a second"
    return (
        Fact("Tasks", f"{tasks:,}", rate),
        Fact("Failed", f"{failed:,}", _of(failed, tasks), "bad" if failed else ""),
        Fact("Retries", f"{retries:,}", "attempts that asked for another"),
        Fact(
            "End not known",
            f"{open_ends:,}",
            f"lost {states.get(State.LOST, 0):,}, unknown {states.get(State.UNKNOWN, 0):,}",
            "bad" if open_ends else "",
        ),
        Fact("Run, p95", duration(run.p95), f"p50 {duration(run.p50)}, max {duration(run.max)}"),
        Fact(
            "Wait, p95", duration(wait.p95), f"p50 {duration(wait.p50)}, max {duration(wait.max)}"
        ),
        Fact(
            "Seen",
            share(seen),
            f"{coverage.seen:,} of {executions:,} executions" if executions else "no executions",
            "bad" if coverage.unseen else "",
        ),
    )


def _of(part: int, whole: int) -> str:
    return f"{share(part / whole)} of all" if whole else ""


def remarks_on(report: Report, drawing: Drawing) -> tuple[str, ...]:
    """Return what limits what can be read from a page, a sentence each."""
    return (*_about_the_capture(report), *_about_the_page(drawing))


def _about_the_capture(report: Report) -> Iterator[str]:
    coverage = report.coverage
    if coverage.gaps:
        lasted = duration(coverage.gap_seconds)
        yield f"The subscription was interrupted {_times(coverage.gaps)}, {lasted} in all."
    if coverage.unseen:
        yield (
            f"Executions that the workers counted and that were not seen: {coverage.unseen:,}; "
            "the number of tasks is too low by about as many."
        )
    if coverage.damaged_lines:
        yield f"Lines that could not be read: {coverage.damaged_lines:,}."
    if coverage.rejected:
        yield f"Events that could not be read: {_listed(coverage.rejected)}."
    if coverage.oddities:
        yield f"Events that did not fit: {_listed(coverage.oddities)}."
    if coverage.overflowed:
        yield f"Told as “other” because a table was full: {_listed(coverage.overflowed)}."
    for advice, subject in coverage.advice:
        yield f"Advice: {advice}" + (f" at {subject}." if subject else ".")


def _about_the_page(drawing: Drawing) -> Iterator[str]:
    lanes, timelines = drawing.lanes, drawing.timelines
    if len(lanes.bars) < lanes.runs:
        yield (
            f"Of {lanes.runs:,} runs the lanes show {len(lanes.bars):,}: of each worker and "
            "interval those that failed, then the longest."
        )
    if lanes.lanes_left_out:
        yield f"Workers without a lane, because others ran more: {lanes.lanes_left_out:,}."
    if drawing.queues_left_out:
        yield f"Queues that are in the table and in no chart: {drawing.queues_left_out:,}."
    if timelines.tasks_left_out:
        yield f"Task names whose latencies are in the table only: {timelines.tasks_left_out:,}."
    if drawing.traces_left_out:
        yield f"Traces of examples that were not kept: {drawing.traces_left_out:,}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _listed(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in most)
