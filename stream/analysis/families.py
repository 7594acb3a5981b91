"""Families of tasks (chains, groups, chords) that took long, and what their time went to.

The records of a family come one by one, as its tasks are forgotten. They are kept until nothing has
come of it for a while, and then only if it is among the slowest. What is kept meanwhile is bounded:
a family that is larger is told without some of its members, and one that pauses while many others
go on is told in parts.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from ..core.record import TaskRecord
from ..sinks.identity import trace_id
from .bounded import Top
from .outcomes import UNNAMED
from .report import Step, TracePath

_SLOWEST: Final = 10
_ROOTS: Final = 10_000
"""Tasks that may become the roots of families, in each of two generations: of 250 tasks a second
each is kept for 40 to 80 seconds after it could be forgotten. 9 MB together."""
_MEMBERS: Final = 10_000
"""Likewise, members of families."""
_MEMBERS_OF_ONE: Final = 500
_STEPS: Final = 100
_NEVER: Final = 1e10
"""Epoch seconds: what ends in the year 2286 was measured wrongly."""
_AT_ONCE: Final = 0.1
"""Seconds by which a task may be sent before the one that sends it is said to have ended."""


class Family(Struct):
    """The tasks of one root that are known so far."""

    members: list[TaskRecord] = field(default_factory=list)
    own: dict[str, TaskRecord] = field(default_factory=dict)
    """What Celery sends for itself: those that wait for the members of a chord."""
    left_out: int = 0
    began_at: float = float("inf")
    ended_at: float = 0.0

    @property
    def is_one(self) -> bool:
        """Whether there is more than a task alone."""
        sent_by_own = any(each.parent_id in self.own for each in self.members)
        return len(self.members) + self.left_out > 1 or sent_by_own

    def add(self, record: TaskRecord) -> None:
        """Take in a member."""
        if record.sent_at is not None:
            self.began_at = min(self.began_at, record.sent_at)
        if record.internal:
            if len(self.own) < _MEMBERS_OF_ONE:
                self.own[record.uuid] = record
            return
        if record.ended_at is not None and record.ended_at < _NEVER:
            self.ended_at = max(self.ended_at, record.ended_at)
        if len(self.members) < _MEMBERS_OF_ONE:
            self.members.append(record)
        else:
            self.left_out += 1


class Families:
    """Finds the slowest families."""

    def __init__(self) -> None:
        self._roots: dict[str, TaskRecord] = {}
        self._roots_before: dict[str, TaskRecord] = {}
        self._families: dict[str, Family] = {}
        self._families_before: dict[str, Family] = {}
        self._members = 0
        self._slowest: Top[tuple[str, Family]] = Top(_SLOWEST)

    def take(self, record: TaskRecord) -> None:
        """Take in a task that has a root."""
        root_id = record.root_id
        if root_id is None:
            return
        if root_id == record.uuid and not self._knows(root_id):
            self._roots[root_id] = record  # nearly always it stays alone
            if len(self._roots) >= _ROOTS:
                self._roots_before, self._roots = self._roots, {}
            return
        self._family(root_id).add(record)
        self._members += 1
        if self._members >= _MEMBERS:
            self._settle_quiet()

    def _knows(self, root_id: str) -> bool:
        return root_id in self._families or root_id in self._families_before

    def _family(self, root_id: str) -> Family:
        family = self._families.get(root_id)
        if family is None:
            family = self._families_before.pop(root_id, None) or Family()
            self._families[root_id] = family
            root = self._roots.pop(root_id, None) or self._roots_before.pop(root_id, None)
            if root is not None:
                family.add(root)
        return family

    def _settle_quiet(self) -> None:
        """Judge the families of which nothing came since this was done last."""
        self._settle(self._families_before)
        self._families_before, self._families, self._members = self._families, {}, 0

    def _settle(self, families: dict[str, Family]) -> None:
        for root_id, family in families.items():
            if family.is_one:
                size = family.ended_at - family.began_at
                self._slowest.offer(size, root_id, (root_id, family))

    def slowest(self) -> tuple[TracePath, ...]:
        """Tell the families that took longest. To be called once, at the end."""
        self._settle(self._families_before)
        self._settle(self._families)
        return tuple(
            _path(root_id, family)
            for root_id, family in self._slowest.largest()
            if family.is_one and family.ended_at > family.began_at
        )


def _path(root_id: str, family: Family) -> TracePath:
    return TracePath(
        root_id,
        f"{trace_id(root_id):032x}",
        len(family.members),
        family.left_out,
        family.began_at,
        family.ended_at - family.began_at,
        tuple(_step(each, since=family.began_at) for each in _steps_of(family)),
    )


def _step(record: TaskRecord, *, since: float) -> Step:
    begin = record.sent_at or record.received_at or record.started_at or since
    ended = record.ended_at or begin
    started = record.started_at or ended
    return Step(
        record.uuid,
        UNNAMED if record.name is None else record.name,
        record.state,
        begin - since,
        max(0.0, started - begin),
        max(0.0, ended - started),
    )


def _steps_of(family: Family) -> list[TaskRecord]:
    return critical_path(family.members, family.own)


def critical_path(
    members: list[TaskRecord], own: Mapping[str, TaskRecord] | None = None
) -> list[TaskRecord]:
    """Return the tasks that, one after the other, made a family take as long as it did.

    It is followed from the one that ended last back to the first. Whoever was running when a task
    was sent, its parent, sent it; where the parent had ended, the task waited for others, and of
    its siblings the last to end before it was sent was waited for (a chord's header). A parent of
    Celery's own, which asks again and again whether the header has ended, stands for the header
    only where that is not known.

    Args:
        members: of the family.
        own: by uuid, what Celery sent for itself.
    """
    ended = [each for each in members if (each.ended_at or _NEVER) < _NEVER]
    if not ended:
        return []
    by_uuid = {each.uuid: each for each in ended}
    step: TaskRecord | None = max(ended, key=lambda each: (each.ended_at or 0.0, each.uuid))
    path: dict[str, TaskRecord] = {}
    while step is not None and step.uuid not in path and len(path) < _STEPS:
        path[step.uuid] = step
        waited = (own or {}).get(step.parent_id or "")
        if waited is None:
            step = _before(step, ended, by_uuid)
        else:
            is_root = waited.parent_id is None
            step = (None if is_root else _last_child(waited.parent_id, step, ended)) or waited
    return list(reversed(path.values()))


def _before(
    step: TaskRecord, ended: list[TaskRecord], by_uuid: dict[str, TaskRecord]
) -> TaskRecord | None:
    parent = by_uuid.get(step.parent_id or "")
    if step.sent_at is None or (parent is not None and _ran_at(parent, step.sent_at)):
        return parent
    sibling = _last_child(step.parent_id, step, ended)
    earlier = [each for each in (sibling, parent) if each is not None]
    return max(earlier, key=lambda each: (each.ended_at or 0.0, each.uuid), default=None)


def _last_child(
    parent_id: str | None, step: TaskRecord, ended: list[TaskRecord]
) -> TaskRecord | None:
    """Return, of a parent's children, the last to end before another task was sent."""
    sent_at = step.sent_at or 0.0
    earlier = [
        each
        for each in ended
        if (each.ended_at or 0.0) <= sent_at + _AT_ONCE
        and each.uuid != step.uuid
        and each.parent_id == parent_id
        and (each.sent_at or 0.0) < sent_at
    ]
    return max(earlier, key=lambda each: (each.ended_at or 0.0, each.uuid), default=None)


def _ran_at(record: TaskRecord, at: float) -> bool:
    return (record.started_at or at) <= at <= (record.ended_at or 0.0) + _AT_ONCE
