"""What a benchmark found."""

from msgspec import Struct


class Result(Struct, frozen=True):
    """One stage of one benchmark on one workload."""

    benchmark: str
    stage: str
    workload: str
    """Hash of what was published."""
    batch: int
    """Events in one message, at most."""
    events: int
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Events per CPU second."""
        return self.events / self.cpu_seconds if self.cpu_seconds else 0.0


def table(results: list[Result]) -> str:
    """Results for a person, each with its ratio to the last of its group, the baseline."""
    lines = []
    for result in results:
        group = [r for r in results if (r.benchmark, r.batch) == (result.benchmark, result.batch)]
        ratio = result.rate / group[-1].rate if group[-1].rate else 0.0
        lines.append(
            f"{result.benchmark:16} batch {result.batch:<3} {result.stage:40} "
            f"{result.rate:>10,.0f} events/CPU s  {ratio:6.1f} x"
        )
    return "\n".join(lines)
