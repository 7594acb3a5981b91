"""Rounds in which everything that is compared takes its turn."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from .result import Result
from .servers import Measured


class Plan(Struct, frozen=True, kw_only=True):
    """How much is measured."""

    events: int = 120_000
    peer_events: int = 20_000
    """For the peers, which take ten times as long for each."""
    seed: int = 1
    batch: int = 24
    rounds: int = 5
    peers: bool = True


class Contestant(Struct, frozen=True):
    """Something that is measured in each round."""

    workload: str
    events: int
    measure: Callable[[], Measured]
    rounds: int | None = None
    """Fewer than the others have; None: as many."""


def take_turns(
    benchmark: str, contestants: Mapping[str, Contestant], plan: Plan, *, unit: str = "events"
) -> list[Result]:
    """Measure every contestant once in each round; the first rounds come first in the results."""
    found: dict[str, list[Measured]] = {stage: [] for stage in contestants}
    for number in range(plan.rounds):
        for stage, contestant in contestants.items():
            if contestant.rounds is None or number < contestant.rounds:
                found[stage].append(contestant.measure())
    return [
        Result(
            benchmark,
            stage,
            contestant.workload,
            plan.batch,
            contestant.events,
            tuple(round(each.cpu_seconds, 4) for each in found[stage]),
            unit=unit,
            resident_bytes=found[stage][-1].resident_bytes,
        )
        for stage, contestant in contestants.items()
    ]
