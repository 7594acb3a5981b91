"""What benchmarks found: rounds of stages, kept as JSON, compared and told as tables.

Contestants of one benchmark take turns, round by round, so that whatever else the machine does
meanwhile hurts them alike; a ratio is the median of the rounds' ratios.
"""

from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

FORMAT = 2


class Result(Struct, frozen=True):
    """One stage of one benchmark on one workload."""

    benchmark: str
    stage: str
    workload: str
    """Hash of what was published."""
    batch: int
    """Events in one message, at most."""
    items: int
    """In each round."""
    cpu_seconds: tuple[float, ...]
    """Of each round."""
    unit: str = "events"
    """What the items are."""
    resident_bytes: int = 0
    """Of the process at the end of its last round; 0: not measured."""
    sizes: dict[str, float] = {}
    """What else was found, by its name, which says the unit."""

    @property
    def rate(self) -> float:
        """Items per CPU second: the median of the rounds."""
        return median(self.items / max(each, 1e-9) for each in self.cpu_seconds)

    @property
    def microseconds(self) -> float:
        """Per item, the median of the rounds."""
        return 1e6 / self.rate

    @property
    def key(self) -> tuple[str, str, int]:
        """What is measured: the same in another run of the benchmarks."""
        return (self.benchmark, self.stage, self.batch)

    def ratio_to(self, other: "Result") -> float:
        """How many times as fast as another stage of the same rounds."""
        mine = [self.items / max(each, 1e-9) for each in self.cpu_seconds]
        theirs = [other.items / max(each, 1e-9) for each in other.cpu_seconds]
        pairs = list(zip(mine, theirs, strict=False))
        return median(ours / other for ours, other in pairs)


class Row(Struct, frozen=True):
    """One thing that is to be reached."""

    name: str
    wanted: str
    measured: str
    reached: bool
    value: float
    """What was compared, in the unit of the text."""


class Point(Struct, frozen=True):
    """One point of a curve."""

    x: float
    events_per_cpu_second: float
    bytes: float
    """Resident, per task in flight where that is what varies, else of the process."""


class Curve(Struct, frozen=True):
    """How cost depends on one quantity."""

    name: str
    """Of the quantity."""
    points: tuple[Point, ...]


class Machine(Struct, frozen=True):
    """Where and when."""

    date: str
    cpu: str
    cores: int
    system: str
    python: str
    version: str
    """Of celery-stream."""
    load: float
    """Processes that wanted to run, on average over a minute, before it began."""


class Results(Struct, frozen=True):
    """A file of results."""

    machine: Machine
    results: tuple[Result, ...] = ()
    rows: tuple[Row, ...] = ()
    curves: tuple[Curve, ...] = ()
    format: int = FORMAT

    def of(self, benchmark: str, stage: str, batch: int) -> Result | None:
        """Return one result, if it was measured."""
        wanted = (benchmark, stage, batch)
        return next((each for each in self.results if each.key == wanted), None)


def load(file: Path) -> Results:
    """Read a file.

    Raises:
        SystemExit: it is none of ours.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Results)
    except (OSError, msgspec.MsgspecError) as error:
        raise SystemExit(f"{file} cannot be read as results: {error}") from None


def save(file: Path, results: Results) -> None:
    """Write a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def table(results: list[Result]) -> str:
    """Results for a person, each with its ratio to the last of its group, the baseline."""
    lines = []
    for result in results:
        group = [r for r in results if (r.benchmark, r.batch) == (result.benchmark, result.batch)]
        lines.append(
            f"{result.benchmark:18} batch {result.batch:<3} {result.stage:44} "
            f"{result.rate:>11,.0f} {result.unit}/CPU s {result.ratio_to(group[-1]):7.2f} x"
        )
    return "\n".join(lines)


def comparison(before: Results, after: Results) -> str:
    """Two files beside each other: what each stage takes, and how its rate changed."""
    lines = [f"before {_where(before.machine)}", f"after  {_where(after.machine)}", ""]
    for old in before.results:
        new = after.of(*old.key)
        if new is None:
            continue
        other = "" if old.workload == new.workload else "  (another workload)"
        lines.append(
            f"{old.benchmark:18} batch {old.batch:<3} {old.stage:44} "
            f"{old.rate:>11,.0f} -> {new.rate:>11,.0f} {old.unit}/CPU s "
            f"{new.rate / old.rate - 1.0:+7.1%}{other}"
        )
    rows = {row.name: row for row in after.rows}
    lines += [
        f"{row.name:76} {row.measured} -> {rows[row.name].measured}"
        for row in before.rows
        if row.name in rows
    ]
    return "\n".join(lines)


def _where(machine: Machine) -> str:
    return f"{machine.date}, {machine.cpu}, {machine.cores} cores, {machine.python}"
