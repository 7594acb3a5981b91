"""Which trace each task belongs to, and how that is known.

For a delivery the first that exists: what its own message says (`TraceSource.EVENT`, ``PEEK``);
what an earlier attempt's said, or the parent task is in (``PARENT``); what the root task is in
(``ROOT``). None of them: nobody's trace is known, and sinks derive one from the root's id.

What was told of a delivery is kept, so that all that is told of it and of its children fits
together. Only its own message corrects that: an event until the end was told, a look into the
broker until it began. What becomes known of a task after its child was told of changes nothing for
the child.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Final

from msgspec import Struct

from ..events import TaskReceived, TaskSent, Waiting
from .states import State
from .task import OPEN, Delivery, Task
from .trace import Trace, TraceSource
from .traceparent import traceparent_of, tracestate_of

UNTRACED: Final = Trace("", None, TraceSource.DERIVED)
"""Of what was told without a trace. Never leaves the core."""
_OWN: Final = frozenset({TraceSource.EVENT, TraceSource.PEEK})
_WAITS: Final = frozenset({State.SENT, State.RECEIVED})


class Peeked(Struct, frozen=True, gc=False):
    """What a message says of its trace that was seen before the event of its delivery."""

    retries: int | None
    trace: Trace


class Traces:
    """Tells the trace of each delivery.

    Args:
        tasks: all that are known, by uuid.
        limit: of messages seen before any event spoke of them, and of trees that were forgotten;
            of each, the oldest go first.
    """

    def __init__(self, tasks: Mapping[str, Task], *, limit: int) -> None:
        self._tasks = tasks
        self._limit = limit
        self.peeked: dict[str, Peeked] = {}
        """By uuid, the one that was seen last at the end."""
        self.roots: dict[str, Trace] = {}
        """By the root's uuid, the trace of a tree of which a task was forgotten."""
        self.peeked_dropped = 0
        self.roots_dropped = 0

    # -- what messages say ---------------------------------------------------------------------

    def hear(self, task: Task, delivery: Delivery, event: TaskSent | TaskReceived) -> None:
        """Take note of what an event says of its message's headers."""
        text = traceparent_of(event.traceparent, event.sentry_trace)
        if text is None or delivery.state not in OPEN:
            return
        if delivery.trace is None or delivery.trace.source is not TraceSource.EVENT:
            _link(task, delivery, Trace(text, tracestate_of(event.tracestate), TraceSource.EVENT))

    def peek(self, message: Waiting) -> None:
        """Take note of a message that was seen while it waited in a queue."""
        text = traceparent_of(message.traceparent, message.sentry_trace)
        if text is None:
            return
        trace = Trace(text, tracestate_of(message.tracestate), TraceSource.PEEK)
        task, retries = self._tasks.get(message.uuid), message.retries
        if task is None:
            self._keep(message.uuid, Peeked(retries, trace))
        elif not task.finished:
            last = task.last
            if last.state in OPEN and retries in (None, last.retries):
                _offer(task, last, trace)
            elif retries is None or retries >= last.retries:  # of the delivery that is to follow
                self._keep(message.uuid, Peeked(retries, trace))

    def _keep(self, uuid: str, seen: Peeked) -> None:
        self.peeked.pop(uuid, None)
        self.peeked[uuid] = seen
        self.peeked_dropped += _drop_surplus(self.peeked, self._limit)

    def claim(self, task: Task, delivery: Delivery) -> None:
        """Take over what was seen of a new delivery's message before any event spoke of it."""
        seen = self.peeked.get(task.uuid)
        if seen is not None and seen.retries in (None, delivery.retries):
            del self.peeked[task.uuid]
            _offer(task, delivery, seen.trace)

    # -- what is told --------------------------------------------------------------------------

    def of(self, task: Task, delivery: Delivery) -> Trace | None:
        """Return the trace of a delivery, to be told; from then on it is kept."""
        trace = delivery.trace
        if trace is None:
            if task.trace is None and task.parent_id is None and task.root_id is task.uuid:
                delivery.trace = task.trace = UNTRACED  # it has no kin to look for
                return None
            trace = delivery.trace = self._settle(task)
        return None if trace is UNTRACED else trace

    def _settle(self, task: Task) -> Trace:
        trace = task.trace
        if trace is None:
            trace = task.trace = self._inherited(task) or UNTRACED
        return _inherit(trace, TraceSource.PARENT) if trace.source in _OWN else trace

    def foresee(self, task: Task) -> None:
        """Take over what is known of a new task's kin, who may be forgotten when it is told of."""
        task.trace = self._inherited(task)

    def _inherited(self, task: Task) -> Trace | None:
        uuid, parent_id, root_id = task.uuid, task.parent_id, task.root_id
        if parent_id is not None and parent_id != uuid:
            parent = self._tasks.get(parent_id)
            if parent is not None and parent.trace is not None:
                # Where that was told without one, so are its children, to stay in its trace.
                return _inherit(parent.trace, TraceSource.PARENT)
        if root_id is None or root_id == uuid:
            return None
        root = self._tasks.get(root_id)
        trace = self.roots.get(root_id) if root is None else root.trace
        return None if trace is None else _inherit(trace, TraceSource.ROOT)

    # -- what is forgotten ---------------------------------------------------------------------

    def forget(self, task: Task) -> None:
        """Keep the trace of a task that leaves, for what is still to come of its tree."""
        trace = task.trace
        if trace is None or trace is UNTRACED:
            return
        root_id = task.root_id or task.uuid
        self.roots[root_id] = self.roots.pop(root_id, trace)
        self.roots_dropped += _drop_surplus(self.roots, self._limit)

    def restore(
        self, tasks: Mapping[str, Task], peeked: dict[str, Peeked], roots: dict[str, Trace]
    ) -> None:
        """Take over what a snapshot knows."""
        self._tasks, self.peeked, self.roots = tasks, peeked, roots


def _offer(task: Task, delivery: Delivery, trace: Trace) -> None:
    """Give a delivery what was seen in the broker, unless it has begun and was told of."""
    known = delivery.trace
    if known is None or (delivery.state in _WAITS and known.source not in _OWN):
        _link(task, delivery, trace)


def _link(task: Task, delivery: Delivery, trace: Trace) -> None:
    delivery.trace = task.trace = trace


def _inherit(trace: Trace, source: TraceSource) -> Trace:
    if trace is UNTRACED or trace.source is source:
        return trace
    return Trace(trace.traceparent, trace.tracestate, source)


def _drop_surplus(table: dict[str, Peeked] | dict[str, Trace], limit: int) -> int:
    """Drop the oldest entries of a table that is too large; return how many.

    A hundredth at a time: finding the front of a dict that lost its front costs what was lost.
    """
    if len(table) <= limit:
        return 0
    surplus = list(islice(table, len(table) - limit + limit // 100))
    for uuid in surplus:
        del table[uuid]
    return len(surplus)
