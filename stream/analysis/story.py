"""One task's whole story: its family as a tree, and each delivery with its times.

Two readings of the capture make it, since what belongs to a family may come before the task that
was asked for: `Finder` learns the root, `Story` collects what goes back to it.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from msgspec import Struct, field
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from ..core.effects import (
    AttemptEnded,
    Effect,
    Sent,
    StuckBegan,
    TaskForgotten,
    TaskRevised,
)
from ..core.record import TaskRecord
from ..errors import RefusedError
from ..sinks.exceptions import message_of
from ..sinks.identity import origin
from .outcomes import UNNAMED
from .text import duration, instant, one_line, time_of_day

_TASKS: Final = 2_000
"""Of one family; what is beyond is counted."""
_TIMES: Final = 200
"""Of the same about one task: ``chord_unlock`` retries for hours."""
_DEEPEST: Final = 8
"""Levels that are indented; what is deeper follows its parent, marked by an arrow."""
_CANDIDATES: Final = 5
_MESSAGE_CHARACTERS: Final = 200
_AT_ONCE: Final = 0.05
"""Seconds: no ETA is so near that it matters."""


E = TypeVar("E", bound=Effect)


class Finder:
    """Finds the task with an id, or whose id begins like that.

    Args:
        wanted: the id or its beginning.
    """

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._found: dict[str, str] = {}

    def accept(self, effects: Sequence[Effect]) -> None:
        """Look at the tasks that leave."""
        for effect in effects:
            if isinstance(effect, TaskForgotten) and effect.record.uuid.startswith(self._wanted):
                record = effect.record
                if record.uuid == self._wanted or len(self._found) < _CANDIDATES:
                    self._found[record.uuid] = record.root_id or record.uuid

    def found(self) -> tuple[str, str]:
        """Return the id of the task and of its root.

        Raises:
            RefusedError: there is none, or more than one.
        """
        if self._wanted in self._found:
            return self._wanted, self._found[self._wanted]
        if not self._found:
            raise RefusedError(f"no task in the capture has an id like {self._wanted}")
        if len(self._found) > 1:
            raise RefusedError(f"several ids begin like that: {', '.join(sorted(self._found))}")
        return next(iter(self._found.items()))


class Member(Struct):
    """What is known of one task of the family."""

    record: TaskRecord | None = None
    sends: list[Sent] = field(default_factory=list)
    attempts: list[AttemptEnded] = field(default_factory=list)
    stuck: list[StuckBegan] = field(default_factory=list)
    revised: list[TaskRevised] = field(default_factory=list)

    @property
    def parent_attempt(self) -> tuple[int, int]:
        """Which delivery of its parent sent it."""
        told: list[Sent | AttemptEnded] = [*self.sends, *self.attempts]
        return told[0].parent_attempt if told else (0, 0)

    @property
    def first_at(self) -> float:
        """When it is heard of first; 0 where that is not known."""
        record = self.record
        times = [each.sent_at for each in self.sends]
        if record is not None:
            known = (record.sent_at, record.received_at, record.started_at, record.ended_at)
            times += [at for at in known if at is not None]
        return min(times, default=0.0)


class Story:
    """Collects a family.

    Args:
        uuid: the task that is asked for.
        root_id: what its family goes back to.
        limit: of tasks.
    """

    def __init__(self, uuid: str, root_id: str, *, limit: int = _TASKS) -> None:
        self._limit = limit
        self.uuid = uuid
        self.root_id = root_id
        self.members: dict[str, Member] = {}
        self.left_out = 0

    def accept(self, effects: Sequence[Effect]) -> None:
        """Keep what belongs to the family."""
        for effect in effects:
            match effect:
                case Sent() if self._is_kin(effect.uuid, effect.root_id):
                    self._keep(self._member(effect.uuid).sends, effect)
                case AttemptEnded() if self._is_kin(effect.uuid, effect.root_id):
                    self._keep(self._member(effect.uuid).attempts, effect)
                case StuckBegan() if self._is_kin(effect.uuid, effect.root_id):
                    self._keep(self._member(effect.uuid).stuck, effect)
                case TaskRevised() if self._is_kin(effect.uuid, effect.root_id):
                    self._keep(self._member(effect.uuid).revised, effect)
                case TaskForgotten() if self._is_kin(effect.record.uuid, effect.record.root_id):
                    self._member(effect.record.uuid).record = effect.record
                case _:
                    pass

    def _keep(self, known: list[E], effect: E) -> None:
        if len(known) < _TIMES:
            known.append(effect)
        else:
            self.left_out += 1

    def _is_kin(self, uuid: str, root_id: str | None) -> bool:
        return self.root_id in (root_id, uuid) or uuid == self.uuid

    def _member(self, uuid: str) -> Member:
        member = self.members.get(uuid)
        if member is None:
            member = Member()
            if len(self.members) < self._limit or uuid == self.uuid:
                self.members[uuid] = member
            else:
                self.left_out += 1
        return member

    @property
    def began_at(self) -> float:
        """The first instant that is known of any member."""
        return min((each.first_at for each in self.members.values() if each.first_at), default=0.0)

    def children(self) -> dict[str | None, list[str]]:
        """The ids of the tasks by the parent among them, oldest first; None: those without."""
        children: dict[str | None, list[str]] = {}
        ordered = sorted(self.members.items(), key=lambda item: (item[1].first_at, item[0]))
        for uuid, member in ordered:
            parent = None if member.record is None else member.record.parent_id
            known = parent in self.members and parent != uuid
            children.setdefault(parent if known else None, []).append(uuid)
        return children


def show_story(console: Console, story: Story) -> None:
    """Print a family as a tree; times count from its first event."""
    began_at = story.began_at
    trace = origin(None, story.root_id, story.root_id)
    for member in story.members.values():
        for attempt in member.attempts[:1]:
            trace = origin(attempt.trace, attempt.root_id, attempt.uuid)
    head = f"trace {trace.trace_id:032x} from {instant(began_at)} UTC, tasks: {len(story.members)}"
    tree = Tree(Text(head), guide_style="dim")
    children = story.children()
    shown: set[str] = set()
    for uuid in children.get(None, []):
        _grow(tree, uuid, story, children=children, shown=shown)
    for uuid in sorted(story.members.keys() - shown):  # whose parents are in a circle
        _grow(tree, uuid, story, children=children, shown=shown)
    console.print(tree)
    if story.left_out:
        console.print(f"{story.left_out:,} more events are not shown")


def _grow(
    tree: Tree, uuid: str, story: Story, *, children: dict[str | None, list[str]], shown: set[str]
) -> None:
    """Add a task and all below it, without recursion: a chain may be very long."""
    todo = [(tree, uuid, 0)]
    while todo:
        above, each, depth = todo.pop()
        if each in shown:
            continue
        shown.add(each)
        member = story.members[each]
        title = _title(each, member, is_asked_for=each == story.uuid and len(story.members) > 1)
        branch = above.add(Text.assemble("↳ ", title) if depth > _DEEPEST else title)
        for text in _lines(member, since=story.began_at):
            branch.add(text)
        below = branch if depth < _DEEPEST else above
        todo += [(below, child, depth + 1) for child in reversed(children.get(each, []))]


def _title(uuid: str, member: Member, *, is_asked_for: bool) -> Text:
    record = member.record
    name = UNNAMED if record is None or record.name is None else one_line(record.name)
    title = Text.assemble((name, "bold"))
    if record is not None:
        title.append(f"  {record.state}" + (" (inferred)" if record.inferred else ""))
        if record.total_time is not None:
            title.append(f" after {duration(record.total_time)}")
    if member.parent_attempt != (0, 0):
        title.append(f"  from its parent's retry {member.parent_attempt[0]}")
    if is_asked_for:
        title.append("  ◀", "bold")
    return title.append(f"  {uuid}")


def _lines(member: Member, *, since: float) -> Iterator[Text]:
    """Tell what happened to a task in the order of time."""
    lines: list[tuple[float, str]] = [
        (each.sent_at, f"sent to {one_line(each.kind.queue)}{_retry(each.retries)}")
        for each in member.sends
    ]
    for attempt in member.attempts:
        lines += _delivery(attempt)
    for stuck in member.stuck:
        lines.append((stuck.at, f"stuck: {stuck.reason} for {duration(stuck.age)}"))
    for revised in member.revised:
        lines.append((revised.at, f"{revised.was} turned out to be {revised.state}"))
    for at, text in sorted(lines, key=lambda line: line[0]):
        yield Text.assemble((f"+{duration(max(0.0, at - since)):>7}  ", "dim"), text)


def _delivery(ended: AttemptEnded) -> Iterator[tuple[float, str]]:
    where = f"{one_line(ended.hostname)} (pid {ended.pid})" if ended.hostname else "nobody"
    again = " again" if ended.redelivered else ""
    if ended.received_at is not None:
        yield ended.received_at, f"received{again} by {where}{_retry(ended.retries)}"
    if ended.started_at is not None:
        yield ended.started_at, f"started at {time_of_day(ended.started_at)}{_waited(ended)}"
    run = "" if ended.run is None else f", ran {duration(ended.run)}"
    why = f" ({ended.reason})" if ended.reason else ""
    failure = _failure(ended)
    yield ended.ended_at, f"{ended.state}{why}{run}{failure}"


def _waited(ended: AttemptEnded) -> str:
    """Say how long it waited, and since when where that is not since it was sent."""
    if ended.wait is None or ended.started_at is None:
        return ""
    put_off = ended.started_at - ended.wait - (ended.sent_at or ended.started_at)
    since = " from its ETA" if put_off > _AT_ONCE else ""
    return f", waited {duration(ended.wait)}{since}"


def _retry(retries: int) -> str:
    return f", retry {retries}" if retries else ""


def _failure(ended: AttemptEnded) -> str:
    if ended.error_type is None:
        return ""
    message = one_line(message_of(ended.exception) or "")
    return f": {one_line(ended.error_type)}: {message[:_MESSAGE_CHARACTERS]}"
