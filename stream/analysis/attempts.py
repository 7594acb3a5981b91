"""The deliveries of a capture, one line each: all that happened on the way to a task's end.

A sink. The lines wait in a temporary file, since nothing is written before everything is read.
"""

from collections.abc import Iterator, Sequence
from typing import IO, Final

import msgspec
from msgspec import Struct

from ..config import RecordSettings
from ..core.effects import AttemptEnded, Effect
from ..core.states import State
from ..sinks.exceptions import message_of
from ..sinks.identity import origin
from ..sinks.redaction import redaction_of
from .scope import GIVEN_UP, Scope

_encode: Final = msgspec.json.Encoder().encode
_MESSAGE_CHARACTERS: Final = 1_000


class AttemptRecord(Struct, frozen=True, gc=False):
    """One delivery of one attempt. Instants and durations as in `TaskRecord`."""

    uuid: str
    name: str | None
    queue: str | None
    retries: int
    ordinal: int
    """0 for the first delivery of this attempt, 1 for its first redelivery, …"""
    state: State
    inferred: bool
    """True where no event said how it ended."""
    reason: str | None
    worker: str | None
    pid: int | None
    root_id: str | None
    parent_id: str | None
    sent_at: float | None
    received_at: float | None
    started_at: float | None
    ended_at: float | None
    """None where it was given up."""
    wait_time: float | None
    run_time: float | None
    error_type: str | None
    error_message: str | None
    """Shortened, passwords hidden."""
    redelivered: bool
    trace_id: str


class Attempts:
    """Takes the deliveries as they end.

    Args:
        spool: an empty temporary file, which the caller closes.
        scope: which are taken.
    """

    def __init__(self, spool: IO[bytes], scope: Scope) -> None:
        self._spool = spool
        self._scope = scope
        self._redaction = redaction_of(RecordSettings().redact)

    def accept(self, effects: Sequence[Effect]) -> None:
        """Take in the deliveries that ended."""
        for effect in effects:
            if isinstance(effect, AttemptEnded) and self._scope.has_attempt(effect):
                self._spool.write(_encode(self._record(effect)) + b"\n")

    def lines(self) -> Iterator[bytes]:
        """One line for each delivery, with its end, in the order in which they ended."""
        self._spool.seek(0)
        yield from self._spool

    def _record(self, ended: AttemptEnded) -> AttemptRecord:
        found = origin(ended.trace, ended.root_id, ended.uuid)
        return AttemptRecord(
            ended.uuid,
            ended.kind.name,
            ended.kind.queue,
            ended.retries,
            ended.ordinal,
            ended.state,
            ended.inferred,
            ended.reason,
            ended.hostname,
            ended.pid,
            ended.root_id,
            ended.parent_id,
            ended.sent_at,
            ended.received_at,
            ended.started_at,
            None if ended.state in GIVEN_UP else ended.ended_at,
            ended.wait,
            ended.run,
            ended.error_type,
            self._message(ended.exception),
            ended.redelivered,
            f"{found.trace_id:032x}",
        )

    def _message(self, exception: str | None) -> str | None:
        message = message_of(exception)
        return None if message is None else self._redaction.of_prose(message)[:_MESSAGE_CHARACTERS]
