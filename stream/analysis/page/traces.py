"""A sink that keeps whole traces: those that the tables of a page name, and others while few."""

from collections.abc import Iterable, Sequence
from typing import Final

from ...core.effects import (
    AttemptEnded,
    Effect,
    Sent,
    StuckBegan,
    TaskForgotten,
    TaskRevised,
)
from ...sinks.exceptions import message_of
from ...sinks.identity import origin
from ...sinks.redaction import Redaction
from ..outcomes import UNNAMED
from ..report import Report
from ..scope import GIVEN_UP, Scope
from ..story import Member as Told
from ..story import Story
from .content import Delivery, Member, Trace

_ROWS: Final = 60
"""Of a table, whose traces are kept; those further down are examples of rare things."""
_MEMBERS: Final = 200
"""Tasks of one trace; a waterfall of more is not read."""
_TASKS: Final = 10_000
"""Of all traces together: two megabytes of page at most."""
_SMALL: Final = 1_500
"""Tasks of a report of which all traces are kept."""
_DEEPEST: Final = 12
_MESSAGE_CHARACTERS: Final = 200


def wanted_traces(report: Report) -> dict[str, tuple[str, ...]]:
    """Return the roots of the traces that a report names, and as what; the slowest first."""
    kinds: dict[str, dict[str, None]] = {}
    named: Iterable[tuple[str, str]] = (
        *(("slow", path.root_id) for path in report.slow_traces),
        *(("slow", run.root_id or run.uuid) for run in report.slow_runs),
        *(("failed", row.root_id or row.uuid) for row in report.failures[:_ROWS]),
        *(("open", row.root_id or row.uuid) for row in report.unfinished[:_ROWS]),
    )
    for kind, root_id in named:
        kinds.setdefault(root_id, {})[kind] = None
    return {root_id: tuple(found) for root_id, found in kinds.items()}


class Traces:
    """Keeps traces.

    Args:
        report: says which, and how many tasks there are.
        scope: what was reported.
        redact: hides passwords in what tasks raised.
    """

    def __init__(self, report: Report, scope: Scope, redact: Redaction) -> None:
        self._scope, self._redact = scope, redact
        self._kinds = wanted_traces(report)
        self._takes_all = sum(report.states.values()) <= _SMALL
        self._critical = {
            path.root_id: tuple(step.uuid for step in path.steps) for path in report.slow_traces
        }
        self._stories: dict[str, Story] = {}
        self._tasks = 0

    def accept(self, effects: Sequence[Effect]) -> None:
        """Keep what belongs to one of them."""
        for effect in effects:
            match effect:
                case Sent() | AttemptEnded() | StuckBegan() | TaskRevised():
                    self._take(effect.root_id or effect.uuid, effect)
                case TaskForgotten():
                    self._take(effect.record.root_id or effect.record.uuid, effect)
                case _:
                    pass

    def _take(self, root_id: str, effect: Effect) -> None:
        story = self._stories.get(root_id)
        if story is None:
            if self._tasks >= _TASKS or not (root_id in self._kinds or self._is_extra(effect)):
                return
            story = self._stories[root_id] = Story(root_id, root_id, limit=_MEMBERS)
        before = len(story.members)
        story.accept((effect,))
        self._tasks += len(story.members) - before

    def _is_extra(self, effect: Effect) -> bool:
        """Whether the trace of a task is kept although nothing names it."""
        if not self._takes_all:
            return False
        scope = self._scope
        match effect:
            case Sent():
                return scope.has_instant(effect.sent_at) and scope.has_task_of(
                    effect.uuid, effect.kind
                )
            case AttemptEnded():
                return scope.has_attempt(effect)
            case TaskForgotten():
                return scope.has_record(effect.record)
            case _:
                return False

    # -- what it comes to ----------------------------------------------------------------------

    def read(self) -> tuple[Trace, ...]:
        """Tell the traces: those that the report names as it names them, then the others."""
        others = sorted(
            self._stories.keys() - self._kinds.keys(),
            key=lambda root_id: (self._stories[root_id].began_at, root_id),
        )
        named = (root_id for root_id in self._kinds if root_id in self._stories)
        return tuple(self._trace(root_id) for root_id in (*named, *others))

    @property
    def left_out(self) -> int:
        """How many the report names that are not kept."""
        return len(self._kinds.keys() - self._stories.keys())

    def _trace(self, root_id: str) -> Trace:
        story = self._stories[root_id]
        began_at = story.began_at
        members = tuple(
            self._member(uuid, story.members[uuid], depth=depth, since=began_at)
            for uuid, depth in _tree(story)
        )
        return Trace(
            root_id,
            _trace_id(story),
            began_at,
            max((_last(each) for each in members), default=0.0),
            self._kinds.get(root_id, ()),
            members,
            self._critical.get(root_id, ()),
            story.left_out,
        )

    def _member(self, uuid: str, told: Told, *, depth: int, since: float) -> Member:
        record = told.record
        name = None if record is None else record.name
        known: list[Sent | AttemptEnded] = [*told.sends, *told.attempts]
        queue = next((each.kind.queue for each in known if each.kind.queue is not None), None)
        return Member(
            depth,
            uuid,
            UNNAMED if name is None else name,
            queue,
            "UNKNOWN" if record is None else record.state,
            _offset(min((each.sent_at for each in told.sends), default=None), since),
            tuple(
                self._delivery(each, since=since)
                for each in sorted(told.attempts, key=lambda each: (each.retries, each.ordinal))
            ),
        )

    def _delivery(self, ended: AttemptEnded, *, since: float) -> Delivery:
        return Delivery(
            ended.retries,
            ended.state,
            ended.hostname,
            _offset(ended.sent_at, since),
            _offset(ended.received_at, since),
            _offset(ended.started_at, since),
            None if ended.state in GIVEN_UP else _offset(ended.ended_at, since),
            self._detail(ended),
        )

    def _detail(self, ended: AttemptEnded) -> str:
        if ended.error_type is None:
            return ended.reason or ""
        message = " ".join((message_of(ended.exception) or "").split())
        text = self._redact.of_prose(message[: 4 * _MESSAGE_CHARACTERS])
        return f"{ended.error_type}: {text}"[:_MESSAGE_CHARACTERS]


def _tree(story: Story) -> list[tuple[str, int]]:
    """Return the ids of the tasks from top to bottom, and how deep each lies."""
    children, rows, shown = story.children(), [], set[str]()
    # Behind those without a parent: parents in a circle, which only hostile input has.
    roots = [*children.get(None, []), *sorted(story.members)]
    todo = [(uuid, 0) for uuid in reversed(roots)]
    while todo:
        uuid, depth = todo.pop()
        if uuid in shown:
            continue
        shown.add(uuid)
        rows.append((uuid, depth))
        below = min(depth + 1, _DEEPEST)
        todo += [(child, below) for child in reversed(children.get(uuid, []))]
    return rows


def _trace_id(story: Story) -> str:
    for told in story.members.values():
        for ended in told.attempts[:1]:
            found = origin(ended.trace, ended.root_id, ended.uuid)
            return f"{found.trace_id:032x}"
    return f"{origin(None, story.root_id, story.root_id).trace_id:032x}"


def _offset(at: float | None, since: float) -> float | None:
    return None if at is None else round(at - since, 6)


def _last(member: Member) -> float:
    instants = [member.sent]
    for each in member.deliveries:
        instants += [each.sent, each.received, each.started, each.ended]
    return max((at for at in instants if at is not None), default=0.0)
