"""What went wrong: failures by exception, tasks without a known end, and stuck ones."""

from typing import Final, Literal

from msgspec import Struct

from ..config import RecordSettings
from ..core.effects import AttemptEnded, StuckBegan, StuckEnded
from ..core.kinds import OTHER
from ..core.record import TaskRecord
from ..core.states import State
from ..sinks.exceptions import message_of
from ..sinks.redaction import redaction_of
from .bounded import Groups
from .outcomes import UNNAMED
from .report import FailureRow, UnfinishedRow
from .scope import last_instant

CAPTURE_ENDED: Final = "capture_ended"
_SILENT: Final = "silent"
"""The engine's word for a task that nothing was heard of for very long."""
_GROUPS: Final = 200
_ENDS_WITHOUT_RECORD: Final = 100_000
"""Reasons of given up tasks that wait for their records; 120 seconds' worth of disaster."""
_MESSAGE_CHARACTERS: Final = 300

What = Literal["LOST", "UNKNOWN", "stuck"]
_FAILURE: Final = State.FAILURE


class _Failure(Struct):
    failures: int = 0
    retries: int = 0
    last_at: float = 0.0
    example: AttemptEnded | None = None
    message: str | None = None


class _Unfinished(Struct):
    tasks: int = 0
    longest: float | None = None
    uuid: str = ""
    root_id: str | None = None


class Failures:
    """Groups what failed. Of each group, the first is kept as an example."""

    def __init__(self) -> None:
        self._redaction = redaction_of(RecordSettings().redact)
        self._groups: Groups[tuple[str, str], _Failure] = Groups(_GROUPS, (OTHER, OTHER), _Failure)

    @property
    def overflowed(self) -> int:
        """How often something was counted under ``other``."""
        return self._groups.overflowed

    def take(self, ended: AttemptEnded) -> None:
        """Count an attempt that ended with FAILURE or RETRY."""
        name = UNNAMED if ended.kind.name is None else ended.kind.name
        group = self._groups[ended.error_type or "_OTHER", name]
        if ended.state is _FAILURE:
            group.failures += 1
        else:
            group.retries += 1
        group.last_at = max(group.last_at, ended.ended_at)
        if group.example is None:
            group.example, group.message = ended, self._message(ended.exception)

    def _message(self, exception: str | None) -> str | None:
        message = message_of(exception)
        if message is None:
            return None
        message = " ".join(self._redaction.of_prose(message[: 4 * _MESSAGE_CHARACTERS]).split())
        if len(message) > _MESSAGE_CHARACTERS:
            message = message[:_MESSAGE_CHARACTERS] + "…"
        return message.encode("utf-8", "replace").decode()  # JSON can carry lone surrogates

    def rows(self) -> tuple[FailureRow, ...]:
        """Tell the groups, those with the most failures first, then the most retries."""
        rows = [
            FailureRow(
                error_type,
                task,
                group.failures,
                group.retries,
                group.example.ended_at,
                group.last_at,
                group.example.uuid,
                group.example.hostname,
                group.message,
                group.example.root_id,
            )
            for (error_type, task), group in self._groups.items()
            if group.example is not None
        ]
        return tuple(
            sorted(rows, key=lambda row: (-row.failures, -row.retries, row.error_type, row.task))
        )


class Unfinished:
    """Groups tasks that were given up or stuck."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        """Why tasks were given up whose records are still to come, by uuid."""
        self._groups: Groups[tuple[What, str, str], _Unfinished] = Groups(
            _GROUPS, ("UNKNOWN", OTHER, OTHER), _Unfinished
        )

    @property
    def overflowed(self) -> int:
        """How often something was counted under ``other``."""
        return self._groups.overflowed

    def note_reason(self, ended: AttemptEnded, *, after_the_end: bool) -> None:
        """Keep why a delivery was given up until the record of its task comes."""
        if len(self.reasons) < _ENDS_WITHOUT_RECORD:
            # After the end all is silent; that a worker had been lost before is still true.
            is_open = after_the_end and ended.reason == _SILENT
            self.reasons[ended.uuid] = CAPTURE_ENDED if is_open else ended.reason or ""

    def take_task(self, record: TaskRecord) -> None:
        """Count a task whose state is LOST or UNKNOWN."""
        reason = f"{self.reasons.pop(record.uuid, '') or 'unknown'}, {_reached(record)}"
        what: What = "LOST" if record.state is State.LOST else "UNKNOWN"
        self._count(what, record.name, reason=reason, of=record)

    def forget_reason(self, record: TaskRecord) -> None:
        """Drop the reason of a task that ended well after all."""
        self.reasons.pop(record.uuid, None)

    def take_stuck(self, effect: StuckBegan | StuckEnded) -> None:
        """Count a task that began to be stuck, or see for how long one was."""
        if isinstance(effect, StuckBegan):
            reason = f"{effect.reason}, {effect.phase}"
            group = self._count("stuck", effect.kind.name, reason=reason, of=effect)
            group.longest = max(group.longest or 0.0, effect.age)
            return
        for (what, task, reason), group in self._groups.items():
            if (
                what == "stuck"
                and task == (UNNAMED if effect.kind.name is None else effect.kind.name)
                and reason.endswith(f", {effect.phase}")
            ):
                group.longest = max(group.longest or 0.0, effect.lasted)

    def _count(
        self, what: What, name: str | None, *, reason: str, of: TaskRecord | StuckBegan
    ) -> _Unfinished:
        group = self._groups[what, UNNAMED if name is None else name, reason]
        group.tasks += 1
        if not group.uuid:
            group.uuid, group.root_id = of.uuid, of.root_id
        return group

    def rows(self) -> tuple[UnfinishedRow, ...]:
        """Tell the groups, the largest first."""
        rows = [
            UnfinishedRow(what, task, reason, group.tasks, group.longest, group.uuid, group.root_id)
            for (what, task, reason), group in self._groups.items()
        ]
        return tuple(sorted(rows, key=lambda row: (-row.tasks, row.what, row.task, row.reason)))


def _reached(record: TaskRecord) -> str:
    """Say how far a task had come."""
    if record.started_at is not None:
        return "was running"
    if record.received_at is not None:
        return "was held by a worker"
    return "was waiting" if last_instant(record) else "nothing else seen"
