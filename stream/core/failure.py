"""What went wrong, from what the worker wrote about it."""

import re
from typing import Final

_CLASS: Final = re.compile(r"([^\W\d][\w.]*)\(")
_WRAPPER: Final = "ExceptionWithTraceback"
"""billiard's wrapper around time limits and lost workers: says nothing about the error."""
_WHEN: Final = ", datetime.datetime("
_TRACEBACK: Final = "Traceback (most recent call last):"
_RAISED: Final = re.compile(r"(?:[^\W\d]\w*\.)*([^\W\d]\w*)(?=:|$)")
UNNAMED: Final = "_OTHER"
"""OpenTelemetry's word for an error without a known class."""


def cause_of(exception: str | None) -> str | None:
    """Return the exception that a retry was asked for, of the ``repr`` that its event carries.

    The pools without processes write the wrapper, with when it is tried again behind:
    ``Retry(Retry(...), ValueError('no'), 0.5)``.
    """
    if exception is None or not (exception.startswith("Retry(") and exception.endswith(")")):
        return exception
    rest = exception.partition("), ")[2].removesuffix(")")
    cause, comma, when = rest.rpartition(", ")
    if comma and not any(mark in when for mark in ",()"):
        return cause
    place = rest.rfind(_WHEN) if rest.endswith(")") else -1
    return exception if place < 0 else rest[:place]


def error_type(exception: str | None, traceback: str | None) -> str:
    """Return the class of a failure.

    It is the name before the parenthesis of *exception*, a ``repr``. Celery wraps time limits and
    lost workers, and some exceptions write a sentence as their ``repr``: then the traceback says
    it, in the first line of its last part that is not indented (messages may span lines).
    """
    found = _CLASS.match(exception or "")
    if found and found[1] != _WRAPPER:
        return found[1]
    return _raised(traceback or "") or UNNAMED


def _raised(traceback: str) -> str | None:
    _, _, frames = traceback.rpartition(_TRACEBACK)
    for line in frames.splitlines():
        if line and not line[0].isspace():
            found = _RAISED.match(line)
            return found[1] if found else None
    return None
