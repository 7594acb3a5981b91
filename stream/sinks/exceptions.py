"""What an exception says, of the ``repr`` and the traceback that a worker wrote."""

from msgspec import structs

from ..core.effects import AttemptEnded
from ..export.records import Attribute
from .redaction import Redaction

MAX_TEXT = 16_384
"""Characters of an exception or traceback that are kept, its beginning and its end."""


def trimmed(ended: AttemptEnded, redaction: Redaction) -> AttemptEnded:
    """Return the effect with texts that may leave, and that a full buffer has the memory for."""
    if ended.exception is None and ended.traceback is None:
        return ended  # nearly always
    exception, traceback = _trim(ended.exception, redaction), _trim(ended.traceback, redaction)
    if exception is ended.exception and traceback is ended.traceback:
        return ended
    return structs.replace(ended, exception=exception, traceback=traceback)


def exception_attributes(ended: AttemptEnded) -> list[Attribute]:
    """Return ``exception.*`` as far as they are known."""
    attributes: list[Attribute] = []
    if ended.error_type is not None:
        attributes.append(("exception.type", ended.error_type))
    message = message_of(ended.exception)
    if message is not None:
        attributes.append(("exception.message", message))
    if ended.traceback:
        attributes.append(("exception.stacktrace", ended.traceback))
    return attributes


def message_of(exception: str | None) -> str | None:
    """Return what stands between the outer parentheses of an exception's ``repr``.

    A single text loses its quotes: ``ValueError('no funds')`` says ``no funds``. What is no
    ``repr`` is returned as it is; None stays None.
    """
    if exception is None:
        return None
    before, opened, rest = exception.partition("(")
    inside, closed, _ = rest.rpartition(")")
    if not (opened and closed and before.strip()):
        return exception
    inside = inside.removesuffix(",")  # Python 3.6 wrote one
    return _unquoted(inside)


def _unquoted(literal: str) -> str:
    """Take the quotes off one Python string; anything else comes back as it is."""
    quote = literal[:1]
    if len(literal) < len("''") or quote not in "'\"" or literal[-1] != quote:
        return literal
    text = literal[1:-1]
    if quote in text.replace("\\\\", "").replace("\\" + quote, ""):
        return literal  # several arguments
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\\'", "'").replace("\0", "\\")


def _trim(text: str | None, redaction: Redaction) -> str | None:
    """Take out secrets, and the middle of a long text: a traceback says most at its end."""
    if text is None:
        return None
    # Before anything is cut out: what is left of a secret would not be recognised.
    text = redaction.of_prose(text)
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]}\n…\n{text[-half:]}"
