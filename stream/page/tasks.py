"""Lists of single tasks: found in flight and among those that ended, failed, or stuck.

A request looks at a bounded number of tasks and says when there were more.
"""

from collections.abc import Callable, Iterator
from heapq import nlargest
from typing import Final

from msgspec import Struct

from ..core.effects import StuckReason
from ..core.kinds import Kind
from ..core.look import Overdue, TaskLook
from ..core.search import Search
from ..core.states import State
from ..sinks.history import End, Ended, ended_at, total_of
from .answers import Failure, Failures, Stuck, StuckTasks, Task, Tasks
from .telling import Telling
from .watched import Brokers

LOOKED_AT: Final = 15_000
"""Tasks in flight that one request looks at one by one: twenty milliseconds among a million."""
MOST: Final = 100
"""Stuck tasks, and groups of failures, in one answer."""

_WHY: Final = {
    (StuckReason.RUNS_LONG, True): (
        "It runs for longer than {limit}, and its worker says that it still works."
    ),
    (StuckReason.RUNS_LONG, False): (
        "It began more than {limit} ago; whether it still runs, its worker does not say."
    ),
    (StuckReason.NOT_CONSUMED, True): (
        "Nobody took it from its queue within {limit}, and messages wait there."
    ),
    (StuckReason.NOT_CONSUMED, False): (
        "Nobody was seen to take it within {limit}, but its queue is empty."
    ),
    (StuckReason.NOT_STARTED, True): (
        "Its worker holds it for longer than {limit} and does not begin."
    ),
    (StuckReason.NOT_STARTED, False): (
        "No start was seen within {limit}; its worker is silent, or its events are lost."
    ),
    (StuckReason.RETRY_OVERDUE, True): (
        "Its retry was due more than {limit} ago, and messages wait in its queue."
    ),
    (StuckReason.RETRY_OVERDUE, False): (
        "Its retry was due more than {limit} ago and was not seen."
    ),
}


class Wanted(Struct, frozen=True):
    """What a request asks for."""

    search: Search
    in_flight: bool = True
    ended: bool = True
    broker: str = ""
    """Empty: all."""
    limit: int = 100


class _Found(Struct, frozen=True):
    """A task that ended and is wanted."""

    broker: str
    ended: Ended
    state: State


def find(brokers: Brokers, wanted: Wanted, *, telling: Telling, now: float) -> Tasks:
    """Look for tasks: those in flight first, then those that ended."""
    chosen = {name: each for name, each in brokers.items() if wanted.broker in ("", name)}
    tasks: list[Task] = []
    in_flight = _add_in_flight(tasks, chosen, wanted) if wanted.in_flight else 0
    found = list(_ended(chosen, wanted.search)) if wanted.ended else []
    newest = nlargest(wanted.limit - len(tasks), found, key=lambda each: ended_at(each.ended[0]))
    tasks += (_of_end(each, telling) for each in newest)
    kept = sum(len(each.history) for each in chosen.values())
    return Tasks(now, tuple(tasks), in_flight, len(found), in_flight is not None, kept)


def failures(brokers: Brokers, *, telling: Telling) -> Failures:
    """Tell the groups of ends that are no success."""
    groups = [
        (name, key, group)
        for name, watched in brokers.items()
        for key, group in watched.history.groups.items()
    ]
    newest = nlargest(MOST, groups, key=lambda each: each[2].last_at)
    told = tuple(
        Failure(
            broker,
            *key,
            group.count,
            group.first_at,
            group.last_at,
            group.uuid,
            telling.error(group.example),
        )
        for broker, key, group in newest
    )
    return Failures(told, len(groups))


def stuck(brokers: Brokers, *, total: int) -> StuckTasks:
    """Tell the tasks that are over the limit of their phase; *total* is how many there are."""
    found = [
        (name, each) for name, watched in brokers.items() for each in watched.engine.overdue(MOST)
    ]
    found.sort(key=lambda each: (not each[1].task.stuck, each[1].task.since))
    return StuckTasks(tuple(_stuck(*each) for each in found[:MOST]), total)


def _add_in_flight(tasks: list[Task], chosen: Brokers, wanted: Wanted) -> int | None:
    """Add what is in flight to *tasks*; return how many there are, None where not all was seen."""
    total: int | None = 0
    budget = LOOKED_AT
    for name, watched in chosen.items():
        room = wanted.limit - len(tasks)
        looked = watched.engine.find(wanted.search, limit=room, budget=budget)
        budget -= looked.looked_at
        total = None if total is None or looked.total is None else total + looked.total
        tasks += (_of_look(name, task) for task in looked.tasks)
    return total


def _ended(chosen: Brokers, search: Search) -> Iterator[_Found]:
    for name, watched in chosen.items():
        revisions = watched.history.revisions()
        decide: dict[Kind, Callable[[str, str | None], bool]] = {}
        for end in watched.history.tasks():
            finished, attempt = end
            kind = finished.kind
            wanted = decide.get(kind)
            if wanted is None:
                wanted = decide[kind] = search.of(kind) if search.kind(kind) else _never
            state = revisions.get(finished.uuid, finished.state)
            hostname = None if attempt is None else attempt.hostname
            if search.state(state) and wanted(finished.uuid, hostname):
                yield _Found(name, end, state)


def _never(_uuid: str, _hostname: str | None) -> bool:
    return False


def _of_look(broker: str, task: TaskLook) -> Task:
    last = task.last
    return Task(
        broker,
        task.uuid,
        task.kind.name,
        task.kind.queue,
        task.state,
        last.hostname,
        task.since,
        last.retries,
        ended=task.finished,
        stuck=task.stuck,
        unsure=task.unsure,
        eta=last.eta,
        sent_at=last.sent_at,
        started_at=last.started_at,
        wait=last.wait,
        run=last.run,
        total=None,
        error_type=None,
        error=None,
    )


def _of_end(found: _Found, telling: Telling) -> Task:
    finished, attempt = found.ended
    return Task(
        found.broker,
        finished.uuid,
        finished.kind.name,
        finished.kind.queue,
        found.state,
        None if attempt is None else attempt.hostname,
        ended_at(finished),
        0 if attempt is None else attempt.retries,
        ended=True,
        stuck=False,
        unsure=finished.inferred and found.state is finished.state,
        eta=None,
        sent_at=None if attempt is None else attempt.sent_at,
        started_at=None if attempt is None else attempt.started_at,
        wait=None if attempt is None else attempt.wait,
        run=finished.run,
        total=total_of(finished),
        error_type=finished.error_type,
        error=_why_ended(finished, found, telling),
    )


def _why_ended(finished: End, found: _Found, telling: Telling) -> str | None:
    if found.state is State.SUCCESS:
        return None
    return telling.error(found.ended[1]) or finished.reason


def _stuck(broker: str, overdue: Overdue) -> Stuck:
    task = overdue.task
    sentence = _WHY[overdue.reason, task.stuck].format(limit=_words(overdue.limit))
    return Stuck(
        broker,
        task.uuid,
        task.kind.name,
        task.kind.queue,
        task.last.hostname,
        task.state,
        overdue.phase,
        overdue.reason,
        task.stuck,
        task.since,
        overdue.limit,
        task.last.retries,
        sentence,
    )


def _words(seconds: float) -> str:
    """Write a limit for a person: ``90 s``, ``10 min``, ``2.5 h``."""
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{round(seconds / unit, 1):g} {name}"
    return f"{round(seconds, 1):g} s"
