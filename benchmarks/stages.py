"""Steps in this process that take turns, each measured in CPU seconds by itself."""

import time
from collections.abc import Callable, Mapping

from .result import Result


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Return what does the work and returns the CPU seconds it took."""

    def measured() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return measured


def by_turns(
    benchmark: str,
    stages: Mapping[str, Callable[[], float]],
    *,
    workload: str,
    items: int,
    batch: int,
    unit: str,
    rounds: int,
    sizes: Mapping[str, dict[str, float]] | None = None,
) -> list[Result]:
    """Measure every stage once in each round.

    Args:
        benchmark: name of it.
        stages: each returns the CPU seconds that it took.
        workload: its hash.
        items: in each round.
        batch: of the workload.
        unit: what the items are.
        rounds: how many.
        sizes: what else is known, by stage.
    """
    seconds: dict[str, list[float]] = {stage: [] for stage in stages}
    for _ in range(rounds):
        for stage, work in stages.items():
            seconds[stage].append(work())
    return [
        Result(
            benchmark,
            stage,
            workload,
            batch,
            items,
            tuple(round(each, 6) for each in seconds[stage]),
            unit=unit,
            sizes=(sizes or {}).get(stage, {}),
        )
        for stage in stages
    ]
