"""How much of a task may be told: secrets hidden, arguments only where they are wanted, links."""

from typing import Final

from msgspec import Struct

from ..core.effects import AttemptEnded
from ..sinks.exceptions import MAX_TEXT, message_of
from ..sinks.redaction import Redaction

_LINE_CHARACTERS: Final = 300
_LOOKED_AT: Final = 4
"""Times the characters of arguments that are told: so many are read for secrets, no more."""


class Telling(Struct, frozen=True):
    """What may be told."""

    redaction: Redaction
    arguments: bool = False
    results: bool = False
    argument_characters: int = 1_024
    trace_url: str | None = None
    """With ``{trace_id}`` and ``{span_id}`` where they belong; None: there is no place to look."""

    def prose(self, text: str | None) -> str | None:
        """Return an exception's text or a traceback as it may be told."""
        if text is None:
            return None
        text = self.redaction.of_prose(text)
        half = MAX_TEXT // 2
        return text if len(text) <= MAX_TEXT else f"{text[:half]}\n…\n{text[-half:]}"

    def error(self, attempt: AttemptEnded | None) -> str | None:
        """Return in a line why an attempt ended: what its exception says, or the reason."""
        if attempt is None:
            return None
        text = message_of(self.prose(attempt.exception)) or attempt.reason
        if text is None or len(text) <= _LINE_CHARACTERS:
            return text
        return f"{text[: _LINE_CHARACTERS - 1]}…"

    def argument(self, text: str | None) -> str | None:
        """Return arguments where they may be told: without secrets, then shortened."""
        return self._value(text) if self.arguments else None

    def result(self, text: str | None) -> str | None:
        """Return a result where it may be told, likewise."""
        return self._value(text) if self.results else None

    def link(self, trace_id: str, span_id: str) -> str | None:
        """Return where to look at a span in its trace."""
        if self.trace_url is None:
            return None
        return self.trace_url.replace("{trace_id}", trace_id).replace("{span_id}", span_id)

    def _value(self, text: str | None) -> str | None:
        if text is None:
            return None
        limit = self.argument_characters
        text = self.redaction.of_values(text[: _LOOKED_AT * limit])
        return text if len(text) <= limit else f"{text[: limit - 1]}…"
