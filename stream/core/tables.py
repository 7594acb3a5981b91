"""The tables of tasks: those in flight by kind and phase, those that ended, those that wait.

Everything that is asked of all tasks at once (how many, which one waits longest, which is over its
limit) is read from the front of a table that is in order, so it costs the number of kinds and not
the number of tasks. Dicts keep insertion order; a task enters a table when its phase begins.
"""

from collections import Counter, deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Final

from .kinds import Kind
from .snapshot import Numbers, TablesState
from .task import ENDED, STATE_OF, Task

SENT, RECEIVED, STARTED, RETRY = range(4)
LATER: Final = 4
"""Added to a slot: waits for its ETA. Kept apart, because these are not in order of due time."""
STUCK: Final = 8
"""Added to a slot: called stuck. Kept apart, so that the front of a table is not yet judged."""
UNSURE: Final = 12
"""Added to a slot: over its limit, and whether it is still there cannot be told."""
SLOTS: Final = 16
SLOT_OF: Final = {state: slot for slot, state in enumerate(STATE_OF)}

Members = dict[str, Task]
Row = list[Members]
"""The tasks of one kind in flight, by slot."""


class TaskTable:
    """All tasks that are known, by uuid, and the ones in flight by phase.

    Args:
        in_flight_limit: beyond it the ones that wait longest are given up.
        remembered_limit: how many ended ones are kept recognisable at the most.
        in_order: number the tasks in the order of their first appearance.
    """

    def __init__(self, *, in_flight_limit: int, remembered_limit: int, in_order: bool) -> None:
        self.in_order = in_order
        self.in_flight_limit = in_flight_limit
        self._remembered_limit = remembered_limit
        self.by_uuid: dict[str, Task] = {}
        self.rows: dict[Kind, Row] = {}
        self._remembered: deque[Task] = deque()
        self._due: list[tuple[float, str]] = []
        self.in_flight = 0
        self.given_up = 0
        """Tasks in flight that left because there were too many."""
        self.forgotten_early = 0
        """Ended ones that were not remembered for their time because there were too many."""
        self._seen = 0
        self._reserved: dict[str, int] = {}

    @property
    def remembered(self) -> int:
        """Ended tasks that are still recognised."""
        return len(self._remembered)

    def enter(self, task: Task, slot: int) -> None:
        """Take in a task that was not known."""
        if self.in_order:
            reserved = self._reserved.pop(task.uuid, 0) if self._reserved else 0
            task.first_seen = reserved or self.next_number()
        self.by_uuid[task.uuid] = task
        self.in_flight += 1
        task.slot = slot
        (self.rows.get(task.kind) or self.new_row(task.kind))[slot][task.uuid] = task

    def new_row(self, kind: Kind) -> Row:
        """Make room for the tasks of a kind that has none."""
        row = self.rows[kind] = [{} for _ in range(SLOTS)]
        return row

    def reserve(self, uuid: str) -> None:
        """Keep a place in the order of first appearance for a task that will enter later."""
        if self.in_order:
            self._reserved[uuid] = self.next_number()

    def next_number(self) -> int:
        """Number one more task in the order of first appearance."""
        self._seen += 1
        return self._seen

    def move(self, task: Task, slot: int, kind: Kind) -> None:
        """Put a task in flight into another phase, or under another kind."""
        del self.rows[task.kind][task.slot][task.uuid]
        task.kind, task.slot = kind, slot
        (self.rows.get(kind) or self.new_row(kind))[slot][task.uuid] = task

    def finish(self, task: Task, at: float) -> None:
        """A task ended: it leaves its phase and is remembered for a while."""
        del self.rows[task.kind][task.slot][task.uuid]
        self.in_flight -= 1
        task.slot = ENDED
        task.since = at
        self._remembered.append(task)

    def wait_until(self, task: Task, due_at: float) -> None:
        """Have `due` return the task once its ETA has come."""
        heappush(self._due, (due_at, task.uuid))

    def due(self, now: float) -> Iterator[Task]:
        """Take out the tasks whose ETA has come and that still wait for it."""
        while self._due and self._due[0][0] <= now:
            task = self.by_uuid.get(heappop(self._due)[1])
            # It may have moved on since, or wait for a later one.
            if task is not None and LATER <= task.slot < STUCK and task.since <= now:
                yield task

    def surplus(self) -> list[Task]:
        """Return the tasks to give up when there are too many in flight: a hundredth at a time.

        Those that wait to be received come first, since most of the dead ones are among them. A
        batch, because finding the front of a dict that lost its front costs what was lost.
        """
        if self.in_flight <= self.in_flight_limit:
            return []
        wanted = self.in_flight - self.in_flight_limit + self.in_flight_limit // 100
        everyone = (
            task
            for slot in range(SLOTS)
            for _, members in self.members(slot)
            for task in members.values()
        )
        surplus = list(islice(everyone, wanted))
        self.given_up += len(surplus)
        return surplus

    def forget(self, before: float) -> Iterator[Task]:
        """Take out the ended tasks that ended before an instant, or that are too many."""
        remembered = self._remembered
        while remembered and (
            remembered[0].since < before or len(remembered) > self._remembered_limit
        ):
            task = remembered.popleft()
            self.forgotten_early += task.since >= before
            del self.by_uuid[task.uuid]
            yield task

    def members(self, slot: int) -> Iterator[tuple[Kind, Members]]:
        """All tasks in one slot, by kind. The table must not change meanwhile."""
        for kind, row in self.rows.items():
            if row[slot]:
                yield kind, row[slot]

    def prefetched(self) -> Counter[tuple[str | None, str | None]]:
        """How many tasks each worker holds that could begin, by its node name and their name.

        Reads each of them: without those that wait for an ETA they are few.
        """
        return Counter(
            (None if task.last.lane is None else task.last.lane.hostname, kind.name)
            for slot in (RECEIVED, RECEIVED + STUCK, RECEIVED + UNSURE)
            for kind, members in self.members(slot)
            for task in members.values()
        )

    def kinds_in(self, slot: int) -> list[Kind]:
        """The kinds with tasks in one phase, those that wait for an ETA or are stuck included."""
        same_phase = (slot, slot + LATER, slot + STUCK, slot + UNSURE)
        return [kind for kind, row in self.rows.items() if any(row[each] for each in same_phase)]

    def state(self, numbers: Numbers) -> TablesState:
        """Who is in which table, for a snapshot."""
        number = numbers.task
        return TablesState(
            [number(task) for task in self.by_uuid.values()],
            [
                (
                    numbers.kind(kind),
                    [[number(task) for task in members.values()] for members in row],
                )
                for kind, row in self.rows.items()
            ],
            [number(task) for task in self._remembered],
            self._due,
            self.in_flight,
            self._seen,
            self._reserved,
        )

    def restore(self, state: TablesState, tasks: list[Task], kinds: list[Kind]) -> None:
        """Take over what a snapshot knows."""
        self.by_uuid = {task.uuid: task for task in (tasks[each] for each in state.known)}
        self.rows.update(
            (
                kinds[kind],
                [
                    {task.uuid: task for task in (tasks[each] for each in members)}
                    for members in row
                ],
            )
            for kind, row in state.rows
        )
        self._remembered = deque(tasks[each] for each in state.remembered)
        self._due = state.due
        self.in_flight = state.in_flight
        self._seen = state.seen
        self._reserved = state.reserved

    def prune(self) -> None:
        """Let go of what is empty or over; an emptied dict keeps the size it once had."""
        for kind, row in list(self.rows.items()):
            if any(row):
                row[:] = [members or {} for members in row]
            else:
                del self.rows[kind]
        self._due = [due for due in self._due if due[1] in self.by_uuid]
        heapify(self._due)
