"""The dashboards: what each shows, in the order in which one asks when something is wrong."""

from collections.abc import Callable, Mapping
from typing import Final

from ..names import Names, Series
from ..panels import Dashboard, Variable
from . import overview, queues, service, tasks, workers
from .variables import OF_PROCESS

BOARDS: Final[Mapping[str, Callable[[Series], Dashboard]]] = {
    "overview": overview.dashboard,
    "tasks": tasks.dashboard,
    "queues": queues.dashboard,
    "workers": workers.dashboard,
    "service": service.dashboard,
}


def dashboards(names: Names) -> dict[str, Dashboard]:
    """Make all of them for a store that calls our metrics so."""
    series = Series(names, f'{OF_PROCESS},broker=~"$broker"')
    return {name: make(series) for name, make in BOARDS.items()}


__all__ = ("BOARDS", "Variable", "dashboards")
