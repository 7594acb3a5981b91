"""A few lines that say what was in a capture."""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field
from rich.console import Console
from rich.table import Table

from ..core.record import WorkerRecord
from ..core.states import State
from ..events import Reason
from ..occurrences import EventsDecoded, EventsRejected, Occurrence


class Tally(Struct):
    """What was read, by what the pipeline told; call it with each occurrence."""

    events: int = 0
    rejected: Counter[Reason] = field(default_factory=Counter)

    def __call__(self, occurrence: Occurrence) -> None:
        """Count an occurrence."""
        match occurrence:
            case EventsDecoded(count):
                self.events += count
            case EventsRejected(reason, count):
                self.rejected[reason] += count
            case _:
                pass


def print_summary(
    console: Console,
    tally: Tally,
    *,
    damaged_lines: int,
    tasks: Counter[State],
    workers: Iterable[WorkerRecord],
) -> None:
    """Print what was in a capture."""
    workers = list(workers)
    unseen = sum(each.unseen for each in workers)
    seen = sum(each.starts_seen for each in workers)
    unknown = tasks[State.UNKNOWN] + tasks[State.LOST]
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column()
    for what, count, detail in (
        ("events", tally.events, ""),
        ("  rejected", tally.rejected.total(), _by_name(tally.rejected)),
        ("damaged lines", damaged_lines, ""),
        ("tasks", tasks.total(), _by_name(tasks)),
        ("  end not known", unknown, "no event says how they ended"),
        ("worker processes", len(workers), ""),
        ("executions", seen, "whose start was seen"),
        ("  unseen", unseen, "that heartbeats count besides"),
    ):
        table.add_row(what, f"{count:,}", detail if count else "")
    console.print(table)


def _by_name(counts: Counter[State] | Counter[Reason]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in most)
