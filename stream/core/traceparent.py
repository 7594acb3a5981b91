"""What a message's headers say of a trace, as the text that W3C Trace Context gives it.

Pure and total. A text that is not valid is as if it were absent: the task then belongs to the
trace that else is known.
"""

import re
from typing import Final

_MAX_CHARACTERS: Final = 512
"""Of a header: what must be passed on of a ``tracestate`` (W3C Trace Context, section 3.3.1.5), and
ten times a ``traceparent``. A longer one is left out; half of it would say something else."""
_V0_CHARACTERS: Final = 55
# W3C Trace Context, section 3.2: later versions may append fields, ff is never valid, and neither
# is an id that is all zeros.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|\Z)"
)
# https://develop.sentry.dev/sdk/telemetry/traces/#header-sentry-trace
_SENTRY_TRACE: Final = re.compile(r"((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})(?:-([01]))?\Z")


def traceparent_of(traceparent: str | None, sentry_trace: str | None) -> str | None:
    """Return the ``traceparent`` that two headers mean; None where neither is valid."""
    if traceparent is not None and is_valid(traceparent):
        return traceparent
    return None if sentry_trace is None else from_sentry(sentry_trace)


def is_valid(traceparent: str) -> bool:
    """Whether a text is a ``traceparent`` that is worth keeping."""
    return len(traceparent) <= _MAX_CHARACTERS and match(traceparent) is not None


def match(traceparent: str) -> re.Match[str] | None:
    """Find trace, span and flags, in hexadecimal, by the rules of the text's version."""
    found = _TRACEPARENT.match(traceparent)
    if found is None or (len(traceparent) != _V0_CHARACTERS and traceparent.startswith("00")):
        return None
    return found


def from_sentry(sentry_trace: str) -> str | None:
    """Write a ``sentry-trace`` (trace, span, and whether it is sampled) as a ``traceparent``.

    Where the decision is put off, it counts as sampled: W3C has no third value, and a trace that is
    kept too often can still be dropped.
    """
    match = _SENTRY_TRACE.match(sentry_trace)
    if match is None:
        return None
    trace, span, sampled = match.groups()
    return f"00-{trace}-{span}-{'00' if sampled == '0' else '01'}"


def tracestate_of(tracestate: str | None) -> str | None:
    """Return a ``tracestate`` that is worth keeping; None where it is empty or too long."""
    return tracestate if tracestate and len(tracestate) <= _MAX_CHARACTERS else None
