"""What went wrong, from what the worker wrote about it."""

import re
from typing import Final

_NAME: Final = re.compile(r"[^\W\d][\w.]*")
_WRAPPER: Final = "ExceptionWithTraceback"
"""billiard's wrapper around time limits and lost workers: says nothing about the error."""
_TRACEBACK_LINE: Final = re.compile(r"^([^\W\d][\w.]*)(?::.*|\s*)$", re.MULTILINE)
UNNAMED: Final = "_OTHER"
"""OpenTelemetry's word for an error without a known class."""


def error_type(exception: str | None, traceback: str | None) -> str:
    """Return the class of a failure.

    It is the name before the parenthesis of *exception*, a ``repr``. Celery wraps time limits and
    lost workers, and then only the traceback's exception line has the class; messages may span
    lines, so it is the last line that looks like one and is not indented.
    """
    found = _NAME.match(exception or "")
    if found and found[0] != _WRAPPER:
        return found[0]
    if traceback and (lines := _exception_lines(traceback)):
        return lines[-1]
    return UNNAMED


def _exception_lines(traceback: str) -> list[str]:
    names = [name.strip() for name in _TRACEBACK_LINE.findall(traceback)]
    return [name.rsplit(".", 1)[-1] for name in names if name[:1].isalpha() or name[:1] == "_"]
